//! `maskline numbers`: the pool of masked numbers.

mod list;
mod sync;

use std::path::Path;

use clap::{Subcommand, ValueEnum};
use sqlx::PgConnection;

use super::{Done, Failure, open, open_at, words};
use crate::{
    carrier::Flowroute,
    clock::Clock,
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
    },
    /// Take numbers out of the pool: open conversations go on until they end.
    #[command(
        after_help = "Example:  maskline numbers retire +14155550100\n\nKeep a number at Flowroute until the list shows it as retired."
    )]
    Retire {
        /// Numbers of the pool in E.164.
        #[arg(required = true, value_name = "NUMBER", value_parser = PhoneNumber::typed)]
        numbers: Vec<PhoneNumber>,
    },
    /// Make the pool agree with your Flowroute account. Shows what would change, and asks.
    #[command(
        after_help = "Needs FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY besides DATABASE_URL.\n\nExample:  maskline numbers sync --yes"
    )]
    Sync {
        /// Apply the changes without asking.
        #[arg(long)]
        yes: bool,
    },
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// One JSON array.
    Json,
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings or the database cannot be used, or the command cannot be done.
pub async fn run(config: Option<&Path>, command: Numbers) -> Done {
    match command {
        Numbers::Add { numbers } => {
            let db = open(config).await?;
            let mut tx = db.begin().await?;
            for number in &numbers {
                println!("{} {}", number.as_str(), add(&mut tx, number).await?);
            }
            tx.commit().await?;
        }
        Numbers::List { format } => {
            let (url, settings) = config::database_url_and_pool(config)?;
            let db = open_at(&url).await?;
            list::run(&mut *db.acquire().await?, &settings, format).await?;
        }
        Numbers::Reserve { numbers, reason } => {
            let db = open(config).await?;
            let mut tx = db.begin().await?;
            let said = set(&mut tx, &numbers, NumberState::Reserved, reason.as_deref()).await?;
            tx.commit().await?;
            println!("{}", said.join("\n"));
        }
        Numbers::Retire { numbers } => {
            let db = open(config).await?;
            let mut tx = db.begin().await?;
            let said = set(&mut tx, &numbers, NumberState::Retiring, None).await?;
            tx.commit().await?;
            println!("{}", said.join("\n"));
        }
        Numbers::Sync { yes } => {
            let (url, flowroute) = config::database_url_and_flowroute(config)?;
            let db = open_at(&url).await?;
            let account = sync::read(&Flowroute::new(&flowroute)?).await?;
            let plan = sync::plan(&mut *db.acquire().await?, &account).await?;
            if sync::is_wanted(&plan, yes)? {
                let mut tx = db.begin().await?;
                sync::apply(&mut tx, &account, &plan, Clock::System.now()).await?;
                tx.commit().await?;
                println!("Done.");
            }
        }
    }
    Ok(())
}

/// Adds a number or puts it back in service, and says which.
async fn add(conn: &mut PgConnection, number: &PhoneNumber) -> Result<String, Failure> {
    let now = Clock::System.now();
    if pool::add(conn, number, now).await? {
        return Ok("added".into());
    }
    match pool::set_state(conn, number, NumberState::InService, None, now).await? {
        None | Some(NumberState::InService) => Ok("was there already".into()),
        Some(left) => Ok(format!("was {}; it is back in service", word(left))),
    }
}

/// Puts numbers of the pool into a state, all or none, and says what that comes to, a line each.
async fn set(
    conn: &mut PgConnection,
    numbers: &[PhoneNumber],
    state: NumberState,
    reason: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let now = Clock::System.now();
    let (mut said, mut missing) = (Vec::new(), Vec::new());
    for number in numbers {
        let Some(left) = pool::set_state(conn, number, state, reason, now).await? else {
            missing.push(number.as_str());
            continue;
        };
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
        [] => Ok(said),
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
