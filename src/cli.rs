//! What the commands do. They print to people: results to standard output, the rest beside it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "commands talk to people")]

mod ask;
pub mod audit;
mod by;
pub mod conversations;
pub mod holds;
pub mod keys;
pub mod list;
pub mod numbers;
pub mod optout;
pub mod outbox;
pub mod people;
mod said;
mod serving;
pub mod staff;
pub mod tasks;
mod whose;

use std::{error::Error, path::Path, process::ExitCode};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use sqlx::{PgConnection, PgPool, error::DatabaseError, migrate::MigrateError};

pub use self::serving::{SERVE_HELP, ServeOptions, serve};
use crate::{
    audit::guard,
    carrier::Flowroute,
    clock::Clock,
    config::{self, Settings},
    database::{self, MIGRATIONS},
    serve::StartError,
    vault::{Pen, Vault},
};

/// Why a command failed, in words for the person who typed it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What a command comes to. A failure is printed once, by `exit_code`.
pub type Done = Result<(), Failure>;

/// Turns what a command came to into an exit code: 0 done, 1 failed (clap's own 2: wrong usage).
pub fn exit_code(done: Done) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maskline: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line to standard output.
pub(crate) fn print(line: &str) {
    println!("{line}");
}

/// Applies the migrations that are missing.
///
/// # Errors
/// When the database cannot be reached, or has migrations that differ from ours.
pub async fn migrate(config: Option<&Path>) -> Done {
    let db = connect(&config::database_url(config)?).await?;
    let missing = database::pending_migrations(&db).await?;
    MIGRATIONS
        .run(&db)
        .await
        .map_err(|error| format!("the migrations cannot be applied: {error}{}", who_may(&error)))?;
    println!("{missing} applied; the schema is that of version {}", env!("CARGO_PKG_VERSION"));
    Ok(())
}

/// Who may migrate, where this login may not.
fn who_may(error: &MigrateError) -> &'static str {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return "";
    };
    match error.as_database_error().and_then(DatabaseError::code).as_deref() {
        Some("42501") => "\nOnly the owner of the tables migrates, or a superuser.",
        _ => "",
    }
}

/// Reads the settings, tries the database, the carrier and the storage, and says all that is wrong.
///
/// # Errors
/// When anything is wrong; what, has been printed.
pub async fn check(config: Option<&Path>) -> Done {
    let mut wrong = 0;
    let mut say = |what: &str, found: Result<String, String>| match found {
        Ok(good) => println!("ok     {what}: {good}"),
        Err(problem) => {
            wrong += 1;
            println!("WRONG  {what}: {problem}");
        }
    };
    let settings = Settings::read(config);
    let database_url = match &settings {
        Ok(settings) => {
            say("settings", Ok("complete".into()));
            Some(settings.database_url.clone())
        }
        Err(error) => {
            for problem in error.problems() {
                say("settings", Err(problem.clone()));
            }
            // The database may be tried all the same.
            config::usable_database_url(config)
        }
    };
    if let Some(url) = database_url {
        let database = try_database(&url).await;
        let is_usable = database.is_ok();
        say("database", database);
        if is_usable {
            let allow = settings.as_ref().is_ok_and(|settings| settings.allow_superuser);
            say("login", try_login(&url, allow).await);
        }
    }
    if let Ok(settings) = &settings {
        say("Flowroute", try_carrier(settings).await);
        say("pictures", try_storage(settings).await);
        say("audit trail", try_trail(settings).await);
    }
    match wrong {
        0 => Ok(()),
        1 => Err("1 thing is wrong".into()),
        many => Err(format!("{many} things are wrong").into()),
    }
}

