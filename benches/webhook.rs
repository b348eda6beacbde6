//! How many texts the webhook takes in a second, beside `pgbench` doing the same to the same tables.
//!
//! Real PostgreSQL with fsync on, real HTTP over kept connections, everything on this one machine:
//! the load, the service and the database share its cores. Each text is talk in a conversation
//! drawn at random. `pgbench` calls one prepared function that does what the service has the
//! database do for one text: the same locks, the same rows, the same indexes.
//!
//! `cargo bench --bench webhook -- --conversations 1000 --records 0 --seconds 10`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time, prints, and ends at the first thing that is wrong"
)]

use std::{
    io::Write,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use clap::Parser;
use maskline::{
    app::App,
    clock::Clock,
    code::Randomness,
    config::Settings,
    database,
    demo::postgres::{Options, PrivatePostgres},
    http, inbound,
};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "a-secret-of-the-benchmark";

/// Measures the webhook beside pgbench.
#[derive(Debug, Clone, Parser)]
struct Wishes {
    /// How many conversations are open.
    #[arg(long, default_value_t = 1000)]
    conversations: u64,
    /// How many records the trail holds at the start.
    #[arg(long, default_value_t = 0)]
    records: u64,
    /// How long each figure is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many connections, a row of the table each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    connections: Vec<usize>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one run brought.
#[derive(Debug)]
struct Figures {
    per_second: f64,
    p50: Duration,
    p95: Duration,
    p99: Duration,
}

#[tokio::main]
async fn main() {
    let wishes = Wishes::parse();
    let options = Options { data_dir: None, durable: true, max_connections: 100 };
    let postgres = PrivatePostgres::start(options).await.unwrap();
    let db = database::connect(&postgres.url("postgres").into()).await.unwrap();
    database::MIGRATIONS.run(&db).await.unwrap();
    fill(&db, &wishes).await;
    println!(
        "{} open conversations, {} records of the trail, {} s a figure, fsync on, {} cores",
        wishes.conversations,
        wishes.records,
        wishes.seconds,
        std::thread::available_parallelism().unwrap(),
    );
    println!(
        "{:<14}{:<12}{:>9}{:>8}{:>10}{:>10}{:>10}",
        "", "connections", "texts/s", "ratio", "p50 ms", "p95 ms", "p99 ms"
    );
    for connections in &wishes.connections {
        let base = pgbench(&postgres, &db, *connections, &wishes).await;
        let alone = webhook(&postgres, &db, *connections, 1, &wishes).await;
        let shared = webhook(&postgres, &db, *connections, 64, &wishes).await;
        show("pgbench", *connections, &base, &base);
        show("one by one", *connections, &alone, &base);
        show("sharing", *connections, &shared, &base);
    }
    db.close().await;
    postgres.stop().await;
}

fn show(what: &str, connections: usize, figures: &Figures, base: &Figures) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{what:<14}{connections:<12}{:>9.0}{:>8.2}{:>10.2}{:>10.2}{:>10.2}",
        figures.per_second,
        figures.per_second / base.per_second,
        ms(figures.p50),
        ms(figures.p95),
        ms(figures.p99),
    );
}

async fn run(db: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(db).await.unwrap();
}

