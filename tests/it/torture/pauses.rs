//! A process stops in the middle, others take it for dead, and it wakes.

use std::time::Duration;

use maskline::carrier::simulator::Faults;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    is_full,
    judge::judge,
    print, size, turn,
    world::{Wishes, World},
};
use crate::{sending::soon, support::Database};

/// Ends the leases of what has been under way for long.
const EXPIRE: &str = "update outbox set leased_until = clock_timestamp() - interval '1 s'
    where state = 'sending' and tried_at < clock_timestamp() - interval '650 ms'";
/// Counts the leases that have ended and that nobody has noticed.
const EXPIRED: &str = "select count(*) from outbox
    where state = 'sending' and leased_until < clock_timestamp()";
/// Counts what was taken for abandoned.
const UNKNOWN: &str = "select count(*) from audit_record where kind = 'unknown'";

async fn count(world: &World, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&world.db).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_changes_nothing_when_it_wakes() {
    let _turn = turn().await;
    let database = Database::migrated().await;
    let world = World::start(Wishes {
        database_url: &database.url,
        // Each stop leaves some lanes waiting for what became of a text.
        pairs: size(6, 151),
        // Whatever its waking sends again was sent twice by it alone.
        settings: &[("MASKLINE_UNKNOWN", "park")],
        replicas: vec![Vec::new(); 2],
    })
    .await;
    // Requests are open for long, so that a stop finds some; and no receipt tells of them.
    let slow = Faults { late: 1.0, late_ms: 300, lose_receipt: 1.0, ..Faults::default() };
    world.faults(slow);
    let (pauses, enough) = (size(1, 20), CancellationToken::new());
    let pause = async {
        for turn in 0..pauses {
            let stopped = turn % 2;
            let before = count(&world, UNKNOWN).await;
            let abandoned = async {
                loop {
                    world.pause(stopped, true).await;
                    // What the other has in hand is settled by then: what is left is the stopped one's.
                    sleep(Duration::from_millis(700)).await;
                    sqlx::query(EXPIRE).execute(&world.db).await.unwrap();
                    while count(&world, EXPIRED).await > 0 {
                        sleep(Duration::from_millis(50)).await;
                    }
                    if count(&world, UNKNOWN).await > before {
                        return;
                    }
                    world.pause(stopped, false).await;
                    sleep(Duration::from_millis(50)).await;
                }
            };
            soon("a stopped process is taken for dead", abandoned).await;
            soon("the other process goes on", world.probe()).await;
            world.pause(stopped, false).await;
        }
        if is_full() {
            // Once for longer than a lease really lasts.
            world.pause(0, true).await;
            sleep(Duration::from_secs(65)).await;
            soon("the other process goes on", world.probe()).await;
            world.pause(0, false).await;
            soon("and so do both", world.probe()).await;
        }
        enough.cancel();
    };
    tokio::join!(world.talk(50, &enough), pause);
    world.settle(None).await;
    let verdict = judge(&world).await;
    print("pauses", format_args!("{pauses} pauses, {verdict}"));
    verdict.must_hold();
    assert!(verdict.doubled.is_empty() && verdict.relayed == verdict.acknowledged, "{verdict:#?}");
    assert!(verdict.unknown > 0, "leases were taken for ended");
}
