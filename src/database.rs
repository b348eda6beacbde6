//! The database: its schema, and connections that do not wait for ever.

use std::{sync::LazyLock, time::Duration};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
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
/// How long a connection that is given back may take to show that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// Opens the service's pool.
///
/// No session waits long for a lock, nor holds one while its owner is gone: one that is frozen or
/// cut off would else stop everybody. A connection that has fallen silent is thrown away.
///
/// # Errors
/// When the database cannot be reached.
pub async fn connect(url: &SecretString) -> sqlx::Result<PgPool> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        // A ping at every acquire costs a round trip; a broken connection shows soon enough.
        .test_before_acquire(false)
        .after_connect(|conn, _| {
            Box::pin(async move {
                let bounds = sqlx::query!(
                    "select set_config('lock_timeout', '4s', false) as lock,
                         set_config('idle_in_transaction_session_timeout', '10s', false) as idle"
                );
                bounds.fetch_one(conn).await.map(drop)
            })
        })
        .after_release(|conn, _| {
            Box::pin(async move {
                let sign = tokio::time::timeout(SIGN_OF_LIFE, conn.ping()).await;
                Ok(matches!(sign, Ok(Ok(()))))
            })
        })
        .connect_with(options.application_name("maskline"))
        .await
}

/// Opens a connection or two for a command that somebody waits for, and that may wait for locks.
///
/// # Errors
/// When the database cannot be reached.
pub async fn connect_for_command(url: &SecretString) -> sqlx::Result<PgPool> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    let options = options.application_name("maskline");
    // The pool would say no more than that it waited for too long.
    PgConnection::connect_with(&options).await?.close().await?;
    PgPoolOptions::new().max_connections(2).acquire_timeout(ACQUIRE).connect_with(options).await
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
