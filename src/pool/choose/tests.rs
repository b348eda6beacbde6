//! The rules one by one, and what holds of every choice.

use jiff::ToSpan;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::MaskedNumberId;

const SETTINGS: PoolSettings = PoolSettings {
    choice: NumberChoice::Sticky,
    capacity: 10,
    cool_off: SignedDuration::from_hours(1),
    keep_apart: SignedDuration::from_hours(24),
};

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now() - minutes.minutes()
}

fn person(n: u8) -> PersonId {
    Uuid::from_u128(n.into()).into()
}

fn number(text: &str) -> PhoneNumber {
    text.parse().unwrap()
}

/// A number that nothing speaks against; a higher `n` is a younger number.
fn plain(n: u8) -> Candidate {
    let id = MaskedNumberId::from(Uuid::from_u128(n.into()));
    Candidate {
        number: MaskedNumber { id, number: number(&format!("+1415555{n:04}")) },
        added_at: now() + i64::from(n).seconds(),
        in_service: true,
        load: 0,
        carrier_blocked: false,
        taken: false,
        last_ended: None,
        met: Vec::new(),
        near: Near::Elsewhere,
    }
}

fn met(who: u8, minutes: i64) -> Met {
    Met { who: person(who), last: ago(minutes) }
}

/// Which of the candidates is chosen, by its place.
fn place(
    candidates: &[Candidate],
    settings: &PoolSettings,
    with: Option<PersonId>,
) -> Option<usize> {
    let chosen = choose(candidates, settings, with, now())?;
    candidates.iter().position(|candidate| candidate.number == *chosen)
}

#[test]
fn each_rule_says_no_by_itself() {
    let fresh = PoolSettings { choice: NumberChoice::Fresh, ..SETTINGS };
    let any = PoolSettings { keep_apart: SignedDuration::ZERO, ..SETTINGS };
    let warm = PoolSettings { cool_off: SignedDuration::ZERO, ..SETTINGS };
    let is = |change: fn(&mut Candidate)| {
        let mut candidate = plain(1);
        change(&mut candidate);
        candidate
    };
    let met_ann = || is(|number| number.met = vec![met(1, 60)]);
    let long_ago = || is(|number| number.met = vec![met(1, 24 * 60)]);
    let (ann, ben) = (Some(person(1)), Some(person(2)));
    // What it is, with whom, whether it may be used, and whether Maskline may choose it.
    let table = [
        (plain(1), SETTINGS, None, true, true),
        (is(|number| number.in_service = false), SETTINGS, None, false, false),
        (is(|number| number.load = 9), SETTINGS, None, true, true),
        (is(|number| number.load = 10), SETTINGS, None, false, false),
        (is(|number| number.carrier_blocked = true), SETTINGS, None, false, false),
        (is(|number| number.taken = true), SETTINGS, None, true, false),
        (is(|number| number.last_ended = Some(ago(59))), SETTINGS, None, true, false),
        (is(|number| number.last_ended = Some(ago(60))), SETTINGS, None, true, true),
        (is(|number| number.last_ended = Some(ago(-5))), SETTINGS, None, true, false),
        (is(|number| number.last_ended = Some(ago(0))), warm, None, true, true),
        // A clock that runs ahead does not make a rule of none.
        (is(|number| number.last_ended = Some(ago(-5))), warm, None, true, true),
        (is(|number| number.met = vec![met(1, -5)]), any, None, true, true),
        (met_ann(), SETTINGS, None, false, false),
        (met_ann(), SETTINGS, ben, false, false),
        (met_ann(), SETTINGS, ann, true, true),
        (met_ann(), any, None, true, true),
        (met_ann(), any, ben, true, true),
        (long_ago(), SETTINGS, ben, true, true),
        (met_ann(), fresh, ann, false, false),
        (long_ago(), fresh, ann, false, false),
        (long_ago(), fresh, ben, true, true),
        (long_ago(), fresh, None, true, true),
        (is(|number| number.met = vec![met(1, 5), met(2, 9)]), SETTINGS, ann, false, false),
        (is(|number| number.met = vec![met(1, 5), met(2, 1440)]), SETTINGS, ann, true, true),
        (is(|number| number.met = vec![met(1, 0)]), any, None, true, true),
    ];
    for (n, (candidate, settings, with, usable, chosen)) in table.into_iter().enumerate() {
        assert_eq!(may_use(&candidate, &settings, with, now()), usable, "row {n}: may use");
        let choice = choose(std::slice::from_ref(&candidate), &settings, with, now());
        assert_eq!(choice.is_some(), chosen, "row {n}: choose");
    }
    assert_eq!(choose(&[], &SETTINGS, None, now()), None);
}

