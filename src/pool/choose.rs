//! Which masked number a conversation stands on: judged from what is given, touching nothing.

use jiff::{SignedDuration, Timestamp};

use super::MaskedNumber;
use crate::{
    config::{NumberChoice, PoolSettings},
    ids::PersonId,
    phone::PhoneNumber,
};

/// A number of the pool as it stands for one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The number.
    pub number: MaskedNumber,
    /// When it came into the pool.
    pub added_at: Timestamp,
    /// Whether it takes new conversations.
    pub in_service: bool,
    /// How many people are in open conversations on it, counted up to the capacity.
    pub load: u32,
    /// Whether the carrier refuses to connect the person with it.
    pub carrier_blocked: bool,
    /// Whether the person is in an open conversation on it.
    pub taken: bool,
    /// When a conversation of the person's last ended on it.
    pub last_ended: Option<Timestamp>,
    /// Whom the person met on it, latest first, each once.
    pub met: Vec<Met>,
    /// How near it lies to the person's own number.
    pub near: Near,
}

/// Somebody whom a person met on a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met {
    /// Who it was.
    pub who: PersonId,
    /// When they were last connected there; the present while they still are.
    pub last: Timestamp,
}

/// How near a number lies to a person's own, nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Near {
    /// They have the same North American area code.
    SameArea,
    /// They have the same calling code.
    SameCountry,
    /// They have nothing in common.
    Elsewhere,
}

impl Near {
    /// Compares two numbers.
    pub fn of(number: &PhoneNumber, own: &PhoneNumber) -> Self {
        if number.country() != own.country() {
            Self::Elsewhere
        } else if number.area().is_some() && number.area() == own.area() {
            Self::SameArea
        } else {
            Self::SameCountry
        }
    }
}

impl Candidate {
    /// Whether the person has met this one on the number.
    fn has_met(&self, with: Option<PersonId>) -> bool {
        self.met.iter().any(|met| Some(met.who) == with)
    }
}

/// Whether a new conversation may stand on a number that the person texted or asked for.
///
/// `with` is the other person, where they are known already. The person's own open conversation on
/// the number and the cool-off are no obstacles here: whoever asks for a number means that number.
pub fn may_use(
    candidate: &Candidate,
    settings: &PoolSettings,
    with: Option<PersonId>,
    now: Timestamp,
) -> bool {
    let is_crossed = candidate
        .met
        .iter()
        .any(|met| Some(met.who) != with && is_within(met.last, settings.keep_apart, now));
    let is_stale = settings.choice == NumberChoice::Fresh && candidate.has_met(with);
    candidate.in_service
        && candidate.load < settings.capacity
        && !candidate.carrier_blocked
        && !is_crossed
        && !is_stale
}

/// Chooses the number for a new conversation; none when no number may be used.
///
/// The same candidates, in whatever order, always give the same number.
pub fn choose<'a>(
    candidates: &'a [Candidate],
    settings: &PoolSettings,
    with: Option<PersonId>,
    now: Timestamp,
) -> Option<&'a MaskedNumber> {
    let is_cooling = |candidate: &Candidate| {
        candidate.last_ended.is_some_and(|ended| is_within(ended, settings.cool_off, now))
    };
    let may_choose = |candidate: &&Candidate| {
        !candidate.taken && !is_cooling(candidate) && may_use(candidate, settings, with, now)
    };
    let order = |candidate: &&Candidate| {
        // Under `Fresh` no number is left on which the two have met.
        let is_new_to_them = !candidate.has_met(with);
        (is_new_to_them, candidate.near, candidate.load, candidate.added_at, candidate.number.id)
    };
    candidates.iter().filter(may_choose).min_by_key(order).map(|candidate| &candidate.number)
}

/// Whether this was less than a span ago. A span of zero holds nothing, not even the present.
fn is_within(then: Timestamp, span: SignedDuration, now: Timestamp) -> bool {
    span.is_positive() && now.duration_since(then) < span
}

#[cfg(test)]
mod tests;
