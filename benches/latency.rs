//! How long one text takes on an idle machine: from the webhook to its 200, and to the request
//! that reaches the carrier. Beside it, in the same run, one bare commit of the same database, so
//! that the ratio can be compared between machines.
//!
//! Real PostgreSQL with fsync on, real HTTP, the simulated carrier. `cargo bench --bench latency`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time, prints, and ends at the first thing that is wrong"
)]

use std::time::{Duration, Instant};

use maskline::{
    carrier::simulator::{self, Direction, Event, NewText, Simulator},
    clock::Clock,
    config::Settings,
    database,
    demo::postgres::{Options, PrivatePostgres},
    phone::PhoneNumber,
    pool,
    serve::Service,
};
use serde_json::json;
use tokio::net::TcpListener;

const TEXTS: usize = 300;
const WARM_UP: usize = 30;
const MASKED: &str = "+14155550100";
const SECRET: &str = "a-secret-of-the-benchmark";

#[tokio::main]
async fn main() {
    let options = Options { max_connections: 50, ..Options::default() };
    let postgres = PrivatePostgres::start(options).await.unwrap();
    let owner = sqlx::PgPool::connect_with(postgres.options("postgres")).await.unwrap();
    database::MIGRATIONS.run(&owner).await.unwrap();
    let login = "create role maskline_serve login in role maskline_app";
    sqlx::raw_sql(login).execute(&owner).await.unwrap();
    let url = postgres.url_as("maskline_serve", "postgres");
    let db = database::connect(&url.clone().into()).await.unwrap();
    pool::add(&mut db.acquire().await.unwrap(), &number(MASKED), Clock::System.now())
        .await
        .unwrap();
    let carrier = Simulator::start(simulator::Settings {
        numbers: vec![number(MASKED)],
        ..simulator::Settings::default()
    })
    .unwrap();
    let service = serve_it(&url, &carrier, db.clone()).await;

    let (ann, ben) = (number("+12065550142"), number("+12065550187"));
    connect(&carrier, &ann, &ben).await;
    let (mut answered, mut sent, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    for count in 0..TEXTS + WARM_UP {
        let (to_answer, to_carrier) = one_text(&carrier, &ann, count).await;
        let start = Instant::now();
        sqlx::query("insert into answer_given select id, $1, now() from person limit 1")
            .bind(format!("bench {count}"))
            .execute(&db)
            .await
            .unwrap();
        if count >= WARM_UP {
            answered.push(to_answer);
            sent.push(to_carrier);
            commits.push(start.elapsed());
        }
    }
    println!("{TEXTS} texts, one at a time, PostgreSQL with fsync on");
    let commit = show("one bare commit", &mut commits, None);
    show("webhook to 200", &mut answered, Some(commit));
    show("webhook to carrier request", &mut sent, Some(commit));
    service.drain().await;
    postgres.stop().await;
}

fn number(text: &str) -> PhoneNumber {
    text.parse().unwrap()
}

async fn serve_it(database_url: &str, carrier: &Simulator, db: sqlx::PgPool) -> Service {
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let private = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public_url = format!("http://{}", public.local_addr().unwrap());
    let settings = Settings::from_values([
        ("DATABASE_URL", database_url),
        ("MASKLINE_PUBLIC_URL", &public_url),
        ("MASKLINE_WEBHOOK_SECRETS", SECRET),
        // The bytes 0 to 31.
        ("MASKLINE_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("FLOWROUTE_ACCESS_KEY", "simulated"),
        ("FLOWROUTE_SECRET_KEY", "simulated"),
        ("MASKLINE_FLOWROUTE_URL", &carrier.url()),
        // What is measured is the way of one text, not how long it waits for the account's limit.
        ("MASKLINE_SMS_PER_SECOND", "10000"),
    ])
    .unwrap();
    let service = Service::start(db, settings, Some(public), private, &[]).await.unwrap();
    let callback = json!({"data": {"attributes": {
        "callback_url": format!("{public_url}/api/message/{SECRET}"),
    }}});
    let put = reqwest::Client::new()
        .put(format!("{}/v2.2/messages/sms_callback", carrier.url()))
        .basic_auth("simulated", Some("simulated"))
        .json(&callback);
    put.send().await.unwrap().error_for_status().unwrap();
    service
}

async fn text(carrier: &Simulator, from: &PhoneNumber, body: String) {
    let (from, to) = (from.clone(), number(MASKED));
    let text = NewText { from, to, body: Some(body), media: Vec::new(), id: None, shape: None };
    assert_eq!(carrier.text(text).await.unwrap().statuses, [Some(200)]);
}

async fn connect(carrier: &Simulator, ann: &PhoneNumber, ben: &PhoneNumber) {
    let mut events = carrier.subscribe();
    text(carrier, ann, "START".into()).await;
    while carrier.phone(ann).len() < 2 {
        events.recv().await.unwrap();
    }
    let answer = carrier.phone(ann).remove(1).body;
    let code =
        answer.split_whitespace().find(|word| word.len() == 9 && word.contains('-')).unwrap();
    text(carrier, ben, format!("JOIN {code}")).await;
    while carrier.ledger().accepted.len() < 3 {
        events.recv().await.unwrap();
    }
    carrier.idle().await;
}

/// Sends one text and returns how long until its 200 and until the carrier was called for it.
async fn one_text(carrier: &Simulator, from: &PhoneNumber, count: usize) -> (Duration, Duration) {
    let mut events = carrier.subscribe();
    let body = format!("text {count}");
    let start = Instant::now();
    text(carrier, from, body.clone()).await;
    let to_answer = start.elapsed();
    let to_carrier = loop {
        if let Event::Exchange(exchange) = events.recv().await.unwrap()
            && exchange.direction == Direction::Call
            && exchange.request["data"]["attributes"]["body"] == body.as_str()
        {
            break start.elapsed();
        }
    };
    carrier.idle().await;
    (to_answer, to_carrier)
}

/// Prints the median and the 99th percentile, and their ratio to the bare commit's median.
fn show(what: &str, times: &mut [Duration], commit: Option<Duration>) -> Duration {
    times.sort_unstable();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let ratio = commit.map_or(String::new(), |commit| {
        format!("   {:.1} commits", median.as_secs_f64() / commit.as_secs_f64())
    });
    println!("{what:<28} median {:7.2} ms   p99 {:7.2} ms{ratio}", ms(median), ms(p99));
    median
}
