//! What a process that serves needs: memory, the time to be ready, its size; and what a long run
//! leaves in the tables.

use std::time::{Duration, Instant};

use maskline::carrier::simulator::{Faults, Settings, Simulator};

use crate::{
    child::{BINARY, Serving},
    database::{Database, masked_number, masked_numbers},
    load::{self, Pace},
    table::{self, Figures, ms},
};

/// How often the process is started.
const STARTS: usize = 10;
/// On how many connections the carrier brings texts.
const CONNECTIONS: usize = 64;
/// The tables that change with each text.
const TABLES: [&str; 6] =
    ["outbox", "conversation", "participant", "person", "carrier_message", "send_limit"];

/// Prints how large the binary is and how long it takes until it is ready.
pub(crate) async fn measure_starts(database: &Database) {
    let carrier = carrier(database, 0.0);
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(Serving::start(database, carrier.url()).await.started_in);
    }
    times.sort_unstable();
    table::heading("start to ready", &["starts", "fastest ms", "median ms", "slowest ms"]);
    let cells = [times[0], times[STARTS / 2], times[STARTS - 1]].map(ms);
    table::row("", [STARTS.to_string()].into_iter().chain(cells));
    let bytes = usize::try_from(std::fs::metadata(BINARY).unwrap().len()).unwrap();
    println!("\nsize of the binary: {:.1} MB", table::number(bytes) / 1e6);
}

/// Prints the memory of a process while it takes in so many texts as fast as it can, each of which
/// its worker sends on meanwhile.
pub(crate) async fn measure_memory(database: &Database, webhooks: u64) {
    database.clean().await;
    // Receipts would be three webhooks more for each text, and nothing else.
    let carrier = carrier(database, 1.0);
    let serving = Serving::start(database, carrier.url()).await;
    let columns = ["webhooks", "MB", "texts/s", "CPU µs each", "in the outbox"];
    table::heading("memory of `serve`, every role, 64 connections", &columns);
    let memory = format!("{:.1}", serving.memory());
    table::row("", ["0".to_owned(), memory, String::new(), String::new(), "0".to_owned()]);
    let (step, mut done) = ((webhooks / 10).max(1), 0);
    while done < webhooks {
        let worked = serving.worked();
        let pace = Pace::Texts(step.min(webhooks - done));
        let (times, took) =
            load::run(serving.public, database.conversations, CONNECTIONS, pace).await;
        done += times.len() as u64;
        let each = serving.worked().saturating_sub(worked).as_secs_f64() * 1e6
            / table::number(times.len());
        let waiting = database.count("select count(*) from outbox").await;
        let cells = [
            done.to_string(),
            format!("{:.1}", serving.memory()),
            format!("{:.0}", Figures::of(&times, Duration::ZERO, took).per_second),
            format!("{each:.0}"),
            waiting.to_string(),
        ];
        table::row("", cells);
    }
}

/// Lets people text at this rate for so long, every text sent on and every receipt delivered, and
/// prints what that leaves in the tables.
pub(crate) async fn measure_soak(database: &Database, seconds: u64, rate: u32) {
    database.clean().await;
    let carrier = carrier(database, 0.0);
    let serving = Serving::start(database, carrier.url()).await;
    let what = format!("{seconds} s of {rate} texts a second, three receipts for each");
    let columns = ["seconds", "p50 ms", "p99 ms", "MB", "in the outbox", "dead there"];
    table::heading(&what, &columns);
    let (start, step) = (Instant::now(), (seconds / 10).max(1));
    while start.elapsed() < Duration::from_secs(seconds) {
        let pace = Pace::per_second(f64::from(rate), Duration::from_secs(step));
        let (times, took) =
            load::run(serving.public, database.conversations, CONNECTIONS, pace).await;
        let Figures { p50, p99, .. } = Figures::of(&times, Duration::ZERO, took);
        let waiting = database.count("select count(*) from outbox").await;
        let dead = database.count(&dead("outbox")).await;
        let cells = [
            start.elapsed().as_secs().to_string(),
            ms(p50),
            ms(p99),
            format!("{:.1}", serving.memory()),
            waiting.to_string(),
            dead.to_string(),
        ];
        table::row("", cells);
    }
    table::heading("what that leaves", &["live rows", "dead rows", "MB with indexes"]);
    for table in TABLES {
        let live = database.count(&format!("select count(*) from {table}")).await;
        let dead = database.count(&dead(table)).await;
        let bytes = database.count(&format!("select pg_total_relation_size('{table}')")).await;
        let size = table::number(usize::try_from(bytes / 1024).unwrap()) / 1024.0;
        table::row(table, [live.to_string(), dead.to_string(), format!("{size:.1}")]);
    }
}

/// Asks how many dead rows a table has, as PostgreSQL counts them.
fn dead(table: &str) -> String {
    format!("select n_dead_tup from pg_stat_user_tables where relname = '{table}'")
}

/// The carrier, which loses this part of the receipts.
fn carrier(database: &Database, lose_receipt: f64) -> Simulator {
    let numbers = (0..masked_numbers(database.conversations)).map(masked_number);
    let carrier = Simulator::start(Settings {
        numbers: numbers.map(|number| number.parse().unwrap()).collect(),
        ..Settings::default()
    })
    .unwrap();
    carrier.set_faults(Faults { lose_receipt, ..Faults::default() }).unwrap();
    carrier
}
