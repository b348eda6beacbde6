//! The database: its schema, and connections that do not wait for ever.

mod login;
mod lookout;
mod servers;
mod trust;

use std::{
    sync::{LazyLock, Once},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::PgPoolOptions,
};
use tokio::{sync::watch, time::Instant};

use self::trust::Trust;
pub use self::{
    login::{Login, LoginError, login},
    servers::Servers,
};
use crate::clock::Clock;

/// The schema, as it stands in `migrations/`. Newer migrations in a database are none of its
/// business: they only add, and this version runs on them too.
pub static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!();
    migrations.set_ignore_missing(true);
    migrations
});

/// More connections than about four a core make PostgreSQL slower, not faster.
const CONNECTIONS: u32 = 16;
/// How long a request waits for a connection before it is answered 503.
const ACQUIRE: Duration = Duration::from_secs(3);
/// What bounds a session: how long it waits for a lock, and how long it lies in a transaction.
const BOUNDS: [(&str, &str); 2] =
    [("lock_timeout", "4s"), ("idle_in_transaction_session_timeout", "10s")];

/// What keeps the values of statements out of PostgreSQL's log, as far as a login may say.
const QUIET: [(&str, &str); 1] = [("log_parameter_max_length_on_error", "0")];

/// Opens the service's pool.
///
/// No session waits long for a lock, nor holds one while its owner is gone: one that is frozen or
/// cut off would else stop everybody. A connection that has fallen silent, or that leads to a server
/// which takes no writes any more, is thrown away.
///
/// # Errors
/// When no server can be reached that takes writes.
pub async fn connect(url: &SecretString) -> sqlx::Result<PgPool> {
    let servers = servers(url)?.with(|server| server.options(BOUNDS));
    let (server, conn) = servers.find_writable().await?;
    let (turned, since) = watch::channel(Instant::now());
    let trust = Trust::new(turned.clone());
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        // A ping at every acquire costs a round trip; a broken connection shows soon enough.
        .test_before_acquire(false)
        .after_connect(|conn, _| Box::pin(greet(conn)))
        .before_acquire(move |_, found| {
            let is_of_use = found.age <= since.borrow().elapsed();
            Box::pin(async move { Ok(is_of_use) })
        })
        .after_release(move |conn, _| {
            let trust = trust.clone();
            Box::pin(async move { Ok(trust.is_of_use(conn).await) })
        })
        .connect_with(server)
        .await?;
    if servers.are_several() {
        tokio::spawn(lookout::keep(pool.clone(), servers, conn, turned));
    }
    Ok(pool)
}

/// Refuses a server that takes no writes. Says once, if it is so, that sessions are not bounded (a
/// pooler in between may not pass on what we ask for), and that values may be logged.
async fn greet(conn: &mut PgConnection) -> sqlx::Result<()> {
    static SAID: Once = Once::new();
    static SAID_LOGS: Once = Once::new();
    let server = sqlx::query!(
        r#"select current_setting('transaction_read_only') = 'off' as "takes_writes!",
               current_setting('lock_timeout') <> '0'
                   and current_setting('idle_in_transaction_session_timeout') <> '0'
                   as "is_bounded!",
               current_setting('log_parameter_max_length') = '0' as "is_quiet!""#
    )
    .fetch_one(conn)
    .await?;
    if !server.takes_writes {
        return Err(servers::read_only());
    }
    if !server.is_bounded {
        SAID.call_once(|| {
            tracing::warn!(
                "lock_timeout or idle_in_transaction_session_timeout is not set: behind a pooler, set both for the role"
            );
        });
    }
    if !server.is_quiet {
        SAID_LOGS.call_once(|| {
            tracing::warn!(
                "PostgreSQL may log the values of statements; let a superuser run: alter database … set log_parameter_max_length = 0"
            );
        });
    }
    Ok(())
}

/// Opens a connection or two for a command that somebody waits for, and that may wait for locks.
///
/// # Errors
/// When no server can be reached that takes writes.
pub async fn connect_for_command(url: &SecretString) -> sqlx::Result<PgPool> {
    // The pool would say no more than that it waited for too long.
    let (server, conn) = servers(url)?.find_writable().await?;
    conn.close().await?;
    PgPoolOptions::new().max_connections(2).acquire_timeout(ACQUIRE).connect_with(server).await
}

fn servers(url: &SecretString) -> sqlx::Result<Servers> {
    let servers: Result<Servers, _> = url.expose_secret().parse();
    let servers = servers.map_err(|problem| sqlx::Error::Configuration(problem.into()))?;
    Ok(servers.with(|server| server.application_name("maskline").options(QUIET)))
}

/// The database's time, by which all processes go; or that of a clock that stands in for it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn time(conn: &mut PgConnection, clock: &Clock) -> sqlx::Result<Timestamp> {
    let now = sqlx::query_scalar!(
        r#"select coalesce($1, clock_timestamp()) as "now!""#,
        clock.instead() as _,
    )
    .fetch_one(conn)
    .await?;
    Ok(now.to_jiff())
}

/// Gives up what takes the database too long. A connection that has fallen silent would keep whoever
/// works alone for ever.
///
/// # Errors
/// Those of the work, and that it took too long.
pub async fn in_time<T>(
    time: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    tokio::time::timeout(time, work).await.map_err(late)?
}

/// How many of this version's migrations the database lacks.
///
/// # Errors
/// When the database cannot be read.
pub async fn pending_migrations(db: &PgPool) -> Result<usize, MigrateError> {
    let mut conn = db.acquire().await?;
    let has_table =
        sqlx::query_scalar!(r#"select to_regclass('_sqlx_migrations') is not null as "has!""#)
            .fetch_one(&mut *conn)
            .await?;
    let applied = if has_table {
        conn.list_applied_migrations(&MIGRATIONS.table_name).await?
    } else {
        Vec::new()
    };
    let is_applied = |version| applied.iter().any(|applied| applied.version == version);
    Ok(MIGRATIONS.iter().filter(|migration| !is_applied(migration.version)).count())
}
