//! PostgreSQL is killed, or loses single connections, while everybody talks.

use std::time::Duration;

use maskline::carrier::simulator::Faults;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    judge::judge,
    postgres::{Folder, Mortal},
    print, size, turn,
    world::{Wishes, World},
};
use crate::support::Database;

/// How soon everything must go again.
const RECOVERY: Duration = Duration::from_secs(10);

fn wishes(database_url: &str) -> Wishes<'_> {
    Wishes {
        database_url,
        pairs: size(6, 21),
        settings: &[("MASKLINE_UNKNOWN", "resend")],
        replicas: vec![Vec::new(); 2],
    }
}

/// How long it takes until a text goes through all of it again.
async fn recovery(world: &World) -> Duration {
    let started = Instant::now();
    timeout(RECOVERY, world.probe()).await.expect("all goes again within 10 s");
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_postgresql_loses_nothing_and_all_goes_again_within_10_s() {
    let _turn = turn().await;
    let folder = Folder::new();
    let mut server = Mortal::start(&folder.0.join("kept")).await;
    let url = server.url();
    let world = World::start(wishes(&url)).await;
    world.faults(Faults { late: 0.5, late_ms: 40, ..Faults::default() });
    let (kills, enough) = (size(3, 50), CancellationToken::new());
    let kill = async {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(6);
        let mut slowest = Duration::ZERO;
        for turn in 0..kills {
            sleep(Duration::from_millis(dice.random_range(200..1_200))).await;
            server.kill(if turn % 2 == 0 { "-KILL" } else { "-QUIT" }).await;
            sleep(Duration::from_millis(dice.random_range(0..500))).await;
            server.revive().await;
            slowest = slowest.max(recovery(&world).await);
            world.hasten(Duration::from_secs(2)).await;
        }
        enough.cancel();
        slowest
    };
    let ((), slowest) = tokio::join!(world.talk(50, &enough), kill);
    world.settle(Some(Duration::from_secs(2))).await;
    let verdict = judge(&world).await;
    let slowest = slowest.as_secs_f64();
    print("PostgreSQL killed", format_args!("{kills} kills, slowest {slowest:.1} s, {verdict}"));
    verdict.must_hold();
    world.db.close().await;
    drop(world);
    server.kill("-INT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_connections_to_postgresql_loses_nothing_else() {
    let _turn = turn().await;
    let database = Database::migrated().await;
    let world = World::start(wishes(&database.url)).await;
    world.faults(Faults { late: 0.5, late_ms: 40, ..Faults::default() });
    let (most, enough) = (size(40, 1_000), CancellationToken::new());
    let terminate = async {
        let mut terminated = 0;
        while terminated < most {
            sleep(Duration::from_millis(30)).await;
            let one = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and application_name = 'maskline'
                order by random() limit 1";
            let one: Option<bool> =
                sqlx::query_scalar(one).fetch_optional(&world.db).await.unwrap();
            terminated += usize::from(one == Some(true));
        }
        let slowest = recovery(&world).await;
        enough.cancel();
        (terminated, slowest)
    };
    let ((), (terminated, slowest)) = tokio::join!(world.talk(50, &enough), terminate);
    world.settle(Some(Duration::from_secs(2))).await;
    let verdict = judge(&world).await;
    let slowest = slowest.as_secs_f64();
    print(
        "connections ended",
        format_args!("{terminated} connections, all goes after {slowest:.1} s, {verdict}"),
    );
    verdict.must_hold();
}