async fn try_database(url: &SecretString) -> Result<String, String> {
    let db = database::connect_for_command(url).await.map_err(|error| said(&error))?;
    let version =
        sqlx::query_scalar!(r#"select current_setting('server_version_num')::int as "n!""#)
            .fetch_one(&db)
            .await
            .map_err(|error| error.to_string())?;
    if version < 150_000 {
        return Err(format!("PostgreSQL {} is too old: 15 or newer is needed", version / 10_000));
    }
    let login = database::login(&mut *db.acquire().await.map_err(|error| said(&error))?).await;
    login.map_err(|error| said(&error))?.can_serve().map_err(|error| error.to_string())?;
    match database::pending_migrations(&db).await {
        Ok(0) => Ok(format!("PostgreSQL {}, migrations applied", version / 10_000)),
        Ok(missing) => Err(StartError::NotMigrated(missing).to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether `serve` runs as this login.
async fn try_login(url: &SecretString, allow_superuser: bool) -> Result<String, String> {
    let look = async {
        let db = database::connect_for_command(url).await?;
        database::login(&mut *db.acquire().await?).await
    };
    let login = look.await.map_err(|error| said(&error))?;
    login.may_serve(allow_superuser).map_err(|error| error.to_string())?;
    Ok(match login.may_serve(false) {
        Ok(()) => format!("{} can serve, and not change the audit trail", login.name()),
        Err(_) => format!("{} could change the audit trail, which is allowed", login.name()),
    })
}

async fn try_carrier(settings: &Settings) -> Result<String, String> {
    let carrier = Flowroute::new(&settings.flowroute).map_err(|error| error.to_string())?;
    carrier.check().await.map_err(|error| error.to_string())?;
    if !settings.reconcile {
        return Ok("the keys are taken; the list of messages is not read".into());
    }
    let now = Clock::System.now();
    let minute_ago = now.saturating_sub(SignedDuration::from_mins(1)).unwrap_or(now);
    carrier.messages(minute_ago, now).await.map_err(|error| {
        format!("the keys are taken, but {error}: texts that the webhook misses are not found")
    })?;
    Ok("the keys are taken, the list of messages can be read".into())
}

async fn try_storage(settings: &Settings) -> Result<String, String> {
    let storage = &settings.media.storage;
    storage.try_out().await.map_err(|error| error.to_string())?;
    Ok(format!("they lie in {storage}"))
}

/// Whether nothing of the trail can be changed, and who could seal it anew.
async fn try_trail(settings: &Settings) -> Result<String, String> {
    let look = async {
        let db = database::connect_for_command(&settings.database_url).await?;
        let mut conn = db.acquire().await?;
        let unguarded = guard::unguarded(&mut conn).await?;
        Ok((unguarded, guard::missing_months(&mut conn).await?))
    };
    let (unguarded, missing) = look.await.map_err(|error| said(&error))?;
    if !unguarded.is_empty() {
        return Err(format!(
            "{} can be changed: the triggers that refuse it are missing or asleep. `maskline serve` puts them back, or: select audit_guard_again()",
            unguarded.join(", ")
        ));
    }
    if !missing.is_empty() {
        return Err(format!(
            "{} is missing, its records go elsewhere: `maskline serve` makes it, or: select audit_make_partitions(now(), 3)",
            missing.join(", ")
        ));
    }
    let places = settings.audit.targets.len();
    Ok(match &settings.audit.signer {
        None => "it can only be added to; nothing is signed, so whoever owns the database could seal it anew: `maskline audit key` makes a key".into(),
        Some(signer) if places == 0 => format!(
            "it can only be added to, and is signed as {}; checkpoints are kept nowhere else: set MASKLINE_AUDIT_CHECKPOINTS",
            signer.name()
        ),
        Some(signer) => format!(
            "it can only be added to, is signed as {}, and checkpoints go to {places} more place(s)",
            signer.name()
        ),
    })
}

/// Opens the database, with what to do when that fails.
pub(crate) async fn connect(url: &SecretString) -> Result<PgPool, Failure> {
    database::connect_for_command(url).await.map_err(|error| away(&error))
}

/// Opens a database that has this version's schema.
pub(crate) async fn open(config: Option<&Path>) -> Result<PgPool, Failure> {
    open_at(&config::database_url(config)?).await
}

/// The same, where this is its address.
pub(crate) async fn open_at(url: &SecretString) -> Result<PgPool, Failure> {
    let db = connect(url).await?;
    match database::pending_migrations(&db).await? {
        0 => Ok(db),
        missing => Err(StartError::NotMigrated(missing).into()),
    }
}

/// Opens a database that has this version's schema, and what is encrypted in it.
pub(crate) async fn open_with_pen(config: Option<&Path>) -> Result<(PgPool, Pen), Failure> {
    let (url, (masters, brand)) = config::database_url_and_pen(config)?;
    let db = open_at(&url).await?;
    let vault = Vault::open(&mut *db.acquire().await?, &masters).await?;
    Ok((db, Pen { brand, vault }))
}

/// The database's time, which all processes share.
pub(crate) async fn now(conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
    let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(conn).await?;
    Ok(now.to_jiff())
}

/// What stands for a person or a conversation in a table: the end of its id. The beginning of an id
/// is a time, and the same for all that were made within a minute.
pub(crate) fn pseudonym(id: impl std::fmt::Display) -> String {
    let id = id.to_string();
    id[id.len().saturating_sub(8)..].to_owned()
}

/// A time in a table.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Words that are kept for years and shown in a table.
pub(crate) fn words(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 500 || text.contains(char::is_control) {
        return Err("must be one line of 1 to 500 characters".into());
    }
    Ok(text.to_owned())
}

fn away(error: &sqlx::Error) -> Failure {
    format!(
        "the database cannot be reached: {}\nIs PostgreSQL running, and is DATABASE_URL right?",
        said(error)
    )
    .into()
}

/// What the database says, without where in its source it says so.
fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    }
}
