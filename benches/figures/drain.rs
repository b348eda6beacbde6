//! How many texts leave the outbox in a second, beside pgbench claiming and settling in batches of
//! 100. The worker itself, in this process, sends them to the simulated carrier by HTTP; the limit
//! on texts a second is lifted as far as it can be.

use std::time::{Duration, Instant};

use maskline::{
    app::App,
    carrier::{
        Flowroute,
        simulator::{Faults, Settings, Simulator},
    },
    clock::Clock,
    code::Randomness,
    database as sql,
    outbox::worker,
};

use crate::{
    database::{Database, masked_number, masked_numbers},
    pgbench::{self, Until},
    table,
};

/// How many texts pgbench claims at once.
const BATCH: u64 = 100;

/// Drains so many texts, and prints how many that is in a second.
pub(crate) async fn measure(database: &Database, texts: u64) {
    let texts = texts.min(2 * database.conversations) / BATCH * BATCH;
    let what = format!("outbox, {texts} texts, each to somebody else");
    table::heading(&what, &["texts/s", "ratio"]);
    fill(database, texts, 1).await;
    let (script, until) =
        (format!("select bench_drain({BATCH});\n"), Until::Transactions(texts / BATCH));
    let times = pgbench::run(&database.postgres, &script, 1, until, None).await;
    let base = per_second(texts, times.iter().sum());
    let left = database.count("select count(*) from outbox").await;
    assert_eq!(left, 0, "pgbench drained all of them");
    table::row("pgbench, 100 at a time", [format!("{base:.0}"), "1.00".to_owned()]);
    for (what, lanes) in
        [("the worker", texts), ("the worker, ten for each person", (texts / 10).max(1))]
    {
        fill(database, lanes, texts / lanes).await;
        let rate = per_second(texts / lanes * lanes, work(database).await);
        table::row(what, [format!("{rate:.0}"), format!("{:.2}", rate / base)]);
    }
}

fn per_second(texts: u64, took: Duration) -> f64 {
    table::number(usize::try_from(texts).unwrap()) / took.as_secs_f64()
}

/// Puts so many texts into each of so many lanes, the lanes in turn.
async fn fill(database: &Database, lanes: u64, each: u64) {
    database.clean().await;
    database
        .run(&format!(
            "insert into outbox (id, kind, conversation_id, recipient_id, masked_number_id, body,
                 queued_at, due_at)
             select gen_random_uuid(), 'relay', conversation_id, person_id, masked_number_id,
                 'see you at the corner by five', now(), now()
             from generate_series(1, {each}) turn
             cross join (
                 select * from participant order by conversation_id, seat limit {lanes}
             ) lane
             order by turn"
        ))
        .await;
    database.run("vacuum analyze outbox, carrier_message").await;
    database.run("checkpoint").await;
}

/// Lets the worker drain the outbox, and tells how long it took.
async fn work(database: &Database) -> Duration {
    let numbers = (0..masked_numbers(database.conversations)).map(masked_number);
    let carrier = Simulator::start(Settings {
        numbers: numbers.map(|number| number.parse().unwrap()).collect(),
        ..Settings::default()
    })
    .unwrap();
    carrier.set_faults(Faults { lose_receipt: 1.0, ..Faults::default() }).unwrap();
    let settings = database.settings(&[
        ("MASKLINE_FLOWROUTE_URL", &carrier.url()),
        ("MASKLINE_SMS_PER_SECOND", "10000"),
    ]);
    let flowroute = Flowroute::new(&settings.flowroute).unwrap();
    let pool = sql::connect(&settings.database_url).await.unwrap();
    let app = App::new(pool, settings, Clock::System, Randomness::os());
    let start = Instant::now();
    let worker = tokio::spawn(worker::run(app.clone(), flowroute));
    while database.count("select count(*) from (select from outbox limit 1) one").await > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = start.elapsed();
    app.draining.cancel();
    worker.await.unwrap();
    took
}
