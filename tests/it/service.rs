//! The real program, as an operator meets it: commands, listeners, signals.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    net::SocketAddr,
    process::{Output, Stdio},
    str::FromStr,
};

use maskline::{
    carrier::simulator::{self, Faults, NewText, Simulator, Way},
    clock::Clock,
    vault::Vault,
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, migrate::Migrator, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
};

use crate::{
    sending::soon,
    support::{Database, MASTER_KEY, NUMBER, OTHER_NUMBER, SECRET, code_in, number, opened},
};

pub(crate) const ANN: &str = "+12065550142";
pub(crate) const BEN: &str = "+12065550187";
const ACCESS_KEY: &str = "access-key-of-the-tests";
const SECRET_KEY: &str = "secret-key-of-the-tests";

/// The program, with nothing of our environment but the way to other programs.
fn program<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.env_clear().env("PATH", env!("PATH")).envs(env.iter().copied());
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn run(args: &str, env: &[(&str, &str)]) -> Said {
    let output = program(args.split_whitespace(), env).output();
    let Output { status, stdout, stderr } = soon(args, output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// A migrated database with two numbers, and a simulated carrier with its own keys.
pub(crate) struct Site {
    pub(crate) simulator: Simulator,
    database: Database,
    pub(crate) http: reqwest::Client,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::on(Database::migrated().await).await
    }

    /// The same, on this migrated database.
    pub(crate) async fn on(database: Database) -> Self {
        let simulator = Simulator::start(simulator::Settings {
            numbers: [NUMBER, OTHER_NUMBER].map(number).into(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.into(),
            clock: Clock::System,
            ..simulator::Settings::default()
        })
        .unwrap();
        let site = Self { simulator, database, http: reqwest::Client::new() };
        let added =
            run(&format!("numbers add {NUMBER}"), &[("DATABASE_URL", &site.database.app_url)])
                .await;
        assert_eq!(added.code, Some(0), "{}", added.err);
        site
    }

    /// Every setting, right.
    pub(crate) fn settings<'a>(&'a self, carrier: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("DATABASE_URL", self.database.app_url.as_str()),
            ("MASKLINE_LISTEN", "127.0.0.1:0"),
            ("MASKLINE_ADMIN_LISTEN", "127.0.0.1:0"),
            // Nobody listens there: receipts are lost unless a test brings them.
            ("MASKLINE_PUBLIC_URL", "http://127.0.0.1:9"),
            ("MASKLINE_WEBHOOK_SECRETS", SECRET),
            ("FLOWROUTE_ACCESS_KEY", ACCESS_KEY),
            ("MASKLINE_MASTER_KEY", MASTER_KEY),
            ("FLOWROUTE_SECRET_KEY", SECRET_KEY),
            ("MASKLINE_FLOWROUTE_URL", carrier),
            ("RUST_LOG", "trace"),
        ]
    }

    /// Starts the service and tells the carrier where it listens.
    async fn serve(&self) -> Served {
        self.serve_with("serve", &[]).await
    }

    /// The same, with these words and settings.
    pub(crate) async fn serve_with(&self, args: &str, more: &[(&str, &str)]) -> Served {
        self.started(program(args.split_whitespace(), &[]), more).await
    }

    /// The same, where no more than so many files may be open.
    async fn serve_with_few_files(&self, most: u32) -> Served {
        let script = format!("ulimit -n {most} && exec \"$0\" serve");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_maskline")]);
        command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        self.started(command, &[]).await
    }

    async fn started(&self, mut command: Command, more: &[(&str, &str)]) -> Served {
        let carrier = self.simulator.url();
        let mut child = command
            .envs(self.settings(&carrier))
            .envs(more.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut log, (public, private)) = soon("the service starts", listening(&mut lines)).await;
        let log = tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                log.push(line);
            }
            log
        });
        let served = Served { child, log, public, private, http: self.http.clone() };
        let Some(public) = public else { return served };
        let put = self
            .http
            .put(format!("{carrier}/v2.2/messages/sms_callback"))
            .basic_auth(ACCESS_KEY, Some(SECRET_KEY))
            .json(&json!({"data": {"attributes": {
                "callback_url": format!("http://{public}/api/message/{SECRET}")
            }}}));
        assert_eq!(put.send().await.unwrap().status(), 204);
        served
    }

    /// Lets a phone text, which the service must take.
    pub(crate) async fn text(&self, from: &str, body: &str) {
        let text = NewText {
            from: number(from),
            to: number(NUMBER),
            body: Some(body.to_owned()),
            media: Vec::new(),
            id: None,
            shape: None,
        };
        let texted = self.simulator.text(text).await.unwrap();
        assert_eq!(texted.statuses, [Some(200)]);
    }

    /// Waits until a phone shows so many texts that came in, and gives them.
    pub(crate) async fn inbox(&self, phone: &str, count: usize) -> Vec<String> {
        let mut events = self.simulator.subscribe();
        let arrived = async {
            loop {
                let texts = self.simulator.phone(&number(phone)).into_iter();
                let inbox: Vec<String> =
                    texts.filter(|text| text.direction == Way::In).map(|text| text.body).collect();
                if inbox.len() >= count {
                    return inbox;
                }
                events.recv().await.unwrap();
            }
        };
        soon("the text arrives", arrived).await
    }

    /// Waits until the carrier was asked to send so many times.
    async fn calls(&self, count: usize) {
        let mut events = self.simulator.subscribe();
        let called = async {
            let sends = || {
                let all = self.simulator.exchanges().into_iter();
                all.filter(|call| call.method == "POST" && call.url.ends_with("/messages")).count()
            };
            while sends() < count {
                events.recv().await.unwrap();
            }
        };
        soon("the carrier is called", called).await;
    }

    pub(crate) async fn column(&self, sql: &str) -> Vec<String> {
        let mut conn = PgConnection::connect(&self.database.url).await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        let vault = Vault::open(&mut tx, &MASTER_KEY.parse().unwrap()).await.unwrap();
        opened::open(&mut tx, &vault, sql, "true").await;
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()));
        let values = query.fetch_all(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        values
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Waits until a query finds this.
    pub(crate) async fn until(&self, sql: &str, expected: &[&str]) {
        let found = async {
            while self.column(sql).await != expected {
                tokio::task::yield_now().await;
            }
        };
        soon(&format!("{sql} finds {expected:?}"), found).await;
    }
}