#[test]
fn what_counts_first_is_the_pair_then_nearness_then_load_then_age() {
    let ann = Some(person(1));
    let mut candidates = vec![plain(5), plain(4), plain(3), plain(2), plain(1)];
    assert_eq!(place(&candidates, &SETTINGS, ann), Some(4), "the oldest");
    for candidate in &mut candidates[1..] {
        candidate.load = 1;
    }
    assert_eq!(place(&candidates, &SETTINGS, ann), Some(0), "the emptiest");
    candidates[1].near = Near::SameCountry;
    assert_eq!(place(&candidates, &SETTINGS, ann), Some(1), "the same country");
    candidates[2].near = Near::SameArea;
    candidates[2].load = 9;
    assert_eq!(place(&candidates, &SETTINGS, ann), Some(2), "the same area");
    candidates[3].met = vec![met(1, 600)];
    candidates[3].load = 9;
    assert_eq!(place(&candidates, &SETTINGS, ann), Some(3), "where the two have met");
    let fresh = PoolSettings { choice: NumberChoice::Fresh, ..SETTINGS };
    assert_eq!(place(&candidates, &fresh, ann), Some(2), "unless pairs get fresh numbers");
    let open = PoolSettings { keep_apart: SignedDuration::ZERO, ..SETTINGS };
    assert_eq!(place(&candidates, &open, None), Some(2), "with nobody in mind nobody was met");

    let mut twins = [plain(2), plain(1)];
    twins[1].added_at = twins[0].added_at;
    assert_eq!(place(&twins, &SETTINGS, None), Some(1), "the lower id");
    twins[1].added_at += 1.second();
    assert_eq!(place(&twins, &SETTINGS, None), Some(0), "age before id");
}

#[test]
fn nearness_is_the_area_then_the_country() {
    let table = [
        ("+14155550100", "+14155550199", Near::SameArea),
        ("+14155550100", "+12125550199", Near::SameCountry),
        ("+18005550100", "+18005550199", Near::SameCountry),
        ("+14155550100", "+18005550199", Near::SameCountry),
        ("+442079460000", "+442079460001", Near::SameCountry),
        ("+442079460000", "+4930123456", Near::Elsewhere),
        ("+14155550100", "+74155550199", Near::Elsewhere),
        ("+3532091742", "+3542091742", Near::Elsewhere),
    ];
    for (one, other, near) in table {
        assert_eq!(Near::of(&number(one), &number(other)), near, "{one} {other}");
        assert_eq!(Near::of(&number(other), &number(one)), near, "{other} {one}");
    }
}

/// A number in any state, with times on both sides of every bound.
fn candidate(n: u8) -> impl Strategy<Value = Candidate> {
    let minutes =
        || prop_oneof![Just(0), Just(59), Just(60), Just(1439), Just(1440), -90..3000_i64];
    let near = prop_oneof![Just(Near::SameArea), Just(Near::SameCountry), Just(Near::Elsewhere)];
    let mostly = |weight| prop::bool::weighted(weight);
    let meetings = prop::collection::btree_map(0..4_u8, minutes(), 0..3);
    let state = (mostly(0.9), 0..12_u32, mostly(0.1), mostly(0.2), 0..3_i64);
    let history = (prop::option::of(minutes()), meetings, near);
    (state, history).prop_map(move |((in_service, load, carrier_blocked, taken, age), history)| {
        let (ended, meetings, near) = history;
        Candidate {
            added_at: ago(age),
            in_service,
            load,
            carrier_blocked,
            taken,
            last_ended: ended.map(ago),
            met: meetings.into_iter().map(|(who, minutes)| met(who, minutes)).collect(),
            near,
            ..plain(n)
        }
    })
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    (0..7_u8).prop_flat_map(|count| (0..count).map(candidate).collect::<Vec<_>>())
}

