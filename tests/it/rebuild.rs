//! The trail is complete: a day of chance is told again from its records alone, and what comes out is
//! what the tables hold.

pub mod fold;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use maskline::{
    carrier::simulator::Faults, consent::Channel, dispatch, outbox::worker, reconciler::Reconciler,
    sweeper,
};
use rand::{Rng, RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use sqlx::Connection;

use self::fold::State;
use crate::support::{Phone, TestApp, Wishes, code_in};

const PEOPLE: usize = 6;
const STEPS: usize = 400;
const TALK: [&str; 4] = ["hello", "where are you?", "on my way", "please stop texting me"];
const WORDS: [&str; 16] = [
    "END",
    "STOP",
    "UNSUBSCRIBE",
    "HELP",
    "LEAVE",
    "LEAVE",
    "EXTEND",
    "EXTEND",
    "REOPEN",
    "REOPEN",
    "REOPEN",
    "BLOCK",
    "REPORT",
    "MOVE",
    "MOVE",
    "YES",
];

/// A day of chance.
struct Day {
    test: TestApp,
    dice: Xoshiro256PlusPlus,
    /// How the codes are used that somebody was told.
    codes: Vec<String>,
}

impl Day {
    async fn begin(seed: u64, unknown: &str) -> Self {
        let settings = [("MASKLINE_UNKNOWN", unknown)];
        let mut test =
            TestApp::wishing(Wishes { seed, settings: &settings, ..Wishes::default() }).await;
        test.leave_promises();
        Self { test, dice: Xoshiro256PlusPlus::seed_from_u64(seed), codes: Vec::new() }
    }

    fn somebody(&mut self) -> Phone<'_> {
        let who = self.dice.random_range(0..PEOPLE);
        let there = self.dice.random_bool(0.15);
        let phone = self.test.phone(&format!("+1206555014{who}"));
        if there { phone.on_the_other_number() } else { phone }
    }

    async fn step(&mut self) {
        match self.dice.random_range(0..20) {
            0..12 => self.text().await,
            12..16 => self.deliver().await,
            16 => {
                let minutes = *self.pick(&[1, 5, 30, 60, 60, 120, 120, 600, 600, 1500, 4280]);
                self.test.advance(SignedDuration::from_mins(minutes));
            }
            17 => while sweeper::step(&self.test.app).await.unwrap() > 0 {},
            18 => {
                let mut round = Reconciler::new(self.test.app.clone(), self.test.carrier.clone());
                round.step().await.unwrap();
            }
            _ => self.staff().await,
        }
        self.test.advance(SignedDuration::from_secs(1));
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.dice.random_range(0..among.len())]
    }

    async fn text(&mut self) {
        let words = match self.dice.random_range(0..20) {
            0..5 if let Some(newest) = self.codes.last() => newest.clone(),
            5..7 => "START".to_owned(),
            7..12 => (*self.pick(&TALK)).to_owned(),
            12..16 => "UNSTOP".to_owned(),
            _ => (*self.pick(&WORDS)).to_owned(),
        };
        self.somebody().tries(&words).await;
    }

    /// Sends what is due, while much goes wrong, or little.
    async fn deliver(&mut self) {
        let mut chance = |of: f64| if self.dice.random_bool(0.4) { of } else { 0.0 };
        let faults = Faults {
            drop: chance(0.5),
            refuse: chance(0.3),
            error: chance(0.3),
            lose_receipt: chance(0.6),
            lose_webhook: chance(0.2),
            fail_delivery: chance(0.4),
            duplicate: chance(0.5),
            ..Faults::default()
        };
        let seed = self.dice.next_u64();
        self.test.faults(Faults { seed, ..faults });
        for _ in 0..self.dice.random_range(1..4) {
            worker::step(&self.test.app, &self.test.carrier).await.unwrap();
            self.test.simulator.idle().await;
        }
        for who in 0..PEOPLE {
            let told = self.test.phone(&format!("+1206555014{who}")).inbox();
            for text in &told {
                let word = if text.contains("MOVE") { "MOVE" } else { "JOIN" };
                let used = code_in(text).map(|code| format!("{word} {code}"));
                self.codes.extend(used.filter(|used| !self.codes.contains(used)));
            }
        }
    }

    /// The carrier takes texts and says nothing, until nobody waits for its word any more.
    async fn fall_silent(&mut self) {
        self.test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
        self.test.phone("+12065550149").texts("HELP").await;
        for _ in 0..3 {
            self.test.deliver().await;
            self.test.advance(SignedDuration::from_mins(5));
        }
    }

    async fn staff(&mut self) {
        let number = self.somebody().number.clone();
        let what = self.dice.random_range(0..8);
        let app = &self.test.app;
        let mut conn = self.test.db.acquire().await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        let vault = &app.pen.vault;
        let found = maskline::people::find(&mut tx, vault, &number).await.unwrap();
        let Some((person, author)) = found else { return };
        let (now, why) = (app.clock.now(), "by letter".to_owned());
        match what {
            0..3 => {
                let by = (Channel::Staff, Some(why));
                dispatch::opt_out(&mut tx, &app.pen, (person, &author), by, now).await.unwrap();
            }
            3..7 => {
                dispatch::opt_in(&mut tx, (person, &author), why, now).await.unwrap();
            }
            _ => {
                dispatch::erase(&mut tx, &app.pen, person, now).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
    }

    /// Tells the day again, and compares.
    async fn compare(&self, seed: u64, steps: usize) {
        let mut conn = self.test.db.acquire().await.unwrap();
        let began = "2026-01-01T00:00:00Z".parse().unwrap();
        let told = State::told(&mut conn, began).await;
        let held = State::held(&mut conn).await;
        assert_eq!(
            told, held,
            "day {seed}, {steps} steps: the trail on the left, the tables on the right"
        );
    }
}

/// Lives some days of chance, and compares all along. Returns the kinds of records that were met.
async fn live(seeds: std::ops::Range<u64>, unknown: &str) -> BTreeSet<String> {
    let mut met = BTreeSet::new();
    for seed in seeds {
        let mut day = Day::begin(seed, unknown).await;
        for step in 0..STEPS {
            day.step().await;
            if step % 20 == 19 {
                day.compare(seed, step + 1).await;
            }
        }
        day.fall_silent().await;
        day.compare(seed, STEPS + 1).await;
        met.extend(day.test.column("select distinct kind from audit_record").await);
    }
    met
}

/// What must be met, or the days were too quiet to show anything. Sequences of chance, in `model.rs`,
/// are told again as well, and meet all that there is.
const COMMON: [&str; 18] = [
    "received",
    "relayed",
    "answered",
    "opened",
    "joined",
    "ended",
    "code_failed",
    "flagged",
    "carrier_blocked",
    "carrier_lifted",
    "opted_out",
    "opted_in",
    "dropped",
    "accepted",
    "failed",
    "unknown",
    "reported",
    "delivered",
];

fn missing<'a>(wanted: &[&'a str], met: &BTreeSet<String>) -> Vec<&'a str> {
    wanted.iter().copied().filter(|kind| !met.contains(*kind)).collect()
}

#[tokio::test]
async fn days_of_chance_are_told_again_from_the_trail_alone() {
    let met = live(0..4, "park").await;
    assert_eq!(missing(&[&COMMON[..], &["parked"]].concat(), &met), [""; 0]);
}

#[tokio::test]
async fn so_are_days_on_which_what_may_be_lost_is_sent_again() {
    let met = live(100..103, "resend").await;
    assert_eq!(missing(&["resent"], &met), [""; 0]);
}