/// Reads the log up to the line that names both addresses.
async fn listening(
    lines: &mut Lines<BufReader<ChildStderr>>,
) -> (Vec<String>, (Option<SocketAddr>, SocketAddr)) {
    let mut log = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        log.push(line);
        if said["message"] == "maskline serves" {
            let address = |name: &str| Some(said[name].as_str()?.parse().unwrap());
            return (log, (address("public"), address("private").unwrap()));
        }
    }
    panic!("the service ended: {log:?}");
}

/// A running service.
pub(crate) struct Served {
    child: Child,
    log: JoinHandle<Vec<String>>,
    /// None when webhooks are left to others.
    pub(crate) public: Option<SocketAddr>,
    private: SocketAddr,
    http: reqwest::Client,
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("http://{}{path}", self.private)).send().await.unwrap()
    }

    pub(crate) async fn ready(&self) -> (u16, String) {
        let answer = self.get("/readyz").await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end: the exit code, if it was not killed, and the whole log.
    pub(crate) async fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = soon("it ends", self.child.wait()).await.unwrap();
        (status.code(), self.log.await.unwrap())
    }

    pub(crate) async fn stop(self) -> Vec<String> {
        self.signal("-TERM");
        let (code, log) = self.ended().await;
        assert_eq!(code, Some(0), "{log:#?}");
        log
    }
}

#[tokio::test]
async fn done_is_0_failed_is_1_and_wrong_usage_is_2() {
    assert_eq!(run("--version", &[]).await.code, Some(0));
    for wrong in
        ["", "frobnicate", "serve now", "numbers", "numbers add", "numbers list --format xml"]
    {
        let said = run(wrong, &[]).await;
        assert_eq!(said.code, Some(2), "{wrong}: {}", said.err);
        assert!(said.err.contains("--help"), "{wrong}: {}", said.err);
    }
    for fails in ["migrate", "serve", "check", "numbers list"] {
        let said = run(fails, &[]).await;
        assert_eq!(said.code, Some(1), "{fails}: {}", said.err);
        assert!((said.err + &said.out).contains("DATABASE_URL is missing"), "{fails}");
    }
    let away = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/maskline")];
    let said = run("migrate", &away).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("is DATABASE_URL right?"), "{}", said.err);
}

