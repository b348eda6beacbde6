//! Random tamperings, by somebody who may do anything to the trail: each is found, and the record
//! named. The records are those of the service: three months, in which two people text each other words
//! and pictures. The hashes are made here once more, from the words of docs/decisions/0022-sealed-trail.md.
//!
//! `just tamper` makes ten thousand: eight of ten in an export, two in the database.

use base64::{Engine, prelude::BASE64_STANDARD};
use maskline::audit::{
    export::{self, ExportError},
    finding::{Finding, Wrong},
    note::{Checkpoint, NoteError, Signer},
    tree::{Frontier, Hash},
    verify::{Judge, Kept, Report},
};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    seal::{IN_THE_CLEAR, signer},
    support::TestApp,
    verify::{FREE, key, lived, trail, verified},
};

/// How many: a few, or so many tenths of what `MASKLINE_TAMPERINGS` says.
#[expect(clippy::disallowed_methods, reason = "a test may be told to do more")]
fn count(few: usize, tenths: usize) -> usize {
    let all = std::env::var("MASKLINE_TAMPERINGS").ok();
    all.map_or(few, |all| all.parse::<usize>().unwrap() * tenths / 10)
}

/// What was found, for whoever has asked for many.
#[expect(clippy::print_stdout, reason = "shown by `just tamper`")]
fn tell(what: &str) {
    println!("{what}, all found and named");
}

/// One of these.
fn one<'a>(of: &[&'a str], dice: &mut Xoshiro256PlusPlus) -> &'a str {
    of[dice.random_range(0..of.len())]
}

/// A trail as an export, a line each, with what was kept of it outside.
#[derive(Clone)]
struct Export {
    head: Value,
    leaves: Vec<Value>,
    /// Each with the place behind which it stands: its size.
    checkpoints: Vec<(u64, Value)>,
    kept: Vec<Kept>,
}

