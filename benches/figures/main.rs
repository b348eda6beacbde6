//! How fast Maskline is and how much it needs, beside `pgbench` on the same database.
//!
//! Real PostgreSQL with fsync on, real HTTP over kept connections, everything on this one machine:
//! the load, the service, the simulated carrier and the database share its cores. So only what
//! stands in one table of one run can be compared. `just bench` says what each part measures.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time, prints, and ends at the first thing that is wrong"
)]

mod audit;
mod child;
mod database;
mod drain;
mod load;
mod loading;
mod pgbench;
mod process;
mod table;
mod webhook;

use std::sync::Arc;

use clap::{Parser, ValueEnum};
use mimalloc::MiMalloc;

use self::database::Database;

/// That of the service.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The webhook beside pgbench, and at half of what it reached.
    Webhook,
    /// The outbox beside pgbench.
    Outbox,
    /// The webhook with a large database, beside a small one in the same run.
    Large,
    /// The start of a process, its size, and its memory.
    Process,
    /// A trail of many records: seal, verify, export and search it, and what that costs the webhook.
    Audit,
    /// What a long run leaves in the tables.
    Soak,
}

/// Measures Maskline beside pgbench.
#[derive(Debug, Parser)]
struct Wishes {
    /// What to measure; all but the soak when nothing is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How many conversations are open.
    #[arg(long, default_value_t = 1000)]
    conversations: u64,
    /// How many records the trail holds at the start.
    #[arg(long, default_value_t = 0)]
    records: u64,
    /// How long each figure of the webhook is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many connections, three rows of the table each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    connections: Vec<usize>,
    /// How many texts are drained from the outbox.
    #[arg(long, default_value_t = 40_000)]
    texts: u64,
    /// How many conversations are open in the large database.
    #[arg(long, default_value_t = 1_000_000)]
    large_conversations: u64,
    /// How many records the trail of the large database holds, and the one that is measured itself.
    #[arg(long, default_value_t = 10_000_000)]
    large_records: u64,
    /// How many conversations these are where the trail itself is measured.
    #[arg(long, default_value_t = 20_000)]
    audit_conversations: u64,
    /// How many texts the process takes in while its memory is watched.
    #[arg(long, default_value_t = 1_000_000)]
    webhooks: u64,
    /// How long the soak lasts.
    #[arg(long, default_value_t = 600)]
    soak_seconds: u64,
    /// How many texts come in a second of it.
    #[arg(long, default_value_t = 100)]
    soak_rate: u32,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let wishes = Wishes::parse();
    let asked = |part| {
        if wishes.parts.is_empty() { part != Part::Soak } else { wishes.parts.contains(&part) }
    };
    let cores = std::thread::available_parallelism().unwrap();
    println!("{} s a figure of the webhook, {cores} cores", wishes.seconds);
    println!("PostgreSQL with fsync on and shared_buffers of {}", database::shared_buffers());
    if asked(Part::Webhook) {
        let small = Database::start(wishes.conversations, wishes.records).await;
        let rows = webhook::measure(&small, &wishes.connections, wishes.seconds).await;
        webhook::at_half_load(&small, &rows, wishes.seconds).await;
        small.stop().await;
    }
    if asked(Part::Outbox) {
        let many = Database::start(wishes.texts / 2, 0).await;
        drain::measure(&many, wishes.texts).await;
        many.stop().await;
    }
    if asked(Part::Process) {
        let small = Database::start(wishes.conversations, 0).await;
        process::measure_starts(&small).await;
        process::measure_memory(&small, wishes.webhooks).await;
        small.stop().await;
    }
    if asked(Part::Large) {
        large(&wishes).await;
    }
    if asked(Part::Audit) {
        let database = Database::start(wishes.audit_conversations, wishes.large_records).await;
        let database = Arc::new(database);
        audit::measure(&database).await;
        audit::export(&database).await;
        audit::search(&database).await;
        audit::beside_the_webhook(&database, wishes.seconds).await;
        Arc::into_inner(database).unwrap().stop().await;
    }
    if asked(Part::Soak) {
        let small = Database::start(wishes.conversations, 0).await;
        process::measure_soak(&small, wishes.soak_seconds, wishes.soak_rate).await;
        small.stop().await;
    }
}

/// The large database between two looks at the small one, so that a machine that slows down
/// meanwhile is not taken for a large database.
async fn large(wishes: &Wishes) {
    let small = Database::start(wishes.conversations, 0).await;
    let large = Database::start(wishes.large_conversations, wishes.large_records).await;
    let (connections, seconds) = (&wishes.connections, wishes.seconds);
    let before = webhook::measure(&small, connections, seconds).await;
    let with_large = webhook::measure(&large, connections, seconds).await;
    let after = webhook::measure(&small, connections, seconds).await;
    // As many lanes in both as the small one has people.
    let lanes = 2 * wishes.conversations;
    let mut outbox = Vec::new();
    for database in [&small, &large, &small, &large, &small] {
        outbox.push(drain::rate(database, lanes).await);
    }
    small.stop().await;
    large.stop().await;
    let columns = ["connections", "pgbench", "one by one", "sharing"];
    table::heading("how many times slower with the large database", &columns);
    for ((before, large), after) in before.iter().zip(&with_large).zip(&after) {
        let times = |figure: fn(&webhook::Row) -> f64| {
            format!("{:.2}", f64::midpoint(figure(before), figure(after)) / figure(large))
        };
        let cells = [
            large.connections.to_string(),
            times(|row| row.pgbench.per_second),
            times(|row| row.alone.per_second),
            times(|row| row.sharing.per_second),
        ];
        table::row("", cells);
    }
    let slower = (outbox[0] + outbox[2] + outbox[4]) / 3.0 / f64::midpoint(outbox[1], outbox[3]);
    table::heading("the outbox, ten texts for each person", &["texts/s", "times slower"]);
    for (at, rate) in outbox.iter().enumerate() {
        let (what, times) =
            if at % 2 == 0 { ("small", "") } else { ("large", &*format!("{slower:.2}")) };
        table::row(what, [format!("{rate:.0}"), times.to_owned()]);
    }
}
