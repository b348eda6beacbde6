//! `maskline conversations`: the open ones, and when they end by themselves.

use std::path::Path;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;

use super::{
    Done,
    by::By,
    list::{self, Format},
    moment, pseudonym,
};
use crate::{
    audit::{self, Kind, Record},
    config,
    conversation::terms::{self, Change, Open},
    ids::ConversationId,
};

/// Shows the open conversations and changes when one ends by itself.
#[derive(Debug, Subcommand)]
pub enum Conversations {
    /// List the open conversations, with the times at which they end by themselves.
    #[command(after_help = "Example:  maskline conversations list --format json")]
    List {
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Change when one conversation ends by itself.
    #[command(after_help = "\
Example:  maskline conversations keep 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 --silence 7d
          maskline conversations keep 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 --until 2026-12-31T18:00:00Z")]
    Keep {
        /// The conversation's id, as `maskline conversations list` shows it.
        id: ConversationId,
        /// Its new terms.
        #[command(flatten)]
        until: Until,
        /// Who changes them.
        #[command(flatten)]
        by: By,
    },
}

/// One of the two, or both.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Until {
    /// End it after so long a silence, such as 24h or 7d; 2h at least.
    #[arg(long, value_name = "SPAN", value_parser = config::silence)]
    silence: Option<SignedDuration>,
    /// End it at the latest then; a time with its zone, such as 2026-12-31T18:00:00Z.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings or the database cannot be used, or there is no such open conversation.
pub async fn run(config: Option<&Path>, command: Conversations) -> Done {
    let db = super::open(config).await?;
    match command {
        Conversations::List { format } => {
            print(&terms::list(&mut *db.acquire().await?).await?, format)
        }
        Conversations::Keep { id, until, by } => keep(&db, id, &until, &by).await,
    }
}

async fn keep(db: &PgPool, id: ConversationId, until: &Until, by: &By) -> Done {
    let terms = Change { silence: until.silence, ends_at: until.until };
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    if terms.ends_at.is_some_and(|ends_at| ends_at <= now) {
        return Err("--until is in the past: give a time to come".into());
    }
    if !terms::change(&mut tx, id, terms, now).await? {
        return Err("there is no such open conversation: see `maskline conversations list`".into());
    }
    let silence = terms.silence.map(|silence| format!("silence {}h", silence.as_hours()));
    let ends_at = terms.ends_at.map(|ends_at| format!("until {ends_at}"));
    let detail: Vec<String> = silence.into_iter().chain(ends_at).collect();
    let detail = detail.join(", ");
    let record =
        Record { conversation: Some(id), detail: Some(detail.clone()), ..Record::of(Kind::Kept) };
    let who = Record { conversation: Some(id), ..by.record("conversations_keep", &detail) };
    audit::record(&mut tx, &[record, who], now).await?;
    tx.commit().await?;
    println!("kept: {detail}");
    Ok(())
}

fn print(open: &[Open], format: Format) -> Done {
    list::print(open, format, "No conversation is open.", |open| {
        println!(
            "{:<36}  {:<7}  {:<18}  {:<26}  {:<20}  {:<20}  ENDS AT THE LATEST",
            "CONVERSATION", "STATE", "PEOPLE", "MASKED NUMBERS", "LAST TEXT", "ENDS BY SILENCE"
        );
        for one in open {
            let people: Vec<String> = one.people.iter().map(pseudonym).collect();
            println!(
                "{:<36}  {:<7}  {:<18}  {:<26}  {:<20}  {:<20}  {}",
                one.id.to_string(),
                one.state,
                people.join(", "),
                one.masked_numbers.join(", "),
                one.last_talk_at.map_or_else(|| "-".into(), moment),
                moment(one.ends_by_silence_at),
                moment(one.ends_at),
            );
        }
    })
}
