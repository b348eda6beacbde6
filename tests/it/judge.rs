//! What judgement never does, whatever it is asked: properties of `decide` over made-up facts.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use maskline::{
    code::Code,
    command,
    conversation::{
        Address, Conversation, State,
        command::{Command, Rule},
        decide::{Decision, Effect, Facts, Fresh, decide},
    },
    ids::{ConversationId, MaskedNumberId, PersonId},
    pool::MaskedNumber,
    texts::Answer,
};
use proptest::prelude::*;

use crate::support::{NUMBER, OTHER_NUMBER, at, number};

const CODES: [&str; 5] = ["K7QM4XRT", "33333333", "44444444", "66666666", "77777777"];
const ANSWERS: [&str; 4] = ["help", "alone", "nobody", "code_failed"];

fn now() -> Timestamp {
    at("2026-03-01T12:00:00Z")
}

fn code(place: usize) -> Code {
    CODES[place].parse().unwrap()
}

/// Up to two hours before or after now.
fn around() -> impl Strategy<Value = Timestamp> {
    (-7200_i64..=7200).prop_map(|seconds| now() + SignedDuration::from_secs(seconds))
}

/// What the schema allows of a conversation: who is in it, and whether it waits.
#[derive(Debug, Clone)]
enum Shape {
    Waiting(Timestamp),
    /// Whether the sender came first, and the other's number.
    Active(bool, usize),
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        around().prop_map(Shape::Waiting),
        (any::<bool>(), 0..2_usize).prop_map(|(first, other)| Shape::Active(first, other)),
    ]
}

fn conversation(place: usize, shape: &Shape, own: &Address, others: &[Address]) -> Conversation {
    let (state, participants) = match shape {
        Shape::Waiting(expires_at) => {
            (State::Waiting { expires_at: *expires_at }, vec![own.clone()])
        }
        Shape::Active(true, other) => (State::Active, vec![own.clone(), others[*other].clone()]),
        Shape::Active(false, other) => (State::Active, vec![others[*other].clone(), own.clone()]),
    };
    Conversation { id: ConversationId::new(), code: code(place), state, participants }
}

fn commands() -> impl Strategy<Value = Command> {
    let coded: fn(usize) -> BoxedStrategy<Command> = |place| {
        prop_oneof![
            Just(Command::Join(code(place))),
            Just(Command::EndCode(code(place))),
            Just(Command::LeaveCode(code(place))),
        ]
        .boxed()
    };
    prop_oneof![
        any::<bool>().prop_map(|bare_stop| Command::OptOut { bare_stop }),
        Just(Command::Unstop),
        Just(Command::Help),
        Just(Command::Start),
        Just(Command::Leave),
        Just(Command::Talk),
        Just(Command::Empty),
        (0..4_usize).prop_flat_map(coded),
        (0..4_usize).prop_flat_map(coded),
    ]
}

fn code_of(command: &Command) -> Option<&Code> {
    match command {
        Command::Join(code) | Command::EndCode(code) | Command::LeaveCode(code) => Some(code),
        _ => None,
    }
}

/// Facts as the store would load them for this command. The sender has at most one open
/// conversation on each number; a third conversation is of others.
fn facts(command: Command) -> impl Strategy<Value = (Facts, Command)> {
    let own = prop::array::uniform2(prop::option::of(shape()));
    let given = prop::collection::hash_map(prop::sample::select(&ANSWERS[..]), around(), 0..4);
    (own, prop::option::of(shape()), given, any::<[bool; 3]>(), 0..2_usize).prop_map(
        move |(own, foreign, given, [suppressed, has_media, has_fresh], here)| {
            let numbers = [NUMBER, OTHER_NUMBER]
                .map(|text| MaskedNumber { id: MaskedNumberId::new(), number: number(text) });
            let addresses = || {
                let person = PersonId::new();
                numbers.clone().map(|through| Address { person, through })
            };
            let (sender, ben, cara) = (addresses(), addresses(), addresses());
            let open: Vec<Conversation> = own
                .iter()
                .enumerate()
                .filter_map(|(place, shape)| {
                    Some(conversation(place, shape.as_ref()?, &sender[place], &ben))
                })
                .collect();
            let foreign = foreign.map(|shape| conversation(2, &shape, &cara[0], &ben));
            let coded =
                open.iter().chain(&foreign).find(|one| Some(&one.code) == code_of(&command));
            let facts = Facts {
                sender: sender[here].clone(),
                suppressed,
                coded: coded.cloned(),
                open,
                fresh: has_fresh.then(|| Fresh { id: ConversationId::new(), code: code(4) }),
                given: given.into_iter().map(|(name, at)| (name.to_owned(), at)).collect(),
                has_media,
            };
            (facts, command.clone())
        },
    )
}

