//! The clocks of processes jump by an hour, back and forth, while everybody talks.
//!
//! A process runs with a small library before the system's, which reads from a file how far its
//! clock is off. The database's clock stays right: all processes go by it.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use maskline::clock::Clock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    judge::judge,
    left_out,
    postgres::Folder,
    print, size, turn,
    world::{Wishes, World},
};
use crate::support::{Database, code_in};

/// Makes the library; false where there is no C compiler, or no way to put a library first.
fn make(library: &Path) -> bool {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/torture/clock.c");
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(library)
        .args([source, "-ldl"])
        .status();
    cfg!(target_os = "linux") && made.is_ok_and(|status| status.success())
}

/// How many hours the clock of each process is off.
async fn off(world: &World) -> Vec<i64> {
    let mut off = Vec::new();
    for replica in world.replicas.lock().await.iter().flatten() {
        let shown = replica.clock().await;
        let minutes = shown.duration_since(Clock::System.now()).as_mins();
        off.push((minutes + minutes.signum() * 15) / 60);
    }
    off
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_by_an_hour_ends_nothing_early_and_takes_no_lease() {
    let _turn = turn().await;
    let (folder, database) = (Folder::new(), Database::migrated().await);
    let library = folder.0.join("clock.so");
    if !make(&library) {
        left_out("clock jumps", "Linux and cc");
        return;
    }
    let offsets = ["first", "second"].map(|name| folder.0.join(name));
    // Written over in place, for it is looked at in the middle.
    let shift = |hours: [i64; 2]| {
        for (offset, hours) in offsets.iter().zip(hours) {
            let mut file =
                File::options().create(true).truncate(false).write(true).open(offset).unwrap();
            file.write_all(format!("{:<20}", hours * 3_660).as_bytes()).unwrap();
        }
    };
    shift([0, 0]);
    let clock = |offset: &PathBuf| {
        let own = [("LD_PRELOAD", &library), ("TORTURE_CLOCK", offset)];
        own.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec()
    };
    let world = World::start(Wishes {
        database_url: &database.url,
        pairs: size(6, 21),
        settings: &[("MASKLINE_CODE_LIFETIME", "1h"), ("MASKLINE_UNKNOWN", "park")],
        replicas: offsets.iter().map(clock).collect(),
    })
    .await;
    assert_eq!(off(&world).await, [0, 0]);
    let (jumps, enough) = (size(4, 20), CancellationToken::new());
    let jump = async {
        for turn in 0..jumps {
            let (opener, joiner) = (9000 + 2 * turn, 9001 + 2 * turn);
            shift([0, 0]);
            world.text(opener, "START", &format!("jump-start-{turn}")).await;
            let code = code_in(&world.inbox(opener, 1).await[0]).unwrap();
            let hours = [[1, 1], [-1, 1], [-1, -1], [1, -1]][turn % 4];
            shift(hours);
            assert_eq!(off(&world).await, hours, "the clocks are set");
            sleep(Duration::from_millis(500)).await;
            // The code still opens, whoever's clock says that it has expired.
            world.text(joiner, &format!("JOIN {code}"), &format!("jump-join-{turn}")).await;
            world.inbox(opener, 2).await;
            world.probe().await;
        }
        enough.cancel();
    };
    tokio::join!(world.talk(50, &enough), jump);
    world.settle(None).await;
    let ended = "select count(*) from audit_record where kind in ('ended', 'warned', 'unknown')";
    let ended: i64 = sqlx::query_scalar(ended).fetch_one(&world.db).await.unwrap();
    let verdict = judge(&world).await;
    print("clock jumps", format_args!("{jumps} jumps, {ended} ended early, {verdict}"));
    verdict.must_hold();
    assert!(ended == 0 && verdict.doubled.is_empty() && verdict.unknown == 0, "{verdict:#?}");
}
