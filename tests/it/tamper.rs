//! Random tamperings, by somebody who may do anything to the trail: each is found, and the record
//! named. The hashes are made here once more, from the words of docs/decisions/0022-sealed-trail.md.
//!
//! `just tamper` makes ten thousand.

use base64::{Engine, prelude::BASE64_STANDARD};
use maskline::audit::{
    export::{self, ExportError},
    finding::{Finding, Wrong},
    note::{Checkpoint, NoteError, Signer},
    verify::{Judge, Kept, Report},
};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    seal::signer,
    support::TestApp,
    verify::{FREE, key, trail, verified},
};

/// How many: a few, or as many as `MASKLINE_TAMPERINGS` says.
#[expect(clippy::disallowed_methods, reason = "a test may be told to do more")]
fn count(few: usize) -> usize {
    std::env::var("MASKLINE_TAMPERINGS").map_or(few, |count| count.parse().unwrap())
}

/// A trail as an export, a line each, with what was kept of it outside.
#[derive(Clone)]
struct Export {
    head: Value,
    leaves: Vec<Value>,
    /// Each with its size.
    checkpoints: Vec<(u64, Value)>,
    kept: Vec<Kept>,
}

impl Export {
    async fn of(test: &TestApp, kept: Vec<Kept>) -> Self {
        let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
        let mut text = Vec::new();
        export::write(&mut conn, &mut text, |_, _| {}).await.unwrap();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut lines = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
        let head = lines.next().unwrap();
        let (leaves, rest): (Vec<_>, Vec<_>) = lines.partition(|line| line.get("index").is_some());
        let notes = rest.into_iter().filter(|line| line.get("end").is_none());
        let checkpoints = notes.map(|line| (size(line["checkpoint"].as_str().unwrap()), line));
        Self { head, leaves, checkpoints: checkpoints.collect(), kept }
    }

    fn verify(&self) -> Result<Report, ExportError> {
        let mut lines = vec![self.head.clone()];
        let mut checkpoints = self.checkpoints.iter().peekable();
        for (n, leaf) in self.leaves.iter().enumerate() {
            lines.push(leaf.clone());
            while let Some((_, line)) = checkpoints.next_if(|(size, _)| *size <= n as u64 + 1) {
                lines.push(line.clone());
            }
        }
        lines.extend(checkpoints.map(|(_, line)| line.clone()));
        lines.push(json!({"end": self.leaves.len()}));
        let text: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        let text = text.concat();
        export::verify(text.as_bytes(), Judge::new(key(), self.kept.clone()), |_| {})
    }

    /// Gives each leaf the place where it stands.
    fn number(&mut self) {
        for (n, leaf) in self.leaves.iter_mut().enumerate() {
            leaf["index"] = json!(n);
        }
    }

    /// Makes a leaf fit its record again.
    fn seal(&mut self, n: usize) {
        let hash = leaf_hash(&self.head["columns"], &self.leaves[n]["record"]);
        let hash: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.leaves[n]["hash"] = json!(hash.concat());
    }

    fn edit(&mut self, n: usize, dice: &mut Xoshiro256PlusPlus) {
        let columns: Vec<&str> = vec![
            "at",
            "id",
            "kind",
            "rule",
            "person_id",
            "carrier_id",
            "body",
            "media",
            "detail",
            "text_id",
        ];
        let name = columns[dice.random_range(0..columns.len())];
        let kind = self.head["columns"][name].as_str().unwrap().to_owned();
        let record = self.leaves[n]["record"].as_object_mut().unwrap();
        let other = match kind.as_str() {
            "uuid" => json!(Uuid::from_u128(dice.random())),
            "timestamptz" => json!(dice.random_range(0..1_000_000_000_000_000_i64)),
            _ => json!(format!(
                "{}{}",
                record.get(name).and_then(Value::as_str).unwrap_or_default(),
                dice.random_range('a'..='z')
            )),
        };
        if record.contains_key(name) && dice.random_bool(0.2) {
            record.remove(name);
        } else {
            record.insert(name.to_owned(), other);
        }
    }
}

fn size(note: &str) -> u64 {
    Checkpoint::read(note).unwrap().size
}

