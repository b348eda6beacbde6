//! The sealed trail as lines of JSON, lossless, and its verification where there is no database.
//!
//! The first line names the columns and their types, the last says how many records there are. Behind
//! the first stand the manifests of months that were removed because they were old. In between stand
//! the records with their leaves, and each checkpoint behind the last that it covers.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    canonical::{self, Column, Type},
    finding::Who,
    note::Checkpoint,
    removal,
    tree::Hash,
    verify::{Judge, Leaf, Report},
    walk::{self, Met},
};

/// What the first line says that it is.
const FORMAT: &str = "maskline audit export v1";

/// After how many records of a file it is told how far verifying it is.
const TOLD: u64 = 10_000;

/// Why an export was not written or cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database could not be used.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The file could not be read or written.
    #[error("the file: {0}")]
    File(#[from] io::Error),
    /// A line that is none of an export's.
    #[error("line {0} is not as this version writes it")]
    Line(u64),
    /// A month went while it was written: its records are missing, and so is its manifest.
    #[error("a month was removed by retention meanwhile: export once more")]
    Removed,
    /// There is no last line.
    #[error("the file ends before its last line: it was cut off")]
    Cut,
}

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Head { format: String, columns: BTreeMap<String, String> },
    Leaf(Sealed),
    Checkpoint { checkpoint: String },
    Removed { removed: String },
    End { end: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) index: u64,
    hash: String,
    at: Json,
    id: Uuid,
    /// None where the record is gone.
    record: Option<Map<String, Json>>,
}

/// Writes all that is sealed. Returns how many records.
///
/// # Errors
/// The database's or the file's.
pub async fn write(
    conn: &mut PgConnection,
    mut to: impl Write,
    progress: impl FnMut(u64, u64),
) -> Result<u64, ExportError> {
    let columns = canonical::columns(conn).await?;
    let mut put = |line: &Line| -> io::Result<()> {
        serde_json::to_writer(&mut to, line)?;
        to.write_all(b"\n")
    };
    put(&Line::Head { format: FORMAT.to_owned(), columns: named(&columns) })?;
    let manifests = removal::manifests(conn).await?;
    for removed in manifests.clone() {
        put(&Line::Removed { removed })?;
    }
    let mut count = 0;
    walk::walk(conn, &columns, progress, |met| {
        let line = match met {
            Met::Leaf(leaf, values) => {
                count += 1;
                Line::Leaf(sealed(leaf, &columns, values).ok_or_else(super::copy::malformed)?)
            }
            Met::Checkpoint { note, .. } => Line::Checkpoint { checkpoint: note.to_owned() },
        };
        put(&line).map_err(sqlx::Error::from)
    })
    .await?;
    if removal::manifests(conn).await? != manifests {
        return Err(ExportError::Removed);
    }
    put(&Line::End { end: count })?;
    to.flush()?;
    Ok(count)
}

/// The columns as the first line names them.
pub(super) fn named(columns: &[Column]) -> BTreeMap<String, String> {
    let named = |column: &Column| (column.name.clone(), column.kind.name().to_owned());
    columns.iter().map(named).collect()
}

pub(super) fn sealed(leaf: &Leaf, columns: &[Column], values: &[Option<&[u8]>]) -> Option<Sealed> {
    let record = || {
        let mut record = Map::new();
        for (column, value) in columns.iter().zip(values) {
            if let Some(value) = value {
                let value = column.kind.canonical(value)?;
                record.insert(column.name.clone(), to_json(column.kind, value.as_ref())?);
            }
        }
        Some(record)
    };
    Some(Sealed {
        index: leaf.index,
        hash: leaf.hash.to_string(),
        at: to_json(Type::Time, &leaf.who.at.to_be_bytes())?,
        id: leaf.who.id,
        record: if leaf.record.is_some() { Some(record()?) } else { None },
    })
}