#[tokio::test]
async fn every_command_has_help_with_an_example() {
    let mut commands = VecDeque::from([String::new()]);
    let mut seen = Vec::new();
    while let Some(command) = commands.pop_front() {
        let said = run(&format!("{command} --help"), &[]).await;
        assert_eq!(said.code, Some(0), "{command}");
        let mut lines = said.out.lines();
        let is_example = |line: &str| line.starts_with("Example:") || line.starts_with("Try it");
        let example = lines.find(|line| is_example(line)).unwrap_or_default();
        assert!(example.contains("maskline "), "{command} has no example:\n{}", said.out);
        let below = said.out.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = below.take_while(|line| !line.is_empty());
        let names = names.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
        commands
            .extend(names.filter(|name| *name != "help").map(|name| format!("{command} {name}")));
        seen.push(command);
    }
    assert!(
        seen.contains(&" numbers add".to_owned()) && seen.contains(&" serve".to_owned()),
        "{seen:?}"
    );
}

/// The migrations that stand in a database, with all that `sqlx` checks.
async fn migrations(url: &str) -> Vec<(i64, String, bool, Vec<u8>)> {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let sql =
        "select version, description, success, checksum from _sqlx_migrations order by version";
    sqlx::query_as(sql).fetch_all(&mut conn).await.unwrap()
}

#[tokio::test]
async fn migrate_does_what_sqlx_migrate_run_does_and_may_be_repeated() {
    let ours = Database::empty().await;
    for _ in 0..2 {
        let said = run("migrate", &[("DATABASE_URL", &ours.url)]).await;
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    // What the command-line tool does: it reads the folder when it runs.
    let theirs = Database::empty().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut conn = PgConnection::connect(&theirs.url).await.unwrap();
    Migrator::new(folder).await.unwrap().run(&mut conn).await.unwrap();
    assert_eq!(migrations(&ours.url).await, migrations(&theirs.url).await);
    assert!(!migrations(&ours.url).await.is_empty());
}

#[tokio::test]
async fn serve_refuses_a_database_that_is_not_migrated() {
    let site = Site::new().await;
    let empty = Database::empty().await;
    let carrier = site.simulator.url();
    let mut settings = site.settings(&carrier);
    settings[0].1 = &empty.url;
    let said = run("serve", &settings).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("run `maskline migrate` first"), "{}", said.err);
}

#[tokio::test]
async fn numbers_are_added_once_and_listed() {
    let database = Database::migrated().await;
    let env = [("DATABASE_URL", database.app_url.as_str())];
    for wrong in ["12", "415-555-0100", "+1415555010O"] {
        let said = run(&format!("numbers add {wrong}"), &env).await;
        assert_eq!(said.code, Some(2), "{wrong}");
        assert!(said.err.contains("+14155550100"), "it shows what one looks like: {}", said.err);
    }
    let said = run("numbers add +14155550100 14155550101 +14155550100", &env).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(
        said.out,
        "+14155550100 added\n+14155550101 added\n+14155550100 was there already\n"
    );
    let listed: Value =
        serde_json::from_str(&run("numbers list --format json", &env).await.out).unwrap();
    let numbers: Vec<_> = listed.as_array().unwrap().iter().map(|one| &one["number"]).collect();
    assert_eq!(numbers, ["+14155550100", "+14155550101"]);
    assert_eq!(listed[0]["open_conversations"], 0);
    let table = run("numbers list", &env).await.out;
    assert!(table.starts_with("NUMBER") && table.contains("+14155550101"), "{table}");
}

#[tokio::test]
async fn check_says_all_that_is_wrong_at_once() {
    let empty = Database::empty().await;
    let said = run(
        "check",
        &[
            ("DATABASE_URL", &empty.url),
            ("MASKLINE_LISTEN", "nonsense"),
            ("MASKLINE_WEBHOOK_SECRETS", "hunter2"),
            ("MASKLINE_SMS_PER_SECOND", ""),
            ("MASKLINE_FLOWROUTE_URL", "http://api.flowroute.com"),
            ("MASKLINE_WEBHOOK_SECRET", "hunter2"),
            ("MASKLINE_MASTER_KEY", MASTER_KEY),
            ("FLOWROUTE_SECRET_KEY", "hunter2"),
        ],
    )
    .await;
    assert_eq!(said.code, Some(1));
    for named in [
        "MASKLINE_LISTEN must be",
        "MASKLINE_WEBHOOK_SECRETS has a secret shorter",
        "MASKLINE_SMS_PER_SECOND is empty",
        "MASKLINE_FLOWROUTE_URL must be https",
        "MASKLINE_WEBHOOK_SECRET is no setting; perhaps MASKLINE_WEBHOOK_SECRETS was meant",
        "MASKLINE_PUBLIC_URL is missing",
        "FLOWROUTE_ACCESS_KEY is missing",
        "run `maskline migrate` first",
    ] {
        assert!(said.out.contains(named), "{named} is not in:\n{}", said.out);
    }
    assert!(said.err.contains("8 things are wrong"), "{}", said.err);
    assert!(!(said.out + &said.err).contains("hunter2"));
}

