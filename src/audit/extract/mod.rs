//! Exports of what was found, for people and their programs: words opened, in a folder with a signed
//! manifest.
//!
//! An export holds the conversations that a search finds, whole within the times that were asked for,
//! and the records of none with what became of their texts, as far as a checkpoint covers them. So the same export of the same checkpoint is the same, byte by
//! byte, as long as nobody was forgotten and nothing removed in between. Who makes one puts that on
//! record before.

mod body;
mod count;
mod csv;
mod entry;
mod folder;
mod html;
mod jsonl;
mod mail;
mod making;
mod manifest;
mod proof;
mod rsmf;
mod spoil;
mod spool;

use std::io;

use jiff_sqlx::ToSqlx;
use serde_json::Value;
use sqlx::PgConnection;

use self::{body::Pages, making::Making};
pub use self::{
    count::{Count, count},
    folder::{Folder, Listed},
    manifest::{Excluded, FolderError, Manifest, Verified, verify},
    spoil::spoil,
    spool::Spool,
};
use super::{
    note::{Checkpoint, NoteError, Signer},
    pace::Pace,
    reader::Reader,
    search::{self, Query},
};
use crate::vault::Vault;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One table, for spreadsheets.
    Csv,
    /// Pages to read and to print.
    Html,
    /// Lines of JSON, for programs.
    Jsonl,
    /// RSMF 2.0, a file for each conversation and day, for the programs of lawyers.
    Rsmf,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Html, Self::Jsonl, Self::Rsmf];

    /// The word for it in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Jsonl => "jsonl",
            Self::Rsmf => "rsmf",
        }
    }
}

/// Who asks for an export, and why.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Who.
    pub requester: &'a str,
    /// Who else has approved it, where somebody had to.
    pub approver: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
    /// The case or ticket.
    pub case: Option<&'a str>,
    /// How it is written.
    pub kind: Kind,
    /// The checkpoint, as it was signed.
    pub checkpoint: &'a str,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many conversations are written.
    pub conversations: u64,
    /// How many there are in all.
    pub conversations_in_all: u64,
    /// How many records are written.
    pub records: u64,
}

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The database could not be used.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A file could not be written.
    #[error("the folder: {0}")]
    File(#[from] io::Error),
    /// A month of what was to be written is gone.
    #[error("a month was removed by retention meanwhile: export once more, into another folder")]
    Removed,
    /// The checkpoint is none.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// The leaves do not make the root that was signed.
    #[error(
        "the first {0} records are not what their checkpoint says: run `maskline audit verify`"
    )]
    Contradiction(u64),
}

/// Writes an export. Call it within a transaction that does nothing else. What is read once stays read:
/// the trail only grows, and the checkpoint says how far. So no state of the database is held on to,
/// which would keep PostgreSQL from clearing away what texts leave behind. `progress` is told after each
/// batch.
///
/// # Errors
/// The database's or the disk's; what is in the folder then has no manifest.
pub async fn write(
    conn: &mut PgConnection,
    vault: &Vault,
    query: &Query,
    order: Order<'_>,
    signer: &Signer,
    folder: Folder,
    mut progress: impl FnMut(Progress),
) -> Result<Manifest, ExtractError> {
    let checkpoint = Checkpoint::read(order.checkpoint)?;
    let removed_months = removed_months(conn, query).await?;
    let (ids, alone) = search::all(conn, vault, query).await?;
    keep_to_indexes(conn).await?;
    let head = Head::of(order, query, &removed_months);
    let pages = Pages::new(order.kind, head, &folder)?;
    let far = Progress { conversations_in_all: ids.len() as u64, ..Progress::default() };
    let mut making = Making { query, reader: Reader::new(vault), pages, folder, far };
    progress(far);
    let mut pace = Pace::begin(conn).await?;
    making.conversations(conn, &mut pace, &ids, &mut progress).await?;
    let alone = search::with_fates(conn, query, &alone).await?;
    making.alone(conn, &mut pace, &alone, &mut progress).await?;
    let Making { pages, mut folder, .. } = making;
    if self::removed_months(conn, query).await? != removed_months {
        return Err(ExtractError::Removed);
    }
    let mut tally = pages.close(&mut folder)?;
    tally.leaves.sort_unstable();
    tally.leaves.dedup();
    proof::write(conn, &mut folder, &tally.leaves, &checkpoint).await?;
    let manifest = Manifest {
        format: manifest::FORMAT.to_owned(),
        tool: concat!("maskline ", env!("CARGO_PKG_VERSION")).to_owned(),
        origin: signer.name().to_owned(),
        requester: order.requester.to_owned(),
        approver: order.approver.map(str::to_owned),
        reason: order.reason.to_owned(),
        case: order.case.map(str::to_owned),
        kind: order.kind.as_str().to_owned(),
        filter: Value::from(query),
        first: tally.first,
        last: tally.last,
        conversations: tally.conversations,
        records: tally.records,
        of_no_conversation: tally.alone,
        excluded: tally.excluded,
        removed_months,
        proven: tally.leaves.len() as u64,
        checkpoint: order.checkpoint.to_owned(),
        files: folder.listed(),
    };
    manifest.write(&folder, signer)?;
    Ok(manifest)
}

/// Until the end of the transaction PostgreSQL reads by indexes, and compiles nothing: a chunk is a
/// little of the trail. A wrong guess would read all of it, and compiling takes longer than reading.
async fn keep_to_indexes(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "select set_config('enable_hashjoin', 'off', true) as a,
             set_config('enable_mergejoin', 'off', true) as b, set_config('jit', 'off', true) as c"
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// The months within the query's times whose records were removed because they were old.
async fn removed_months(conn: &mut PgConnection, query: &Query) -> sqlx::Result<Vec<String>> {
    let (from, until) = query.times();
    sqlx::query_scalar!(
        r#"select to_char(month, 'YYYY-MM') as "month!"
           from audit_removal
           where (month + interval '1 month') at time zone 'utc'
                   > coalesce($1::timestamptz, '-infinity')
               and month::timestamp at time zone 'utc' < coalesce($2::timestamptz, 'infinity')
           order by month"#,
        from.map(ToSqlx::to_sqlx) as _,
        until.map(ToSqlx::to_sqlx) as _,
    )
    .fetch_all(conn)
    .await
}

/// What stands at the top of each page.
struct Head(Vec<(&'static str, String)>);

impl Head {
    fn of(order: Order<'_>, query: &Query, removed_months: &[String]) -> Self {
        let mut lines = vec![
            ("For", order.requester.to_owned()),
            ("Reason", order.reason.to_owned()),
            ("Asked for", query.to_string()),
        ];
        lines.extend(order.approver.map(|approver| ("Approved by", approver.to_owned())));
        lines.extend(order.case.map(|case| ("Case", case.to_owned())));
        lines.extend(
            query.covered.map(|size| ("Covered by", format!("the checkpoint of {size} records"))),
        );
        if !removed_months.is_empty() {
            lines
                .push(("Not here", format!("removed by retention: {}", removed_months.join(", "))));
        }
        Self(lines)
    }

    fn lines(&self) -> &[(&'static str, String)] {
        &self.0
    }
}
