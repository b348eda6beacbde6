//! What every test stands on: a database of its own, the real router on a real port, the simulated
//! carrier, and a clock that only the test moves. Nothing sleeps.

mod line;
pub mod opened;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use maskline::{
    app::App,
    carrier::{
        Flowroute,
        simulator::{self, Faults, File, FileFate, Media, NewText, Simulator, Texted, Way},
    },
    clock::{Clock, ManualClock},
    code::Randomness,
    config::Settings,
    database,
    demo::postgres::{Options, PrivatePostgres},
    http,
    ids::{PersonId, TextId},
    inbound,
    media::{self, Sources},
    outbox::worker,
    people,
    phone::PhoneNumber,
    pool,
    storage::Storage,
    sweeper,
    vault::{Author, Field, Vault},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, PgPool, PgTransaction, Row, postgres::PgPoolOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::line::Cable;

pub const NUMBER: &str = "+14155550100";
pub const OTHER_NUMBER: &str = "+14155550101";
pub const SECRET: &str = "a-secret-of-the-tests";
/// The master key of the tests: the bytes 0 to 31.
pub const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The server that all tests of this run share.
struct Server {
    /// Kept, so that the private one lives as long as the run.
    private: Option<PrivatePostgres>,
    given: Option<String>,
    template: String,
}

impl Server {
    fn url(&self, database: &str) -> String {
        match (&self.private, &self.given) {
            (Some(private), _) => private.url(database),
            (None, Some(given)) => {
                let mut url = url::Url::parse(given).unwrap();
                url.set_path(database);
                url.into()
            }
            (None, None) => unreachable!(),
        }
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| block_on(start_server()))
}

/// Runs something to its end beside whatever runtime the test has.
fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "tests may be given a server")]
async fn start_server() -> Server {
    let given = std::env::var("DATABASE_URL").ok();
    let private = if given.is_some() {
        None
    } else {
        let options = Options { durable: false, max_connections: 500, ..Options::default() };
        Some(PrivatePostgres::start(options).await.unwrap_or_else(|error| panic!("{error}")))
    };
    let template = format!("maskline_template_{}", std::process::id());
    let server = Server { private, given, template };
    let mut admin = PgConnection::connect(&server.url("postgres")).await.unwrap();
    run(&mut admin, &format!("create database {}", server.template)).await;
    let db = PgPool::connect(&server.url(&server.template)).await.unwrap();
    database::MIGRATIONS.run(&db).await.unwrap();
    db.close().await;
    app_login(&server.url("postgres")).await;
    server
}

/// A role of this run, beside those of others on the same server.
pub fn named(what: &str) -> String {
    format!("maskline_{what}_{}", std::process::id())
}

/// Whom the service logs in as.
pub fn app_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| named("app"))
}

/// Makes the service's login on a server that was migrated, by its owner's URL; gives the service's.
pub async fn app_login(owner: &str) -> String {
    with_login(owner, app_name(), "in role maskline_app").await
}

/// The same database, for the service's login.
pub fn as_app(owner: &str) -> String {
    as_login(owner, app_name())
}

/// A connection of somebody who is in this group.
pub async fn login_in(group: &str, owner: &str) -> PgConnection {
    let url = with_login(owner, &named(group), &format!("in role {group}")).await;
    PgConnection::connect(&url).await.unwrap()
}

/// Makes a login where there is none of that name; gives the same database's URL for it.
pub async fn with_login(admin: &str, name: &str, as_what: &str) -> String {
    let mut conn = PgConnection::connect(admin).await.unwrap();
    let make = format!("create role {name} login password '{}' {as_what}", password());
    let once = format!("do $$ begin {make}; exception when duplicate_object then end $$");
    run(&mut conn, &once).await;
    as_login(admin, name)
}

fn password() -> &'static str {
    static PASSWORD: OnceLock<String> = OnceLock::new();
    PASSWORD.get_or_init(|| format!("{:032x}", rand::random::<u128>()))
}