#[tokio::test]
async fn check_tries_the_keys_and_is_content_when_all_is_right() {
    let site = Site::new().await;
    let carrier = site.simulator.url();
    let mut settings = site.settings(&carrier);
    let said = run("check", &settings).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert_eq!(said.out.lines().filter(|line| line.starts_with("ok ")).count(), 6, "{}", said.out);

    let place = settings.iter().position(|(name, _)| *name == "FLOWROUTE_SECRET_KEY").unwrap();
    settings[place].1 = "the-wrong-one";
    let said = run("check", &settings).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.out.contains("check FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY"),
        "{}",
        said.out
    );
    assert!(!said.out.contains("the-wrong-one"));

    let place = settings.iter().position(|(name, _)| *name == "MASKLINE_FLOWROUTE_URL").unwrap();
    settings[place].1 = "http://127.0.0.1:1";
    let said = run("check", &settings).await;
    assert!(said.out.contains("WRONG  Flowroute: nothing answers"), "{}", said.out);
}

#[tokio::test]
async fn the_private_listener_tells_how_it_is() {
    let site = Site::new().await;
    let served = site.serve().await;
    assert_eq!(served.get("/livez").await.status(), 200);
    assert_eq!(served.ready().await.0, 200);

    let lost = served.get("/nowhere").await;
    assert_eq!(lost.status(), 404);
    assert_eq!(lost.headers()["content-type"], "application/problem+json");
    assert!(lost.headers().contains_key("x-request-id"), "one is made where none came");
    assert_eq!(lost.json::<Value>().await.unwrap()["status"], 404);

    let asked = served.http.get(format!("http://{}/livez", served.private));
    let answer = asked.header("x-request-id", "0a-1b").send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "0a-1b", "and one that came comes back");

    // The public listener knows none of this.
    for path in ["/livez", "/readyz", "/metrics"] {
        let asked = served.http.get(served.url(path)).send();
        assert_eq!(asked.await.unwrap().status(), 404, "{path}");
    }
    served.stop().await;
}

#[tokio::test]
async fn it_does_not_start_with_another_key_or_none_and_changes_nothing() {
    let site = Site::new().await;
    site.serve().await.stop().await;
    let everything = "select count(*) || ' ' || coalesce(max(id::text), '') from audit_record";
    let before = site.column(everything).await;
    let other = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (key, says) in [(other, "is not this database's"), ("", "MASKLINE_MASTER_KEY is empty")] {
        let carrier = site.simulator.url();
        let mut settings = site.settings(&carrier);
        settings.retain(|(name, _)| *name != "MASKLINE_MASTER_KEY");
        settings.push(("MASKLINE_MASTER_KEY", key));
        let said = run("serve", &settings).await;
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(said.err.contains(says) && !said.err.contains(other), "{}", said.err);
    }
    assert_eq!(site.column(everything).await, before);
    site.serve().await.stop().await;
}

#[tokio::test]
async fn the_metrics_tell_how_full_the_pool_is() {
    let site = Site::new().await;
    let env = [("DATABASE_URL", site.database.app_url.as_str())];
    assert_eq!(run(&format!("numbers add {OTHER_NUMBER}"), &env).await.code, Some(0));
    assert_eq!(run(&format!("numbers reserve {OTHER_NUMBER}"), &env).await.code, Some(0));
    let served = site.serve().await;
    let measured = async {
        loop {
            let metrics = served.get("/metrics").await.text().await.unwrap();
            if metrics.contains("maskline_pool_full_in_days") {
                return metrics;
            }
        }
    };
    let metrics = soon("the pool is measured", measured).await;
    for line in [
        "maskline_numbers{state=\"in_service\"} 1",
        "maskline_numbers{state=\"reserved\"} 1",
        "maskline_numbers{state=\"retiring\"} 0",
        "maskline_numbers{state=\"quarantined\"} 0",
        "maskline_pool_places 1000",
        "maskline_pool_places_used 0",
        // As Prometheus reads infinity.
        "maskline_pool_full_in_days inf",
    ] {
        assert!(metrics.lines().any(|said| said == line), "{line} is not in:\n{metrics}");
    }
    served.stop().await;
}

