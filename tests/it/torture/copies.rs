//! The carrier delivers a webhook up to fifty times at once.

use futures_util::future::join_all;
use maskline::carrier::simulator::Faults;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{
    judge::judge,
    print, size, turn,
    world::{Wishes, World},
};
use crate::support::Database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_copies_come_at_once_each_text_is_relayed_once() {
    let _turn = turn().await;
    let database = Database::migrated().await;
    let world = World::start(Wishes {
        database_url: &database.url,
        pairs: 5,
        settings: &[],
        replicas: vec![Vec::new(); 2],
    })
    .await;
    let (most, mut webhooks) = (size(1_000, 100_000), 0);
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(5);
    while webhooks < most {
        let copies = dice.random_range(1..=50);
        world.faults(Faults { duplicate: 1.0, copies, ..Faults::default() });
        join_all((0..world.places()).map(|place| world.say(place))).await;
        webhooks += copies * world.places();
    }
    world.settle(None).await;
    let verdict = judge(&world).await;
    print("copies", format_args!("{webhooks} webhooks, {verdict}"));
    verdict.must_hold();
    assert!(verdict.doubled.is_empty() && verdict.relayed == verdict.acknowledged, "{verdict:#?}");
}