fn as_login(url: &str, name: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    let is_login = |name: &str| matches!(name, "user" | "password");
    let mut rest: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(name, _)| !is_login(name)).collect();
    if url.has_host() {
        url.set_username(name).unwrap();
        url.set_password(Some(password())).unwrap();
    } else {
        let login = [("user", name), ("password", password())];
        rest.extend(login.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    url.query_pairs_mut().clear().extend_pairs(rest);
    url.into()
}

async fn run(conn: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(conn).await.unwrap();
}

/// Makes the shared server's URL of a database, for what stands between it and the app.
pub fn server_url(database: &str) -> String {
    server().url(database)
}

/// The service's line to the server, which a test can cut.
pub fn cable() -> Cable {
    Cable::to(&as_app(&server().url("postgres")))
}

/// How long a picture may take to be fetched.
const PATIENCE: Duration = Duration::from_millis(500);

/// A folder for the pictures of one test, which nobody has made yet.
fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("maskline-pictures-{:032x}", rand::random::<u128>()))
}

/// A database of one test, made from the migrated template.
pub struct Database {
    /// For the owner of the tables, who may see and do everything.
    pub url: String,
    /// For the service.
    pub app_url: String,
    /// None where it stands on a server of its own, and goes with it.
    name: Option<String>,
}

impl Database {
    pub async fn migrated() -> Self {
        Self::from_template(&server().template).await
    }

    pub async fn empty() -> Self {
        Self::from_template("template1").await
    }

    async fn from_template(template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("maskline_test_{}_{count}", std::process::id());
        let mut admin = PgConnection::connect(&server().url("postgres")).await.unwrap();
        run(&mut admin, &format!("create database {name} template {template}")).await;
        let url = server().url(&name);
        Self { app_url: as_app(&url), url, name: Some(name) }
    }

    /// A database on another server, by its URLs for the owner and for the service.
    pub fn elsewhere(url: String, app_url: String) -> Self {
        Self { url, app_url, name: None }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        block_on(async {
            let mut admin = PgConnection::connect(&server().url("postgres")).await.unwrap();
            run(&mut admin, &format!("drop database {name} with (force)")).await;
        });
    }
}

/// The product, put together as `serve` does it, with the test's clock and the test's carrier.
pub struct TestApp {
    pub app: App,
    pub carrier: Flowroute,
    pub sources: Sources,
    pub simulator: Simulator,
    pub clock: ManualClock,
    pub public: SocketAddr,
    pub http: reqwest::Client,
    pub db: PgPool,
    /// Whether promises may be left over at the end.
    leftovers: bool,
    stop: CancellationToken,
    /// Where pictures lie.
    pub folder: PathBuf,
    // Dropped last.
    database: Database,
}

/// How a test wants its app.
pub struct Wishes<'a> {
    pub seed: u64,
    pub settings: &'a [(&'a str, &'a str)],
    pub carrier_url: Option<String>,
    /// The masked numbers.
    pub numbers: &'a [&'a str],
    /// The line through which the app, but not the test, reaches the database.
    pub cable: Option<&'a Cable>,
    /// Where pictures lie; a folder unless given.
    pub storage: Option<Storage>,
}

impl Default for Wishes<'_> {
    fn default() -> Self {
        let numbers = &[NUMBER, OTHER_NUMBER];
        Self { seed: 1, settings: &[], carrier_url: None, numbers, cable: None, storage: None }
    }
}

impl TestApp {
    pub async fn start() -> Self {
        Self::wishing(Wishes::default()).await
    }