fn settings() -> impl Strategy<Value = PoolSettings> {
    let choice = prop_oneof![Just(NumberChoice::Sticky), Just(NumberChoice::Fresh)];
    let hours = || prop_oneof![Just(0), Just(1), Just(24), 0..48_i64];
    (choice, 1..12_u32, hours(), hours()).prop_map(|(choice, capacity, cool_off, keep_apart)| {
        PoolSettings {
            choice,
            capacity,
            cool_off: SignedDuration::from_hours(cool_off),
            keep_apart: SignedDuration::from_hours(keep_apart),
        }
    })
}

/// The rules once more, each as it reads in the book.
fn is_free(candidate: &Candidate, settings: &PoolSettings, with: Option<PersonId>) -> bool {
    let apart = now() - settings.keep_apart;
    let cool = now() - settings.cool_off;
    candidate.in_service
        && candidate.load < settings.capacity
        && !candidate.carrier_blocked
        && !candidate.taken
        && (settings.cool_off.is_zero() || candidate.last_ended.is_none_or(|ended| ended <= cool))
        && candidate.met.iter().all(|met| {
            let is_with = Some(met.who) == with;
            let is_long_ago = settings.keep_apart.is_zero() || met.last <= apart;
            (is_with || is_long_ago) && !(is_with && settings.choice == NumberChoice::Fresh)
        })
}

proptest! {
    #[test]
    fn one_is_chosen_exactly_if_one_is_free(
        candidates in candidates(),
        settings in settings(),
        with in prop::option::of((0..4_u8).prop_map(person)),
    ) {
        let chosen = place(&candidates, &settings, with);
        let is_free = |candidate: &Candidate| is_free(candidate, &settings, with);
        prop_assert_eq!(chosen.is_some(), candidates.iter().any(is_free));
        if let Some(chosen) = chosen {
            prop_assert!(is_free(&candidates[chosen]));
            prop_assert!(may_use(&candidates[chosen], &settings, with, now()));
        }
    }

    #[test]
    fn nothing_that_is_free_comes_before_the_chosen_one(
        candidates in candidates(),
        settings in settings(),
        with in prop::option::of((0..4_u8).prop_map(person)),
    ) {
        let Some(chosen) = place(&candidates, &settings, with) else { return Ok(()) };
        let chosen = &candidates[chosen];
        let knows = |one: &Candidate| one.met.iter().any(|met| Some(met.who) == with);
        for other in candidates.iter().filter(|other| is_free(other, &settings, with)) {
            prop_assert!(knows(chosen) || !knows(other));
            if knows(chosen) != knows(other) {
                continue;
            }
            prop_assert!(chosen.near <= other.near);
            if chosen.near == other.near {
                prop_assert!(chosen.load <= other.load);
                if chosen.load == other.load {
                    prop_assert!(chosen.added_at <= other.added_at);
                    if chosen.added_at == other.added_at {
                        prop_assert!(chosen.number.id <= other.number.id);
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_in_which_they_come_changes_nothing(
        (candidates, shuffled) in candidates().prop_flat_map(|candidates| {
            (Just(candidates.clone()), Just(candidates).prop_shuffle())
        }),
        settings in settings(),
        with in prop::option::of((0..4_u8).prop_map(person)),
    ) {
        let chosen = choose(&candidates, &settings, with, now());
        prop_assert_eq!(chosen, choose(&shuffled, &settings, with, now()));
    }
}
