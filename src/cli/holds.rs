//! `maskline holds`: legal holds, which win over erasure and retention.

use std::path::Path;

use clap::{ArgGroup, Args, Subcommand};
use jiff::Timestamp;
use sqlx::PgPool;

use super::{
    Done,
    by::{By, refuse_numbers},
    list::{self, Format},
    moment, pseudonym, words,
};
use crate::{
    audit::{
        self, Record,
        holds::{self, Hold, Scope},
        reach::reach,
    },
    ids::{ConversationId, HoldId, PersonId},
    phone::PhoneNumber,
    pool,
};

/// Keeps what a lawsuit or an authority needs.
#[derive(Debug, Subcommand)]
pub enum Holds {
    /// Place a hold: what it covers is neither erased nor removed until two people release it.
    #[command(after_help = "\
Example:  maskline holds add --matter \"case 2026-CV-17\" --conversation 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94
          maskline holds add --matter \"case 2026-CV-17\" --person 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 \\
              --from 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z
          maskline holds add --matter \"case 2026-CV-17\" --all --preview

What is given together must hold together. A hold on a person keeps what others wrote to them, too.")]
    Add(Add),
    /// List the holds in force.
    #[command(after_help = "Example:  maskline holds list --all --format json")]
    List {
        /// Those that were released, too.
        #[arg(long)]
        all: bool,
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Ask for the release of a hold. It stays in force until somebody else approves.
    #[command(after_help = "\
Example:  maskline holds release 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 --reason \"settled\" --by Dana")]
    Release {
        /// The hold's id, as `maskline holds list` shows it.
        id: HoldId,
        /// Why. No names and no phone numbers.
        #[arg(long, value_name = "TEXT", value_parser = words)]
        reason: String,
        /// Who asks.
        #[command(flatten)]
        by: By,
    },
    /// Approve a release that somebody else has asked for. The hold ends.
    #[command(
        after_help = "Example:  maskline holds approve 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94 --by Erin"
    )]
    Approve {
        /// The hold's id.
        id: HoldId,
        /// Who approves; not who asked.
        #[command(flatten)]
        by: By,
    },
}

/// What a new hold is for, and what it covers.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("scope").required(true).multiple(true)
    .args(["person", "conversation", "number", "from", "until", "everything"])))]
pub struct Add {
    /// What it is for, such as a docket number. No names and no phone numbers.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    matter: String,
    /// What this person wrote or was sent: their whole id.
    #[arg(long, value_name = "ID")]
    person: Option<PersonId>,
    /// What happened in this conversation: its whole id.
    #[arg(long, value_name = "ID")]
    conversation: Option<ConversationId>,
    /// What went through this masked number.
    #[arg(long, value_name = "NUMBER", value_parser = PhoneNumber::typed)]
    number: Option<PhoneNumber>,
    /// What happened then or later; a time with its zone, such as 2026-03-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// What happened before; a time with its zone.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Everything there is.
    #[arg(long = "all", conflicts_with_all = ["person", "conversation", "number", "from", "until"])]
    everything: bool,
    /// Only say how much it would cover now.
    #[arg(long)]
    preview: bool,
    /// Who places it.
    #[command(flatten)]
    by: By,
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings or the database cannot be used, or nothing fits what was asked for.
pub async fn run(config: Option<&Path>, command: Holds) -> Done {
    let db = super::open(config).await?;
    match command {
        Holds::Add(new) => add(&db, new).await,
        Holds::List { all, format } => {
            print(&holds::list(&mut *db.acquire().await?, all).await?, format)
        }
        Holds::Release { id, reason, by } => release(&db, id, &reason, &by).await,
        Holds::Approve { id, by } => approve(&db, id, &by).await,
    }
}

async fn add(db: &PgPool, new: Add) -> Done {
    refuse_numbers("--matter", &new.matter)?;
    if new.from.zip(new.until).is_some_and(|(from, until)| from >= until) {
        return Err("--until must be later than --from".into());
    }
    let mut tx = db.begin().await?;
    if let Some(number) = &new.number
        && pool::find(&mut tx, number).await?.is_none()
    {
        return Err("--number is none of your masked numbers: see `maskline numbers list`. For a person give --person".into());
    }
    let now = super::now(&mut tx).await?;
    let scope = Scope {
        person: new.person,
        conversation: new.conversation,
        masked_number: new.number.as_ref().map(|number| number.as_str().to_owned()),
        from: new.from,
        until: new.until,
    };
    let about = |rule, said: &str| Record {
        person: new.person,
        conversation: new.conversation,
        masked_number: new.number.clone(),
        ..new.by.record(rule, said)
    };
    if new.preview {
        let covered = reach(&mut tx, &scope).await?;
        let said = format!("asked what a hold for {} would cover", new.matter);
        audit::record(&mut tx, &[about("holds_preview", &said)], now).await?;
        tx.commit().await?;
        println!("It would cover {covered} by now, and what is yet to come.");
        return Ok(());
    }
    let placed = holds::place(&mut tx, &new.matter, &scope, &new.by.name(), now).await;
    let id = placed.map_err(|error| match error.as_database_error() {
        Some(found) if found.is_foreign_key_violation() => {
            "there is no such person or conversation: give whole ids".into()
        }
        _ => super::Failure::from(error),
    })?;
    let record = about("holds_add", &format!("hold {id} for {}", new.matter));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    println!("{id} is in force");
    Ok(())
}

async fn release(db: &PgPool, id: HoldId, reason: &str, by: &By) -> Done {
    refuse_numbers("--reason", reason)?;
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    holds::ask_release(&mut tx, id, reason, typed(&by.name()), now).await??;
    let record = by.record("holds_release", &format!("release of hold {id} asked for: {reason}"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    println!("asked for; it stays in force until somebody else runs: maskline holds approve {id}");
    Ok(())
}

async fn approve(db: &PgPool, id: HoldId, by: &By) -> Done {
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    let matter = holds::approve_release(&mut tx, id, typed(&by.name()), now).await??;
    let record = by.record("holds_approve", &format!("hold {id} for {matter} released"));
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    println!("released: {matter}");
    Ok(())
}

/// Somebody of whom nothing is known but what they say.
fn typed(name: &str) -> holds::By<'_> {
    holds::By { name, account: None }
}

fn print(holds: &[Hold], format: Format) -> Done {
    list::print(holds, format, "There is no hold.", |holds| {
        println!(
            "{:<36}  {:<20}  {:<10}  {:<28}  {:<44}  MATTER",
            "HOLD", "PLACED", "BY", "STATE", "COVERS"
        );
        for hold in holds {
            println!(
                "{:<36}  {:<20}  {:<10}  {:<28}  {:<44}  {}",
                hold.id.to_string(),
                moment(hold.placed_at),
                hold.placed_by,
                state(hold),
                covers(hold),
                hold.matter,
            );
        }
    })
}

fn state(hold: &Hold) -> String {
    match (&hold.released_by, &hold.asked_by) {
        (Some(by), _) => format!("released by {by}"),
        (None, Some(by)) => format!("in force, {by} asks to end it"),
        (None, None) => "in force".to_owned(),
    }
}

fn covers(hold: &Hold) -> String {
    let parts = [
        hold.person.map(|id| format!("person {}", pseudonym(id))),
        hold.conversation.map(|id| format!("conversation {}", pseudonym(id))),
        hold.masked_number.clone(),
        hold.from.map(|at| format!("from {}", moment(at))),
        hold.until.map(|at| format!("before {}", moment(at))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}