    pub async fn wishing(wishes: Wishes<'_>) -> Self {
        let database = Database::migrated().await;
        let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
        let numbers: Vec<PhoneNumber> = wishes.numbers.iter().map(|text| number(text)).collect();
        let simulator = Simulator::start(simulator::Settings {
            numbers: numbers.clone(),
            clock: Clock::Manual(clock.clone()),
            ..simulator::Settings::default()
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = listener.local_addr().unwrap();
        let through = wishes.cable.map(|cable| cable.url(database.name.as_ref().unwrap()));
        let folder = folder();
        let mut wished = vec![("MASKLINE_MEDIA_URL", folder.to_str().unwrap())];
        wished.extend(wishes.settings);
        let mut settings = settings(
            through.as_ref().unwrap_or(&database.app_url),
            public,
            wishes.carrier_url.as_ref().unwrap_or(&simulator.url()),
            &wished,
        );
        if let Some(storage) = wishes.storage {
            settings.media.storage = storage;
        }

        let db = PgPoolOptions::new().max_connections(4).connect(&database.url).await.unwrap();
        let mut conn = db.acquire().await.unwrap();
        let vault = Vault::open(&mut conn, &settings.master_keys).await.unwrap();
        let app = App::new(
            database::connect(&settings.database_url).await.unwrap(),
            settings,
            vault,
            Clock::Manual(clock.clone()),
            Randomness::seeded(wishes.seed),
        );
        for number in &numbers {
            pool::add(&mut conn, number, app.clock.now()).await.unwrap();
        }
        drop(conn);
        let stop = CancellationToken::new();
        tokio::spawn(http::listen(listener, inbound::routes(app.clone()), stop.clone()));
        let carrier = Flowroute::new(&app.settings.flowroute).unwrap();
        let sources = Sources::with_timeout(&app.settings, PATIENCE).unwrap();
        let test = Self {
            app,
            carrier,
            sources,
            simulator,
            clock,
            public,
            http: reqwest::Client::new(),
            db,
            leftovers: false,
            stop,
            folder,
            database,
        };
        test.register().await;
        test
    }

    /// Tells the carrier where texts go, as an operator does in Flowroute's portal.
    async fn register(&self) {
        let url = format!("{}/v2.2/messages/sms_callback", self.simulator.url());
        let callback =
            json!({"data": {"attributes": {"callback_url": self.url("/api/message/{secret}")}}});
        let put = self.http.put(url).basic_auth("simulated", Some("simulated")).json(&callback);
        assert_eq!(put.send().await.unwrap().status(), 204);
    }

    /// An URL of the public listener, with the secret put in.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}", self.public, path.replace("{secret}", SECRET))
    }

    /// The database's URL, for the owner of its tables.
    pub fn database_url(&self) -> &str {
        &self.database.url
    }

    /// The database's URL, for the service and for staff.
    pub fn app_url(&self) -> &str {
        &self.database.app_url
    }

    /// A second process on the same database, whose codes come from this seed. Returns where it
    /// listens.
    pub async fn another(&self, seed: u64) -> SocketAddr {
        let app = App { randomness: Randomness::seeded(seed).into(), ..self.app.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = listener.local_addr().unwrap();
        tokio::spawn(http::listen(listener, inbound::routes(app), self.stop.clone()));
        public
    }

    /// This test leaves promises behind, and means to.
    pub fn leave_promises(&mut self) {
        self.leftovers = true;
    }

    /// Posts a webhook's payload and returns the status.
    pub async fn post(&self, payload: &Value) -> u16 {
        self.post_bytes(payload.to_string().into()).await
    }

    pub async fn post_bytes(&self, payload: Vec<u8>) -> u16 {
        let post = self.http.post(self.url("/api/message/{secret}")).body(payload);
        post.send().await.unwrap().status().as_u16()
    }

    pub fn phone(&self, number: &str) -> Phone<'_> {
        Phone { test: self, number: self::number(number), masked: self::number(NUMBER) }
    }

    pub fn ann(&self) -> Phone<'_> {
        self.phone("+12065550142")
    }