impl Export {
    async fn of(conn: &mut PgConnection, kept: Vec<Kept>) -> Self {
        let mut text = Vec::new();
        export::write(conn, &mut text, |_, _| {}).await.unwrap();
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
        let name = one(&[&TEXTS[..], &IDS, &BYTES, &["at", "id", "media"]].concat(), dice);
        let kind = self.head["columns"][name].as_str().unwrap().to_owned();
        let record = self.leaves[n]["record"].as_object_mut().unwrap();
        let other = match kind.as_str() {
            "uuid" => json!(Uuid::from_u128(dice.random())),
            "timestamptz" => json!(dice.random_range(0..1_000_000_000_000_000_i64)),
            "bytea" => json!(BASE64_STANDARD.encode(other(record.get(name), dice))),
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

/// The columns of a record by what they hold, but those that it is found by.
const TEXTS: [&str; 6] = ["kind", "rule", "carrier_id", "masked_number", "body", "detail"];
const IDS: [&str; 5] = ["person_id", "recipient_id", "author_id", "conversation_id", "text_id"];
const BYTES: [&str; 2] = ["body_sealed", "media_sealed"];

/// These bytes with another one among them; some, where there are none.
fn other(bytes: Option<&Value>, dice: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let Some(bytes) = bytes else { return vec![dice.random()] };
    let mut bytes = BASE64_STANDARD.decode(bytes.as_str().unwrap()).unwrap();
    let at = dice.random_range(0..bytes.len());
    bytes[at] ^= dice.random_range(1..=255);
    bytes
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
    /// This one, or the records between the two checkpoints between which it stands.
    Near(u64),
    /// That a checkpoint cannot be believed.
    Checkpoint,
    /// That one stands where it proves nothing.
    Moved,
}

impl Expected {
    fn is(&self, found: &Finding, kept: &[Kept]) -> bool {
        match self {
            Self::Record(index) => found.index == Some(*index) && found.last.is_none(),
            Self::Near(index) => {
                let (from, to) = between(kept, *index);
                match (found.index, found.last) {
                    (Some(first), Some(last)) => (first, last) == (from, to - 1),
                    // A tail from which something is gone shows as one that is too short.
                    (Some(first), _) if matches!(found.wrong, Wrong::Cut(_)) => {
                        (*index..to).contains(&first)
                    }
                    (first, _) => first == Some(*index),
                }
            }
            Self::Checkpoint => matches!(found.wrong, Wrong::Note(..)),
            Self::Moved => matches!(found.wrong, Wrong::Misplaced(_)),
        }
    }
}

/// How many records the checkpoints count between which this one stands.
fn between(kept: &[Kept], index: u64) -> (u64, u64) {
    let sizes = || kept.iter().map(|kept| size(&kept.note));
    let before = sizes().filter(|size| *size <= index).max();
    (before.unwrap_or(0), sizes().filter(|size| *size > index).min().unwrap())
}

/// Does one thing to an export. Returns what must be found.
fn tamper(export: &mut Export, dice: &mut Xoshiro256PlusPlus) -> Expected {
    let count = export.leaves.len();
    let n = dice.random_range(0..count);
    let place = n as u64;
    match dice.random_range(0..13) {
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
        11 => {
            // As if they were of the last record: nothing is compared with them there.
            export.checkpoints.pop();
            let which = dice.random_range(0..export.checkpoints.len());
            for (place, _) in &mut export.checkpoints[which..] {
                *place = count as u64;
            }
            export.kept.clear();
            export.edit(n, dice);
            export.seal(n);
            let from = export.checkpoints[..which].last().map_or(0, |(size, _)| *size);
            // One that stands where it belongs is met first.
            if place < from { Expected::Near(place) } else { Expected::Moved }
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
    let (test, kept) = lived().await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let export = Export::of(&mut conn, kept).await;
    assert!(export.verify().unwrap().is_intact());
    for n in 0..export.leaves.len() {
        let mut same = export.clone();
        same.seal(n);
        assert_eq!(same.leaves[n], export.leaves[n], "the words of the decision give another hash");
    }
    let seed = 20_261_128;
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    let turns = count(150, 8);
    for turn in 0..turns {
        let mut forged = export.clone();
        let expected = tamper(&mut forged, &mut dice);
        let report = forged.verify().unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        let first = report.findings.first();
        assert!(
            first.is_some_and(|first| expected.is(first, &export.kept)),
            "turn {turn}: {expected:?}, found {report:#?}"
        );
    }
    tell(&format!("{turns} tamperings with an export of {} records", export.leaves.len()));
}

#[tokio::test]
async fn a_checkpoint_of_another_size_or_another_log_is_not_believed() {
    let (test, mut kept) = trail(2).await;
    let elsewhere = Checkpoint {
        origin: "other.example".to_owned(),
        ..Checkpoint::read(&kept[1].note).unwrap()
    };
    kept[1].note = signer().sign(&elsewhere.text());
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let export = Export::of(&mut conn, kept).await;
    let report = export.verify().unwrap();
    assert!(matches!(
        report.findings[..],
        [Finding { wrong: Wrong::Note(_, NoteError::Stranger), .. }]
    ));
}

/// A part of the trail: its table, and its first leaf.
struct Month {
    table: String,
    first: u64,
}

async fn months(test: &TestApp) -> Vec<Month> {
    let found = test.column(
        "select r.tableoid::regclass || ' ' || min(index)
         from audit_leaf join audit_record r using (at, id) group by r.tableoid order by min(index)",
    );
    let month = |found: &String| {
        let (table, first) = found.split_once(' ').unwrap();
        Month { table: table.to_owned(), first: first.parse().unwrap() }
    };
    found.await.iter().map(month).collect()
}

/// What somebody does in the database.
struct Deed {
    sql: String,
    /// Who seals and signs everything anew afterwards, if anybody does.
    signer: Option<Signer>,
    expected: Expected,
}

fn deed(count: u64, months: &[Month], dice: &mut Xoshiro256PlusPlus) -> Deed {
    let n = dice.random_range(0..count);
    let of = |n: u64| format!("(at, id) = (select at, id from audit_leaf where index = {n})");
    let (sql, expected) = match dice.random_range(0..10) {
        0..3 => (edit(&of(n), dice), Expected::Record(n)),
        3 => (format!("delete from audit_record where {};", of(n)), Expected::Record(n)),
        4 => (format!("delete from audit_leaf where index = {n};"), Expected::Record(n)),
        5 => {
            let other = (n + dice.random_range(1..count)) % count;
            let swap = format!(
                "update audit_leaf set index = 1000000 where index = {n};
                 update audit_leaf set index = {n} where index = {other};
                 update audit_leaf set index = {other} where index = 1000000;"
            );
            (swap, Expected::Near(n.min(other)))
        }
        6 => {
            let cut = format!(
                "delete from audit_record where (at, id) in (select at, id from audit_leaf where index >= {n});
                 delete from audit_leaf where index >= {n}; delete from audit_checkpoint where size > {n};"
            );
            (cut, Expected::Record(n))
        }
        7 => {
            let month = &months[dice.random_range(0..months.len())];
            (format!("drop table {};", month.table), Expected::Record(month.first))
        }
        _ => {
            let sql = edit(&of(n), dice);
            let stranger = Signer::new(signer().name(), &dice.random());
            // Who stole the key is found as well, by what was kept.
            let signer = if dice.random_bool(0.5) { stranger } else { signer() };
            return Deed { sql, signer: Some(signer), expected: Expected::Near(n) };
        }
    };
    Deed { sql, signer: None, expected }
}

/// Changes a value of the record that is meant.
fn edit(of: &str, dice: &mut Xoshiro256PlusPlus) -> String {
    let change = match dice.random_range(0..7) {
        0..2 => {
            let column = one(&TEXTS, dice);
            format!("{column} = coalesce({column}, '') || 'x'")
        }
        2..4 => format!("{} = gen_random_uuid()", one(&IDS, dice)),
        4..6 => {
            let (column, bits) = (one(&BYTES, dice), dice.random_range(1..=255));
            let at = format!("{} % octet_length({column})", dice.random_range(0..1000));
            format!(
                "{column} = coalesce(set_byte({column}, {at}, get_byte({column}, {at}) # {bits}), '\\x00')"
            )
        }
        _ => "media = coalesce(media, '[]') || '1'".to_owned(),
    };
    format!("{IN_THE_CLEAR} update audit_record set {change} where {of};")
}

/// Seals everything anew, as whoever may change the whole database can, and signs it with this key.
async fn seal_anew(conn: &mut PgConnection, signer: &Signer) {
    let mut export = Export::of(conn, Vec::new()).await;
    let (mut tree, mut sql) = (Frontier::default(), Vec::new());
    let mut checkpoints = export.checkpoints.clone().into_iter().peekable();
    for n in 0..export.leaves.len() {
        export.seal(n);
        let hash = leaf_hash(&export.head["columns"], &export.leaves[n]["record"]);
        tree.push(Hash(hash.try_into().unwrap()));
        let hash = &export.leaves[n]["hash"];
        let hash = hash.as_str().unwrap();
        sql.push(format!("update audit_leaf set hash = '\\x{hash}' where index = {n}"));
        if let Some((size, _)) = checkpoints.next_if(|(size, _)| *size == tree.size()) {
            let (origin, root) = (signer.name().to_owned(), tree.root());
            let note = signer.sign(&Checkpoint { origin, size, root }.text());
            sql.push(format!(
                "update audit_checkpoint set root = '\\x{root}', note = '{note}' where size = {size}"
            ));
        }
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.join("; "))).execute(conn).await.unwrap();
}

#[tokio::test]
async fn whatever_is_done_in_the_database_is_found_and_named() {
    let (test, kept) = lived().await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(41);
    let leaves: i64 = test.value("select count(*) from audit_leaf").await;
    let months = months(&test).await;
    assert_eq!(months.len(), 3);
    let turns = count(40, 2);
    for turn in 0..turns {
        let Deed { sql, signer, expected } = deed(leaves.unsigned_abs(), &months, &mut dice);
        let begun = format!("begin; {FREE} {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(begun)).execute(&mut conn).await.unwrap();
        if let Some(signer) = &signer {
            seal_anew(&mut conn, signer).await;
        }
        let report = verified(&mut conn, &kept).await;
        sqlx::raw_sql("rollback").execute(&mut conn).await.unwrap();
        let first = report.findings.first();
        assert!(
            first.is_some_and(|first| expected.is(first, &kept)),
            "turn {turn}: {sql} {signer:?} {expected:?}, found {report:#?}"
        );
    }
    assert!(verified(&mut conn, &kept).await.is_intact());
    tell(&format!("{turns} tamperings with a database of {leaves} records"));
}
