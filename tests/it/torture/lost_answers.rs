//! The carrier accepts a text, and the answer is lost: one in five.

use std::time::Duration;

use maskline::carrier::simulator::{Event, Faults, Simulator};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};

use super::{
    judge::judge,
    print, size, turn,
    world::{Wishes, World},
};
use crate::support::Database;

/// Counts the answers that were lost, until the carrier is gone; none when some were not seen.
fn count_lost(simulator: &Simulator) -> JoinHandle<Option<usize>> {
    let mut events = simulator.subscribe();
    tokio::spawn(async move {
        let mut lost = Some(0);
        loop {
            match events.recv().await {
                Ok(Event::Exchange(call)) => {
                    let is_send = call.method == "POST" && call.url.ends_with("/messages");
                    let is_lost = is_send && call.status.is_none();
                    lost = lost.map(|lost| lost + usize::from(is_lost));
                }
                Ok(Event::Changed) => {}
                Err(RecvError::Lagged(_)) => lost = None,
                Err(RecvError::Closed) => return lost,
            }
        }
    })
}

async fn world(database: &Database, settings: &[(&str, &str)]) -> World {
    World::start(Wishes {
        database_url: &database.url,
        pairs: 10,
        settings,
        replicas: vec![Vec::new(); 2],
    })
    .await
}

fn figure(lost: Option<usize>) -> String {
    lost.map_or_else(|| "many".to_owned(), |lost| lost.to_string())
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
    let lost = count_lost(&world.simulator);
    world.faults(Faults { drop: 0.2, ..Faults::default() });
    world.say_each(each()).await;
    world.settle(None).await;
    world.simulator.idle().await;
    let verdict = judge(&world).await;
    drop(world);
    let lost = lost.await.unwrap();
    print("lost answers, receipts on", format_args!("{} answers lost, {verdict}", figure(lost)));
    verdict.must_hold();
    assert!(lost != Some(0) && verdict.doubled.is_empty(), "{verdict:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_neither_receipts_nor_list_only_lost_answers_double_and_each_is_marked() {
    let _turn = turn().await;
    let database = Database::migrated().await;
    let settings = [("MASKLINE_UNKNOWN", "resend"), ("MASKLINE_RECONCILE", "off")];
    let world = world(&database, &settings).await;
    let lost = count_lost(&world.simulator);
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
    drop(world);
    let lost = lost.await.unwrap();
    print(
        "lost answers, receipts and list off",
        format_args!("{} answers lost, {verdict}", figure(lost)),
    );
    verdict.must_hold();
    let most = lost.unwrap_or(usize::MAX);
    assert!(verdict.doubled.len() <= most && verdict.unknown <= most, "{verdict:#?}");
    assert!(!verdict.doubled.is_empty(), "the answers were lost in earnest");
}
