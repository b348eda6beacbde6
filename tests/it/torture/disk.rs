//! The database's disk is full, and then it is not.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{
    judge::judge,
    left_out,
    postgres::{Folder, Mortal},
    print, size, turn,
    world::{Wishes, World},
};
use crate::sending::soon;

/// A small disk, in memory.
struct Disk(Folder);

impl Disk {
    /// None where nobody may mount one.
    fn mount() -> Option<Self> {
        let folder = Folder::new();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=160m", "tmpfs"])
            .arg(&folder.0)
            .output();
        mount.is_ok_and(|done| done.status.success()).then_some(Self(folder))
    }

    fn filler(&self) -> PathBuf {
        self.0.0.join("filler")
    }

    /// Leaves no room for anything.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn path(&self) -> &Path {
        &self.0.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").args(["--lazy".as_ref(), self.path().as_os_str()]).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    let _turn = turn().await;
    let Some(disk) = Disk::mount() else {
        left_out("full disk", "the right to mount a small one, which only root has");
        return;
    };
    let mut server = Mortal::start(&disk.path().join("kept")).await;
    let url = server.url();
    let world = World::start(Wishes {
        database_url: &url,
        pairs: 6,
        settings: &[("MASKLINE_UNKNOWN", "resend")],
        replicas: vec![Vec::new(); 2],
    })
    .await;
    let (times, mut refused, mut restarts) = (size(2, 20), 0, 0);
    for _ in 0..times {
        disk.fill();
        let full = async {
            let mut in_a_row = 0;
            while in_a_row < 20 {
                let all = (0..world.places() - 2).map(|place| world.tries_to_say(place));
                for status in join_all(all).await {
                    match status {
                        Some(200) => in_a_row = 0,
                        Some(503) => in_a_row += 1,
                        // The carrier did not wait for it.
                        None => {}
                        Some(other) => panic!("{other}"),
                    }
                }
            }
            in_a_row
        };
        refused += soon("the disk is full", full).await;
        disk.free();
        let again = async {
            world.probe().await;
            join_all((0..world.places() - 2).map(|place| world.say(place))).await;
        };
        let watch = async {
            loop {
                // PostgreSQL gives up where it cannot write its log; who watches over it starts it again.
                if server.has_ended() {
                    server.kill("-KILL").await;
                    server.revive().await;
                    restarts += 1;
                }
                sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            () = soon("all goes again", again) => {}
            () = watch => {}
        }
    }
    world.settle(Some(Duration::from_secs(2))).await;
    let verdict = judge(&world).await;
    print(
        "full disk",
        format_args!("{times} times, {refused} answered 503, {restarts} restarts, {verdict}"),
    );
    verdict.must_hold();
    world.db.close().await;
    drop(world);
    server.kill("-KILL").await;
}
