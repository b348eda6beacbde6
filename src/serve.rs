//! The service: two listeners and a worker, from the first check to the last answer.

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    PgPool,
    migrate::{Migrate, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    audit,
    carrier::Flowroute,
    clock::Clock,
    code::Randomness,
    config::Settings,
    http::{self, Problem},
    inbound,
    outbox::worker,
    telemetry,
};

/// The schema, as it stands in `migrations/`.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// More connections than about four a core make PostgreSQL slower, not faster.
const CONNECTIONS: u32 = 16;
/// How long a request waits for a connection before it is answered 503.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long the answers under way may still take once the process is to stop.
const DRAIN: Duration = Duration::from_secs(25);
/// How often next month's partition is looked for.
const PARTITIONS: Duration = Duration::from_hours(6);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// Migrations are missing.
    #[error("{0} of this version's migrations are not applied: run `maskline migrate` first")]
    NotMigrated(usize),
    /// Somebody else's migrations, or changed ones.
    #[error("the migrations cannot be applied: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The carrier's client cannot be made.
    #[error("the system's certificates cannot be read: {0}")]
    Certificates(#[from] reqwest::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// Opens a pool of connections to the database.
///
/// # Errors
/// When it cannot be reached.
pub async fn connect(url: &SecretString) -> sqlx::Result<PgPool> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        // A ping at every acquire costs a round trip; a broken connection shows soon enough.
        .test_before_acquire(false)
        .connect_with(options.application_name("maskline"))
        .await
}

/// How many of this version's migrations the database lacks. Newer ones do not matter: they only
/// add, and this version runs on them too.
///
/// # Errors
/// When the database cannot be read.
pub async fn pending_migrations(db: &PgPool) -> Result<usize, StartError> {
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

/// The service, started and listening.
#[derive(Debug)]
pub struct Service {
    app: App,
    tasks: JoinSet<()>,
    /// Where the carrier's webhooks arrive.
    pub public: SocketAddr,
    /// Where operators look.
    pub private: SocketAddr,
}

impl Service {
    /// Starts everything: refuses a database that is not migrated, then listens and works.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start(
        db: PgPool,
        settings: Settings,
        public: TcpListener,
        private: TcpListener,
    ) -> Result<Self, StartError> {
        match pending_migrations(&db).await? {
            0 => {}
            missing => return Err(StartError::NotMigrated(missing)),
        }
        telemetry::metrics();
        let app = App::new(db, settings, Clock::System, Randomness::os());
        audit::make_partitions(&mut *app.db.acquire().await?, app.clock.now()).await?;
        let carrier = Flowroute::new(&app.settings.flowroute)?;
        let addresses = (address(&public)?, address(&private)?);

        let mut tasks = JoinSet::new();
        // The private listener stays until the end: it is what says that the process is draining.
        tasks.spawn(listen(public, inbound::routes(app.clone()), app.draining.clone()));
        tasks.spawn(worker::run(app.clone(), carrier));
        let ended = CancellationToken::new();
        tokio::spawn(listen(private, office(app.clone()), ended.clone()));
        tokio::spawn(keep_partitions(app.clone()));
        Ok(Self { app, tasks, public: addresses.0, private: addresses.1 })
    }

    /// What every room may reach.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Begins nothing new, finishes what is under way, and returns. False when that took so long
    /// that something was cut off; it is safe in the database all the same.
    pub async fn drain(mut self) -> bool {
        self.app.draining.cancel();
        let finish = async { while self.tasks.join_next().await.is_some() {} };
        let finished = tokio::time::timeout(DRAIN, finish).await.is_ok();
        self.app.db.close().await;
        finished
    }
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|error| StartError::Listen(unknown, error))
}

/// Binds an address.
///
/// # Errors
/// When something else listens there, or it is not this computer's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
}

/// Answers on a listener until told to stop, then finishes the answers under way.
pub async fn listen(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let service = http::around(routes).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "a listener stopped");
    }
}

/// The private listener's routes.
fn office(app: App) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app)
}

/// Ready while the database answers, its schema fits, and nothing is being shut down.
async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    let not_ready = |why: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
    if app.draining.is_cancelled() {
        return Err(not_ready("draining"));
    }
    match pending_migrations(&app.db).await {
        Ok(0) => Ok("ready\n"),
        Ok(_) => Err(not_ready("migrations are not applied: run `maskline migrate`")),
        Err(_) => Err(not_ready("the database cannot be reached")),
    }
}

async fn metrics(State(app): State<App>) -> String {
    let now = app.clock.now();
    if let Ok(backlog) = worker::backlog(&app).await {
        for state in ["queued", "sending", "unknown"] {
            let found = backlog.iter().find(|(name, ..)| name == state);
            let count = found.map_or(0, |(_, count, _)| *count);
            let age =
                found.and_then(|(.., oldest)| *oldest).map(|oldest| now.duration_since(oldest));
            let age = age.map_or(0.0, |age| age.as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            metrics::gauge!("maskline_outbox_texts", "state" => state).set(count as f64);
            metrics::gauge!("maskline_outbox_oldest_seconds", "state" => state).set(age);
        }
    }
    telemetry::metrics().render()
}

async fn keep_partitions(app: App) {
    loop {
        tokio::time::sleep(PARTITIONS).await;
        let now = app.clock.now();
        let made = async { audit::make_partitions(&mut *app.db.acquire().await?, now).await };
        if let Err(error) = made.await {
            tracing::warn!(%error, "next month's part of the audit trail could not be made; trying again");
        }
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
}
