//! Torture: processes, databases, clocks and answers fail in the middle of talk, for real.
//!
//! The service runs as its own processes behind a proxy, and the judge is the simulated carrier's
//! ledger against our tables. `cargo test` does a little of each, `just torture` all of it. Each
//! prints its counts.

mod clocks;
mod copies;
mod database;
mod disk;
mod front;
mod judge;
mod kills;
mod lost_answers;
mod outages;
mod pauses;
mod postgres;
mod replica;
mod world;

use std::fmt::Display;

use tokio::sync::{Mutex, MutexGuard};

use crate::browser::say;

/// Waits for the turn of a test: each has the computer for itself, as far as it can.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// How much of it: a little, or all where `MASKLINE_TORTURE` says `full`.
fn size<T>(small: T, full: T) -> T {
    if is_full() { full } else { small }
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests chooses their size")]
fn is_full() -> bool {
    std::env::var("MASKLINE_TORTURE").is_ok_and(|size| size == "full")
}

/// Says the counts past the test runner, for whoever runs it.
fn print(what: &str, counts: impl Display) {
    say(&format!("torture {what}: {counts}"));
}

/// Says that a test was not run, and what it needs.
fn left_out(what: &str, needs: &str) {
    say(&format!("LEFT OUT: torture {what} needs {needs}"));
}
