//! `maskline numbers`: the pool of masked numbers.

mod list;
mod sync;

use std::path::Path;

use clap::Subcommand;
use sqlx::PgConnection;

use super::{Done, Failure, by::By, list::Format, now, open, open_at, words};
use crate::{
    audit::{self, Record},
    carrier::Flowroute,
    config,
    phone::PhoneNumber,
    pool::{self, NumberState},
};

/// Looks after the pool of masked numbers.
#[derive(Debug, Subcommand)]
pub enum Numbers {
    /// Add numbers of your Flowroute account to the pool, or put them back in service.
    #[command(after_help = "Example:  maskline numbers add +14155550100 +14155550101")]
    Add {
        /// Numbers in E.164, such as +14155550100.
        #[arg(required = true, value_name = "NUMBER", value_parser = PhoneNumber::typed)]
        numbers: Vec<PhoneNumber>,
        /// Who adds them.
        #[command(flatten)]
        by: By,
    },
    /// List the pool: what each number is used for, how its texts fare, when the pool is full.
    #[command(after_help = "Example:  maskline numbers list --format json")]
    List {
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Hold numbers back: open conversations go on, new ones get other numbers.
    #[command(
        after_help = "Example:  maskline numbers reserve +14155550100 --for \"the spring campaign\""
    )]
    Reserve {
        /// Numbers of the pool in E.164.
        #[arg(required = true, value_name = "NUMBER", value_parser = PhoneNumber::typed)]
        numbers: Vec<PhoneNumber>,
        /// What they are held back for, as the list shows it.
        #[arg(long = "for", value_name = "TEXT", value_parser = words)]
        reason: Option<String>,
        /// Who reserves them.
        #[command(flatten)]
        by: By,
    },
    /// Take numbers out of the pool: open conversations go on until they end.
    #[command(
        after_help = "Example:  maskline numbers retire +14155550100\n\nKeep a number at Flowroute until the list shows it as retired."
    )]
    Retire {
        /// Numbers of the pool in E.164.
        #[arg(required = true, value_name = "NUMBER", value_parser = PhoneNumber::typed)]
        numbers: Vec<PhoneNumber>,
        /// Who retires them.
        #[command(flatten)]
        by: By,
    },
    /// Make the pool agree with your Flowroute account. Shows what would change, and asks.
    #[command(
        after_help = "Needs FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY besides DATABASE_URL.\n\nExample:  maskline numbers sync --yes"
    )]
    Sync {
        /// Apply the changes without asking.
        #[arg(long)]
        yes: bool,
        /// Who brings them into line.
        #[command(flatten)]
        by: By,
    },
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings or the database cannot be used, or the command cannot be done.
pub async fn run(config: Option<&Path>, command: Numbers) -> Done {
    match command {
        Numbers::Add { numbers, by } => {
            let db = open(config).await?;
            let mut tx = db.begin().await?;
            let said = add(&mut tx, &numbers, &by).await?;
            tx.commit().await?;
            println!("{}", said.join("\n"));
        }
        Numbers::List { format } => {
            let (url, settings) = config::database_url_and_pool(config)?;
            let db = open_at(&url).await?;
            list::run(&mut *db.acquire().await?, &settings, format).await?;
        }
        Numbers::Reserve { numbers, reason, by } => {
            let db = open(config).await?;
            let mut tx = db.begin().await?;
            let state = (NumberState::Reserved, reason.as_deref());
            let said = set(&mut tx, &numbers, state, (&by, "numbers_reserve")).await?;
            tx.commit().await?;
            println!("{}", said.join("\n"));
        }
        Numbers::Retire { numbers, by } => {
            let db = open(config).await?;
            let mut tx = db.begin().await?;
            let state = (NumberState::Retiring, None);
            let said = set(&mut tx, &numbers, state, (&by, "numbers_retire")).await?;
            tx.commit().await?;
            println!("{}", said.join("\n"));
        }
        Numbers::Sync { yes, by } => {
            let (url, flowroute) = config::database_url_and_flowroute(config)?;
            let db = open_at(&url).await?;
            let account = sync::read(&Flowroute::new(&flowroute)?).await?;
            let plan = sync::plan(&mut *db.acquire().await?, &account).await?;
            if sync::is_wanted(&plan, yes)? {
                let mut tx = db.begin().await?;
                sync::apply(&mut tx, &account, &plan, &by).await?;
                tx.commit().await?;
                println!("Done.");
            }
        }
    }
    Ok(())
}

/// Adds numbers or puts them back in service, and says which, a line each.
async fn add(
    conn: &mut PgConnection,
    numbers: &[PhoneNumber],
    by: &By,
) -> Result<Vec<String>, Failure> {
    let now = now(conn).await?;
    let (mut said, mut records) = (Vec::new(), Vec::new());
    for number in numbers {
        let done = if pool::add(conn, number, now).await? {
            Some("added".to_owned())
        } else {
            match pool::set_state(conn, number, NumberState::InService, None, now).await? {
                None | Some(NumberState::InService) => None,
                Some(left) => Some(format!("was {}; it is back in service", word(left))),
            }
        };
        let what = done.as_deref().unwrap_or("was there already");
        said.push(format!("{} {what}", number.as_str()));
        if done.is_some() {
            records.push(record(by, "numbers_add", number, what));
        }
    }
    audit::record(conn, &records, now).await?;
    Ok(said)
}

/// The record of what staff did with a number.
fn record(by: &By, rule: &'static str, number: &PhoneNumber, what: &str) -> Record {
    Record { masked_number: Some(number.clone()), ..by.record(rule, what) }
}

/// Puts numbers of the pool into a state, all or none, and says what that comes to, a line each.
async fn set(
    conn: &mut PgConnection,
    numbers: &[PhoneNumber],
    (state, reason): (NumberState, Option<&str>),
    (by, rule): (&By, &'static str),
) -> Result<Vec<String>, Failure> {
    let now = now(conn).await?;
    let (mut said, mut missing, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for number in numbers {
        let Some(left) = pool::set_state(conn, number, state, reason, now).await? else {
            missing.push(number.as_str());
            continue;
        };
        let what = format!("{} after {}", word(state), word(left));
        let why = reason.map_or_else(String::new, |reason| format!(", for {reason}"));
        records.push(record(by, rule, number, &(what + &why)));
        let open = pool::open_conversations(conn, number).await?;
        let already = if left == state { "already " } else { "" };
        let is = match (state, open) {
            (NumberState::Retiring, 0) => "retired",
            _ => word(state),
        };
        let go_on = match open {
            0 => String::new(),
            1 => "; 1 open one goes on".into(),
            many => format!("; {many} open ones go on"),
        };
        said.push(format!(
            "{} {already}{is}: it gets no new conversations{go_on}",
            number.as_str()
        ));
    }
    match &missing[..] {
        [] => {
            audit::record(conn, &records, now).await?;
            Ok(said)
        }
        [one] => Err(format!("{one} is not in the pool: nothing was changed").into()),
        many => Err(format!("{} are not in the pool: nothing was changed", many.join(", ")).into()),
    }
}

/// A state in words for people.
fn word(state: NumberState) -> &'static str {
    match state {
        NumberState::InService => "in service",
        NumberState::Reserved => "reserved",
        NumberState::Retiring => "retiring",
        NumberState::Quarantined => "quarantined",
    }
}