/// Opens the conversations, fills the trail, and makes pgbench's function.
async fn fill(db: &PgPool, wishes: &Wishes) {
    let Wishes { conversations, records, .. } = wishes;
    let numbers = (conversations / 500).clamp(1, 1000);
    run(db, &format!(
        "set synchronous_commit = off;
         insert into masked_number (id, number, added_at)
         select gen_random_uuid(), '+1415' || lpad(n::text, 7, '0'), now()
         from generate_series(0, {numbers} - 1) n;
         create table bench_conversation as
         select n, gen_random_uuid() as id, gen_random_uuid() as one, gen_random_uuid() as two,
             '+1206' || lpad(n::text, 7, '0') as one_number,
             '+1312' || lpad(n::text, 7, '0') as two_number,
             m.id as masked_id, m.number as masked
         from generate_series(0, {conversations} - 1) n
         join (select id, number, row_number() over (order by number) - 1 as place from masked_number) m
             on m.place = n % {numbers};
         insert into person (id, number, first_seen_at)
         select one, one_number, now() from bench_conversation
         union all select two, two_number, now() from bench_conversation;
         insert into conversation (id, code, code_expires_at, state, opened_at, last_talk_at, next_look_at)
         select id, (select string_agg(substr('234679ACDEFGHJKM', 1 + (n >> (4 * place) & 15)::integer, 1), '')
                     from generate_series(0, 5) place) || '79',
             now() + interval '1 day', 'active', now(), now(), now() + interval '1 day'
         from bench_conversation;
         insert into participant (conversation_id, seat, person_id, masked_number_id, joined_at)
         select id, 1, one, masked_id, now() from bench_conversation
         union all select id, 2, two, masked_id, now() from bench_conversation;
         create unique index on bench_conversation (n);"
    )).await;
    let months = "insert into audit_record (id, at, kind, conversation_id, person_id, recipient_id,
             masked_number, carrier_id, text_id, body)
         select gen_random_uuid(), now() - interval '1 minute' * random(), 'relayed', c.id, c.one, c.two,
             c.masked, 'old-' || r, gen_random_uuid(), 'a record of the trail, as long as texts are'
         from generate_series($from, $to - 1) r join bench_conversation c on c.n = r % $conversations";
    let mut from = 0;
    while from < *records {
        let to = (from + 500_000).min(*records);
        let sql = months
            .replace("$from", &from.to_string())
            .replace("$to", &to.to_string())
            .replace("$conversations", &conversations.to_string());
        run(db, &sql).await;
        from = to;
        eprint!("\r{from} records");
        std::io::stderr().flush().unwrap();
    }
    run(db, "create sequence bench_text;
         create function bench_talk(which bigint) returns void language plpgsql as $$
         declare
             pair bench_conversation;
             taken record;
             carrier text := 'bench-' || nextval('bench_text');
             text_id uuid := gen_random_uuid();
         begin
             select * into pair from bench_conversation where n = which;
             select * into taken
             from take_in(array[carrier], array[pair.one_number], array[pair.masked],
                 array[null::text], array[null::text], array[false], array[false],
                 array[gen_random_uuid()], null)
             where participant_id <> person_id;
             with promised as (
                 insert into outbox (id, kind, conversation_id, recipient_id, masked_number_id,
                     cause, body, queued_at, due_at)
                 values (text_id, 'relay', taken.conversation_id, taken.participant_id,
                     taken.participant_number_id, carrier, 'see you at the corner by five', taken.taken_at,
                     taken.taken_at)
             ), talked as (
                 update conversation set last_talk_at = taken.taken_at where id = taken.conversation_id
             )
             insert into audit_record (id, at, kind, rule, conversation_id, person_id, recipient_id,
                 masked_number, carrier_id, text_id, body)
             values (gen_random_uuid(), taken.taken_at, 'received', 'talk', taken.conversation_id,
                     taken.person_id, null, pair.masked, carrier, null, 'see you at the corner by five'),
                 (gen_random_uuid(), taken.taken_at, 'relayed', null, taken.conversation_id,
                     taken.person_id, taken.participant_id, pair.masked, carrier, text_id,
                     'see you at the corner by five');
         end $$;
         analyze;
         checkpoint;").await;
}

/// Empties what grows, so that each figure begins alike.
async fn clean(db: &PgPool) {
    run(db, "truncate outbox; checkpoint").await;
}

