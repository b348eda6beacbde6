//! The faults that the carrier can be told to have, and the dice that decide when.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde::{Deserialize, Serialize};

use super::receipts::RECEIPTS;

/// The longest that an answer may be held back.
const LONGEST_LATE_MS: u64 = 600_000;
/// The most copies of one webhook.
const MOST_COPIES: usize = 100;

/// How often what goes wrong. Probabilities are from 0 (never) to 1 (always).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Makes the whole sequence of faults reproducible.
    pub seed: u64,
    /// A send is answered 422.
    pub refuse: f64,
    /// A send is answered 429.
    pub throttle: f64,
    /// The `Retry-After` of every 429, in seconds; without it there is no such header.
    pub retry_after_s: Option<u32>,
    /// A send is answered 503.
    pub error: f64,
    /// A send is answered late, whatever the answer.
    pub late: f64,
    /// How late, in milliseconds.
    pub late_ms: u64,
    /// A send is accepted and the connection is closed without an answer.
    pub drop: f64,
    /// A webhook is delivered several times at once.
    pub duplicate: f64,
    /// How many times.
    pub copies: usize,
    /// A webhook is delivered after the next one of its kind.
    pub reorder: f64,
    /// A phone's text never reaches the webhook; only the list has it.
    pub lose_webhook: f64,
    /// A receipt is never posted.
    pub lose_receipt: f64,
    /// The last receipt says that the text failed, and the phone does not show it.
    pub fail_delivery: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 0,
            refuse: 0.0,
            throttle: 0.0,
            retry_after_s: None,
            error: 0.0,
            late: 0.0,
            late_ms: 0,
            drop: 0.0,
            duplicate: 0.0,
            copies: 2,
            reorder: 0.0,
            lose_webhook: 0.0,
            lose_receipt: 0.0,
            fail_delivery: 0.0,
        }
    }
}

impl Faults {
    /// Says what is out of range.
    pub(super) fn check(&self) -> Result<(), String> {
        let probabilities = [
            ("refuse", self.refuse),
            ("throttle", self.throttle),
            ("error", self.error),
            ("late", self.late),
            ("drop", self.drop),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("lose_webhook", self.lose_webhook),
            ("lose_receipt", self.lose_receipt),
            ("fail_delivery", self.fail_delivery),
        ];
        for (name, value) in probabilities {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name} must be a probability from 0 to 1, not {value}"));
            }
        }
        if !(1..=MOST_COPIES).contains(&self.copies) {
            return Err(format!("copies must be from 1 to {MOST_COPIES}, not {}", self.copies));
        }
        if self.late_ms > LONGEST_LATE_MS {
            return Err(format!("late_ms must be at most {LONGEST_LATE_MS}, not {}", self.late_ms));
        }
        Ok(())
    }
}

/// The faults in force and the seeded dice.
///
/// Every fate takes the same number of throws whatever comes out, so one fault turned up or down
/// does not shift when the others strike.
#[derive(Debug)]
pub(super) struct Dice {
    faults: Faults,
    rng: Xoshiro256PlusPlus,
}

/// What befalls one send.
#[derive(Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each fault strikes independently")]
pub(super) struct SendFate {
    pub(super) refuse: bool,
    pub(super) throttle: bool,
    pub(super) error: bool,
    pub(super) late: Option<Duration>,
    pub(super) drop: bool,
    pub(super) fail: bool,
    pub(super) receipts: [ReceiptFate; RECEIPTS],
}

/// What befalls one text of a phone.
#[derive(Debug, PartialEq)]
pub(super) struct TextFate {
    pub(super) lose: bool,
    pub(super) webhook: WebhookFate,
}

/// What befalls one receipt.
#[derive(Debug, PartialEq)]
pub(super) struct ReceiptFate {
    pub(super) lose: bool,
    pub(super) webhook: WebhookFate,
}

/// What befalls one webhook.
#[derive(Debug, PartialEq)]
pub(super) struct WebhookFate {
    pub(super) copies: usize,
    pub(super) reorder: bool,
}

impl Default for Dice {
    fn default() -> Self {
        let faults = Faults::default();
        Self { rng: Xoshiro256PlusPlus::seed_from_u64(faults.seed), faults }
    }
}

impl Dice {
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Puts these faults in force and begins their sequence.
    pub(super) fn load(&mut self, faults: Faults) {
        self.rng = Xoshiro256PlusPlus::seed_from_u64(faults.seed);
        self.faults = faults;
    }

    pub(super) fn send(&mut self) -> SendFate {
        let late = self.throw(self.faults.late);
        SendFate {
            refuse: self.throw(self.faults.refuse),
            throttle: self.throw(self.faults.throttle),
            error: self.throw(self.faults.error),
            late: late.then(|| Duration::from_millis(self.faults.late_ms)),
            drop: self.throw(self.faults.drop),
            fail: self.throw(self.faults.fail_delivery),
            receipts: std::array::from_fn(|_| ReceiptFate {
                lose: self.throw(self.faults.lose_receipt),
                webhook: self.webhook(),
            }),
        }
    }

    pub(super) fn text(&mut self) -> TextFate {
        TextFate { lose: self.throw(self.faults.lose_webhook), webhook: self.webhook() }
    }

    fn webhook(&mut self) -> WebhookFate {
        let duplicate = self.throw(self.faults.duplicate);
        WebhookFate {
            copies: if duplicate { self.faults.copies } else { 1 },
            reorder: self.throw(self.faults.reorder),
        }
    }

    fn throw(&mut self, probability: f64) -> bool {
        self.rng.random::<f64>() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(dice: &mut Dice) -> Vec<SendFate> {
        (0..50).map(|_| dice.send()).collect()
    }

    #[test]
    fn a_seed_gives_its_sequence_again_and_another_seed_another() {
        let faults = Faults { seed: 7, drop: 0.5, reorder: 0.5, ..Faults::default() };
        let mut dice = Dice::default();

        dice.load(faults.clone());
        let first = sequence(&mut dice);
        assert_ne!(first, sequence(&mut dice), "the sequence goes on");
        dice.load(faults.clone());
        assert_eq!(first, sequence(&mut dice), "setting the faults begins it again");
        dice.load(Faults { seed: 8, ..faults });
        assert_ne!(first, sequence(&mut dice));
    }

    #[test]
    fn turning_one_fault_up_leaves_the_others_where_they_were() {
        let drops = |refuse| {
            let mut dice = Dice::default();
            dice.load(Faults { drop: 0.5, refuse, ..Faults::default() });
            sequence(&mut dice).into_iter().map(|fate| fate.drop).collect::<Vec<_>>()
        };
        assert_eq!(drops(0.0), drops(1.0));
    }

    #[test]
    fn out_of_range_is_named() {
        let checked = |faults: Faults| faults.check().unwrap_err();
        let none = Faults::default();
        assert!(none.check().is_ok());
        assert!(checked(Faults { drop: 1.1, ..none.clone() }).starts_with("drop must be"));
        assert!(checked(Faults { late: -0.1, ..none.clone() }).starts_with("late must be"));
        assert!(checked(Faults { refuse: f64::NAN, ..none.clone() }).starts_with("refuse must be"));
        assert!(checked(Faults { copies: 0, ..none.clone() }).starts_with("copies must be"));
        assert!(checked(Faults { late_ms: u64::MAX, ..none }).starts_with("late_ms must be"));
    }
}
