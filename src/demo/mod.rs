//! `maskline demo`: everything on this computer, from one command.
//!
//! A PostgreSQL of its own, the simulated carrier, the service as `serve` runs it (by a login that can
//! only serve), and a page with two phones. Nothing listens but on 127.0.0.1, and nothing is left behind.

mod files;
mod home;
mod installed;
mod page;
pub mod postgres;
mod samples;
mod secrets;
mod snapshot;
mod staff;

use std::{
    fs::DirBuilder,
    io::IsTerminal,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{postgres::PrivatePostgres, secrets::Secrets, staff::Accounts};
use crate::{
    carrier::simulator::{self, Simulator},
    cli::{self, Done},
    clock::Clock,
    config::Settings,
    database, http,
    phone::PhoneNumber,
    pool,
    serve::{self, Service},
};

/// The masked numbers of the demo.
const MASKED: [&str; 2] = ["+14155550100", "+14155550101"];
/// The phones of the demo.
const PHONES: [(&str, &str); 2] = [("Ann", "+12065550142"), ("Ben", "+12065550187")];
/// The simulated account's keys.
const ACCESS_KEY: &str = "demo";
/// As many texts a second as Flowroute takes from an account.
const PER_SECOND: u32 = 5;
/// How long Ctrl-C waits for calls under way. Nobody needs them any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// How the demo is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Do not open the page in a browser.
    #[arg(long)]
    no_open: bool,
    /// Keep the database in this folder, and go on with it the next time.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The port of the page; any free one unless given.
    #[arg(long)]
    port: Option<u16>,
}

