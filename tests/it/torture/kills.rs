//! `kill -9` of one of two processes, at any moment, while everybody talks.

use std::time::Duration;

use maskline::carrier::simulator::Faults;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    is_full,
    judge::judge,
    print, size, turn,
    world::{Wishes, World},
};
use crate::support::Database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_process_loses_nothing_and_doubles_nothing_unmarked() {
    let _turn = turn().await;
    let database = Database::migrated().await;
    let world = World::start(Wishes {
        database_url: &database.url,
        pairs: size(5, 21),
        settings: &[("MASKLINE_UNKNOWN", "resend")],
        replicas: vec![Vec::new(); 2],
    })
    .await;
    // So that a kill often meets a request that is open.
    world.faults(Faults { late: 0.5, late_ms: 40, ..Faults::default() });
    let (kills, enough) = (size(4, 500), CancellationToken::new());
    let kill = async {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(4);
        for _ in 0..kills {
            tokio::time::sleep(Duration::from_millis(dice.random_range(0..800))).await;
            let which = dice.random_range(0..2);
            world.kill(which).await;
            world.revive(which).await;
            world.hasten(Duration::from_secs(2)).await;
        }
        enough.cancel();
    };
    let began = Instant::now();
    tokio::join!(world.talk(50, &enough), kill);
    let took = began.elapsed().as_secs_f64();
    world.settle(Some(Duration::from_secs(2))).await;
    let verdict = judge(&world).await;
    let rate = f64::from(world.said()) / took;
    print("kills", format_args!("{kills} kills, {rate:.0} texts a second, {verdict}"));
    verdict.must_hold();
    assert!(!is_full() || verdict.unknown > 0, "no kill met a request that was open");
}
