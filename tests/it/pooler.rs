//! Behind PgBouncer in transaction mode: a transaction has a session, nothing else has.
//!
//! Left out, and said so, where no PgBouncer is that keeps prepared statements, unless `PGBOUNCER` is
//! `required`.

use std::{
    fmt::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use futures_util::future::join_all;
use nix::unistd::Uid;
use sqlx::{Connection, PgConnection};

use crate::{
    browser::say,
    replicas::{Doors, FAST, connect, talk},
    sending::soon,
    service::Site,
    support::{Database, app_name, as_app, server_url},
};

/// The oldest version that keeps prepared statements for its clients.
const OLDEST: (u32, u32) = (1, 21);

/// A PgBouncer before the tests' server, whose sessions all clients share.
struct Pooler {
    folder: PathBuf,
    process: Child,
}

impl Pooler {
    /// As docs/scaling.md says; none when there is no such program here.
    async fn start() -> Option<Self> {
        let Some(program) = program() else {
            assert!(!is_required(), "PgBouncer 1.21 or newer is not installed");
            say("left out: PgBouncer 1.21 or newer is not installed");
            return None;
        };
        let folder = std::env::temp_dir().join(format!("maskline-pooler-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let config = folder.join("pgbouncer.ini");
        std::fs::write(&config, configuration(&folder)).unwrap();
        std::fs::write(
            folder.join("users.txt"),
            format!("\"maskline\" \"\"\n\"{}\" \"\"\n", app_name()),
        )
        .unwrap();
        let mut command = Command::new(program);
        if Uid::effective().is_root() {
            let owned = Command::new("chown").args(["-R", "postgres"]).arg(&folder).status();
            assert!(owned.unwrap().success());
            command.args(["-u", "postgres"]);
        }
        let process = command.arg(config).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { folder, process };
        let url = pooler.url("postgres");
        soon("PgBouncer answers", async { while PgConnection::connect(&url).await.is_err() {} })
            .await;
        Some(pooler)
    }

    fn url(&self, database: &str) -> String {
        let folder = self.folder.display();
        format!("postgres:///{database}?host={folder}&port=6432&user=maskline&sslmode=disable")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn configuration(folder: &std::path::Path) -> String {
    let server = url::Url::parse(&server_url("postgres")).unwrap();
    let (_, socket) = server.query_pairs().find(|(name, _)| name == "host").unwrap();
    let mut config = format!("[databases]\n* = host={socket} port=5432\n[pgbouncer]\n");
    let folder = folder.display();
    for line in [
        "listen_addr =",
        "listen_port = 6432",
        &format!("unix_socket_dir = {folder}"),
        "auth_type = trust",
        &format!("auth_file = {folder}/users.txt"),
        "pool_mode = transaction",
        "max_prepared_statements = 200",
        "ignore_startup_parameters = extra_float_digits,options",
        // Fewer than its clients, so that they do share.
        "default_pool_size = 3",
    ] {
        writeln!(config, "{line}").unwrap();
    }
    config
}

fn program() -> Option<PathBuf> {
    let found =
        ["/usr/local/bin", "/usr/sbin", "/usr/bin"].map(|at| PathBuf::from(at).join("pgbouncer"));
    found.into_iter().find(|program| {
        let Ok(said) = Command::new(program).arg("--version").output() else { return false };
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split_whitespace().nth(1).unwrap_or_default();
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= OLDEST
    })
}

#[expect(clippy::disallowed_methods, reason = "CI wants this test for certain")]
fn is_required() -> bool {
    std::env::var("PGBOUNCER").is_ok_and(|wish| wish == "required")
}

#[tokio::test]
async fn processes_share_sessions_behind_a_pooler() {
    const TEXTS: usize = 60;
    let Some(pooler) = Pooler::start().await else { return };
    let database = Database::migrated().await;
    let name = database.url.split("///").nth(1).unwrap().split('?').next().unwrap();
    let url = pooler.url(name);
    let site = Site::on(Database::elsewhere(url.clone(), as_app(&url))).await;

    let unbounded = site.serve_with("serve", &FAST).await;
    let log = unbounded.stop().await;
    assert!(log.iter().any(|line| line.contains("lock_timeout")), "{log:#?}");
    for bound in ["lock_timeout = '4s'", "idle_in_transaction_session_timeout = '10s'"] {
        let mut conn = PgConnection::connect(&database.url).await.unwrap();
        let sql = format!("alter role {} in database {name} set {bound}", app_name());
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        // The pooler's sessions are those from before.
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    }

    let doors = Doors::default();
    let served = [site.serve_with("serve", &FAST).await, site.serve_with("serve", &FAST).await];
    for served in &served {
        doors.open(served);
    }
    connect(&site).await;
    for n in 0..TEXTS {
        doors.deliver(&format!("id {n}"), &format!("text {n}")).await;
    }
    let expected: Vec<String> = (0..TEXTS).map(|n| format!("text {n}")).collect();
    assert_eq!(soon("all arrive", talk(&site, TEXTS)).await, expected);
    let many = (0..TEXTS)
        .map(async |n| doors.deliver(&format!("also {n}"), &format!("text also {n}")).await);
    join_all(many).await;
    assert_eq!(soon("all arrive", talk(&site, TEXTS * 2)).await.len(), TEXTS * 2);
    for served in served {
        assert_eq!(served.ready().await.0, 200);
        let log = served.stop().await;
        assert!(!log.iter().any(|line| line.contains("lock_timeout")), "{log:#?}");
    }
}
