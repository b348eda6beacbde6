//! The database that is measured: a PostgreSQL of its own with fsync on, and what is loaded into it.

use std::{sync::Mutex, time::Instant};

use maskline::{
    config::Settings,
    database,
    demo::postgres::{Options, PrivatePostgres},
    vault::{Author, Vault},
};
use sqlx::{AssertSqlSafe, PgPool};

/// The secret in the webhook's path.
pub(crate) const SECRET: &str = "a-secret-of-the-benchmark";
/// The master key: the bytes 0 to 31.
pub(crate) const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Whom a service logs in as.
pub(crate) const SERVE: &str = "maskline_serve";
/// How many files of 16 MB the write-ahead log has at the start of a figure.
const LOG_FILES: u32 = 256;
/// One text in so many says something that the others do not.
pub(crate) const RARE: u64 = 10_000;

/// A database, and how much was loaded into it.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) postgres: PrivatePostgres,
    pub(crate) pool: PgPool,
    pub(crate) vault: Vault,
    pub(crate) conversations: u64,
    pub(crate) records: u64,
    /// The first person of each conversation, who writes all that the trail holds.
    pub(crate) authors: Mutex<Vec<Author>>,
}

impl Database {
    /// Starts a server and loads so many open conversations and records of the trail.
    pub(crate) async fn start(conversations: u64, records: u64) -> Self {
        let options = Options { shared_buffers: shared_buffers(), ..Options::default() };
        let postgres = PrivatePostgres::start(options).await.unwrap();
        let pool = database::connect(&postgres.url("postgres").into()).await.unwrap();
        database::MIGRATIONS.run(&pool).await.unwrap();
        let login = format!("create role {SERVE} login in role maskline_app");
        sqlx::raw_sql(AssertSqlSafe(login)).execute(&pool).await.unwrap();
        let mut conn = pool.acquire().await.unwrap();
        let vault = Vault::open(&mut conn, &MASTER_KEY.parse().unwrap()).await.unwrap();
        drop(conn);
        let database =
            Self { postgres, pool, vault, conversations, records, authors: Mutex::default() };
        let start = Instant::now();
        database.load_conversations().await;
        database.load_carrier_ids().await;
        database.load_records().await;
        database.run(include_str!("talk.sql")).await;
        database.run(include_str!("drain.sql")).await;
        database.run("grant select on bench_sender to maskline_app").await;
        database.run("grant insert on bench_commit to maskline_app").await;
        database.run("vacuum analyze").await;
        database.lay_out_log().await;
        let took = start.elapsed().as_secs();
        println!("\n{conversations} open conversations, {records} records: loaded in {took} s");
        database
    }

    /// Has the server make the files of its write-ahead log that it will write into, as one has that
    /// has run for a while. A new one makes each when it comes to it, and all commits wait meanwhile.
    async fn lay_out_log(&self) {
        self.run("alter system set max_wal_size = '8GB'").await;
        self.run("alter system set min_wal_size = '4GB'").await;
        self.run("select pg_reload_conf()").await;
        for _ in 0..LOG_FILES {
            self.run("insert into bench_commit values (0)").await;
            self.run("select pg_switch_wal()").await;
        }
        self.run("truncate bench_commit").await;
        self.run("checkpoint").await;
    }

    /// Stops the server; nothing is left of it.
    pub(crate) async fn stop(self) {
        self.pool.close().await;
        self.postgres.stop().await;
    }

    pub(crate) async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }

    /// The one number that this asks for.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.unwrap()
    }

    /// Empties what grows, so that each figure begins alike.
    pub(crate) async fn clean(&self) {
        self.run("truncate outbox").await;
        self.run("checkpoint").await;
    }

    /// The settings of a service on this database, and these beside them.
    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let url = self.postgres.url_as(SERVE, "postgres");
        let values = [
            ("DATABASE_URL", url.as_str()),
            ("MASKLINE_PUBLIC_URL", "http://127.0.0.1"),
            ("MASKLINE_WEBHOOK_SECRETS", SECRET),
            ("MASKLINE_MASTER_KEY", MASTER_KEY),
            ("FLOWROUTE_ACCESS_KEY", "simulated"),
            ("FLOWROUTE_SECRET_KEY", "simulated"),
        ];
        Settings::from_values(values.into_iter().chain(more.iter().copied())).unwrap()
    }
}

/// What a server keeps pages in: a quarter of the memory, as PostgreSQL advises for a machine of its
/// own. Its default, 128 MB, is meant to start anywhere.
pub(crate) fn shared_buffers() -> String {
    let known = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = known.lines().find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix("kB"));
    let kilobytes: u64 = total.and_then(|total| total.trim().parse().ok()).unwrap_or(8 << 20);
    format!("{}MB", kilobytes / 1024 / 4)
}

/// How many masked numbers carry so many conversations.
pub(crate) fn masked_numbers(conversations: u64) -> u64 {
    (conversations / 500).clamp(1, 1000)
}

/// The masked number of this place.
pub(crate) fn masked_number(n: u64) -> String {
    format!("+1415{n:07}")
}

/// An id of a kind, in the order of time as all ids are.
pub(crate) fn id(kind: char, n: u64) -> String {
    format!("0190{kind}000-{:04x}-7000-8000-{:012x}", n >> 32, n)
}
