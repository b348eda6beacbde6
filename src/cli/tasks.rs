//! `maskline tasks`: what staff must look at.

use std::path::Path;

use clap::Subcommand;

use sqlx::PgPool;

use super::{
    Done,
    by::{By, refuse_numbers},
    list::{self, Format},
    moment, pseudonym, words,
};
use crate::{
    audit::{self, Record},
    ids::TaskId,
    tasks::{self, About, Closed, Listed},
};

/// Shows and closes what staff must look at.
#[derive(Debug, Subcommand)]
pub enum Tasks {
    /// List the open tasks, those that are overdue or due first in front.
    #[command(after_help = "Example:  maskline tasks list --all --format json")]
    List {
        /// The closed ones too, behind the open ones.
        #[arg(long)]
        all: bool,
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Close a task, with what came of it.
    #[command(after_help = "\
Example:  maskline tasks close 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 --outcome \"called them; opted out\"")]
    Close {
        /// The task's id, as `maskline tasks list` shows it.
        id: TaskId,
        /// What came of it. No phone numbers: those are kept in one place only.
        #[arg(long, value_name = "TEXT", value_parser = words)]
        outcome: String,
        /// Who closes it.
        #[command(flatten)]
        by: By,
    },
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings or the database cannot be used, or there is no such open task.
pub async fn run(config: Option<&Path>, command: Tasks) -> Done {
    let db = super::open(config).await?;
    match command {
        Tasks::List { all, format } => {
            let mut conn = db.acquire().await?;
            let now = super::now(&mut conn).await?;
            print(&tasks::list(&mut conn, all, now).await?, format)
        }
        Tasks::Close { id, outcome, by } => close(&db, id, &outcome, &by).await,
    }
}

async fn close(db: &PgPool, id: TaskId, outcome: &str, by: &By) -> Done {
    refuse_numbers("--outcome", outcome)?;
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    let About { kind, person, conversation, masked_number } =
        match tasks::close(&mut tx, id, outcome, now).await? {
            Closed::Now(about) => about,
            Closed::Before => {
                return Err("this task is closed already: see `maskline tasks list --all`".into());
            }
            Closed::Never => {
                return Err("there is no such task: see `maskline tasks list --all`".into());
            }
        };
    let record = Record {
        person,
        conversation,
        masked_number: masked_number.and_then(|number| number.parse().ok()),
        ..by.record("tasks_close", &format!("{kind} {id}: {outcome}"))
    };
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    println!("closed");
    Ok(())
}

fn print(tasks: &[Listed], format: Format) -> Done {
    list::print(tasks, format, "There is nothing to look at.", |tasks| {
        println!(
            "{:<36}  {:<13}  {:<20}  {:<8}  {:<36}  {:<16}  {:>7}  STATE",
            "TASK", "KIND", "DUE", "PERSON", "CONVERSATION", "MASKED NUMBER", "RECORDS"
        );
        for task in tasks {
            println!(
                "{:<36}  {:<13}  {:<20}  {:<8}  {:<36}  {:<16}  {:>7}  {}",
                task.id.to_string(),
                task.kind,
                moment(task.due_at),
                task.person.map_or_else(|| "-".into(), pseudonym),
                task.conversation.map_or_else(|| "-".into(), |id| id.to_string()),
                task.masked_number.as_deref().unwrap_or("-"),
                task.transcript_records,
                state(task),
            );
            if let Some(detail) = &task.detail {
                println!("  {detail}");
            }
        }
    })
}

fn state(task: &Listed) -> String {
    match (&task.outcome, task.overdue) {
        (Some(outcome), _) => format!("closed: {outcome}"),
        (None, true) => "OVERDUE".into(),
        (None, false) => "open".into(),
    }
}