    pub fn ben(&self) -> Phone<'_> {
        self.phone("+12065550187")
    }

    /// Ann and Ben, connected, with all that was said on the way delivered.
    pub async fn conversation(&self) -> (Phone<'_>, Phone<'_>) {
        let (ann, ben) = (self.ann(), self.ben());
        let code = ann.starts().await;
        ben.texts(&format!("JOIN {code}")).await;
        self.deliver().await;
        (ann, ben)
    }

    /// Sends what is due until nothing is, and lets every receipt arrive. Returns how many texts.
    pub async fn deliver(&self) -> usize {
        let mut count = 0;
        loop {
            media::worker::step(&self.app, &self.sources).await.unwrap();
            let sent = worker::step(&self.app, &self.carrier).await.unwrap();
            self.simulator.idle().await;
            count += sent;
            if sent == 0 {
                return count;
            }
        }
    }

    /// Waits until at least so many sessions of the database wait for a lock.
    pub async fn lock_waiters(&self, count: i64) {
        let waiting = "select count(*) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'";
        while self.value::<i64>(waiting).await < count {
            tokio::task::yield_now().await;
        }
    }

    /// Lets the sweeper do all that is due, and sends what comes of it.
    pub async fn sweep(&self) {
        let mut rounds = 0;
        while sweeper::step(&self.app).await.unwrap() > 0 {
            rounds += 1;
            assert!(rounds < 100, "the same is due again and again");
        }
        self.deliver().await;
    }

    pub fn advance(&self, by: SignedDuration) {
        self.clock.advance(by);
    }

    /// Puts a file where the carrier keeps what phones send, and describes it.
    pub fn hosts(&self, bytes: Vec<u8>) -> Media {
        // What the phone says of it is not believed.
        let mime_type = "application/octet-stream".to_owned();
        self.simulator.host(File { mime_type, bytes: bytes.into(), fate: FileFate::Given })
    }

    pub fn faults(&self, faults: Faults) {
        self.simulator.set_faults(faults).unwrap();
    }

    /// One value that a query finds.
    pub async fn value<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        let mut tx = self.looking(sql).await;
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()));
        let value = query.fetch_one(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        value
    }

    /// The first column, as text, of each row that a query finds.
    pub async fn column(&self, sql: &str) -> Vec<String> {
        let mut tx = self.looking(sql).await;
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()));
        let values = query.fetch_all(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        values
    }

    /// A transaction in which this query finds numbers and words as people read them.
    async fn looking(&self, sql: &str) -> PgTransaction<'static> {
        let mut tx = self.db.begin().await.unwrap();
        opened::open(&mut tx, &self.app.pen.vault, sql, "true").await;
        tx
    }

    /// The person with this number, made where nobody knows them yet.
    pub async fn person(&self, number: &PhoneNumber) -> (PersonId, Author) {
        let mut tx = self.db.begin().await.unwrap();
        let now = self.app.clock.now();
        let found = people::lock(&mut tx, &self.app.pen.vault, number, now).await.unwrap();
        tx.commit().await.unwrap();
        found
    }

    /// By what the person with this number is found, as SQL writes it.
    pub fn tag(&self, number: &PhoneNumber) -> String {
        let tag = self.app.pen.vault.tag(number);
        format!("'\\x{:032x}'::bytea", u128::from_be_bytes(tag.try_into().unwrap()))
    }

    /// Puts these words into every text of the outbox, in place of what its author wrote.
    pub async fn reword(&self, words: &str) {
        let sql = "select o.id, o.author_id, p.wrapped_key
                   from outbox o left join person p on p.id = o.author_id";
        for row in sqlx::query(sql).fetch_all(&self.db).await.unwrap() {
            let (id, author): (TextId, Option<PersonId>) = (row.get(0), row.get(1));
            let key: Option<Vec<u8>> = row.get(2);
            let author = self.app.pen.vault.author_of(author, key.as_deref()).unwrap();
            let sealed = author.seal(Field::OutboxBody, id, words.as_bytes()).to_bytes();
            let update = sqlx::query("update outbox set body_sealed = $2 where id = $1");
            update.bind(id).bind(sealed).execute(&self.db).await.unwrap();
        }
    }

    /// Runs a statement that must succeed.
    pub async fn run(&self, sql: &str) {
        run(&mut self.db.acquire().await.unwrap(), sql).await;
    }

    /// Every row of every table, as text behind the table's name. Not how long migrations took: those
    /// digits are anything's.
    pub async fn dump(&self) -> Vec<String> {
        let tables = self.column(
            "select oid::regclass::text from pg_class
             where relkind = 'r' and relnamespace = 'public'::regnamespace
                 and relname <> '_sqlx_migrations' order by 1",
        );
        let mut rows = Vec::new();
        for table in tables.await {
            let sql = format!("select '{table} ' || t::text from {table} t order by 1");
            let found = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&self.db).await;
            rows.extend(found.unwrap());
        }
        rows
    }

    /// The tables in which this stands, once for each row.
    pub async fn places(&self, what: &str) -> Vec<String> {
        let rows = self.dump().await.into_iter().filter(|row| row.contains(what));
        rows.map(|row| row.split(' ').next().unwrap().to_owned()).collect()
    }

    /// The trail's kinds and rules, oldest first, such as `received talk`.
    pub async fn trail(&self) -> Vec<String> {
        self.column("select kind || coalesce(' ' || rule, '') from audit_record order by at, id")
            .await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        std::fs::remove_dir_all(&self.folder).ok();
        if std::thread::panicking() || self.leftovers {
            return;
        }
        let left: i64 = block_on(async {
            let mut conn = PgConnection::connect(&self.database.url).await.unwrap();
            sqlx::query_scalar("select count(*) from outbox").fetch_one(&mut conn).await.unwrap()
        });
        assert_eq!(left, 0, "promises were left over: deliver them, or say leave_promises()");
    }
}

