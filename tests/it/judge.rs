//! What judgement never does, whatever it is asked: properties of `decide` over made-up facts.

mod world;

use std::collections::{HashMap, HashSet};

use jiff::SignedDuration;
use maskline::{
    code::Code,
    command,
    conversation::{
        Address, Conversation, EndReason, State,
        command::{Command, Rule},
        decide::decide,
        effect::{Decision, Effect, Fresh, noted_as},
        facts::{Facts, Failures, Mover, Past},
    },
    ids::{ConversationId, PersonId},
    texts::Answer,
};
use proptest::prelude::*;

use self::world::{cases, code, facts, here, known, now, replay};

fn relays(decision: &Decision) -> Vec<(ConversationId, &Address)> {
    let relays = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Relay { conversation, to, .. } => Some((*conversation, to)),
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

/// The names of what is said to the sender, but for what has ended by its age on another number.
fn answers(facts: &Facts, decision: &Decision) -> Vec<&'static str> {
    let to_sender = |(to, answer, _): &(&Address, &Answer, bool)| {
        to.person == facts.sender.person && (*to == &facts.sender || **answer != Answer::Ended)
    };
    said(decision).into_iter().filter(to_sender).map(|(_, answer, _)| answer.name()).collect()
}

fn changes(decision: &Decision) -> Vec<&Effect> {
    let is_change = |effect: &&Effect| !matches!(effect, Effect::Relay { .. } | Effect::Say { .. });
    decision.effects.iter().filter(is_change).collect()
}

/// What is changed beside the ends that time has brought already.
fn changes_of_its_own<'a>(facts: &Facts, decision: &'a Decision) -> Vec<&'a Effect> {
    let by_time = |effect: &&Effect| {
        facts.open.iter().any(|one| {
            one.over(now()).is_some_and(|reason| **effect == Effect::End(one.id, reason))
        })
    };
    changes(decision).into_iter().filter(|effect| !by_time(effect)).collect()
}

fn ended(decision: &Decision) -> Vec<ConversationId> {
    let ended = decision.effects.iter().filter_map(|effect| match effect {
        Effect::End(id, _) => Some(*id),
        _ => None,
    });
    ended.collect()
}

/// Words or pictures from anybody who is not silenced, for whom UNSTOP and YES mean nothing else.
fn is_talk(facts: &Facts, command: &Command) -> bool {
    matches!(command, Command::Talk { .. } | Command::Unstop | Command::Yes)
        || (*command == Command::Empty && facts.has_media)
}

fn is_silenced(facts: &Facts) -> bool {
    facts.suppressed || facts.blocked_here
}

/// The facts without what time has ended, so that the text alone has effects.
fn timely(facts: Facts) -> Facts {
    let open = facts.open.into_iter().filter(|one| one.over(now()).is_none()).collect();
    Facts { open, ..facts }
}

fn heard(facts: Facts) -> Facts {
    Facts { suppressed: false, blocked_here: false, ..facts }
}

