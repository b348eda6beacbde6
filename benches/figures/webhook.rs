//! How many texts the webhook takes in a second, and how long each takes, beside pgbench.
//!
//! The door alone, in this process: what is taken in stays in the outbox.

use std::{net::SocketAddr, time::Duration};

use maskline::{app::App, clock::Clock, code::Randomness, database, http, inbound};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    database::{Database, masked_numbers},
    load::{self, Pace},
    pgbench::{self, Until},
    table::{self, Figures, WARM, ms},
};

/// The figures of one number of connections.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) connections: usize,
    pub(crate) pgbench: Figures,
    pub(crate) alone: Figures,
    pub(crate) sharing: Figures,
}

/// Measures so many seconds a figure, and prints them.
pub(crate) async fn measure(database: &Database, connections: &[usize], seconds: u64) -> Vec<Row> {
    let what = format!(
        "webhook, {} open conversations, {} records",
        database.conversations, database.records
    );
    table::heading(&what, &["connections", "texts/s", "ratio", "p50 ms", "p95 ms", "p99 ms"]);
    let mut rows = Vec::new();
    for &connections in connections {
        let time = WARM + Duration::from_secs(seconds);
        let pgbench = pgbench(database, connections, seconds, None).await;
        let alone = webhook(database, connections, Pace::For(time), 1).await;
        let sharing = webhook(database, connections, Pace::For(time), 64).await;
        table::rate("pgbench", connections, &pgbench, &pgbench);
        table::rate("each text in a commit of its own", connections, &alone, &pgbench);
        table::rate("texts that wait share a commit", connections, &sharing, &pgbench);
        rows.push(Row { connections, pgbench, alone, sharing });
    }
    rows
}

/// Offers half of what the webhook reached at most, and prints how long texts take then.
pub(crate) async fn at_half_load(database: &Database, rows: &[Row], seconds: u64) {
    table::heading(
        "webhook at half of that, beside the same offered to PostgreSQL alone",
        &["connections", "offered/s", "done/s", "p50 ms", "p95 ms", "p99 ms", "added p99"],
    );
    for row in rows.iter().filter(|row| row.connections > 1) {
        let (rate, connections) = (row.sharing.per_second / 2.0, row.connections);
        let bare = commits(database, connections, seconds, rate).await;
        let pgbench = pgbench(database, connections, seconds, Some(rate)).await;
        let pace = Pace::per_second(rate, WARM + Duration::from_secs(seconds));
        let webhook = webhook(database, connections, pace, 64).await;
        for (what, figures) in [
            ("a bare commit", &bare),
            ("pgbench, the same for each text", &pgbench),
            ("webhook", &webhook),
        ] {
            let Figures { per_second, p50, p95, p99 } = figures;
            let added = (p99.as_secs_f64() - bare.p99.as_secs_f64()) * 1e3;
            let cells = [connections.to_string(), format!("{rate:.0}"), format!("{per_second:.0}")];
            let times = [p50, p95, p99].map(|time| ms(*time));
            table::row(what, cells.into_iter().chain(times).chain([format!("{added:+.2}")]));
        }
    }
}

/// The same transaction by pgbench, as one prepared call of a function.
async fn pgbench(
    database: &Database,
    connections: usize,
    seconds: u64,
    rate: Option<f64>,
) -> Figures {
    database.clean().await;
    let (count, numbers) = (database.conversations, masked_numbers(database.conversations));
    let script = format!("\\set n random(0, {count} - 1)\nselect bench_talk(:n, {numbers});\n");
    let time = WARM + Duration::from_secs(seconds);
    let until = Until::Seconds(time.as_secs());
    let times = pgbench::run(&database.postgres, &script, connections, until, rate).await;
    Figures::of(&times, WARM, time)
}

/// The least that can be committed.
async fn commits(database: &Database, connections: usize, seconds: u64, rate: f64) -> Figures {
    database.clean().await;
    let time = WARM + Duration::from_secs(seconds);
    let (script, until) =
        ("insert into bench_commit values (1);\n", Until::Seconds(time.as_secs()));
    let times = pgbench::run(&database.postgres, script, connections, until, Some(rate)).await;
    Figures::of(&times, WARM, time)
}

/// The webhook, on so many connections.
async fn webhook(
    database: &Database,
    connections: usize,
    pace: Pace,
    texts_per_commit: usize,
) -> Figures {
    database.clean().await;
    let (address, stop) = serve(&app(database, texts_per_commit).await).await;
    let (times, took) = load::run(address, database.conversations, connections, pace).await;
    stop.cancel();
    let relayed = database.count("select count(*) from outbox").await;
    assert_eq!(usize::try_from(relayed).unwrap(), times.len(), "each text is relayed once");
    Figures::of(&times, WARM, took)
}

/// What a process of the service has, that takes so many texts into one commit at most.
pub(crate) async fn app(database: &Database, texts_per_commit: usize) -> App {
    let settings =
        database.settings(&[("MASKLINE_TEXTS_PER_COMMIT", &texts_per_commit.to_string())]);
    let pool = database::connect(&settings.database_url).await.unwrap();
    App::new(pool, settings, database.vault.clone(), Clock::System, Randomness::os())
}

/// Opens the public listener, until the token is cancelled.
pub(crate) async fn serve(app: &App) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(http::listen(listener, inbound::routes(app.clone()), stop.clone()));
    (address, stop)
}
