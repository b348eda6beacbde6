//! Every rule of a conversation, against a model of it: random sequences of what people, time, the
//! carrier and staff do are taken by the product and by a reference that shares no code with it.
//!
//! `just soak-rules` takes a million steps.

mod compare;
mod doors;
mod invariants;
mod ops;
mod pool;
mod rules;
mod run;
mod show;
mod system;
mod tally;
mod time;
mod word;
mod world;

use std::{
    cell::RefCell,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::{
    ops::Op,
    run::Run,
    system::System,
    tally::Tally,
    world::{HOUR, Terms},
};

/// How many sequences each of the tests takes.
const SEQUENCES: u32 = 500;
/// After so many sequences the system begins anew, with an empty trail.
const FRESH_AFTER: usize = 125;

/// The settings under which the rules are tried.
const USUAL: Terms = Terms {
    numbers: 2,
    code_lifetime: 24 * HOUR,
    silence: 72 * HOUR,
    longest: 30 * 24 * HOUR,
    reopen_within: 24 * HOUR,
    never_the_same: false,
    capacity: 1000,
    cool_off: HOUR,
    keep_apart: 0,
    alarm: 100,
};
const SCARCE: Terms =
    Terms { never_the_same: true, capacity: 3, keep_apart: 30 * HOUR, cool_off: 2 * HOUR, ..USUAL };
const HASTY: Terms = Terms {
    numbers: 3,
    code_lifetime: 3 * HOUR,
    silence: 2 * HOUR,
    longest: 8 * HOUR,
    reopen_within: 4 * HOUR,
    capacity: 4,
    ..USUAL
};
const ALARMED: Terms = Terms { numbers: 3, alarm: 4, longest: 5 * 24 * HOUR, ..USUAL };

const ALL: [(&str, Terms); 4] =
    [("usual", USUAL), ("scarce", SCARCE), ("hasty", HASTY), ("alarmed", ALARMED)];

#[test]
fn the_rules_hold_on_the_usual_terms() {
    prove(0);
}

#[test]
fn the_rules_hold_where_numbers_are_scarce() {
    prove(1);
}

#[test]
fn the_rules_hold_where_everything_ends_soon() {
    prove(2);
}

#[test]
fn the_rules_hold_while_somebody_is_guessing() {
    prove(3);
}

/// What a variable says, as a number.
#[expect(clippy::disallowed_methods, reason = "a soak is asked for by the environment")]
fn asked<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Takes sequences under these terms, until enough were taken or one went wrong.
#[expect(clippy::print_stderr, reason = "what was met is told")]
fn prove(place: usize) {
    let (name, terms) = ALL[place];
    let soak = asked::<usize>("MASKLINE_SOAK_STEPS").map(|steps| steps / ALL.len());
    let seed = asked::<u64>("MASKLINE_MODEL_SEED").unwrap_or(1) + place as u64;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut tally = Tally::default();
    let mut round = 0;
    loop {
        let cases = asked("MASKLINE_MODEL_SEQUENCES").unwrap_or(SEQUENCES);
        take(&runtime, (name, terms), seed + 1000 * round, cases, &mut tally);
        round += 1;
        match soak {
            Some(steps) if tally.steps < steps => eprintln!("{name}: {} steps", tally.steps),
            _ => break,
        }
    }
    finish(&tally);
}

fn take(
    runtime: &tokio::runtime::Runtime,
    (name, terms): (&str, Terms),
    seed: u64,
    cases: u32,
    tally: &mut Tally,
) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 3000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let fresh = || runtime.block_on(System::start(&terms, seed));
    let state = RefCell::new((fresh(), tally, 0, None));
    let one = |ops: &[Op]| {
        let mut state = state.borrow_mut();
        let (system, tally, count, failed_at) = &mut *state;
        if *count == FRESH_AFTER {
            *system = fresh();
            *count = 0;
        }
        *count += 1;
        tally.sequences += 1;
        let (result, story) = runtime.block_on(async {
            let mut run = Run::begin(system, tally, terms).await;
            let result = run.all(ops).await;
            (result, run.story)
        });
        if result.is_err() {
            failed_at.get_or_insert(tally.sequences);
        }
        (result, story)
    };
    let result = runner.run(&ops::ops(&terms), |ops| one(&ops).0.map_err(TestCaseError::fail));
    if let Err(TestError::Fail(first, ops)) = result {
        let (again, story) = one(&ops);
        let failed_at = state.borrow().3.unwrap_or_default();
        panic!(
            "{name}, seed {seed}, sequence {failed_at}, cut down to:\n{story}\n{}",
            again.err().unwrap_or_else(|| format!("it does not fail always: {first}")),
        );
    }
    result.unwrap();
    // Nothing may be dropped outside of the runtime.
    runtime.block_on(async { drop(state) });
}

/// Adds up what the tests met; the last one tells it, and sees that nothing was missed.
#[expect(clippy::print_stderr, reason = "what was met is told")]
fn finish(tally: &Tally) {
    static ALL_MET: Mutex<(usize, Option<Tally>)> = Mutex::new((0, None));
    let mut all = ALL_MET.lock().unwrap_or_else(PoisonError::into_inner);
    all.0 += 1;
    all.1.get_or_insert_default().add(tally);
    if all.0 == ALL.len() {
        let tally = all.1.take().unwrap();
        eprintln!("{}", tally.show());
        let missing = tally.missing();
        assert!(missing.is_empty(), "never met: {missing:?}");
    }
}
