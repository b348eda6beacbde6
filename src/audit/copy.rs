//! PostgreSQL's binary form of COPY: the quickest way to get many rows and to bring them, and one
//! that does not care which columns there are.

use futures_util::TryStreamExt;
use sqlx::PgConnection;

/// What the stream begins with; behind it four bytes of flags and four of a length, both zero.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const HEADER: usize = SIGNATURE.len() + 8;

/// A value, null or as PostgreSQL sends it.
type Value<'a> = Option<&'a [u8]>;
/// The values of a row.
pub(super) type Row<'a> = [Value<'a>];

/// Runs a query and shows each row to `see`. Returns how many there were. Its words are our own; it
/// holds no text of anybody's.
pub(super) async fn read(
    conn: &mut PgConnection,
    query: &str,
    mut see: impl FnMut(&Row<'_>) -> sqlx::Result<()>,
) -> sqlx::Result<u64> {
    let copy = format!("copy ({query}) to stdout (format binary)");
    let mut chunks = conn.copy_out_raw(&copy).await?;
    let (mut pending, mut rows, mut begun) = (Vec::new(), 0, false);
    let mut outcome = Ok(());
    while let Some(chunk) = chunks.try_next().await? {
        if outcome.is_err() {
            // What is still to come must be read before the connection can be used again.
            continue;
        }
        pending.extend_from_slice(&chunk);
        let mut rest = pending.as_slice();
        if !begun && rest.len() >= HEADER {
            begun = rest.starts_with(SIGNATURE);
            rest = &rest[HEADER..];
            if !begun {
                outcome = Err(malformed());
                continue;
            }
        }
        while begun && outcome.is_ok() {
            let Some((row, after)) = row(rest) else { break };
            outcome = see(&row);
            rest = after;
            rows += 1;
        }
        let consumed = pending.len() - rest.len();
        pending.drain(..consumed);
    }
    outcome.map(|()| rows)
}

/// The first row and what follows it; none if it is not there in full, or the end is.
fn row(bytes: &[u8]) -> Option<(Vec<Value<'_>>, &[u8])> {
    let (count, mut rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(i16::from_be_bytes(*count)).ok()?;
    let mut row = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk()?;
        // A null's length is less than nothing.
        if let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) {
            let (value, after) = after.split_at_checked(length)?;
            row.push(Some(value));
            rest = after;
        } else {
            row.push(None);
            rest = after;
        }
    }
    Some((row, rest))
}

/// Rows on their way into a table.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        Self(bytes)
    }

    /// Adds a row, of values as PostgreSQL sends them.
    pub(super) fn push(&mut self, values: &[&[u8]]) {
        self.0.extend(i16::try_from(values.len()).unwrap_or(i16::MAX).to_be_bytes());
        for value in values {
            self.0.extend(i32::try_from(value.len()).unwrap_or(i32::MAX).to_be_bytes());
            self.0.extend(*value);
        }
    }

    /// Brings the rows into this table and these columns.
    pub(super) async fn write(mut self, conn: &mut PgConnection, table: &str) -> sqlx::Result<u64> {
        self.0.extend((-1_i16).to_be_bytes());
        let mut copy =
            conn.copy_in_raw(&format!("copy {table} from stdin (format binary)")).await?;
        copy.send(self.0).await?;
        copy.finish().await
    }
}

/// What is said of a row that is not as it was asked for.
pub(super) fn malformed() -> sqlx::Error {
    sqlx::Error::Protocol("PostgreSQL sent a row that cannot be read".into())
}