/// The hash of a record's leaf, by the words of the decision.
fn leaf_hash(columns: &Value, record: &Value) -> Vec<u8> {
    let mut bytes = b"\0maskline audit record v1\n".to_vec();
    let mut names: Vec<&String> = record.as_object().unwrap().keys().collect();
    names.sort();
    for name in names {
        let value = &record[name];
        let (letter, value) = match columns[name].as_str().unwrap() {
            "text" => (b't', value.as_str().unwrap().as_bytes().to_vec()),
            "jsonb" => (b'j', value.as_str().unwrap().as_bytes().to_vec()),
            "uuid" => (b'u', value.as_str().unwrap().parse::<Uuid>().unwrap().as_bytes().to_vec()),
            "timestamptz" => {
                let at = value.as_i64().unwrap_or_else(|| {
                    value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond()
                });
                (b'm', at.to_be_bytes().to_vec())
            }
            "bytea" => (b'b', BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap()),
            other => panic!("a column of type {other}"),
        };
        bytes.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
        bytes.extend(name.as_bytes());
        bytes.push(letter);
        bytes.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(value);
    }
    Sha256::digest(bytes).to_vec()
}

/// What must be found.
#[derive(Debug)]
enum Expected {
    /// This record, for certain.
    Record(u64),
    /// This one, or a few records of which this is one.
    Near(u64),
    /// That a checkpoint cannot be believed.
    Checkpoint,
}

impl Expected {
    fn is(&self, found: &Finding) -> bool {
        match self {
            Self::Record(index) => found.index == Some(*index) && found.last.is_none(),
            Self::Near(index) => match (found.index, found.last) {
                (Some(first), Some(last)) => (first..=last).contains(index) && last - first < 7,
                // A tail from which something is gone shows as one that is too short.
                (Some(first), _) if matches!(found.wrong, Wrong::Cut(_)) => {
                    first >= *index && first - index < 7
                }
                (first, _) => first == Some(*index),
            },
            Self::Checkpoint => matches!(found.wrong, Wrong::Note(..)),
        }
    }
}

/// Does one thing to an export. Returns what must be found.
fn tamper(export: &mut Export, dice: &mut Xoshiro256PlusPlus) -> Expected {
    let count = export.leaves.len();
    let n = dice.random_range(0..count);
    let place = n as u64;
    match dice.random_range(0..12) {
        0 | 1 => {
            export.edit(n, dice);
            Expected::Record(place)
        }
        2 | 3 => {
            export.edit(n, dice);
            export.seal(n);
            Expected::Near(place)
        }
        4 => {
            export.leaves[n]["record"] = Value::Null;
            Expected::Record(place)
        }
        5 => {
            export.leaves.remove(n);
            Expected::Record(place)
        }
        6 => {
            export.leaves.remove(n);
            export.number();
            Expected::Near(place)
        }
        7 => {
            let other = (n + dice.random_range(1..count)) % count;
            export.leaves.swap(n, other);
            if dice.random_bool(0.5) {
                return Expected::Record(place.min(other as u64));
            }
            export.number();
            Expected::Near(place.min(other as u64))
        }
        8 => {
            let mut forged = export.leaves[n].clone();
            let id = json!(Uuid::from_u128(dice.random()));
            (forged["id"], forged["record"]["id"]) = (id.clone(), id);
            export.leaves.insert(n, forged);
            export.seal(n);
            export.number();
            Expected::Near(place)
        }
        9 => {
            export.leaves.truncate(n);
            if dice.random_bool(0.5) {
                export.checkpoints.retain(|(size, _)| *size <= place);
            }
            Expected::Record(place)
        }
        10 => {
            export.edit(n, dice);
            export.seal(n);
            let stranger = Signer::new(signer().name(), &dice.random());
            for (size, line) in &mut export.checkpoints {
                let forged =
                    Checkpoint { size: *size, ..Checkpoint::read(&export.kept[0].note).unwrap() };
                *line = json!({"checkpoint": stranger.sign(&forged.text())});
            }
            Expected::Near(place)
        }
        _ => {
            let which = dice.random_range(0..export.checkpoints.len());
            let note = export.checkpoints[which].1["checkpoint"].as_str().unwrap();
            let mut checkpoint = Checkpoint::read(note).unwrap();
            checkpoint.root.0[dice.random_range(0..32)] ^= 1 << dice.random_range(0..8);
            let (_, signatures) = note.rsplit_once("\n\n").unwrap();
            let forged = format!("{}\n{signatures}", checkpoint.text());
            export.checkpoints[which].1 = json!({"checkpoint": forged});
            Expected::Checkpoint
        }
    }
}

