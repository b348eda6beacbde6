//! The service: two listeners and a worker, from the first check to the last answer.

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    audit,
    carrier::Flowroute,
    clock::Clock,
    code::Randomness,
    config::Settings,
    database,
    http::{self, Problem},
    inbound,
    outbox::{backlog, worker},
    pool, sweeper, tasks, telemetry,
};

/// How long the answers under way may still take once the process is to stop.
const DRAIN: Duration = Duration::from_secs(25);
/// How long the database may take for a look that nothing depends on.
const GLANCE: Duration = Duration::from_secs(2);
/// How long until a worker that fell over is started again.
const RESTART: Duration = Duration::from_secs(1);
/// How often next month's partition is looked for.
const PARTITIONS: Duration = Duration::from_hours(6);

/// How often the pool is measured: it counts all that was ever seated, too much for every scrape.
const MEASURE: Duration = Duration::from_mins(10);
/// How long measuring the pool may take.
const MEASURING: Duration = Duration::from_mins(1);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// Migrations are missing.
    #[error("{0} of this version's migrations are not applied: run `maskline migrate` first")]
    NotMigrated(usize),
    /// The table of migrations cannot be read.
    #[error("the migrations cannot be read: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The carrier's client cannot be made.
    #[error("the system's certificates cannot be read: {0}")]
    Certificates(#[from] reqwest::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
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
        match database::pending_migrations(&db).await? {
            0 => {}
            missing => return Err(StartError::NotMigrated(missing)),
        }
        telemetry::metrics();
        let app = App::new(db, settings, Clock::System, Randomness::os());
        make_partitions(&app).await;
        let carrier = Flowroute::new(&app.settings.flowroute)?;
        let addresses = (address(&public)?, address(&private)?);

        let mut tasks = JoinSet::new();
        // The private listener stays until the end: it is what says that the process is draining.
        tasks.spawn(http::listen(public, inbound::routes(app.clone()), app.draining.clone()));
        let worker = app.clone();
        tasks.spawn(keep_going("worker", move || worker::run(worker.clone(), carrier.clone())));
        let sweeper = app.clone();
        tasks.spawn(keep_going("sweeper", move || sweeper::run(sweeper.clone())));
        let ended = CancellationToken::new();
        tokio::spawn(http::listen(private, office(app.clone()), ended.clone()));
        tokio::spawn(keep_partitions(app.clone()));
        tokio::spawn(keep_measuring(app.clone()));
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
        // A connection that has fallen silent would keep us for ever.
        tokio::time::timeout(GLANCE, self.app.db.close()).await.ok();
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
    let pending = tokio::time::timeout(GLANCE, database::pending_migrations(&app.db)).await;
    match pending {
        Ok(Ok(0)) => Ok("ready\n"),
        Ok(Ok(_)) => Err(not_ready("migrations are not applied: run `maskline migrate`")),
        Ok(Err(_)) | Err(_) => Err(not_ready("the database cannot be reached")),
    }
}

async fn metrics(State(app): State<App>) -> String {
    let now = app.clock.now();
    let look = async {
        let mut conn = app.db.acquire().await?;
        let backlog = backlog::states(&mut conn).await?;
        tasks::open(&mut conn).await.map(|tasks| (backlog, tasks))
    };
    let seen = tokio::time::timeout(GLANCE, look).await;
    metrics::gauge!("maskline_database_up").set(f64::from(u8::from(matches!(seen, Ok(Ok(_))))));
    if let Ok(Ok((backlog, tasks))) = seen {
        for state in ["queued", "sending", "unknown"] {
            let found = backlog.iter().find(|(name, ..)| name == state);
            let age =
                found.and_then(|(.., oldest)| *oldest).map(|oldest| now.duration_since(oldest));
            let age = age.map_or(0.0, |age| age.as_secs_f64());
            metrics::gauge!("maskline_outbox_texts", "state" => state)
                .set(figure(found.map_or(0, |(_, count, _)| *count)));
            metrics::gauge!("maskline_outbox_oldest_seconds", "state" => state).set(age);
        }
        for kind in tasks::Kind::ALL.map(tasks::Kind::as_str) {
            let open = tasks.iter().find(|(name, ..)| name == kind).map_or(0, |(_, open, _)| *open);
            metrics::gauge!("maskline_tasks_open", "kind" => kind).set(figure(open));
        }
        let overdue = tasks.iter().map(|(.., overdue)| overdue).sum();
        metrics::gauge!("maskline_tasks_overdue").set(figure(overdue));
    }
    telemetry::metrics().render()
}

/// A count as a gauge wants it.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn figure(count: i64) -> f64 {
    count as f64
}

async fn keep_partitions(app: App) {
    loop {
        tokio::time::sleep(PARTITIONS).await;
        make_partitions(&app).await;
    }
}

/// Makes the months that are missing. That it cannot, say because somebody reads the trail, stops
/// nothing: until the next time, the default partition takes the records.
async fn make_partitions(app: &App) {
    let now = app.clock.now();
    let made = async { audit::make_partitions(&mut *app.db.acquire().await?, now).await };
    if let Err(error) = made.await {
        tracing::warn!(%error, "next month's part of the audit trail could not be made; trying again");
    }
}

async fn keep_measuring(app: App) {
    loop {
        measure_pool(&app).await;
        tokio::time::sleep(MEASURE).await;
    }
}

/// Sets the gauges of the pool. Without the database they keep what was seen last.
async fn measure_pool(app: &App) {
    let now = app.clock.now();
    let measured =
        async { pool::measure(&mut *app.db.acquire().await?, &app.settings.pool, now).await };
    if !matches!(tokio::time::timeout(MEASURING, measured).await, Ok(Ok(()))) {
        tracing::warn!("the pool could not be measured; its gauges show what was seen last");
    }
}

/// Keeps somebody at work who does not stop before they are told to. If the worker fell over, texts
/// would be taken in and none would leave.
async fn keep_going<Work>(who: &'static str, work: impl Fn() -> Work)
where
    Work: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(work()).await {
        tracing::error!(%error, "the {who} fell over; starting it again");
        tokio::time::sleep(RESTART).await;
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
