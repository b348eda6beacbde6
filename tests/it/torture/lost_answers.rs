//! The carrier accepts a text, and the answer is lost: one in five.

use std::time::Duration;

use maskline::carrier::simulator::Faults;

use super::{
    judge::{Verdict, judge},
    print, size, turn,
    world::{Wishes, World},
};
use crate::support::Database;

async fn world(database: &Database, settings: &[(&str, &str)]) -> World {
    World::start(Wishes {
        database_url: &database.url,
        pairs: 10,
        settings,
        replicas: vec![Vec::new(); 2],
    })
    .await
}

/// Says what came of it; about a fifth of the answers were lost.
fn report(what: &str, verdict: &Verdict) {
    print(what, format_args!("{} answers lost, {verdict}", verdict.unanswered));
    verdict.must_hold();
    let fifth = verdict.acknowledged / 5;
    assert!((fifth / 2..2 * fifth).contains(&verdict.unanswered), "{verdict:#?}");
}

/// How much each of the twenty says.
fn each() -> u32 {
    size(10, 1_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_receipts_come_a_lost_answer_doubles_nothing() {
    let _turn = turn().await;
    let database = Database::migrated().await;
    let world = world(&database, &[("MASKLINE_UNKNOWN", "resend")]).await;
    world.faults(Faults { drop: 0.2, ..Faults::default() });
    world.say_each(each()).await;
    world.settle(None).await;
    world.simulator.idle().await;
    let verdict = judge(&world).await;
    report("lost answers, receipts on", &verdict);
    assert!(verdict.doubled.is_empty(), "{verdict:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_neither_receipts_nor_list_only_lost_answers_double_and_each_is_marked() {
    let _turn = turn().await;
    let database = Database::migrated().await;
    let settings = [("MASKLINE_UNKNOWN", "resend"), ("MASKLINE_RECONCILE", "off")];
    let world = world(&database, &settings).await;
    world.faults(Faults { drop: 0.2, lose_receipt: 1.0, ..Faults::default() });
    let hasten = async {
        loop {
            world.hasten(Duration::ZERO).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = world.say_each(each()) => {}
        () = hasten => {}
    }
    // Nobody will ever hear more of what is unknown.
    world.settle(Some(Duration::ZERO)).await;
    let verdict = judge(&world).await;
    report("lost answers, receipts and list off", &verdict);
    assert!(verdict.uninjected.is_empty(), "{verdict:#?}");
    assert!(verdict.unknown <= verdict.unanswered, "{verdict:#?}");
    assert!(!verdict.doubled.is_empty(), "the answers were lost in earnest");
}