/// Runs the demo until Ctrl-C, and clears up.
///
/// # Errors
/// What keeps it from starting, above all a PostgreSQL that is not installed.
pub async fn run(options: Options) -> Done {
    let stop = serve::stop_signal();
    tokio::pin!(stop);
    let postgres = tokio::select! {
        started = PrivatePostgres::start(postgres::Options {
            durable: options.data_dir.is_some(),
            data_dir: options.data_dir.clone(),
            max_connections: 50,
            ..postgres::Options::default()
        }) => started?,
        () = &mut stop => return Ok(()),
    };
    let done = tokio::select! {
        shown = show(&postgres, &options) => match shown {
            Ok(demo) => {
                stop.await;
                demo.end().await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        () = &mut stop => Ok(()),
    };
    postgres.stop().await;
    done
}

/// All that runs while the page is open.
struct Demo {
    service: Service,
    page: tokio::task::JoinHandle<()>,
    closing: CancellationToken,
    /// Kept until the end.
    _files: Files,
}

impl Demo {
    async fn end(self) {
        self.closing.cancel();
        // Whatever is cut off here is thrown away with the database, or stands in the one kept.
        tokio::time::timeout(PATIENCE, self.page).await.ok();
        tokio::time::timeout(PATIENCE, self.service.drain()).await.ok();
    }
}

async fn show(postgres: &PrivatePostgres, options: &Options) -> Result<Demo, cli::Failure> {
    let db = database(postgres).await?;
    let (public, private) = (local(0).await?, local(0).await?);
    let secrets = Secrets::of(options.data_dir.as_deref())?;
    let files = Files::draw();
    let simulator = Simulator::start(simulator::Settings {
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SecretString::from(secrets.key.clone()),
        numbers: masked(),
        sms_per_second: Some(PER_SECOND),
        ..simulator::Settings::default()
    })?;
    let public_url = format!("http://{}", public.local_addr()?);
    let settings = Settings::from_values([
        ("DATABASE_URL", postgres.url_as(SERVE, DATABASE).as_str()),
        ("MASKLINE_PUBLIC_URL", &public_url),
        ("MASKLINE_WEBHOOK_SECRETS", &secrets.webhook),
        ("MASKLINE_MASTER_KEY", &secrets.master_key),
        ("MASKLINE_AUDIT_KEY", &secrets.audit_key),
        ("FLOWROUTE_ACCESS_KEY", ACCESS_KEY),
        ("FLOWROUTE_SECRET_KEY", &secrets.key),
        ("MASKLINE_FLOWROUTE_URL", &simulator.url()),
        ("MASKLINE_MEDIA_URL", &files.folder("pictures")?),
        ("MASKLINE_AUDIT_CHECKPOINTS", &files.folder("checkpoints")?),
        // There are but two numbers, and every scene can be played again at once.
        ("MASKLINE_COOL_OFF", "0h"),
    ])?;
    let brand = settings.brand.as_str().to_owned();
    let service = Service::start(db.clone(), settings, Some(public), private, &[]).await?;
    point_at(&simulator, &public_url, &secrets).await?;
    let accounts = Accounts::open(service.app(), service.private).await?;

    let listener = local(options.port.unwrap_or(0)).await?;
    let address = format!("http://{}/", listener.local_addr()?);
    let closing = CancellationToken::new();
    let watched = page::Watched {
        simulator: Arc::new(simulator),
        vault: service.app().pen.vault.clone(),
        db,
        brand,
        secret: secrets.webhook,
        accounts: accounts.into(),
        closing: closing.clone(),
    };
    let page = tokio::spawn(http::listen(listener, page::routes(watched), closing.clone()));
    cli::print(&format!("Maskline demo: {address}   (Ctrl-C ends it)"));
    if !options.no_open && std::io::stdout().is_terminal() {
        open(&address);
    }
    Ok(Demo { service, page, closing, _files: files })
}

const DATABASE: &str = "maskline";
/// Whom the service logs in as, as an operator's does.
const SERVE: &str = "maskline_serve";

/// Makes the database unless a kept folder has it, migrates it as its owner, and seeds the pool as the
/// service's login.
async fn database(postgres: &PrivatePostgres) -> Result<PgPool, cli::Failure> {
    let admin = PgPool::connect_with(postgres.options("postgres")).await?;
    let exists = sqlx::query_scalar!(
        r#"select exists (select from pg_database where datname = $1) as "exists!""#,
        DATABASE
    );
    if !exists.fetch_one(&admin).await? {
        sqlx::raw_sql("create database maskline").execute(&admin).await?;
    }
    admin.close().await;
    let owner = PgPool::connect_with(postgres.options(DATABASE)).await?;
    database::MIGRATIONS.run(&owner).await?;
    let exists = sqlx::query_scalar!(
        r#"select exists (select from pg_roles where rolname = $1) as "exists!""#,
        SERVE
    );
    if !exists.fetch_one(&owner).await? {
        let make = "create role maskline_serve login in role maskline_app";
        sqlx::raw_sql(make).execute(&owner).await?;
    }
    owner.close().await;
    let db = database::connect(&postgres.url_as(SERVE, DATABASE).into()).await?;
    let mut conn = db.acquire().await?;
    for number in masked() {
        pool::add(&mut conn, &number, Clock::System.now()).await?;
    }
    drop(conn);
    Ok(db)
}

fn masked() -> Vec<PhoneNumber> {
    MASKED.iter().filter_map(|number| number.parse().ok()).collect()
}

/// The demo's phones that have a name and a number.
fn phones() -> Vec<(&'static str, PhoneNumber)> {
    PHONES.iter().filter_map(|(name, number)| Some((*name, number.parse().ok()?))).collect()
}

async fn local(port: u16) -> Result<TcpListener, serve::StartError> {
    serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// The folder of pictures and checkpoints, which goes when this does.
struct Files(PathBuf);

impl Files {
    fn draw() -> Self {
        let name = format!("maskline-files-{:032x}", rand::random::<u128>());
        Self(std::env::temp_dir().join(name))
    }

    /// A folder in it, for nobody else.
    fn folder(&self, name: &str) -> std::io::Result<String> {
        let folder = self.0.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(folder.to_string_lossy().into_owned())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Tells the carrier where texts go, as an operator does once for a real account.
async fn point_at(
    simulator: &Simulator,
    public_url: &str,
    secrets: &Secrets,
) -> Result<(), reqwest::Error> {
    let callback_url = format!("{public_url}/api/message/{}", secrets.webhook);
    let body = json!({"data": {"attributes": {"callback_url": callback_url}}});
    let client = reqwest::Client::new();
    for kind in ["sms_callback", "mms_callback"] {
        client
            .put(format!("{}/v2.2/messages/{kind}", simulator.url()))
            .basic_auth(ACCESS_KEY, Some(&secrets.key))
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
    }
    Ok(())
}

/// Opens the page in the user's browser, if there is one; the address is printed anyway.
fn open(address: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = Command::new(program)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Ok(mut child) = quiet {
        // Waited for, so that nothing of it is left in the table of processes.
        std::thread::spawn(move || child.wait());
    }
}
