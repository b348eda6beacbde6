//! Made-up facts: whatever the schema allows, and nothing else.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use maskline::{
    code::Code,
    config::{NumberChoice, PoolSettings, Times},
    conversation::{
        Address, Conversation, EndReason, State,
        command::Command,
        effect::{Effect, Fresh, noted_as},
        facts::{Facts, Failures, Mover, Past},
    },
    ids::{ConversationId, MaskedNumberId, PersonId},
    pool::{Candidate, MaskedNumber, Met, Near},
    texts::{Answer, Language},
};
use proptest::prelude::*;

use crate::support::{NUMBER, OTHER_NUMBER, at, number};

/// Two of the sender's own, one of others, one of nobody's, and one that is drawn.
const CODES: [&str; 5] = ["K7QM4XRT", "33333333", "44444444", "66666666", "77777777"];
/// What is given only so often.
pub const ANSWERS: [&str; 4] = ["help", "alone", "nobody", "over"];
const REASONS: [EndReason; 9] = [
    EndReason::Left,
    EndReason::OptedOut,
    EndReason::Expired,
    EndReason::Superseded,
    EndReason::Silence,
    EndReason::Longest,
    EndReason::Blocked,
    EndReason::Reported,
    EndReason::CarrierBlocked,
];
pub const TIMES: Times = Times {
    code_lifetime: SignedDuration::from_hours(24),
    silence: SignedDuration::from_hours(72),
    longest: SignedDuration::from_hours(720),
    reopen_within: SignedDuration::from_hours(1),
};

pub fn now() -> Timestamp {
    at("2026-03-01T12:00:00Z")
}

pub fn code(place: usize) -> Code {
    CODES[place].parse().unwrap()
}

/// Up to two hours before or after now.
fn around() -> impl Strategy<Value = Timestamp> {
    (-7200_i64..=7200).prop_map(|seconds| now() + SignedDuration::from_secs(seconds))
}

/// Where a conversation stands. All times lie close enough to now to fall on either side of it.
#[derive(Debug, Clone)]
enum Shape {
    Waiting(Timestamp),
    Active {
        first: bool,
        others_number: usize,
        last_talk_at: Timestamp,
        warned_at: Option<Timestamp>,
        ends_at: Timestamp,
    },
}

fn shape() -> impl Strategy<Value = Shape> {
    let ends_at = prop_oneof![3 => Just(now() + SignedDuration::from_hours(99)), 1 => around()];
    let active = (any::<bool>(), 0..2_usize, around(), prop::option::of(around()), ends_at);
    prop_oneof![
        1 => around().prop_map(Shape::Waiting),
        2 => active.prop_map(|(first, others_number, last_talk_at, warned_at, ends_at)| {
            Shape::Active {
                first,
                others_number,
                last_talk_at: last_talk_at - SignedDuration::from_hours(2),
                warned_at: warned_at.map(|at| at - SignedDuration::from_hours(1)),
                ends_at,
            }
        }),
    ]
}

/// Whether a number is in service, its load, whether the carrier blocks it, and who was met there.
type Health = (bool, u32, bool, Option<(usize, Timestamp)>);

