//! `maskline numbers`: the pool of masked numbers.

use std::{io::IsTerminal, path::Path};

use clap::{Subcommand, ValueEnum};

use super::Done;
use crate::{
    clock::Clock,
    config, database,
    phone::PhoneNumber,
    pool::{self, Listed},
    serve::StartError,
};

/// Looks after the pool of masked numbers.
#[derive(Debug, Subcommand)]
pub enum Numbers {
    /// Add numbers of your Flowroute account to the pool.
    #[command(after_help = "Example:  maskline numbers add +14155550100 +14155550101")]
    Add {
        /// Numbers in E.164, such as +14155550100.
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<PhoneNumber>,
    },
    /// List the pool, with the open conversations on each number.
    #[command(after_help = "Example:  maskline numbers list --format json")]
    List {
        /// A table for people, JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
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
/// When the settings or the database cannot be used.
pub async fn run(config: Option<&Path>, command: Numbers) -> Done {
    let db = super::connect(&config::database_url(config)?).await?;
    match database::pending_migrations(&db).await? {
        0 => {}
        missing => return Err(StartError::NotMigrated(missing).into()),
    }
    match command {
        Numbers::Add { numbers } => {
            let mut tx = db.begin().await?;
            for number in &numbers {
                let added = pool::add(&mut tx, number, Clock::System.now()).await?;
                let what = if added { "added" } else { "was there already" };
                println!("{} {what}", number.as_str());
            }
            tx.commit().await?;
        }
        Numbers::List { format } => print(&pool::list(&mut *db.acquire().await?).await?, format)?,
    }
    Ok(())
}

fn print(numbers: &[Listed], format: Format) -> Done {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(numbers)?),
        Format::Table if numbers.is_empty() && std::io::stdout().is_terminal() => {
            println!(
                "The pool is empty. Add your first number:  maskline numbers add +14155550100"
            );
        }
        Format::Table => {
            println!("{:<17} {:>18}  ADDED", "NUMBER", "OPEN CONVERSATIONS");
            for Listed { number, open_conversations, added_at } in numbers {
                println!("{number:<17} {open_conversations:>18}  {added_at:.0}");
            }
        }
    }
    Ok(())
}