#[tokio::test]
async fn whatever_is_done_to_an_export_is_found_and_named() {
    let (test, kept) = trail(9).await;
    let export = Export::of(&test, kept).await;
    assert!(export.verify().unwrap().is_intact());
    for n in 0..export.leaves.len() {
        let mut same = export.clone();
        same.seal(n);
        assert_eq!(same.leaves[n], export.leaves[n], "the words of the decision give another hash");
    }
    let seed = 20_261_128;
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    for turn in 0..count(150) {
        let mut forged = export.clone();
        let expected = tamper(&mut forged, &mut dice);
        let report = forged.verify().unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        let first = report.findings.first();
        assert!(
            first.is_some_and(|first| expected.is(first)),
            "turn {turn}: {expected:?}, found {report:#?}"
        );
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_size_or_another_log_is_not_believed() {
    let (test, mut kept) = trail(2).await;
    let elsewhere = Checkpoint {
        origin: "other.example".to_owned(),
        ..Checkpoint::read(&kept[1].note).unwrap()
    };
    kept[1].note = signer().sign(&elsewhere.text());
    let export = Export::of(&test, kept).await;
    let report = export.verify().unwrap();
    assert!(matches!(
        report.findings[..],
        [Finding { wrong: Wrong::Note(_, NoteError::Stranger), .. }]
    ));
}

/// Does one thing in the database: the statements, and what must be found.
fn statements(count: u64, dice: &mut Xoshiro256PlusPlus) -> (String, Expected) {
    let n = dice.random_range(0..count);
    let of = |n: u64| format!("(at, id) = (select at, id from audit_leaf where index = {n})");
    match dice.random_range(0..6) {
        0 | 1 => {
            let columns = ["kind", "rule", "carrier_id", "body", "detail", "masked_number"];
            let column = columns[dice.random_range(0..columns.len())];
            let edit = format!(
                "update audit_record set {column} = coalesce({column}, '') || 'x' where {};",
                of(n)
            );
            (edit, Expected::Record(n))
        }
        2 => (format!("delete from audit_record where {};", of(n)), Expected::Record(n)),
        3 => (format!("delete from audit_leaf where index = {n};"), Expected::Record(n)),
        4 => {
            let other = (n + dice.random_range(1..count)) % count;
            let swap = format!(
                "update audit_leaf set index = 1000000 where index = {n};
                 update audit_leaf set index = {n} where index = {other};
                 update audit_leaf set index = {other} where index = 1000000;"
            );
            (swap, Expected::Near(n.min(other)))
        }
        _ => {
            let cut = format!(
                "delete from audit_record where (at, id) in (select at, id from audit_leaf where index >= {n});
                 delete from audit_leaf where index >= {n}; delete from audit_checkpoint where size > {n};"
            );
            (cut, Expected::Record(n))
        }
    }
}

#[tokio::test]
async fn whatever_is_done_in_the_database_is_found_and_named() {
    let (test, kept) = trail(9).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(41);
    let leaves: i64 = test.value("select count(*) from audit_leaf").await;
    for turn in 0..count(600) / 20 {
        let (sql, expected) = statements(leaves.unsigned_abs(), &mut dice);
        let begun = format!("begin; {FREE} {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(begun)).execute(&mut conn).await.unwrap();
        let report = verified(&mut conn, &kept).await;
        sqlx::raw_sql("rollback").execute(&mut conn).await.unwrap();
        let first = report.findings.first();
        assert!(
            first.is_some_and(|first| expected.is(first)),
            "turn {turn}: {sql} {expected:?}, found {report:#?}"
        );
    }
    assert!(verified(&mut conn, &kept).await.is_intact());
}
