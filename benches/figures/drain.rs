//! How many texts leave the outbox in a second, beside pgbench claiming and settling in batches of
//! 100. The worker itself, in this process, sends them to the simulated carrier by HTTP; the limit
//! on texts a second is lifted: no machine such as this reaches the highest that can be set.

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
    ids::TextId,
    outbox::worker,
    vault::Field,
};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

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
    let base = per_second(texts, times.iter().map(|timed| timed.took).sum());
    let left = database.count("select count(*) from outbox").await;
    assert_eq!(left, 0, "pgbench drained all of them");
    table::row("pgbench, 100 at a time", [format!("{base:.0}"), "1.00".to_owned()]);
    for (what, lanes, has_backup) in [
        ("the worker", texts, false),
        ("the worker, ten for each person", (texts / 10).max(1), false),
        ("the worker, while a backup reads", texts, true),
    ] {
        fill(database, lanes, texts / lanes).await;
        let backup = if has_backup { Some(snapshot(database).await) } else { None };
        let rate = per_second(texts / lanes * lanes, work(database).await);
        table::row(what, [format!("{rate:.0}"), format!("{:.2}", rate / base)]);
        drop(backup);
    }
}

/// How many texts leave in a second that stand ten behind one another in so many lanes.
pub(crate) async fn rate(database: &Database, lanes: u64) -> f64 {
    fill(database, lanes, 10).await;
    per_second(lanes * 10, work(database).await)
}

/// A transaction that sees all that is there now, as a backup's does: no row that leaves can be
/// removed until it ends.
async fn snapshot(database: &Database) -> Transaction<'static, Postgres> {
    let mut tx = database
        .pool
        .begin_with("begin transaction isolation level repeatable read")
        .await
        .unwrap();
    sqlx::query("select from outbox limit 1").execute(&mut *tx).await.unwrap();
    tx
}

fn per_second(texts: u64, took: Duration) -> f64 {
    table::number(usize::try_from(texts).unwrap()) / took.as_secs_f64()
}

/// Puts so many texts into each of so many lanes, the lanes in turn.
async fn fill(database: &Database, lanes: u64, each: u64) {
    database.clean().await;
    let rows = sqlx::query_as::<_, (Uuid, Uuid, Uuid, Uuid, Vec<u8>)>(
        "select p.conversation_id, p.person_id, p.masked_number_id, k.id, k.wrapped_key
         from participant p
         join participant other on other.conversation_id = p.conversation_id
             and other.seat <> p.seat
         join person k on k.id = other.person_id
         order by p.conversation_id, p.seat
         limit $1",
    )
    .bind(i64::try_from(lanes).unwrap());
    let rows = rows.fetch_all(&database.pool).await.unwrap();
    for _ in 0..each {
        let ids: Vec<Uuid> = rows.iter().map(|_| TextId::new().uuid()).collect();
        let sealed = |(id, (.., author, key)): (&Uuid, &(Uuid, Uuid, Uuid, Uuid, Vec<u8>))| {
            let author = database.vault.author((*author).into(), key).unwrap();
            author.seal(Field::OutboxBody, *id, b"see you at the corner by five").to_bytes()
        };
        let bodies: Vec<Vec<u8>> = ids.iter().zip(&rows).map(sealed).collect();
        let insert = sqlx::query(
            "insert into outbox (id, kind, conversation_id, recipient_id, masked_number_id,
                 author_id, body_sealed, queued_at, due_at)
             select id, 'relay', conversation_id, person_id, number_id, author_id, body, now(), now()
             from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bytea[])
                 as new (id, conversation_id, person_id, number_id, author_id, body)",
        );
        insert
            .bind(&ids)
            .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.2).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.3).collect::<Vec<_>>())
            .bind(&bodies)
            .execute(&database.pool)
            .await
            .unwrap();
    }
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
        ("MASKLINE_SMS_PER_SECOND", "100000"),
    ]);
    let flowroute = Flowroute::new(&settings.flowroute).unwrap();
    let pool = sql::connect(&settings.database_url).await.unwrap();
    let app = App::new(pool, settings, database.vault.clone(), Clock::System, Randomness::os());
    let start = Instant::now();
    let worker = tokio::spawn(worker::run(app.clone(), flowroute));
    // The newest leave last, so that this passes over nothing that has left.
    let newest = "select count(*) from (select from outbox order by id desc limit 1) one";
    while database.count(newest).await > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = start.elapsed();
    app.draining.cancel();
    worker.await.unwrap();
    took
}
