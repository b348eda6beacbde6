//! A record as the bytes that are hashed. docs/decisions/0022-sealed-trail.md says it for others.
//!
//! `maskline audit record v1` and a line feed; then, for each column that is not null, in the order
//! of the names' bytes: the name, a letter for its type, the value; name and value each behind their
//! length in four bytes. A column that is added later changes no hash of a record that lacks it.
//!
//! All columns count but `xid`: it belongs to the server that the record was written on, and means
//! nothing after a restore elsewhere.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::tree::Hash;

/// What every record's bytes begin with.
const PREFIX: &[u8] = b"maskline audit record v1\n";
/// The microseconds from 1970, from which time is counted here, to 2000, from which PostgreSQL does.
const EPOCH: i64 = 946_684_800_000_000;

/// What a column holds, and how its values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// UTF-8.
    Text,
    /// 16 bytes.
    Uuid,
    /// Microseconds since 1970 in UTC, eight bytes, the highest first. The least and the greatest
    /// are PostgreSQL's infinities.
    Time,
    /// The text that PostgreSQL gives for a jsonb.
    Json,
    /// As they are.
    Bytes,
    /// Eight bytes, the highest first.
    Integer,
    /// One byte, 0 or 1.
    Truth,
}

impl Type {
    /// Each type, the letter that stands for it in the hashed bytes, and PostgreSQL's names.
    const ALL: [(Self, u8, &[&str]); 7] = [
        (Self::Text, b't', &["text"]),
        (Self::Uuid, b'u', &["uuid"]),
        (Self::Time, b'm', &["timestamptz"]),
        (Self::Json, b'j', &["jsonb"]),
        (Self::Bytes, b'b', &["bytea"]),
        (Self::Integer, b'i', &["int8", "int4", "int2"]),
        (Self::Truth, b'o', &["bool"]),
    ];

    /// The type of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(.., names)| names.contains(&name)).map(|(own, ..)| own)
    }

    fn entry(self) -> (Self, u8, &'static [&'static str]) {
        Self::ALL.into_iter().find(|(own, ..)| *own == self).unwrap_or(Self::ALL[0])
    }

    /// Its name in an export.
    pub(crate) fn name(self) -> &'static str {
        self.entry().2[0]
    }

    /// A value's canonical bytes, of those that PostgreSQL sends in its binary form; none if these
    /// are no such value.
    pub(crate) fn canonical(self, sent: &[u8]) -> Option<Value<'_>> {
        let integer = || match *sent {
            [a, b] => Some(i64::from(i16::from_be_bytes([a, b]))),
            [a, b, c, d] => Some(i64::from(i32::from_be_bytes([a, b, c, d]))),
            _ => sent.try_into().ok().map(i64::from_be_bytes),
        };
        match self {
            Self::Text | Self::Uuid | Self::Bytes | Self::Truth => Some(Value::Sent(sent)),
            Self::Json => sent.strip_prefix(&[1]).map(Value::Sent),
            Self::Integer => integer().map(|number| Value::Number(number.to_be_bytes())),
            Self::Time => integer().map(|time| Value::Number(since_1970(time).to_be_bytes())),
        }
    }
}

/// The infinities stay what they are.
fn since_1970(since_2000: i64) -> i64 {
    match since_2000 {
        i64::MIN | i64::MAX => since_2000,
        finite => finite.saturating_add(EPOCH),
    }
}

/// A value's canonical bytes.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Sent(&'a [u8]),
    Number([u8; 8]),
}

impl AsRef<[u8]> for Value<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Sent(bytes) => bytes,
            Self::Number(bytes) => bytes,
        }
    }
}

/// A column of the trail.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
    /// What stands before each value but its length.
    head: Vec<u8>,
}

impl Column {
    pub(crate) fn new(name: String, kind: Type) -> Self {
        let mut head = length(name.len()).to_vec();
        head.extend(name.as_bytes());
        head.push(kind.entry().1);
        Self { name, kind, head }
    }
}