/// A phone in somebody's hand.
#[derive(Clone)]
pub struct Phone<'a> {
    test: &'a TestApp,
    pub number: PhoneNumber,
    masked: PhoneNumber,
}

impl<'a> Phone<'a> {
    /// The same phone, texting the other masked number.
    pub fn on_the_other_number(&self) -> Phone<'a> {
        Phone { masked: number(OTHER_NUMBER), ..self.clone() }
    }

    /// Texts the masked number. The webhook must have taken it.
    pub async fn texts(&self, body: &str) -> Texted {
        let texted = self.tries(body).await;
        assert!(texted.statuses.iter().all(|status| *status == Some(200)), "{texted:?}");
        texted
    }

    /// Texts the masked number, whatever the webhook says to it.
    pub async fn tries(&self, body: &str) -> Texted {
        self.test.simulator.text(self.text(body)).await.unwrap()
    }

    /// Sends these files along with words, or alone.
    pub async fn sends(&self, body: Option<&str>, media: &[Media]) -> Texted {
        let body = body.map(str::to_owned);
        let text = NewText { body, media: media.to_vec(), ..self.text("") };
        let texted = self.test.simulator.text(text).await.unwrap();
        assert!(texted.statuses.iter().all(|status| *status == Some(200)), "{texted:?}");
        texted
    }

    pub fn text(&self, body: &str) -> NewText {
        NewText {
            from: self.number.clone(),
            to: self.masked.clone(),
            body: Some(body.to_owned()),
            media: Vec::new(),
            id: None,
            shape: None,
        }
    }

    /// Starts a conversation and reads the code from the answer.
    pub async fn starts(&self) -> String {
        let before = self.inbox().len();
        self.texts("START").await;
        self.test.deliver().await;
        let answers = self.inbox().split_off(before);
        let code = answers.iter().find_map(|answer| code_in(answer));
        code.unwrap_or_else(|| panic!("no code in {answers:?}"))
    }

    /// What came in on this phone, oldest first.
    pub fn inbox(&self) -> Vec<String> {
        let texts = self.test.simulator.phone(&self.number).into_iter();
        texts.filter(|text| text.direction == Way::In).map(|text| text.body).collect()
    }

    /// What came in last; empty if nothing ever did.
    pub fn last(&self) -> String {
        self.inbox().pop().unwrap_or_default()
    }
}

/// A text as the carrier delivers it in its flat shape.
pub fn flat(id: &str, from: &PhoneNumber, to: &str, body: &str) -> Value {
    json!({"id": id, "from": from.digits(), "to": to, "body": body})
}

/// One of the captured payloads in `tests/samples`.
pub fn sample(name: &str) -> Value {
    let path = format!("{}/tests/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The code in one of Maskline's answers.
pub fn code_in(answer: &str) -> Option<String> {
    let words = answer.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.map(str::to_owned).find(|word| word.len() == 9 && word.as_bytes()[4] == b'-')
}

pub fn number(text: &str) -> PhoneNumber {
    text.parse().unwrap()
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn settings(database: &str, public: SocketAddr, carrier: &str, more: &[(&str, &str)]) -> Settings {
    let public = format!("http://{public}");
    let mut values = vec![
        ("DATABASE_URL", database),
        ("MASKLINE_PUBLIC_URL", &public),
        ("MASKLINE_WEBHOOK_SECRETS", SECRET),
        ("MASKLINE_MASTER_KEY", MASTER_KEY),
        ("FLOWROUTE_ACCESS_KEY", "simulated"),
        ("FLOWROUTE_SECRET_KEY", "simulated"),
        ("MASKLINE_FLOWROUTE_URL", carrier),
        ("MASKLINE_SMS_PER_SECOND", "10000"),
        ("MASKLINE_MMS_PER_SECOND", "10000"),
    ];
    values.retain(|(name, _)| !more.iter().any(|(given, _)| given == name));
    values.extend(more);
    Settings::from_values(values).unwrap()
}

/// A client of the test's own, for whatever is not the product's business.
pub fn http_client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::new()
}
