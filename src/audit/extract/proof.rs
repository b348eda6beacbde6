//! Proofs that the records of an export stand in the sealed trail (RFC 6962): with the checkpoint's root
//! and nothing else.
//!
//! The leaves from the first to the last that the checkpoint counts, in their order: of an exported
//! record the leaf and the record itself, words encrypted, so that its hash can be made anew; of what
//! lies between them the roots of the largest full trees that hold none. All together make the root.
//! Where the roots of full trees are stored, only the leaves around the records are read.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{
    ExtractError,
    folder::{Folder, Sheet},
};
use crate::audit::{
    canonical::{self, Column},
    copy,
    export::{self, Sealed},
    note::Checkpoint,
    pace::Pace,
    subtrees::{self, HEIGHT, LEAVES},
    tree::{Frontier, Hash},
    walk,
};

/// The file, and what its first line says that it is.
pub(super) const NAME: &str = "proofs.jsonl";
const FORMAT: &str = "maskline inclusion proofs v1";
/// How many leaves are read at once.
const BATCH: u32 = 20_000;

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Head { format: String, columns: BTreeMap<String, String> },
    Leaf(Sealed),
    Tree { from: u64, height: u32, tree: String },
}

/// Proves these records, by their sorted leaves, against a checkpoint.
pub(super) async fn write(
    conn: &mut PgConnection,
    folder: &mut Folder,
    leaves: &[u64],
    checkpoint: &Checkpoint,
) -> Result<(), ExtractError> {
    let columns = canonical::columns(conn).await?;
    let mut proof = Proof { to: folder.file(NAME)?, tree: Frontier::default(), gap: Vec::new() };
    proof.put(&Line::Head { format: FORMAT.to_owned(), columns: export::named(&columns) })?;
    let stored = subtrees::under(conn, checkpoint).await?;
    let (mut at, mut left, mut pace) = (0, leaves, Pace::begin(conn).await?);
    while at < checkpoint.size {
        if let Some(root) = skipped(&stored, left, at) {
            proof.pass(at, HEIGHT, root);
            at += LEAVES;
            continue;
        }
        let mut to = checkpoint.size.min(at + u64::from(pace.batch(BATCH)));
        // Up to where the next may be skipped.
        let mut ends = (at / LEAVES + 1..).map(|tree| tree * LEAVES).take_while(|end| *end < to);
        to = ends.find(|end| skipped(&stored, left, *end).is_some()).unwrap_or(to);
        let (some, rest) = left.split_at(left.partition_point(|leaf| *leaf < to));
        let mut records = records(conn, &columns, some).await?.into_iter().peekable();
        let query = format!(
            "select index, hash from audit_leaf where index >= {at} and index < {to} order by index"
        );
        copy::read(conn, &query, |row| {
            let (index, hash) = leaf(row).ok_or_else(copy::malformed)?;
            if let Some(record) = records.next_if(|record| record.index == index) {
                return proof.leaf(hash, record).map_err(sqlx::Error::from);
            }
            proof.pass(index, 0, hash);
            Ok(())
        })
        .await?;
        pace.rest(conn).await?;
        (at, left) = (to, rest);
    }
    proof.close_gap()?;
    if proof.tree.size() != checkpoint.size || proof.tree.root() != checkpoint.root {
        return Err(ExtractError::Contradiction(checkpoint.size));
    }
    Ok(folder.close(proof.to)?)
}

/// The stored root of the tree that begins at this place, where none of these leaves is in it.
fn skipped(stored: &[Hash], leaves: &[u64], at: u64) -> Option<Hash> {
    let root = stored.get(usize::try_from(at / LEAVES).ok()?)?;
    let next = leaves.get(leaves.partition_point(|leaf| *leaf < at));
    let is_free = at.is_multiple_of(LEAVES) && next.is_none_or(|leaf| *leaf >= at + LEAVES);
    is_free.then_some(*root)
}

fn leaf(row: &copy::Row<'_>) -> Option<(u64, Hash)> {
    let [Some(index), Some(hash)] = row else { return None };
    Some((u64::from_be_bytes((*index).try_into().ok()?), Hash::read(hash)?))
}