fn length(bytes: usize) -> [u8; 4] {
    // PostgreSQL's values are shorter than 1 GiB.
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// The hash of the leaf of a record with these values, which stand in the order of the columns; the
/// columns are in that of their names.
pub(crate) fn leaf<V: AsRef<[u8]>>(
    columns: &[Column],
    values: impl IntoIterator<Item = Option<V>>,
) -> Hash {
    let mut hasher = Sha256::new_with_prefix([0]).chain_update(PREFIX);
    for (column, value) in columns.iter().zip(values) {
        if let Some(value) = value {
            hasher.update(&column.head);
            hasher.update(length(value.as_ref().len()));
            hasher.update(value);
        }
    }
    Hash(hasher.finalize().into())
}

/// The same, of values as PostgreSQL sends them; none if one is not of its column's type.
pub(crate) fn leaf_of_sent(columns: &[Column], sent: &[Option<&[u8]>]) -> Option<Hash> {
    let mut is_whole = sent.len() == columns.len();
    let values = columns.iter().zip(sent).map(|(column, value)| {
        let value = column.kind.canonical((*value)?);
        is_whole &= value.is_some();
        value
    });
    let hash = leaf(columns, values);
    is_whole.then_some(hash)
}

/// Reads from the catalogue which columns the trail has. None can be added before the transaction's
/// end.
///
/// # Errors
/// The database's; or that a column has a type that this version cannot write.
pub(crate) async fn columns(conn: &mut PgConnection) -> sqlx::Result<Vec<Column>> {
    let found = sqlx::query!(
        r#"select a.attname::text as "name!", t.typname::text as "kind!"
           from pg_attribute a
           join pg_type t on t.oid = a.atttypid
           where a.attrelid = 'audit_record'::regclass
               and a.attnum > 0
               and not a.attisdropped
               and a.attname <> 'xid'
           order by a.attname collate "C""#
    )
    .fetch_all(conn)
    .await?;
    let columns = found.into_iter().map(|column| match Type::named(&column.kind) {
        Some(kind) => Ok(Column::new(column.name, kind)),
        None => Err(sqlx::Error::Decode(
            format!("the trail's column {} is of a newer version of Maskline", column.name).into(),
        )),
    });
    columns.collect()
}

/// The columns as a query names them, of the table `r`.
pub(crate) fn list(columns: &[Column]) -> String {
    let quoted = columns.iter().map(|column| format!("r.\"{}\"", column.name.replace('"', "\"\"")));
    quoted.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_hashed_as_these_bytes() {
        let columns = [
            Column::new("at".to_owned(), Type::Time),
            Column::new("body".to_owned(), Type::Text),
            Column::new("media".to_owned(), Type::Json),
        ];
        let sent = (1_000_000 - EPOCH).to_be_bytes();
        let one_second = Type::Time.canonical(&sent).unwrap();
        let json = Type::Json.canonical(b"\x01[]").unwrap();
        let expected = b"maskline audit record v1\n\
            \x00\x00\x00\x02atm\x00\x00\x00\x08\x00\x00\x00\x00\x00\x0f\x42\x40\
            \x00\x00\x00\x05mediaj\x00\x00\x00\x02[]";
        let hash = leaf(&columns, [Some(one_second), None, Some(json)]);
        assert_eq!(hash, Hash::of_leaf(expected));
    }

    #[test]
    fn what_is_empty_is_not_what_is_missing_and_types_differ() {
        let hash = |kind, value: Option<&[u8]>| leaf(&[Column::new("a".to_owned(), kind)], [value]);
        assert_ne!(hash(Type::Text, Some(b"")), hash(Type::Text, None));
        assert_ne!(hash(Type::Text, Some(b"1")), hash(Type::Bytes, Some(b"1")));
    }

    #[test]
    fn integers_are_widened_and_infinities_kept() {
        for sent in [&(-2_i16).to_be_bytes()[..], &(-2_i32).to_be_bytes(), &(-2_i64).to_be_bytes()]
        {
            let value = Type::Integer.canonical(sent).unwrap();
            assert_eq!(value.as_ref(), (-2_i64).to_be_bytes());
        }
        for infinity in [i64::MIN, i64::MAX] {
            let sent = infinity.to_be_bytes();
            assert_eq!(Type::Time.canonical(&sent).unwrap().as_ref(), sent);
        }
        assert!(Type::Time.canonical(b"short").is_none());
        assert!(Type::Json.canonical(b"[]").is_none());
    }
}
