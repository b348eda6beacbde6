//! A conversation on a terminal.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    audit::show::{self, Gap, Shown},
    cli::{
        Done,
        list::{Format, Rows},
        moment, pseudonym,
    },
    vault::Vault,
};

/// Prints the records of a conversation as they are read.
pub(super) async fn print(
    conn: &mut PgConnection,
    vault: &Vault,
    id: Uuid,
    format: Format,
) -> Done {
    let mut rows = Rows::new(format, heading);
    let gaps = show::gaps(conn, id).await?;
    for gap in &gaps {
        match format {
            Format::Json => rows.row(gap, |_| {})?,
            Format::Table => tell(gap),
        }
    }
    let mut failed = None;
    let print = |record: Shown| {
        if let Err(error) = rows.row(&record, line) {
            failed.get_or_insert(error);
        }
    };
    show::records(conn, vault, id, print).await?;
    failed.map_or(Ok(()), Err)?;
    rows.end(match &gaps[..] {
        [] => "There is no record of such a conversation.",
        _ => "No other record of it is left.",
    });
    Ok(())
}

fn tell(gap: &Gap) {
    println!(
        "What happened in {} is not here: that month was removed by retention on {}, {} records of all \
         conversations",
        gap.month,
        moment(gap.removed_at),
        gap.records,
    );
}

fn heading() {
    println!("{:<20}  {:<12}  {:<8}  {:<8}  TEXT", "TIME", "RECORD", "BY", "FOR");
}

fn line(record: &Shown) {
    let who = |id| Option::map_or_else(id, || "-".into(), pseudonym);
    println!(
        "{:<20}  {:<12}  {:<8}  {:<8}  {}",
        moment(record.at),
        record.kind,
        who(record.person),
        who(record.recipient),
        said(record),
    );
}

/// What stands in the last column, on one line whatever somebody texted.
fn said(record: &Shown) -> String {
    let mut parts = Vec::new();
    if let Some(at) = record.erased_at {
        parts.push(format!("(words erased on {})", moment(at)));
    } else if record.is_unreadable {
        parts.push("(cannot be read any more)".to_owned());
    }
    parts.extend(record.words.as_ref().map(|words| {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        words.chars().map(plain).collect()
    }));
    if let Some(media) = record.media.as_ref().and_then(|media| media.as_array()) {
        parts.push(format!("({} pictures)", media.len()));
    }
    if record.words.is_none() {
        parts.extend(record.rule.clone());
        parts.extend(record.detail.clone());
    }
    parts.join(" ")
}