#[tokio::test]
async fn it_is_not_ready_without_its_schema_or_its_database() {
    let site = Site::new().await;
    let served = site.serve().await;
    site.column(
        "with hidden as (update _sqlx_migrations set version = version + 1
             where version = (select max(version) from _sqlx_migrations) returning 1)
         select 'x' from hidden",
    )
    .await;
    let (status, why) = served.ready().await;
    assert_eq!(status, 503);
    assert!(why.contains("run `maskline migrate`"), "{why}");
    site.column(
        "with shown as (update _sqlx_migrations set version = version - 1
             where version = (select max(version) from _sqlx_migrations) returning 1)
         select 'x' from shown",
    )
    .await;
    assert_eq!(served.ready().await.0, 200);

    let options = PgConnectOptions::from_str(&site.database.url).unwrap();
    let name = options.get_database().unwrap().to_owned();
    let mut admin = PgConnection::connect_with(&options.database("postgres")).await.unwrap();
    let mut tell = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    };
    tell(format!("alter database {name} allow_connections false")).await;
    tell(format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    ))
    .await;
    assert_eq!(served.ready().await.0, 503);
    assert_eq!(served.get("/livez").await.status(), 200, "alive all the same");
    let metrics = served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("maskline_database_up 0\n"), "{metrics}");

    tell(format!("alter database {name} allow_connections true")).await;
    let back = async { while served.ready().await.0 != 200 {} };
    soon("it finds its database again", back).await;
    served.stop().await;
}

#[tokio::test]
async fn a_look_that_takes_long_does_not_say_that_the_database_is_away() {
    let site = Site::new().await;
    let served = site.serve().await;
    let mut tx = PgConnection::connect(&site.database.url).await.unwrap();
    let mut tx = tx.begin().await.unwrap();
    sqlx::raw_sql("lock table outbox in access exclusive mode").execute(&mut *tx).await.unwrap();
    let metrics = served.get("/metrics").await.text().await.unwrap();
    tx.rollback().await.unwrap();
    assert!(metrics.contains("maskline_database_up 1\n"), "{metrics}");
    assert!(
        metrics.contains("maskline_tasks_overdue 0\n"),
        "what else there is, is said: {metrics}"
    );
    assert!(!metrics.contains("maskline_outbox_texts{"), "{metrics}");
    served.stop().await;
}

#[tokio::test]
async fn blocks_and_what_staff_must_look_at_show_in_the_metrics() {
    let site = Site::new().await;
    let served = site.serve().await;
    let shown = async || served.get("/metrics").await.text().await.unwrap();
    let has = |metrics: &str, line: &str| metrics.lines().any(|found| found == line);
    let before = shown().await;
    for kind in ["soft_opt_out", "report", "carrier_block", "guessing", "quarantine", "pool"] {
        assert!(has(&before, &format!("maskline_tasks_open{{kind=\"{kind}\"}} 0")), "{before}");
    }
    assert!(has(&before, "maskline_tasks_overdue 0"), "{before}");
    for state in ["asked", "waiting", "running"] {
        assert!(has(&before, &format!("maskline_exports{{state=\"{state}\"}} 0")), "{before}");
    }

    site.text(BEN, "STOP").await;
    site.text(BEN, "START").await;
    site.until(
        "select kind || ' ' || (due_at > now() + interval '10 days') from task",
        &["carrier_block true"],
    )
    .await;
    let blocked = shown().await;
    assert!(has(&blocked, "maskline_tasks_open{kind=\"carrier_block\"} 1"), "{blocked}");
    assert!(has(&blocked, "maskline_carrier_blocks_total 1"), "{blocked}");
    assert!(has(&blocked, "maskline_tasks_overdue 0"), "{blocked}");
    site.column("with late as (update task set due_at = now() returning 1) select 'x' from late")
        .await;
    let late = shown().await;
    assert!(has(&late, "maskline_tasks_overdue 1"), "{late}");
    site.column(
        "with closed as (update task set closed_at = now(), outcome = 'looked' returning 1)
         select 'x' from closed",
    )
    .await;
    let closed = shown().await;
    assert!(has(&closed, "maskline_tasks_open{kind=\"carrier_block\"} 0"), "{closed}");
    assert!(has(&closed, "maskline_tasks_overdue 0"), "{closed}");
    served.stop().await;
}

