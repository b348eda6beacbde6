//! The judge of a trail: is each record what was sealed, and is the whole what was signed?
//!
//! It is shown the leaves in their order and the checkpoints at their sizes, from a database or from
//! an export, and needs neither: it only hashes and compares.

use std::collections::VecDeque;

use super::{
    finding::{Finding, Who, Wrong},
    note::{Checkpoint, NoteError, Verifier},
    removal::{Gone, Removal},
    tree::{Frontier, Hash},
};

/// How many findings are told one by one.
const TOLD: usize = 20;

/// A leaf, and what its record hashes to now.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) index: u64,
    pub(crate) hash: Hash,
    /// None where the record is gone.
    pub(crate) record: Option<Hash>,
    pub(crate) who: Who,
    /// The transaction that wrote the record, where that is known.
    pub(crate) xid: Option<i64>,
}

/// A checkpoint that was kept outside, and where.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its note.
    pub note: String,
    /// What it is called.
    pub name: String,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many leaves there are.
    pub records: u64,
    /// How many checkpoints of the trail's own were compared.
    pub checkpoints: u64,
    /// How many that were kept outside.
    pub kept: u64,
    /// How many records the greatest of those counts whose root fits.
    pub vouched: u64,
    /// How many records the greatest checkpoint covers whose root fits.
    pub covered: u64,
    /// How many records wait to be sealed.
    pub unsealed: u64,
    /// The months that were removed because they are old, and how many of their records are gone.
    pub removed: Vec<Gone>,
    /// The root of all leaves.
    pub root: Option<Hash>,
    /// What is wrong, the first record first.
    pub findings: Vec<Finding>,
    /// How many more things are.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Judges a trail while it is shown to it.
#[derive(Debug, Clone)]
pub struct Judge {
    keys: Vec<Verifier>,
    kept: VecDeque<(Checkpoint, String)>,
    removals: Vec<Removal>,
    tree: Frontier,
    /// The place after the last leaf.
    position: u64,
    /// Whether the tree cannot be compared any more.
    is_broken: bool,
    order: Order,
    report: Report,
}

impl Judge {
    /// Believes what these keys sign; without one it looks at roots only.
    pub fn new(keys: Vec<Verifier>, kept: Vec<Kept>) -> Self {
        let mut judge = Self {
            keys,
            kept: VecDeque::new(),
            removals: Vec::new(),
            tree: Frontier::default(),
            position: 0,
            is_broken: false,
            order: Order::default(),
            report: Report::default(),
        };
        let mut believed = Vec::new();
        for Kept { note, name } in kept {
            judge.report.kept += 1;
            match judge.open(&note) {
                Ok(checkpoint) => believed.push((checkpoint, name)),
                Err(error) => judge.find(None, None, Wrong::Note(name, error)),
            }
        }
        believed.sort_by_key(|(checkpoint, _)| checkpoint.size);
        judge.kept = believed.into();
        judge
    }

    fn open(&self, note: &str) -> Result<Checkpoint, NoteError> {
        if self.keys.is_empty() {
            Checkpoint::read(note)
        } else {
            Checkpoint::open(note, &self.keys)
        }
    }

    /// Takes in the manifest of a month that was removed, before any leaf.
    pub(crate) fn removed(&mut self, manifest: &str) {
        match Removal::open(manifest, &self.keys) {
            Ok(removal) => self.removals.push(removal),
            Err(error) => {
                let name = "the manifest of a month that was removed".to_owned();
                self.find(None, None, Wrong::Note(name, error));
            }
        }
    }

    /// How many leaves it has seen.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Looks at the next leaf.
    pub(crate) fn leaf(&mut self, leaf: &Leaf) {
        if leaf.index < self.position {
            self.is_broken = true;
            self.find(Some(leaf.index), Some(leaf.who), Wrong::OutOfOrder);
            return;
        }
        if leaf.index > self.position {
            self.is_broken = true;
            self.find(Some(self.position), None, Wrong::LeafMissing);
        }
        let is_removed = self.removals.iter_mut().any(|removal| removal.sees(leaf));
        match leaf.record {
            None if is_removed => {}
            None => self.find(Some(leaf.index), Some(leaf.who), Wrong::Missing),
            Some(hash) if hash != leaf.hash => {
                self.find(Some(leaf.index), Some(leaf.who), Wrong::Edited);
            }
            Some(_) => {}
        }
        if let Some(xid) = leaf.xid {
            self.order.see(leaf.index, (xid, leaf.who));
        }
        self.tree.push(leaf.hash);
        self.position = leaf.index + 1;
        while let Some((checkpoint, _)) = self.kept.front()
            && checkpoint.size <= self.position
        {
            if let Some((checkpoint, name)) = self.kept.pop_front()
                && self.compare(&checkpoint, name)
            {
                self.report.vouched = checkpoint.size;
            }
        }
    }

