//! The service: two listeners and those who work, from the first check to the last answer.

mod office;
mod roles;

use std::{future::pending, net::SocketAddr, time::Duration};

use sqlx::PgPool;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub use self::roles::Role;
use crate::{
    app::App,
    audit::{self, guard, publish, seal::Sealer},
    carrier::Flowroute,
    clock::Clock,
    code::Randomness,
    config::Settings,
    console::exports,
    database::{self, LoginError},
    http, inbound,
    media::{self, Sources},
    outbox::worker,
    reconciler::Reconciler,
    sweeper, telemetry,
    vault::{OpenError, Vault},
};

/// How long the answers under way may still take once the process is to stop.
const DRAIN: Duration = Duration::from_secs(25);
/// How long the database's connections may take to close.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long until a worker that fell over is started again.
const RESTART: Duration = Duration::from_secs(1);
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
    /// The login could do too much, or too little.
    #[error("{0}")]
    Login(#[from] LoginError),
    /// The table of migrations cannot be read.
    #[error("the migrations cannot be read: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// What is encrypted cannot be opened.
    #[error(transparent)]
    Vault(#[from] OpenError),
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
    /// Where the carrier's webhooks arrive; none when that role is left to others.
    pub public: Option<SocketAddr>,
    /// Where operators look.
    pub private: SocketAddr,
}

impl Service {
    /// Starts everything but the roles that are left to others: refuses a database that is not
    /// migrated, and a login that could change the trail; then listens and works. Webhooks are taken
    /// in where there is a listener for them.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start(
        db: PgPool,
        settings: Settings,
        public: Option<TcpListener>,
        private: TcpListener,
        without: &[Role],
    ) -> Result<Self, StartError> {
        let login = database::login(&mut *db.acquire().await?).await?;
        login.can_serve()?;
        match database::pending_migrations(&db).await? {
            0 => login.may_serve(settings.allow_superuser)?,
            missing => return Err(StartError::NotMigrated(missing)),
        }
        telemetry::metrics();
        let vault = Vault::open(&mut *db.acquire().await?, &settings.master_keys).await?;
        let app = App::new(db, settings, vault, Clock::System, Randomness::os());
        telemetry::started(app.clock.now());
        make_partitions(&app).await;
        look_after_trail(&app).await;
        let carrier = Flowroute::new(&app.settings.flowroute)?;
        let sources = Sources::new(&app.settings)?;
        let mut service = Self {
            app,
            tasks: JoinSet::new(),
            public: public.as_ref().map(address).transpose()?,
            private: address(&private)?,
        };
        let app = &service.app;
        let roles = Role::all_but(without);
        if let Some(public) = public {
            let routes = inbound::routes(app.clone());
            service.tasks.spawn(http::listen(public, routes, app.draining.clone()));
        }
        for role in &roles {
            service.begin(*role, carrier.clone(), sources.clone());
        }
        // The private listener stays until the end: it is what says that the process is draining.
        let office = office::routes(service.app.clone(), &roles);
        tokio::spawn(http::listen(private, office, CancellationToken::new()));
        tokio::spawn(keep_partitions(service.app.clone()));
        tokio::spawn(telemetry::keep_up());
        Ok(service)
    }

    /// Sets to work whoever has this role.
    fn begin(&mut self, role: Role, carrier: Flowroute, sources: Sources) {
        let (app, tasks, who) = (self.app.clone(), &mut self.tasks, role.as_str());
        match role {
            Role::Worker => {
                tasks.spawn(keep_going(who, move || worker::run(app.clone(), carrier.clone())));
            }
            Role::Sweeper => {
                tasks.spawn(keep_going(who, move || sweeper::run(app.clone())));
            }
            Role::Reconciler if app.settings.reconcile => {
                let round = move || Reconciler::new(app.clone(), carrier.clone()).run();
                tasks.spawn(keep_going(who, round));
            }
            Role::Fetcher => {
                let fetch = move || media::worker::run(app.clone(), sources.clone());
                tasks.spawn(keep_going(who, fetch));
            }
            Role::Sealer => {
                let publisher = app.clone();
                tasks.spawn(keep_going(who, move || Sealer::new(app.clone()).run()));
                tasks.spawn(keep_going("publisher", move || publish::run(publisher.clone())));
            }
            Role::Exporter => {
                tasks.spawn(keep_going(who, move || exports::worker::run(app.clone())));
            }
            // Webhooks have a listener.
            Role::Webhook | Role::Reconciler => {}
        }
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
        tokio::time::timeout(FAREWELL, self.app.db.close()).await.ok();
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

/// Puts back what keeps the trail from being changed, where that is missing, and says what does not
/// protect it. Neither stops anything: records are written all the same.
async fn look_after_trail(app: &App) {
    let mended = async { guard::guard_again(&mut *app.db.acquire().await?).await };
    match mended.await {
        Ok(tables) if tables.is_empty() => {}
        Ok(tables) => tracing::error!(?tables, "the audit trail could be changed there; no more"),
        Err(error) => {
            let found = async { guard::unguarded(&mut *app.db.acquire().await?).await };
            let tables = found.await.unwrap_or_default();
            tracing::error!(%error, ?tables, "the audit trail can be changed there, and it could not be mended");
        }
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

/// Waits for SIGTERM or Ctrl-C, from the call on: whoever is told to stop while it starts drains, too.
pub fn stop_signal() -> impl Future<Output = ()> {
    let heard = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    async move {
        let [terminate, interrupt] = heard.map(async |heard| match heard {
            Ok(mut heard) => drop(heard.recv().await),
            Err(_) => pending().await,
        });
        tokio::select! {
            () = terminate => {}
            () = interrupt => {}
        }
    }
}
