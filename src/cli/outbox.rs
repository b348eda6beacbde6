//! `maskline outbox`: the texts of which nobody knows whether the carrier has them.

use std::path::Path;

use clap::{Args, Subcommand};
use jiff::SignedDuration;
use sqlx::PgPool;

use super::{
    Done,
    by::By,
    list::{self, Format},
    moment,
};
use crate::{
    audit::{self, Record},
    ids::TextId,
    outbox::staff::{self, Listed},
    vault::Pen,
};

/// Shows the texts whose outcome is unknown, and decides on them.
#[derive(Debug, Subcommand)]
pub enum Outbox {
    /// List the texts of which nobody knows whether the carrier has them, the oldest first.
    #[command(after_help = "Example:  maskline outbox unknown --format json")]
    Unknown {
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Send unknown texts again. They may arrive twice.
    #[command(after_help = "\
Look first in Flowroute's portal that it does not have them.

Example:  maskline outbox resend 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94")]
    Resend(Texts),
    /// Take unknown texts out of the outbox. What of them did not arrive never will, and their authors
    /// are told so.
    #[command(after_help = "Example:  maskline outbox drop 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94")]
    Drop(Texts),
}

/// Which texts.
#[derive(Debug, Args)]
pub struct Texts {
    /// The texts' ids, as `maskline outbox unknown` shows them.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<TextId>,
    /// Who decides.
    #[command(flatten)]
    by: By,
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings or the database cannot be used, or one of the texts is not to be had.
pub async fn run(config: Option<&Path>, command: Outbox) -> Done {
    match command {
        Outbox::Unknown { format } => {
            let mut conn = super::open(config).await?.acquire().await?;
            let now = super::now(&mut conn).await?;
            print(&staff::list(&mut conn, now).await?, format)
        }
        Outbox::Resend(texts) => decide(&super::open(config).await?, &texts, None).await,
        Outbox::Drop(texts) => {
            let (db, pen) = super::open_with_pen(config).await?;
            decide(&db, &texts, Some(&pen)).await
        }
    }
}

/// Sends texts again, or drops them and writes to their authors with this pen: all, or none if one of
/// them is not to be had.
async fn decide(db: &PgPool, Texts { ids, by }: &Texts, pen: Option<&Pen>) -> Done {
    let (rule, what) =
        if pen.is_some() { ("outbox_drop", "dropped") } else { ("outbox_resend", "sent again") };
    let mut wrong = Vec::new();
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    for id in ids {
        let done = match pen {
            None => staff::resend(&mut tx, *id, now).await?,
            Some(pen) => staff::drop_unknown(&mut tx, *id, pen, now).await?,
        };
        wrong.extend(done.err().map(|refusal| format!("\n  {id} {refusal}")));
    }
    if !wrong.is_empty() {
        return Err(format!("nothing was done:{}", wrong.concat()).into());
    }
    let record = |id: &TextId| Record { text: Some(*id), ..by.record(rule, what) };
    audit::record(&mut tx, &ids.iter().map(record).collect::<Vec<_>>(), now).await?;
    tx.commit().await?;
    match (ids.len(), pen.is_none()) {
        (1, true) => println!("1 text is sent again"),
        (count, true) => println!("{count} texts are sent again"),
        (1, false) => println!("1 text dropped"),
        (count, false) => println!("{count} texts dropped"),
    }
    Ok(())
}

fn print(unknown: &[Listed], format: Format) -> Done {
    list::print(unknown, format, "No text is unknown.", |unknown| {
        println!(
            "{:<36}  {:<20}  {:>8}  {:<36}  {:<16}  {:>5}  {:>7}  STATE",
            "TEXT", "UNKNOWN SINCE", "AGE", "CONVERSATION", "MASKED NUMBER", "TRIES", "RESENDS"
        );
        for text in unknown {
            println!(
                "{:<36}  {:<20}  {:>8}  {:<36}  {:<16}  {:>5}  {:>7}  {}",
                text.id.to_string(),
                moment(text.unknown_since),
                age(text.age_seconds),
                text.conversation.map_or_else(|| "-".into(), |id| id.to_string()),
                text.masked_number,
                text.attempts,
                text.resends,
                state(text),
            );
        }
    })
}

fn state(text: &Listed) -> &'static str {
    match (text.parked, text.once) {
        (true, true) => "parked, never sent again",
        (true, false) => "parked",
        (false, true) => "waits, never sent again",
        (false, false) => "waits",
    }
}

/// How long something has lasted, in its largest whole unit.
fn age(seconds: i64) -> String {
    let lasted = SignedDuration::from_secs(seconds);
    match (lasted.as_hours(), lasted.as_mins()) {
        (48.., _) => format!("{} d", lasted.as_hours() / 24),
        (1.., _) => format!("{} h", lasted.as_hours()),
        (_, 1..) => format!("{} min", lasted.as_mins()),
        _ => format!("{seconds} s"),
    }
}