/// Verifies an export.
///
/// # Errors
/// The file's, or what it says that no export says.
pub fn verify(
    from: impl BufRead,
    mut judge: Judge,
    mut progress: impl FnMut(u64),
) -> Result<Report, ExportError> {
    let (mut columns, mut ended) = (None, false);
    for (number, line) in (1..).zip(from.lines()) {
        let wrong = || ExportError::Line(number);
        let line = serde_json::from_str(&line?).map_err(|_| wrong())?;
        match (line, &columns) {
            _ if ended => return Err(wrong()),
            (Line::Head { format, columns: named }, None) if format == FORMAT => {
                columns = Some(head(named).ok_or_else(wrong)?);
            }
            (Line::Leaf(sealed), Some(columns)) => {
                judge.leaf(&leaf(&sealed, columns).ok_or_else(wrong)?);
                if judge.position().is_multiple_of(TOLD) {
                    progress(judge.position());
                }
            }
            (Line::Checkpoint { checkpoint: note }, Some(_)) => {
                let size = Checkpoint::read(&note).map_err(|_| wrong())?.size;
                judge.checkpoint(size, None, &note);
            }
            (Line::Removed { removed }, Some(_)) if judge.position() == 0 => {
                judge.removed(&removed);
            }
            (Line::End { .. }, Some(_)) => ended = true,
            _ => return Err(wrong()),
        }
    }
    if ended { Ok(judge.end()) } else { Err(ExportError::Cut) }
}

pub(super) fn head(named: BTreeMap<String, String>) -> Option<Vec<Column>> {
    named.into_iter().map(|(name, kind)| Some(Column::new(name, Type::named(&kind)?))).collect()
}

pub(super) fn leaf(sealed: &Sealed, columns: &[Column]) -> Option<Leaf> {
    let at = from_json(Type::Time, &sealed.at)?;
    let record = match &sealed.record {
        None => None,
        Some(record) => {
            let values = columns.iter().map(|column| match record.get(&column.name) {
                None => Some(None),
                Some(value) => from_json(column.kind, value).map(Some),
            });
            let values: Vec<Option<Vec<u8>>> = values.collect::<Option<_>>()?;
            // What stands there beyond the columns would not be hashed.
            let is_whole = values.iter().flatten().count() == record.len();
            Some(is_whole.then(|| canonical::leaf(columns, values))?)
        }
    };
    Some(Leaf {
        index: sealed.index,
        hash: from_hex(&sealed.hash)?,
        record,
        who: Who { at: i64::from_be_bytes(at.try_into().ok()?), id: sealed.id },
        xid: None,
    })
}

pub(super) fn from_hex(text: &str) -> Option<Hash> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|pair| {
        let pair = str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    rest.is_empty().then(|| Hash::read(&bytes))?
}

/// A value's canonical bytes as JSON.
fn to_json(kind: Type, bytes: &[u8]) -> Option<Json> {
    let text = || str::from_utf8(bytes).ok().map(|text| json!(text));
    let number = || bytes.try_into().ok().map(i64::from_be_bytes);
    match kind {
        Type::Text | Type::Json => text(),
        Type::Uuid => Uuid::from_slice(bytes).ok().map(|id| json!(id)),
        Type::Bytes => Some(json!(BASE64_STANDARD.encode(bytes))),
        Type::Integer => number().map(|number| json!(number)),
        Type::Truth => Some(json!(bytes == [1])),
        // A time that no calendar here holds stays a number.
        Type::Time => number().map(|time| match Timestamp::from_microsecond(time) {
            Ok(at) => json!(at.to_string()),
            Err(_) => json!(time),
        }),
    }
}

/// The canonical bytes of what JSON says.
fn from_json(kind: Type, value: &Json) -> Option<Vec<u8>> {
    match kind {
        Type::Text | Type::Json => value.as_str().map(|text| text.as_bytes().to_vec()),
        Type::Uuid => Some(value.as_str()?.parse::<Uuid>().ok()?.as_bytes().to_vec()),
        Type::Bytes => BASE64_STANDARD.decode(value.as_str()?).ok(),
        Type::Integer => Some(value.as_i64()?.to_be_bytes().to_vec()),
        Type::Truth => Some(vec![u8::from(value.as_bool()?)]),
        Type::Time => {
            let time = match value.as_str() {
                Some(text) => text.parse::<Timestamp>().ok()?.as_microsecond(),
                None => value.as_i64()?,
            };
            Some(time.to_be_bytes().to_vec())
        }
    }
}