#[tokio::test]
async fn neither_log_nor_metrics_hold_anything_of_a_conversation() {
    let site = Site::new().await;
    let served = site.serve().await;
    site.text(ANN, "START").await;
    let code = code_in(&site.inbox(ANN, 1).await[0]).unwrap();
    site.text(BEN, &format!("JOIN {code}")).await;
    site.inbox(ANN, 2).await;
    site.text(BEN, "the bicycle is purple").await;
    site.text(ANN, "and the saddle is green").await;
    site.inbox(ANN, 3).await;
    site.inbox(BEN, 2).await;
    // Whatever goes wrong is told without it, too.
    let before = site.simulator.exchanges().len();
    for (who, fault) in [
        (ANN, Faults { refuse: 1.0, ..Faults::default() }),
        (ANN, Faults { error: 1.0, ..Faults::default() }),
        // What is behind an unknown text waits for it.
        (BEN, Faults { drop: 1.0, ..Faults::default() }),
    ] {
        site.simulator.set_faults(fault).unwrap();
        site.text(who, "the bicycle is purple").await;
        site.until("select state from outbox where state = 'sending' or attempt = 0", &[]).await;
    }
    assert!(site.simulator.exchanges().len() > before);
    site.simulator.set_faults(Faults::default()).unwrap();
    for sent in site.simulator.ledger().accepted {
        let (_, path) = sent.dlr_callback.as_deref().unwrap().split_once(":9/").unwrap();
        let receipt = json!({"id": sent.id, "type": "delivery_receipt",
            "attributes": {"from": sent.from, "to": sent.to, "body": sent.body, "status": "delivered"}});
        let url = served.url(&format!("/{path}"));
        assert_eq!(
            site.http.post(url).body(receipt.to_string()).send().await.unwrap().status(),
            200
        );
    }
    for (url, body) in [
        ("/api/message/a-stranger-guesses", r#"{"from": "12065550142"}"#),
        (&format!("/api/message/{SECRET}"), r#"{"from": "12065550142", "body": "the bicycle"#),
        (&format!("/api/message/{SECRET}"), r#"{"from": "12065550142", "body": "the bicycle"}"#),
    ] {
        let url = served.url(url);
        site.http.post(url).body(body).send().await.unwrap();
    }
    site.text(ANN, &format!("END {code}")).await;
    site.text(BEN, "UNSUBSCRIBE").await;
    site.until("select id::text from outbox", &[]).await;

    let metrics = served.get("/metrics").await.text().await.unwrap();
    let names = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in names.clone() {
        assert!(line.starts_with("maskline_"), "{line}");
    }
    for expected in ["maskline_inbound_total", "maskline_sends_total", "maskline_receipts_total"] {
        assert!(names.clone().any(|line| line.starts_with(expected)), "{expected}:\n{metrics}");
    }
    let log = served.stop().await;
    assert!(log.len() > 20, "it logs: {log:#?}");
    for line in &log {
        let said: Value = serde_json::from_str(line).expect(line);
        assert!(said["level"].is_string() && said["timestamp"].is_string(), "{line}");
    }
    let all = log.join("\n") + &metrics;
    for never in [
        &ANN[2..],
        &BEN[2..],
        "bicycle",
        "saddle",
        "Connected",
        &code,
        &code.replace('-', ""),
        SECRET,
        "a-stranger-guesses",
        ACCESS_KEY,
        SECRET_KEY,
    ] {
        let line = all.lines().find(|line| line.to_lowercase().contains(&never.to_lowercase()));
        assert_eq!(line, None, "{never} was told");
    }
}

#[tokio::test]
async fn whoever_opens_connections_for_nothing_keeps_no_one_else_waiting() {
    let site = Site::new().await;
    let served = site.serve_with_few_files(120).await;
    let begun = async {
        let mut idle = Vec::new();
        for _ in 0..150 {
            let mut caller = TcpStream::connect(served.public.unwrap()).await.unwrap();
            caller.write_all(b"POST /api/message/").await.unwrap();
            idle.push(caller);
        }
        idle
    };
    let idle = soon("they call", begun).await;
    // The database is reached anew, which takes files as well.
    site.column(
        "select pg_terminate_backend(pid)::text from pg_stat_activity
                 where datname = current_database() and application_name = 'maskline'",
    )
    .await;
    let ready = async { while served.ready().await.0 != 200 {} };
    soon("the private listener answers, and the database is reached", ready).await;
    let story = async {
        let waits = site.text(ANN, "HELP");
        let hang_up = async { drop(idle) };
        tokio::join!(waits, hang_up);
    };
    soon("the text is taken in", story).await;
    site.inbox(ANN, 1).await;
    let log = served.stop().await.join("\n");
    assert!(log.contains("as many connections are open as may be"), "{log}");
    assert!(!log.contains("a connection could not be taken"), "{log}");
}

#[tokio::test]
async fn sigterm_lets_a_text_under_way_arrive() {
    let site = Site::new().await;
    let served = site.serve().await;
    site.simulator.set_faults(Faults { late: 1.0, late_ms: 2000, ..Faults::default() }).unwrap();
    site.text(ANN, "HELP").await;
    site.inbox(ANN, 1).await;
    site.until("select state from outbox", &["sending"]).await;
    served.signal("-TERM");
    let draining = async {
        loop {
            let (status, why) = served.ready().await;
            if status == 503 {
                return why;
            }
        }
    };
    let why = soon("it drains", draining).await;
    assert!(why.contains("draining"), "{why}");

    let (code, log) = served.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    assert_eq!(site.column("select state from outbox").await, [""; 0]);
    let became = "select kind from audit_record where kind in ('accepted', 'unknown', 'failed')";
    assert_eq!(site.column(became).await, ["accepted"]);
    assert_eq!(site.simulator.ledger().accepted.len(), 1);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_soon_found_in_the_carriers_list() {
    let site = Site::new().await;
    let served = site.serve().await;
    let mute = Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() };
    site.simulator.set_faults(mute).unwrap();
    site.text(ANN, "HELP").await;
    let became = "select kind from audit_record
        where kind in ('accepted', 'unknown', 'delivered') order by at, id";
    site.until(became, &["unknown"]).await;
    site.until(became, &["unknown", "accepted", "delivered"]).await;
    assert_eq!(site.simulator.ledger().accepted.len(), 1);
    let metrics = served.get("/metrics").await.text().await.unwrap();
    let rounds = "maskline_reconciler_runs_total{outcome=\"done\"} ";
    assert!(metrics.contains(rounds) && metrics.contains("maskline_reconciled_sends_total 1"));
    assert!(metrics.contains("maskline_reconciler_behind_seconds "), "{metrics}");
    let log = served.stop().await.join("\n");
    assert!(!log.contains("5550142"), "{log}");
}

#[tokio::test]
async fn what_was_promised_before_a_kill_is_sent_after_the_next_start() {
    let site = Site::new().await;
    let served = site.serve().await;
    site.simulator.set_faults(Faults { error: 1.0, ..Faults::default() }).unwrap();
    site.text(ANN, "HELP").await;
    site.calls(1).await;
    site.until("select state from outbox", &["queued"]).await;
    served.signal("-KILL");
    assert_eq!(served.ended().await.0, None);
    assert_eq!(site.simulator.phone(&number(ANN)).len(), 1, "only what Ann wrote");

    site.simulator.set_faults(Faults::default()).unwrap();
    let served = site.serve().await;
    assert_eq!(site.inbox(ANN, 1).await.len(), 1);
    site.until("select state from outbox", &[]).await;
    served.stop().await;
    assert_eq!(site.simulator.ledger().accepted.len(), 1);
}

#[tokio::test]
async fn ctrl_c_drains_too() {
    let site = Site::new().await;
    let served = site.serve().await;
    served.signal("-INT");
    let (code, log) = served.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.last().unwrap().contains("stopped"), "{log:#?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let site = Site::new().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let carrier = site.simulator.url();
    let mut settings = site.settings(&carrier);
    settings[2].1 = &address;
    let said = run("serve", &settings).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains(&address), "{}", said.err);
}