fn cases() -> impl Strategy<Value = (Facts, Command)> {
    commands().prop_flat_map(facts)
}

/// The open conversation of the sender on the number that was texted.
fn here(facts: &Facts) -> Option<&Conversation> {
    facts.open.iter().find(|one| one.participants.contains(&facts.sender))
}

fn relays(decision: &Decision) -> Vec<(&ConversationId, &Address)> {
    let relays = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Relay { conversation, to } => Some((conversation, to)),
        _ => None,
    });
    relays.collect()
}

/// What is said, to whom, and whether it goes out to somebody who opted out.
fn said(decision: &Decision) -> Vec<(&Address, &Answer, bool)> {
    let said = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Say { to, answer, despite_optout, .. } => Some((to, answer, *despite_optout)),
        _ => None,
    });
    said.collect()
}

fn changes(decision: &Decision) -> Vec<&Effect> {
    let is_change = |effect: &&Effect| !matches!(effect, Effect::Relay { .. } | Effect::Say { .. });
    decision.effects.iter().filter(is_change).collect()
}

/// Words from anybody who is not suppressed, for whom UNSTOP and YES mean nothing else.
fn is_talk(command: &Command) -> bool {
    matches!(command, Command::Talk | Command::Unstop)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_command_is_never_relayed_and_talk_goes_to_the_other_one_alone((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        let other = here(&facts).and_then(|one| Some((&one.id, one.other(facts.sender.person)?)));
        let expected: Vec<_> =
            other.filter(|_| !facts.suppressed && is_talk(&command)).into_iter().collect();
        prop_assert_eq!(relays(&decision), expected);
    }

    #[test]
    fn talk_changes_nothing_but_an_expired_conversation(
        (facts, command) in prop::sample::select(vec![
            Command::Talk, Command::Empty, Command::Unstop,
        ]).prop_flat_map(facts),
    ) {
        let facts = Facts { suppressed: facts.suppressed && command != Command::Unstop, ..facts };
        let decision = decide(&facts, &command, now());
        for change in changes(&decision) {
            let Effect::End(id, _) = change else { panic!("{change:?}") };
            let ended = facts.open.iter().find(|one| one.id == *id).unwrap();
            prop_assert!(ended.is_expired(now()) && ended.participants.contains(&facts.sender));
        }
    }

    #[test]
    fn who_opted_out_hears_only_what_they_asked_for((facts, command) in cases()) {
        let facts = Facts { suppressed: true, ..facts };
        let decision = decide(&facts, &command, now());
        let to_sender: Vec<_> = said(&decision)
            .into_iter()
            .filter(|(to, ..)| to.person == facts.sender.person)
            .map(|(_, answer, despite)| (answer.name(), despite))
            .collect();
        let lifts = decision.effects.contains(&Effect::Lift);
        match &command {
            Command::Start | Command::Unstop => {
                prop_assert_eq!(changes(&decision), [&Effect::Lift]);
                prop_assert_eq!(to_sender, [("opted_in", false)]);
            }
            Command::Help => {
                prop_assert!(changes(&decision).is_empty());
                prop_assert!(to_sender.is_empty() || to_sender == [("help", true)]);
            }
            Command::Join(_) if lifts => {
                let joined = facts.coded.as_ref().unwrap();
                prop_assert!(decision.effects.contains(&Effect::Join(joined.id)));
                prop_assert!(!joined.has(facts.sender.person) && !joined.is_expired(now()));
                prop_assert_eq!(to_sender, [("joined", false)]);
            }
            _ => prop_assert!(decision.effects.is_empty(), "{:?}", decision.effects),
        }
    }

    #[test]
    fn nobody_else_hears_more_than_that_somebody_came_or_went((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        for (to, answer, despite) in said(&decision) {
            if to.person == facts.sender.person {
                prop_assert_eq!(to, &facts.sender, "answers come from the number that was texted");
            } else {
                prop_assert!(matches!(answer, Answer::Ended | Answer::TheyJoined), "{answer:?}");
                prop_assert!(!despite);
                let known = facts.open.iter().chain(&facts.coded);
                prop_assert!(known.flat_map(|one| &one.participants).any(|one| one == to));
            }
        }
        let to_sender = said(&decision).iter().filter(|(to, ..)| *to == &facts.sender).count();
        prop_assert!(to_sender <= 1, "one text, one answer: {:?}", decision.effects);
    }

    #[test]
    fn an_opt_out_always_silences_and_ends_all_and_nothing_else_silences((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        let own = |code: &Code| facts.open.iter().any(|one| one.code == *code);
        let opts_out = match &command {
            Command::OptOut { .. } => true,
            Command::EndCode(code) => !own(code),
            _ => false,
        };
        let expected = opts_out && !facts.suppressed;
        prop_assert_eq!(decision.effects.contains(&Effect::Suppress), expected);
        if expected {
            prop_assert_eq!(decision.rule, Rule::OptOut);
            let ended: HashSet<_> = changes(&decision)
                .into_iter()
                .filter_map(|effect| match effect { Effect::End(id, _) => Some(*id), _ => None })
                .collect();
            prop_assert_eq!(ended, facts.open.iter().map(|one| one.id).collect());
            let confirmed = said(&decision).iter().any(|(_, answer, despite)| **answer == Answer::OptedOut && *despite);
            prop_assert_eq!(confirmed, command != Command::OptOut { bare_stop: true });
        }
    }

    #[test]
    fn the_schema_can_hold_whatever_is_decided((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        let mut on_this_number = usize::from(here(&facts).is_some());
        let mut ended = HashSet::new();
        for effect in changes(&decision) {
            match effect {
                Effect::End(id, _) => {
                    prop_assert!(ended.insert(*id), "ended twice");
                    on_this_number -= usize::from(here(&facts).is_some_and(|one| one.id == *id));
                }
                Effect::Open { .. } | Effect::Join(_) => on_this_number += 1,
                Effect::Suppress | Effect::Lift | Effect::Relay { .. } | Effect::Say { .. } => {}
            }
            prop_assert!(on_this_number <= 1, "two conversations on one number would cross");
        }
    }

    #[test]
    fn what_is_said_only_so_often_is_said_only_so_often((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        for (to, answer, _) in said(&decision) {
            let Some(every) = answer.at_most_every() else { continue };
            prop_assert_eq!(to, &facts.sender);
            let last = facts.given.get(answer.name());
            prop_assert!(last.is_none_or(|last| now().duration_since(*last).abs() >= every));
        }
        // And it is said when nothing stands against it.
        let fresh = decide(&Facts { given: HashMap::new(), ..facts }, &Command::Help, now());
        prop_assert!(said(&fresh).iter().any(|(_, answer, _)| **answer == Answer::Help));
    }

    #[test]
    fn no_body_is_both_a_command_and_relayed(
        body in prop_oneof![
            any::<String>(),
            "[ \"'.!-]{0,2}(stop|END|unsubscribe|help|start|join|leave|yes|unstop|new chat)[ .-]{0,2}([0-9A-Z]{4}-?[0-9A-Z]{4})?[ \"'.!-]{0,2}",
        ],
        (facts, _) in cases(),
    ) {
        let command = command::parse(&body);
        let coded = facts.open.iter().find(|one| Some(&one.code) == code_of(&command)).cloned();
        let facts = Facts { coded, ..facts };
        let decision = decide(&facts, &command, now());
        if !relays(&decision).is_empty() {
            prop_assert!(is_talk(&command), "{body:?} is {command:?} and was relayed");
            prop_assert!(changes(&decision).is_empty(), "{body:?} was relayed and did {decision:?}");
        }
    }
}