/// What is drawn by chance before it is put together.
#[derive(Debug, Clone)]
struct Draw {
    own: [Option<Shape>; 2],
    foreign: Option<Shape>,
    mover: Option<(usize, Timestamp, [Option<Shape>; 2])>,
    past: Option<(EndReason, Timestamp, usize, usize, bool)>,
    unwanted: [bool; 6],
    failures: Failures,
    candidates: [Health; 2],
    all_numbers: bool,
    given: Vec<(&'static str, Timestamp)>,
    silence: (bool, bool),
    has_media: bool,
    has_fresh: bool,
    choice: NumberChoice,
    keep_apart: SignedDuration,
    here: usize,
}

fn draw() -> impl Strategy<Value = Draw> {
    let shapes = || prop::array::uniform2(prop::option::of(shape()));
    let mover = prop::option::weighted(0.8, (0..3_usize, around(), shapes()));
    let past = prop::option::weighted(
        0.8,
        (
            prop::sample::select(&REASONS[..]),
            around().prop_map(|at| at.min(now())),
            0..2_usize,
            0..3_usize,
            any::<bool>(),
        ),
    );
    let met = prop::option::weighted(0.3, (0..2_usize, around().prop_map(|at| at.min(now()))));
    let candidate = (prop::bool::weighted(0.8), 0..3_u32, prop::bool::weighted(0.1), met);
    let people = (shapes(), prop::option::of(shape()), mover, past);
    let numbers = (prop::array::uniform2(candidate), any::<bool>(), any::<bool>(), any::<bool>());
    let failures =
        (0..7_u32, 0..5_u32).prop_map(|(own, more)| Failures { own, all: own + more, alarm_at: 9 });
    let given = prop::collection::vec((prop::sample::select(&ANSWERS[..]), around()), 0..4);
    let silence = prop_oneof![
        4 => Just((false, false)),
        1 => Just((true, false)),
        1 => Just((false, true)),
        1 => Just((true, true)),
    ];
    let unwanted = prop::array::uniform6(prop::bool::weighted(0.2));
    let flags = (any::<bool>(), prop::bool::weighted(0.8), 0..2_usize);
    (people, numbers, unwanted, failures, given, silence, flags).prop_map(
        |(
            (own, foreign, mover, past),
            (candidates, all_numbers, is_fresh, keeps_apart),
            unwanted,
            failures,
            given,
            silence,
            (has_media, has_fresh, here),
        )| Draw {
            own,
            foreign,
            mover,
            past,
            unwanted,
            failures,
            candidates,
            all_numbers,
            given,
            silence,
            has_media,
            has_fresh,
            choice: if is_fresh { NumberChoice::Fresh } else { NumberChoice::Sticky },
            keep_apart: SignedDuration::from_hours(i64::from(keeps_apart)),
            here,
        },
    )
}

fn conversation(code: Code, shape: &Shape, own: Address, other: &[Address; 2]) -> Conversation {
    let (state, participants) = match shape {
        Shape::Waiting(expires_at) => (State::Waiting { expires_at: *expires_at }, vec![own]),
        Shape::Active { first, others_number, last_talk_at, warned_at, ends_at } => {
            let state = State::Active {
                last_talk_at: *last_talk_at,
                silence: SignedDuration::from_hours(2),
                warned_at: *warned_at,
                ends_at: *ends_at,
            };
            let other = other[*others_number].clone();
            (state, if *first { vec![own, other] } else { vec![other, own] })
        }
    };
    Conversation { id: ConversationId::new(), code, state, participants }
}

/// Facts as they would be loaded for this command.
fn put_together(draw: Draw, command: &Command) -> Facts {
    let numbers = [NUMBER, OTHER_NUMBER]
        .map(|text| MaskedNumber { id: MaskedNumberId::new(), number: number(text) });
    let somebody = || {
        let person = PersonId::new();
        numbers.clone().map(|through| Address { person, through })
    };
    let sender = somebody();
    let [ben, cara, dan, eve, gil, hal] = std::array::from_fn(|_| somebody());
    let person = sender[0].person;

    let own = |place: usize, other| {
        let shape = draw.own[place].as_ref()?;
        Some(conversation(code(place), shape, sender[place].clone(), other))
    };
    let open: Vec<Conversation> = own(0, &ben).into_iter().chain(own(1, &cara)).collect();
    let foreign = draw.foreign.map(|shape| conversation(code(2), &shape, dan[0].clone(), &gil));
    let mover = draw.mover.map(|(who, expires_at, shapes)| {
        let mover = [&eve, &ben, &sender][who];
        let known = open.iter().filter(|one| one.has(mover[0].person)).cloned();
        let mut theirs: Vec<Conversation> = known.collect();
        for (place, shape) in shapes.iter().enumerate().filter(|_| who < 2) {
            let is_taken = theirs.iter().any(|one| one.participants.contains(&mover[place]));
            if let (Some(shape), false) = (shape, is_taken) {
                let other = [&gil, &hal][place];
                theirs.push(conversation(code(2), shape, mover[place].clone(), other));
            }
        }
        Mover { person: mover[0].person, expires_at, open: theirs, unwanted: HashSet::new() }
    });
    let is_busy =
        open.iter().any(|one| one.is_active() && one.participants.contains(&sender[draw.here]));
    let past =
        draw.past.filter(|_| !is_busy).map(|(reason, ended_at, other, asked, is_free)| Past {
            id: ConversationId::new(),
            ended_at,
            reason,
            other: hal[other].clone(),
            asked_by: [None, Some(person), Some(hal[0].person)][asked],
            other_is_free: is_free,
            numbers_serve: true,
        });
    let candidates = [0, 1].map(|place| {
        let (in_service, load, carrier_blocked, met) = draw.candidates[place];
        Candidate {
            number: numbers[place].clone(),
            added_at: now(),
            in_service,
            load,
            carrier_blocked: carrier_blocked || (place == draw.here && draw.silence.1),
            taken: open.iter().any(|one| one.participants.contains(&sender[place])),
            last_ended: None,
            met: met
                .into_iter()
                .map(|(who, last)| Met { who: [&dan, &hal][who][0].person, last })
                .collect(),
            near: Near::SameCountry,
        }
    });
    let unwanted = [&ben, &cara, &dan, &eve, &gil, &hal].into_iter().zip(draw.unwanted);
    let coded = open.iter().chain(&foreign).find(|one| match command {
        Command::Join(code) => one.code == *code,
        _ => false,
    });
    Facts {
        sender: sender[draw.here].clone(),
        suppressed: draw.silence.0,
        blocked_here: draw.silence.1,
        coded: coded.cloned(),
        past,
        mover: mover.filter(|_| matches!(command, Command::MoveCode(_))),
        unwanted: unwanted.filter(|(_, is)| *is).map(|(who, _)| who[0].person).collect(),
        failures: draw.failures,
        numbers: if draw.all_numbers {
            candidates.into()
        } else {
            vec![candidates[draw.here].clone()]
        },
        open,
        fresh: draw.has_fresh.then(|| Fresh { id: ConversationId::new(), code: code(4) }),
        given: draw
            .given
            .into_iter()
            .map(|(name, at)| (given_as(name, &sender[draw.here]), at))
            .collect(),
        has_media: draw.has_media,
        late: None,
        times: TIMES,
        pool: PoolSettings {
            choice: draw.choice,
            capacity: 2,
            cool_off: SignedDuration::from_hours(1),
            keep_apart: draw.keep_apart,
        },
    }
}

/// Under which name it is noted that an answer of this name was given.
fn given_as(name: &str, to: &Address) -> String {
    if name == "over" { noted_as(&Answer::Over { may_reopen: true }, to) } else { name.to_owned() }
}

pub fn facts(command: Command) -> impl Strategy<Value = (Facts, Command)> {
    draw().prop_map(move |draw| (put_together(draw, &command), command.clone()))
}

pub fn commands() -> impl Strategy<Value = Command> {
    let language = prop_oneof![Just(Language::English), Just(Language::French)].boxed();
    let plea = prop::option::of(Just("stop texting me"));
    prop_oneof![
        1 => (any::<bool>(), language.clone())
            .prop_map(|(bare_stop, language)| Command::OptOut { bare_stop, language }),
        1 => Just(Command::Unstop),
        1 => Just(Command::Yes),
        1 => language.prop_map(|language| Command::Help { language }),
        1 => Just(Command::Start),
        3 => (0..4_usize).prop_map(|place| Command::Join(code(place))),
        1 => (0..4_usize).prop_map(|place| Command::EndCode(code(place))),
        1 => Just(Command::Leave),
        1 => (0..4_usize).prop_map(|place| Command::LeaveCode(code(place))),
        1 => Just(Command::Extend),
        2 => Just(Command::Reopen),
        1 => Just(Command::Block),
        1 => Just(Command::Report),
        1 => Just(Command::Move),
        3 => (0..4_usize).prop_map(|place| Command::MoveCode(code(place))),
        1 => plea.prop_map(|plea| Command::Talk { plea }),
        1 => Just(Command::Empty),
    ]
}

pub fn cases() -> impl Strategy<Value = (Facts, Command)> {
    commands().prop_flat_map(facts)
}

/// All conversations that the facts show, each once.
pub fn known(facts: &Facts) -> Vec<&Conversation> {
    let movers = facts.mover.iter().flat_map(|mover| &mover.open);
    let mut seen = HashSet::new();
    facts.open.iter().chain(&facts.coded).chain(movers).filter(|one| seen.insert(one.id)).collect()
}

/// The sender's open conversation on the number that was texted, if time has not ended it.
pub fn here(facts: &Facts) -> Option<&Conversation> {
    facts.here().filter(|one| one.over(now()).is_none())
}

/// Does the effects as the schema would let them be done; an error says what it would refuse.
pub fn replay(facts: &Facts, effects: &[Effect]) -> Result<(), String> {
    let mut seats: Vec<(ConversationId, Address)> = known(facts)
        .into_iter()
        .flat_map(|one| one.participants.iter().map(|seat| (one.id, seat.clone())))
        .collect();
    let mut codes = 0;
    for effect in effects {
        let sit =
            |seats: &mut Vec<(ConversationId, Address)>, id: ConversationId, who: &Address| {
                seats.push((id, who.clone()));
                let of: Vec<_> = seats.iter().filter(|(other, _)| *other == id).collect();
                let twice = of.iter().filter(|(_, seat)| seat.person == who.person).count() > 1;
                let crossed = seats.iter().filter(|(_, seat)| seat == who).count() > 1;
                if of.len() > 2 || twice || crossed {
                    return Err(format!("no seat for {who:?} in {id}"));
                }
                Ok(())
            };
        let is_open =
            |seats: &[(ConversationId, Address)], id| seats.iter().any(|(one, _)| *one == id);
        let sits = |seats: &[(ConversationId, Address)], id, person| {
            seats.iter().any(|(one, seat)| *one == id && seat.person == person)
        };
        match effect {
            Effect::Open { fresh, starter, .. } => {
                codes += 1;
                sit(&mut seats, fresh.id, starter)?;
            }
            Effect::Reopen { fresh, seats: both, .. } => {
                codes += 1;
                sit(&mut seats, fresh.id, &both[0])?;
                sit(&mut seats, fresh.id, &both[1])?;
            }
            Effect::OfferMove { .. } => codes += 1,
            Effect::Join(id, who) if is_open(&seats, *id) => sit(&mut seats, *id, who)?,
            Effect::End(id, _) if is_open(&seats, *id) => seats.retain(|(one, _)| one != id),
            Effect::Extend(id) | Effect::Warn(id) if is_open(&seats, *id) => {}
            Effect::Move { from, to, conversations } => {
                for id in conversations {
                    let place =
                        seats.iter().position(|(one, seat)| one == id && seat.person == *from);
                    let (_, seat) = seats.remove(place.ok_or("nobody to move")?);
                    sit(&mut seats, *id, &Address { person: *to, through: seat.through })?;
                }
            }
            Effect::Relay { conversation, to, .. } if sits(&seats, *conversation, to.person) => {}
            Effect::Block { person, other, .. } if person != other => {}
            Effect::AskToReopen(id, _) if facts.past.as_ref().is_none_or(|past| past.id == *id) => {
            }
            Effect::Suppress(_)
            | Effect::Lift(_)
            | Effect::CarrierLift(_)
            | Effect::Flag { .. }
            | Effect::CountFailure(_)
            | Effect::AlarmGuesses
            | Effect::Say { .. } => {}
            refused => return Err(format!("{refused:?}")),
        }
    }
    if codes > 1 { Err("one code drawn, used twice".into()) } else { Ok(()) }
}
