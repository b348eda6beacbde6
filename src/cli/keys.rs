//! `maskline keys`: the keys under which numbers and texts are kept.

use std::{path::Path, slice};

use clap::Subcommand;
use sqlx::PgPool;

use super::{Done, Failure, by::By, said::Said};
use crate::{
    audit::{self, Record, retain},
    config,
    vault::{
        self, MasterKeys, Vault,
        seal::{self, Part},
    },
};

/// Looks after the keys under which numbers and texts are kept.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Change the master key while everything goes on.
    ///
    /// Set `MASKLINE_MASTER_KEY` to the new key, a comma, and the old key, and start every process
    /// anew with that. Then run this with the same setting: it wraps each person's key anew. When it
    /// is done, take the old key out of the setting. It may be cut off, and goes on where it was.
    #[command(after_help = "\
Example:  maskline keys rotate

The setting is then, with a new key made on the spot: \"$(openssl rand -base64 32),$OLD_KEY\"

Keep the new key where you keep the old one, apart from the database and its backups: without it
nobody can read the numbers and texts in there. Keep the old one as long as you keep backups from
before.")]
    Rotate {
        /// Who does it.
        #[command(flatten)]
        by: By,
    },
    /// Encrypt what a version before encryption wrote. Once, while nothing else runs.
    ///
    /// Needs the login that owns the tables, as `maskline migrate` does.
    #[command(after_help = "\
Example:  maskline migrate && maskline keys seal

What was written before also stands in old backups, and in the free space of the tables until
VACUUM FULL has run.")]
    Seal {
        /// Who does it.
        #[command(flatten)]
        by: By,
    },
}

/// Runs one of the commands.
///
/// # Errors
/// When the settings, the keys or the database cannot be used.
pub async fn run(config: Option<&Path>, command: Keys) -> Done {
    let (url, (masters, _)) = config::database_url_and_pen(config)?;
    let db = super::open_at(&url).await?;
    match command {
        Keys::Rotate { by } => rotate(&db, &masters, &by).await,
        Keys::Seal { by } => seal(&db, &masters, &by).await,
    }
}

async fn rotate(db: &PgPool, masters: &MasterKeys, by: &By) -> Done {
    Vault::open(&mut *db.acquire().await?, masters).await?;
    note(db, &by.record("keys_rotate", &format!("began to wrap keys by {}", masters.current())))
        .await?;
    let mut conn = db.acquire().await?;
    let mut said = Said::new();
    let rotated = vault::rotate(&mut conn, masters, |progress| {
        said.at_times(|| format!("{} keys wrapped anew, {} left", progress.done, progress.left));
    })
    .await?;
    drop(conn);
    let what = format!("{} keys wrapped by {}", rotated.done, masters.current());
    note(db, &by.record("keys_rotate", &what)).await?;
    if rotated.unreadable > 0 {
        return Err(format!(
            "{} keys are wrapped by neither of the two master keys: add the one they need. Until \
             then keep the old key in the setting",
            rotated.unreadable
        )
        .into());
    }
    match rotated.done {
        0 => println!("All keys are wrapped by {} already", masters.current()),
        done => println!("{done} keys wrapped anew by {}", masters.current()),
    }
    println!("Only that key is needed now.");
    Ok(())
}

/// Puts on record what is done to the keys.
async fn note(db: &PgPool, record: &Record) -> Done {
    let mut tx = db.begin().await?;
    let now = super::now(&mut tx).await?;
    audit::record(&mut tx, slice::from_ref(record), now).await?;
    Ok(tx.commit().await?)
}

async fn seal(db: &PgPool, masters: &MasterKeys, by: &By) -> Done {
    let mut conn = db.acquire().await?;
    let vault = Vault::unlock(&mut conn, masters).await?;
    if !retain::is_owner(&mut conn).await? {
        return Err("only the owner of the tables can encrypt what is in them: run this with the DATABASE_URL of the owner, who runs the migrations".into());
    }
    drop(conn);
    let mut total = 0;
    for part in Part::ALL {
        let (mut done, mut said) = (0, Said::new());
        loop {
            let count = seal_some(db, &vault, part).await?;
            if count == 0 {
                break;
            }
            done += count;
            said.at_times(|| format!("{done} {} encrypted", part.as_str()));
        }
        if done > 0 {
            println!("{done} {} encrypted", part.as_str());
        }
        total += done;
    }
    seal::finish(&mut *db.acquire().await?).await?;
    if total == 0 {
        println!("All is encrypted already.");
        return Ok(());
    }
    note(db, &by.record("keys_seal", &format!("{total} rows encrypted"))).await
}

async fn seal_some(db: &PgPool, vault: &Vault, part: Part) -> Result<usize, Failure> {
    let mut tx = db.begin().await?;
    let count = seal::seal(&mut tx, vault, part).await?;
    tx.commit().await?;
    Ok(count)
}