fn waiting(place: usize, starter: Address, hours: i64) -> Conversation {
    Conversation {
        id: ConversationId::new(),
        code: code(place),
        state: State::Waiting { expires_at: now() + SignedDuration::from_hours(hours) },
        participants: vec![starter],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_command_is_never_relayed_and_talk_goes_to_the_other_one_alone((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        let other = here(&facts).and_then(|one| Some((one.id, one.other(facts.sender.person)?)));
        let expected: Vec<_> =
            other.filter(|_| !is_silenced(&facts) && is_talk(&facts, &command)).into_iter().collect();
        prop_assert_eq!(relays(&decision), expected);
    }

    #[test]
    fn talk_changes_nothing_but_what_time_has_ended(
        (facts, command) in prop::sample::select(vec![
            Command::Talk { plea: None },
            Command::Talk { plea: Some("wrong number") },
            Command::Empty,
            Command::Unstop,
            Command::Yes,
        ]).prop_flat_map(facts),
    ) {
        let facts = heard(facts);
        let decision = decide(&facts, &command, now());
        let own = changes_of_its_own(&facts, &decision);
        let is_right = match command {
            Command::Unstop => own == [&Effect::CarrierLift(facts.sender.clone())],
            Command::Talk { plea: Some(plea) } => {
                let (person, conversation) = (facts.sender.person, here(&facts).map(|one| one.id));
                own == [&Effect::Flag { person, conversation, plea }]
            }
            _ => own.is_empty(),
        };
        prop_assert!(is_right, "{own:?}");
    }

    #[test]
    fn what_time_has_ended_ends_once_and_first_whoever_texts_whatever((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        let over: Vec<_> =
            facts.open.iter().filter(|one| one.over(now()).is_some()).map(|one| one.id).collect();
        prop_assert_eq!(&ended(&decision)[..over.len()], &over[..]);
    }

    #[test]
    fn a_silenced_sender_hears_only_what_they_asked_for(
        (facts, command) in cases(),
        silence in prop::sample::select(vec![(true, false), (false, true), (true, true)]),
    ) {
        let facts = Facts { suppressed: silence.0, blocked_here: silence.1, ..facts };
        let (person, sender) = (facts.sender.person, facts.sender.clone());
        let decision = decide(&facts, &command, now());
        let own = changes_of_its_own(&facts, &decision);
        let heard = answers(&facts, &decision);
        let lift = Effect::Lift(person);
        let carrier = Effect::CarrierLift(sender);
        let lifts: Vec<&Effect> = Some(&lift).filter(|_| facts.suppressed).into_iter().collect();
        match &command {
            Command::Unstop => {
                prop_assert_eq!(own, [&lifts[..], &[&carrier]].concat());
                prop_assert_eq!(heard, ["opted_in"]);
            }
            Command::Start | Command::Yes => {
                prop_assert_eq!(own, lifts, "no conversation is opened yet");
                prop_assert_eq!(heard.len(), usize::from(!facts.blocked_here), "it could not arrive");
            }
            Command::Help { .. } => {
                prop_assert!(own.is_empty());
                prop_assert!(heard.is_empty() || (heard == ["help"] && !facts.blocked_here));
                let despite = said(&decision).iter().all(|(to, _, despite)| *to != &facts.sender || *despite);
                prop_assert!(despite, "else it would be dropped on its way");
            }
            Command::Join(_) if facts.blocked_here => prop_assert!(own.is_empty()),
            Command::Join(_) if own.contains(&&lift) => {
                let joined = facts.coded.as_ref().unwrap();
                prop_assert!(!joined.has(person) && joined.over(now()).is_none());
                prop_assert!(heard == ["joined"] || heard == ["no_number"], "{heard:?}");
            }
            Command::Join(_) => {
                prop_assert!(own.is_empty() || *own[0] == Effect::CountFailure(person));
                prop_assert!(heard.is_empty());
            }
            Command::OptOut { .. } | Command::EndCode(_) => {
                prop_assert_eq!(decision.rule, Rule::OptOut);
                prop_assert!(own.contains(&&Effect::Suppress(person)));
                prop_assert!(heard.is_empty());
            }
            Command::Block | Command::Report => {
                let parts = |effect: &&Effect| matches!(effect, Effect::Block { .. } | Effect::End(..));
                prop_assert!(own.iter().all(parts), "{:?}", own);
                prop_assert!(heard.is_empty());
            }
            _ => prop_assert!(own.is_empty() && heard.is_empty(), "{:?}", decision.effects),
        }
        prop_assert!(relays(&decision).is_empty());
    }

    #[test]
    fn nobody_is_texted_but_the_sender_and_who_is_in_the_conversation((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        for effect in &decision.effects {
            let Some(to) = effect.recipient() else { continue };
            let about = match effect {
                Effect::Relay { conversation, .. } => Some(*conversation),
                Effect::Say { conversation, .. } => *conversation,
                _ => None,
            };
            if to.person == facts.sender.person {
                continue;
            }
            let seated = known(&facts).iter().any(|one| Some(one.id) == about && one.participants.contains(to));
            let past = facts.past.as_ref().filter(|past| past.other == *to);
            let reopens = decision.effects.iter().any(|effect| {
                matches!(effect, Effect::Reopen { fresh, seats, .. } if Some(fresh.id) == about && seats.contains(to))
            });
            let met = past.is_some_and(|past| Some(past.id) == about || reopens);
            prop_assert!(seated || met, "{effect:?}");
            let neutral = matches!(
                effect,
                Effect::Say { answer: Answer::Ended | Answer::TheyJoined, .. }
            );
            prop_assert!(neutral || !is_silenced(&facts), "{effect:?}");
        }
    }

    #[test]
    fn nobody_else_hears_more_than_that_somebody_came_or_went((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        let mut others: HashMap<(PersonId, &str), usize> = HashMap::new();
        for (to, answer, despite) in said(&decision) {
            if to.person == facts.sender.person {
                // What has ended by its age ended on another number.
                let may_land_elsewhere =
                    matches!(answer, Answer::Joined | Answer::Moved | Answer::Ended);
                prop_assert!(to == &facts.sender || may_land_elsewhere, "{answer:?} from {to:?}");
            } else {
                prop_assert!(matches!(
                    answer,
                    Answer::Ended | Answer::TheyJoined | Answer::ReopenWish | Answer::Reopened | Answer::MovedAway
                ), "{answer:?}");
                prop_assert!(!despite);
                *others.entry((to.person, answer.name())).or_default() += 1;
            }
        }
        prop_assert!(others.values().all(|count| *count == 1), "nobody hears the same twice");
        let heard = answers(&facts, &decision);
        let moved = heard.iter().all(|name| *name == "moved");
        prop_assert!(heard.len() <= 1 || moved, "one text, one answer: {:?}", decision.effects);
    }

    #[test]
    fn an_opt_out_always_silences_and_ends_all_and_nothing_else_silences((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        let own = |code: &Code| facts.open.iter().any(|one| one.code == *code && one.over(now()).is_none());
        let opts_out = match &command {
            Command::OptOut { .. } => true,
            Command::EndCode(code) => is_silenced(&facts) || !own(code),
            _ => false,
        };
        let suppresses = decision.effects.contains(&Effect::Suppress(facts.sender.person));
        prop_assert_eq!(suppresses, opts_out);
        if opts_out {
            prop_assert_eq!(decision.rule, Rule::OptOut);
            let (ended, open): (HashSet<_>, HashSet<_>) =
                (ended(&decision).into_iter().collect(), facts.open.iter().map(|one| one.id).collect());
            prop_assert_eq!(ended, open);
            let confirms = said(&decision).iter().any(|(_, answer, despite)| matches!(answer, Answer::OptedOut(_)) && *despite);
            let bare_stop = matches!(command, Command::OptOut { bare_stop: true, .. });
            prop_assert_eq!(confirms, !bare_stop && !is_silenced(&facts));
        }
    }

    #[test]
    fn the_schema_can_hold_whatever_is_decided((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        prop_assert_eq!(replay(&facts, &decision.effects), Ok(()));
        let is_free = facts.past.as_ref().is_none_or(|past| past.other_is_free);
        let has = |one: fn(&Effect) -> bool| decision.effects.iter().any(one);
        let reopens = has(|effect| matches!(effect, Effect::Reopen { .. }));
        let failed = has(|effect| matches!(effect, Effect::CountFailure(_)));
        let alarm = failed && facts.failures.and_one().is_alarm();
        prop_assert_eq!(has(|effect| *effect == Effect::AlarmGuesses), alarm);
        prop_assert!(is_free || !reopens, "the other may sit elsewhere on that number");
    }

    #[test]
    fn what_time_does_fits_the_schema_too_and_comes_once((facts, _) in cases()) {
        for one in &facts.open {
            let effects = one.pass(now());
            prop_assert_eq!(replay(&facts, &effects), Ok(()));
            let told: Vec<_> = effects.iter().filter_map(Effect::recipient).map(|to| to.person).collect();
            let once: HashSet<_> = told.iter().collect();
            prop_assert_eq!(once.len(), told.len());
            prop_assert_eq!(effects.is_empty(), one.next_look() > now(), "looked at when something is due");
        }
    }

    #[test]
    fn what_is_said_only_so_often_is_said_only_so_often((facts, command) in cases()) {
        let decision = decide(&facts, &command, now());
        for (to, answer, _) in said(&decision) {
            let Some(every) = answer.at_most_every() else { continue };
            prop_assert_eq!(to, &facts.sender);
            let last = facts.given.get(&noted_as(answer, to));
            prop_assert!(last.is_none_or(|last| now().duration_since(*last).abs() >= every));
        }
        // And it is said when nothing stands against it.
        let asks = Command::Help { language: maskline::texts::Language::French };
        let fresh = decide(&heard(Facts { given: HashMap::new(), ..facts }), &asks, now());
        prop_assert!(said(&fresh).iter().any(|(_, answer, _)| matches!(answer, Answer::Help(_))));
    }

    #[test]
    fn codes_that_do_not_work_cannot_be_told_apart(
        (facts, command) in prop::sample::select(vec![Command::Join(code(2)), Command::MoveCode(code(2))])
            .prop_flat_map(facts),
    ) {
        let dan = Address { person: PersonId::new(), ..facts.sender.clone() };
        let gil = Address { person: PersonId::new(), ..facts.sender.clone() };
        let later = now() + SignedDuration::from_hours(1);
        let active = Conversation {
            state: State::Active { last_talk_at: now(), silence: SignedDuration::from_hours(72), warned_at: None, ends_at: later },
            participants: vec![dan.clone(), gil],
            ..waiting(2, dan.clone(), 1)
        };
        let coded = |coded| Facts { coded, ..facts.clone() };
        let mover = |person, expires_at, open| Facts {
            mover: Some(Mover { person, expires_at, open, unwanted: HashSet::new() }),
            ..facts.clone()
        };
        let unwanted = |facts: Facts| Facts { unwanted: [dan.person].into(), ..facts };
        let table = match command {
            Command::Join(_) => vec![
                coded(None),
                coded(Some(waiting(2, dan.clone(), 0))),
                coded(Some(active)),
                coded(Some(waiting(2, facts.sender.clone(), 1))),
                unwanted(coded(Some(waiting(2, dan.clone(), 1)))),
            ],
            _ => vec![
                Facts { mover: None, ..facts.clone() },
                mover(dan.person, now(), vec![active.clone()]),
                mover(dan.person, later, vec![]),
                mover(facts.sender.person, later, facts.open.clone()),
                mover(dan.person, later, vec![waiting(2, dan.clone(), 0)]),
                unwanted(mover(dan.person, later, vec![active])),
            ],
        };
        let decisions: Vec<Decision> =
            table.iter().map(|facts| decide(facts, &command, now())).collect();
        for decision in &decisions {
            prop_assert_eq!(decision, &decisions[0]);
        }
    }

    #[test]
    fn beyond_the_limit_even_the_right_code_has_no_effect_at_all(
        (facts, command) in (0..4_usize, any::<bool>())
            .prop_map(|(place, joins)| if joins { Command::Join(code(place)) } else { Command::MoveCode(code(place)) })
            .prop_flat_map(facts),
        alarm in any::<bool>(),
    ) {
        let facts = timely(facts);
        let limit = if alarm { 1 } else { 5 };
        let all = if alarm { 9 } else { 5 };
        let failures = |own| Failures { own, all, alarm_at: 9 };
        let with = |own| Facts { failures: failures(own), ..facts.clone() };
        prop_assert!(decide(&with(limit), &command, now()).effects.is_empty());
        let below = decide(&heard(with(limit - 1)), &command, now());
        prop_assert!(!below.effects.is_empty(), "and within it there is always an answer");
    }

    #[test]
    fn block_and_report_end_and_keep_apart_for_ever(
        (facts, command) in prop_oneof![Just(Command::Block), Just(Command::Report)].prop_flat_map(facts),
    ) {
        let facts = heard(timely(facts));
        let decision = decide(&facts, &command, now());
        let person = facts.sender.person;
        let active = here(&facts).filter(|one| one.is_active());
        let met = match (active, &facts.past) {
            (Some(one), _) => one.other(person).map(|other| (one.id, other)),
            (None, Some(past)) => Some((past.id, &past.other)),
            (None, None) => None,
        };
        let Some((id, other)) = met else {
            prop_assert!(changes(&decision).is_empty());
            prop_assert_eq!(answers(&facts, &decision), ["no_conversation"]);
            return Ok(());
        };
        let (report, reason, answer) = match command {
            Command::Report => (Some(id), EndReason::Reported, "reported"),
            _ => (None, EndReason::Blocked, "blocked"),
        };
        let block = Effect::Block { person, other: other.person, report };
        let end = Effect::End(id, reason);
        let expected: Vec<&Effect> = active.map(|_| &end).into_iter().chain([&block]).collect();
        prop_assert_eq!(changes(&decision), expected);
        prop_assert_eq!(answers(&facts, &decision), [answer]);
        let told: Vec<_> = said(&decision).into_iter().filter(|(to, ..)| *to == other).map(|(_, said, _)| said).collect();
        prop_assert_eq!(told, active.map(|_| &Answer::Ended).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn reopen_by_both_makes_one_conversation_and_by_one_makes_none(
        (base, _) in facts(Command::Reopen),
        who in prop::collection::vec(any::<bool>(), 1..7),
    ) {
        let base = heard(Facts { open: Vec::new(), unwanted: HashSet::new(), ..base });
        let [ann, ben] = [base.sender.clone(), Address { person: PersonId::new(), ..base.sender.clone() }];
        let id = ConversationId::new();
        let (mut asked_by, mut opened, mut wishes) = (None, Vec::new(), 0);
        for is_ann in &who {
            let (sender, other) = if *is_ann { (&ann, &ben) } else { (&ben, &ann) };
            let past = Past {
                id,
                ended_at: now() - SignedDuration::from_mins(30),
                reason: EndReason::Left,
                other: other.clone(),
                asked_by,
                other_is_free: true,
                numbers_serve: true,
            };
            let fresh = Fresh { id: ConversationId::new(), code: code(4) };
            let facts = Facts {
                sender: sender.clone(),
                past: Some(past).filter(|_| opened.is_empty()),
                open: opened.clone(),
                fresh: Some(fresh),
                ..base.clone()
            };
            for effect in decide(&facts, &Command::Reopen, now()).effects {
                match effect {
                    Effect::AskToReopen(which, person) => {
                        prop_assert_eq!((which, person), (id, sender.person));
                        asked_by = Some(person);
                    }
                    Effect::Reopen { fresh, terms, of, seats } => {
                        prop_assert_eq!((of, &seats), (id, &[other.clone(), sender.clone()]));
                        let state = State::Active {
                            last_talk_at: now(), silence: terms.silence, warned_at: None, ends_at: terms.ends_at,
                        };
                        opened.push(Conversation { id: fresh.id, code: fresh.code, state, participants: seats.into() });
                    }
                    Effect::Say { answer: Answer::ReopenWish, .. } => wishes += 1,
                    _ => {}
                }
            }
        }
        let both = who.contains(&true) && who.contains(&false);
        prop_assert_eq!(opened.len(), usize::from(both));
        prop_assert_eq!(wishes, 1, "however often it is asked");
    }

    #[test]
    fn a_move_seats_nobody_twice_nor_with_themselves_nor_with_whom_they_shun(
        (facts, command) in facts(Command::MoveCode(code(2))),
    ) {
        let facts = heard(Facts { failures: Failures { own: 0, all: 0, alarm_at: 100 }, ..facts });
        let decision = decide(&facts, &command, now());
        prop_assert_eq!(replay(&facts, &decision.effects), Ok(()));
        let person = facts.sender.person;
        for effect in &decision.effects {
            let Effect::Move { from, to, conversations } = effect else { continue };
            let mover = facts.mover.as_ref().unwrap();
            prop_assert_eq!((*from, *to), (mover.person, person));
            prop_assert!(mover.expires_at > now() && !conversations.is_empty());
            for one in mover.open.iter().filter(|one| conversations.contains(&one.id)) {
                prop_assert!(!one.has(person));
                prop_assert!(one.participants.iter().all(|seat| !facts.unwanted.contains(&seat.person)));
            }
            let told: Vec<_> = said(&decision).into_iter().filter(|(_, answer, _)| **answer == Answer::MovedAway).collect();
            prop_assert_eq!(told.len(), 1, "the old phone is told, once");
            prop_assert_eq!(told[0].0.person, mover.person);
        }
    }

    #[test]
    fn no_body_is_both_a_command_and_relayed(
        body in prop_oneof![
            any::<String>(),
            "[ \"'.!-]{0,2}(stop|END|unsubscribe|help|start|join|leave|yes|unstop|new chat|extend|reopen|block|report|move|arret|aide)[ .-]{0,2}([0-9A-Z]{4}-?[0-9A-Z]{4})?[ \"'.!-]{0,2}",
        ],
        (facts, _) in cases(),
    ) {
        let command = command::parse(&body);
        let coded = facts.open.iter().find(|one| Some(&one.code) == command.code()).cloned();
        let facts = Facts { coded, ..facts };
        let decision = decide(&facts, &command, now());
        if !relays(&decision).is_empty() {
            prop_assert!(is_talk(&facts, &command), "{body:?} is {command:?} and was relayed");
            let own = changes_of_its_own(&facts, &decision);
            let harmless = own.iter().all(|effect| matches!(effect, Effect::Flag { .. } | Effect::CarrierLift(_)));
            prop_assert!(harmless, "{body:?} was relayed and did {decision:?}");
        }
    }
}