/// The same transaction by pgbench, as one prepared call of a function.
async fn pgbench(
    postgres: &PrivatePostgres,
    db: &PgPool,
    connections: usize,
    wishes: &Wishes,
) -> Figures {
    clean(db).await;
    let folder = std::env::temp_dir().join(format!("maskline-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let script = folder.join("talk.sql");
    let draw = format!("\\set n random(0, {} - 1)\nselect bench_talk(:n);\n", wishes.conversations);
    std::fs::write(&script, draw).unwrap();
    let log = folder.join("log");
    let output = Command::new(pgbench_path())
        .current_dir(&folder)
        .args(["-n", "-M", "prepared", "-j", "2", "-l", "--log-prefix"])
        .arg(&log)
        .args(["-c", &connections.to_string(), "-T", &wishes.seconds.to_string(), "-f"])
        .arg(&script)
        .arg(postgres.url("postgres"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Each line: client, transaction, microseconds, …
    let mut times = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("log") {
            let text = std::fs::read_to_string(&path).unwrap();
            let time = |line: &str| {
                line.split_whitespace().nth(2)?.parse().ok().map(Duration::from_micros)
            };
            times.extend(text.lines().filter_map(time));
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    figures(times, Duration::from_secs(wishes.seconds))
}

fn pgbench_path() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = installed.map(|version| version.path().join("bin/pgbench")).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| "pgbench".into())
}

/// The webhook, on so many connections that each send one text after another.
async fn webhook(
    postgres: &PrivatePostgres,
    db: &PgPool,
    connections: usize,
    texts_per_commit: usize,
    wishes: &Wishes,
) -> Figures {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    clean(db).await;
    let (address, stop) = serve(postgres, texts_per_commit).await;
    let count = wishes.conversations;
    let (start, time) = (Instant::now(), Duration::from_secs(wishes.seconds));
    let mut clients = JoinSet::new();
    for client in 0..connections {
        clients.spawn(async move {
            let mut times = Vec::new();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(client as u64 + 1);
            let mut answer = [0_u8; 1024];
            while start.elapsed() < time {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let n = seed % count;
                let id = NEXT.fetch_add(1, Ordering::Relaxed);
                let numbers = (count / 500).clamp(1, 1000);
                let body = format!(
                    r#"{{"to":"1415{:07}","from":"1206{n:07}","body":"see you at the corner by five","id":"mdr1-{id:036}"}}"#,
                    n % numbers
                );
                let request = format!(
                    "POST /api/message/{SECRET} HTTP/1.1\r\nhost: maskline\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let begin = Instant::now();
                stream.write_all(request.as_bytes()).await.unwrap();
                let read = stream.read(&mut answer).await.unwrap();
                times.push(begin.elapsed());
                assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
            }
            times
        });
    }
    let times = clients.join_all().await.concat();
    let took = start.elapsed();
    stop.cancel();
    let relayed: i64 =
        sqlx::query_scalar("select count(*) from outbox").fetch_one(db).await.unwrap();
    assert_eq!(usize::try_from(relayed).unwrap(), times.len(), "each text is relayed once");
    figures(times, took)
}

/// The door alone: what is taken in stays in the outbox.
async fn serve(
    postgres: &PrivatePostgres,
    texts_per_commit: usize,
) -> (std::net::SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = Settings::from_values([
        ("DATABASE_URL", postgres.url("postgres").as_str()),
        ("MASKLINE_PUBLIC_URL", "http://127.0.0.1"),
        ("MASKLINE_WEBHOOK_SECRETS", SECRET),
        ("FLOWROUTE_ACCESS_KEY", "simulated"),
        ("FLOWROUTE_SECRET_KEY", "simulated"),
        ("MASKLINE_TEXTS_PER_COMMIT", &texts_per_commit.to_string()),
    ])
    .unwrap();
    let db = database::connect(&settings.database_url).await.unwrap();
    let app = App::new(db, settings, Clock::System, Randomness::os());
    let stop = CancellationToken::new();
    tokio::spawn(http::listen(listener, inbound::routes(app), stop.clone()));
    (address, stop)
}

fn figures(mut times: Vec<Duration>, took: Duration) -> Figures {
    assert!(!times.is_empty());
    times.sort_unstable();
    let count = times.len();
    Figures {
        per_second: f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64(),
        p50: times[count / 2],
        p95: times[count * 95 / 100],
        p99: times[count * 99 / 100],
    }
}