/// The records of these leaves, in their order.
async fn records(
    conn: &mut PgConnection,
    columns: &[Column],
    leaves: &[u64],
) -> sqlx::Result<Vec<Sealed>> {
    let mut records = Vec::with_capacity(leaves.len());
    if leaves.is_empty() {
        return Ok(records);
    }
    let query = walk::select_some(columns, leaves);
    copy::read(conn, &query, |row| {
        let leaf = walk::leaf(columns, row).ok_or_else(copy::malformed)?;
        let values = row.get(walk::HEAD..).unwrap_or_default();
        records.push(export::sealed(&leaf, columns, values).ok_or_else(copy::malformed)?);
        Ok(())
    })
    .await?;
    Ok(records)
}

/// A file that is being written.
struct Proof {
    to: Sheet,
    /// Of what is written.
    tree: Frontier,
    /// Full trees since the last record: where each begins, how high it is, its root.
    gap: Vec<(u64, u32, Hash)>,
}

impl Proof {
    fn put(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, line)?;
        self.to.write_all(b"\n")
    }

    fn leaf(&mut self, hash: Hash, record: Sealed) -> io::Result<()> {
        self.close_gap()?;
        self.tree.push(hash);
        self.put(&Line::Leaf(record))
    }

    /// Passes a leaf, or a full tree of them, of which nothing is exported.
    fn pass(&mut self, index: u64, levels: u32, root: Hash) {
        let (mut from, mut height, mut tree) = (index, levels, root);
        while let Some((left, _, root)) =
            self.gap.pop_if(|(left, it, _)| *it == height && left.trailing_zeros() > height)
        {
            (from, height, tree) = (left, height + 1, Hash::of_node(root, tree));
        }
        self.gap.push((from, height, tree));
    }

    fn close_gap(&mut self) -> io::Result<()> {
        for (from, height, tree) in std::mem::take(&mut self.gap) {
            self.tree.push_tree(height, tree);
            self.put(&Line::Tree { from, height, tree: tree.to_string() })?;
        }
        Ok(())
    }
}

/// What is wrong with the proofs of so many records, the first that is; none where they prove it.
pub(super) fn verify(path: &Path, proven: u64, checkpoint: &Checkpoint) -> Option<String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) => return Some(format!("{NAME} cannot be read: {error}")),
    };
    match grow(BufReader::new(file)) {
        Err(wrong) => Some(format!("{NAME}: {wrong}")),
        Ok((count, _)) if count != proven => {
            Some(format!("{NAME} proves {count} records and not {proven}"))
        }
        Ok((_, tree)) if tree.size() != checkpoint.size || tree.root() != checkpoint.root => {
            Some(format!("{NAME} does not lead to the root of the checkpoint"))
        }
        Ok(_) => None,
    }
}

/// The tree that the lines make, and how many records are in it.
fn grow(from: impl BufRead) -> Result<(u64, Frontier), String> {
    let (mut columns, mut tree, mut count) = (None, Frontier::default(), 0);
    for (number, line) in (1..).zip(from.lines()) {
        let wrong = || format!("line {number} is not as this version writes it");
        let line = line.map_err(|error| error.to_string())?;
        match (serde_json::from_str(&line).map_err(|_| wrong())?, &columns) {
            (Line::Head { format, columns: named }, None) if format == FORMAT => {
                columns = Some(export::head(named).ok_or_else(wrong)?);
            }
            (Line::Leaf(sealed), Some(columns)) if sealed.index == tree.size() => {
                let leaf = export::leaf(&sealed, columns).ok_or_else(wrong)?;
                if leaf.record != Some(leaf.hash) {
                    return Err(format!("record {} is not what was sealed", leaf.index));
                }
                tree.push(leaf.hash);
                count += 1;
            }
            (Line::Tree { from, height, tree: root }, Some(_)) if from == tree.size() => {
                let root = export::from_hex(&root).ok_or_else(wrong)?;
                tree.push_tree(height, root).ok_or_else(wrong)?;
            }
            _ => return Err(wrong()),
        }
    }
    Ok((count, tree))
}