    /// Looks at a checkpoint of the trail's own, once all its leaves were seen.
    pub(crate) fn checkpoint(&mut self, size: u64, root: Option<Hash>, note: &str) {
        self.report.checkpoints += 1;
        let name = format!("the checkpoint of {size} records");
        match self.open(note) {
            Ok(checkpoint)
                if checkpoint.size == size && root.is_none_or(|root| root == checkpoint.root) =>
            {
                if size > self.position {
                    self.cut(name);
                } else if size < self.position && !self.is_broken {
                    self.find(None, None, Wrong::Misplaced(name));
                } else {
                    self.compare(&checkpoint, name);
                }
            }
            Ok(_) => self.find(None, None, Wrong::Note(name, NoteError::Forged)),
            Err(error) => self.find(None, None, Wrong::Note(name, error)),
        }
    }

    /// Whether its root is that of as many leaves.
    fn compare(&mut self, checkpoint: &Checkpoint, name: String) -> bool {
        if self.is_broken || checkpoint.size != self.tree.size() {
            return false;
        }
        if checkpoint.root == self.tree.root() {
            self.report.covered = checkpoint.size;
            self.order = Order::default();
            return true;
        }
        self.is_broken = true;
        if let Some(index) = self.order.broken {
            self.find(Some(index), None, Wrong::OutOfOrder);
        } else {
            self.find(Some(self.report.covered), None, Wrong::Replaced(name));
            if let Some(finding) = self.report.findings.last_mut() {
                finding.last = Some(checkpoint.size - 1);
            }
        }
        false
    }

    fn cut(&mut self, name: String) {
        self.find(Some(self.position), None, Wrong::Cut(name));
    }

    /// Notes a record that is older than what is sealed, and has no leaf.
    pub(crate) fn added(&mut self, who: Who) {
        self.find(None, Some(who), Wrong::Added);
    }

    fn find(&mut self, index: Option<u64>, who: Option<Who>, wrong: Wrong) {
        // However much is wrong with checkpoints, the first records are told, and the reverse.
        let alike = |finding: &&Finding| finding.index.is_some() == index.is_some();
        if self.report.findings.iter().filter(alike).count() < TOLD {
            let finding = Finding { index, last: None, who, partition: None, wrong };
            self.report.findings.push(finding);
        } else {
            self.report.more += 1;
        }
    }

    /// What came of it, when all was shown.
    pub(crate) fn end(mut self) -> Report {
        if let Some((_, name)) = self.kept.pop_front() {
            self.cut(name);
        }
        for removal in std::mem::take(&mut self.removals) {
            match removal.end() {
                Ok(gone) => self.report.removed.push(gone),
                Err(month) => self.find(None, None, Wrong::OtherRemoved(month)),
            }
        }
        self.report.records = self.position;
        self.report.root = (!self.is_broken).then(|| self.tree.root());
        // Records before what is wrong with checkpoints, the first before the later ones, and what is
        // certain before what is one of several.
        self.report.findings.sort_by_key(|finding| {
            let is_of_record = finding.index.is_some() || finding.who.is_some();
            let last = finding.last.or(finding.index);
            (!is_of_record, finding.index.is_none(), last, finding.last.is_some())
        });
        self.report.findings.dedup();
        self.report
    }
}

/// How many leaves are remembered in whose order a fault is looked for.
const REMEMBERED: usize = 1_000_000;

/// In which order the leaves stand since the last root that fitted. Transactions may be counted from
/// the beginning again, after a restore elsewhere: what is out of order is told only if a root says
/// that something is wrong.
#[derive(Debug, Clone, Default)]
struct Order {
    /// The leaves so far, as long as they are in order.
    seen: Vec<(u64, (i64, Who))>,
    /// The first that should stand further behind.
    broken: Option<u64>,
}

impl Order {
    fn see(&mut self, index: u64, place: (i64, Who)) {
        let behind = self.seen.partition_point(|(_, earlier)| *earlier <= place);
        match self.seen.get(behind) {
            Some((first, _)) => {
                self.broken = Some(self.broken.map_or(*first, |broken| broken.min(*first)));
            }
            None if self.seen.len() < REMEMBERED => self.seen.push((index, place)),
            None => {}
        }
    }
}
