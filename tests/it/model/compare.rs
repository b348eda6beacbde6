//! Holds what the system did against what the model expected.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    ops::name,
    system::{Seen, SeenRecord},
    world::{Hint, Number, Outcome, Person, Promise, What, World},
};

/// What the system did, in the model's words.
pub struct Names {
    pub people: Vec<Option<Uuid>>,
    pub numbers: Vec<String>,
}

impl Names {
    pub fn person(&self, id: Uuid) -> Person {
        self.people.iter().position(|known| *known == Some(id)).expect("somebody unknown")
    }

    pub fn number(&self, text: &str) -> Number {
        self.numbers.iter().position(|known| known == text).expect("a number that is not ours")
    }
}

/// What the system did because of one text, or of none.
pub struct Did {
    pub rule: Option<String>,
    pub sent: Vec<Sent>,
    pub turns: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Sent {
    pub to: Person,
    pub through: Number,
    pub answer: Option<String>,
    pub body: String,
}

impl Did {
    pub fn of(cause: Option<&str>, trail: &[SeenRecord], names: &Names) -> Self {
        let mut did = Self { rule: None, sent: Vec::new(), turns: Vec::new() };
        for record in trail.iter().filter(|record| record.cause.as_deref() == cause) {
            match record.kind.as_str() {
                "received" => did.rule.clone_from(&record.rule),
                "relayed" | "answered" => did.sent.push(Sent {
                    to: names.person(record.recipient.unwrap()),
                    through: names.number(record.number.as_ref().unwrap()),
                    answer: record.rule.clone(),
                    body: record.body.clone().unwrap(),
                }),
                // What leaves or is dropped is seen by what arrives.
                "pictures" | "dropped" | "accepted" | "failed" => {}
                "ended" => {
                    did.turns.push(format!("ended {}", record.detail.as_deref().unwrap_or("-")));
                }
                kind => did.turns.push(kind.to_owned()),
            }
        }
        did
    }
}

/// Says how an outcome differs from what was expected, if it does. Where nobody's text was the
/// cause, the order counts only within a lane, and there is one text in each.
pub fn differs(world: &World, expected: &Outcome, did: &Did, names: &Names) -> Option<String> {
    if expected.rule != did.rule.as_deref() {
        return Some(format!("rule: expected {:?}, was {:?}", expected.rule, did.rule));
    }
    let mut sent = did.sent.clone();
    let mut promised: Vec<&Promise> = expected.sent.iter().collect();
    if expected.rule.is_none() {
        sent.sort_by_key(|sent| (sent.to, sent.through, sent.answer.clone()));
        promised.sort_by_key(|it| (it.to, it.through, answer(&it.what)));
    }
    let fits = promised.len() == sent.len()
        && promised.iter().zip(&sent).all(|(promise, sent)| is_it(world, promise, sent, names));
    if !fits {
        let promised: Vec<String> = promised.iter().map(|promise| show(promise)).collect();
        let sent: Vec<String> = sent
            .iter()
            .map(|it| {
                let what = it.answer.as_deref().unwrap_or("words");
                format!("{what} to {} by {} {:?}", name(it.to), it.through, it.body)
            })
            .collect();
        return Some(format!("texts: expected {promised:#?}, were {sent:#?}"));
    }
    let (mut expected, mut turns) = (expected.turns.clone(), did.turns.clone());
    expected.sort();
    turns.sort();
    (expected != turns).then(|| format!("turns: expected {expected:?}, were {turns:?}"))
}

fn answer(what: &What) -> Option<String> {
    match what {
        What::Words(_) => None,
        What::Answer(name, _) => Some((*name).to_owned()),
    }
}

pub fn show(promise: &Promise) -> String {
    let what = match &promise.what {
        What::Words(words) => format!("words {words:?}"),
        What::Answer(name, hints) => format!("{name} {hints:?}"),
    };
    format!("{what} to {} by {}", name(promise.to), promise.through)
}

fn is_it(world: &World, promise: &Promise, sent: &Sent, names: &Names) -> bool {
    let says = |hint: &Hint| match hint {
        // A code that is told for the first time is any.
        Hint::Code(code) => {
            world.codes[*code].letters.as_ref().is_none_or(|letters| sent.body.contains(letters))
        }
        Hint::Number(number) => sent.body.contains(&names.numbers[*number]),
        Hint::Says(word) => sent.body.contains(word),
        Hint::SaysNot(word) => !sent.body.contains(word),
    };
    (promise.to, promise.through) == (sent.to, sent.through)
        && match &promise.what {
            What::Words(words) => sent.answer.is_none() && *words == sent.body,
            What::Answer(name, hints) => {
                sent.answer.as_deref() == Some(name) && hints.iter().all(says)
            }
        }
}

/// Learns from what the system said: new codes, and the words of what is queued.
pub fn learn(world: &mut World, expected: &Outcome, did: &Did) {
    let first = world.queue.iter().position(|promise| promise.body.is_empty());
    let mut sent = did.sent.clone();
    for promise in &expected.sent {
        let place = sent
            .iter()
            .position(|it| {
                (it.to, it.through) == (promise.to, promise.through)
                    && it.answer == answer(&promise.what)
            })
            .expect("it was compared");
        let sent = sent.remove(place);
        if let What::Answer("started" | "move_code", hints) = &promise.what
            && let Hint::Code(code) = hints[0]
        {
            world.codes[code].letters = crate::support::code_in(&sent.body);
        }
        // Another text of the same moment may have dropped it, or sent it to a new phone.
        let is_it = |queued: &Promise| {
            queued.body.is_empty()
                && queued.through == promise.through
                && queued.what == promise.what
        };
        let mut queue = world.queue.iter_mut().skip(first.unwrap_or_default());
        if let Some(queued) = queue.find(|queued| is_it(queued)) {
            queued.body = sent.body;
        }
    }
}

/// Says how the state differs from the model's, if it does, and learns codes that nobody was told.
pub fn state_differs(world: &mut World, seen: &Seen, names: &Names) -> Option<String> {
    let links: Vec<_> = world.open().collect();
    if links.len() != seen.open.len() {
        return Some(format!(
            "open conversations: expected {}, were {}",
            links.len(),
            seen.open.len()
        ));
    }
    for link in links {
        let seats: Vec<_> =
            world.links[link].seats.iter().map(|(who, number, _)| (*who, *number)).collect();
        let found = seen.open.iter().find(|open| {
            let there = open.seats.iter();
            there
                .map(|(who, number)| (names.person(*who), names.number(number)))
                .eq(seats.iter().copied())
        });
        let Some(found) = found else {
            return Some(format!("expected {seats:?} to be seated, were {:?}", seen.open));
        };
        let state = if seats.len() == 2 { "active" } else { "waiting" };
        let letters = format!("{}-{}", &found.code[..4], &found.code[4..]);
        let code = &mut world.codes[world.links[link].code].letters;
        if found.state != state || *code.get_or_insert_with(|| letters.clone()) != letters {
            return Some(format!("expected {seats:?} {state} under {code:?}, was {found:?}"));
        }
    }
    let suppressed: BTreeSet<_> = seen.suppressed.iter().map(|id| names.person(*id)).collect();
    if suppressed != world.suppressed {
        return Some(format!("suppressed: expected {:?}, were {suppressed:?}", world.suppressed));
    }
    let pair = |one: Person, other: Person| (one.min(other), one.max(other));
    let apart: BTreeSet<_> = seen
        .apart
        .iter()
        .map(|(one, other)| pair(names.person(*one), names.person(*other)))
        .collect();
    if apart != world.apart {
        return Some(format!("blocks: expected {:?}, were {apart:?}", world.apart));
    }
    let cut: BTreeSet<_> =
        seen.cut.iter().map(|(who, number)| (names.person(*who), names.number(number))).collect();
    if !cut.iter().eq(world.known_cut.keys()) {
        return Some(format!("cut by the carrier: expected {:?}, were {cut:?}", world.known_cut));
    }
    let queue = queued(seen, names);
    let lane = |lane: (Person, Number), (to, through, _): &&(Person, Number, String)| {
        lane == (*to, *through)
    };
    let expected: Vec<_> =
        world.queue.iter().map(|it| (it.to, it.through, it.body.clone())).collect();
    let lanes: BTreeSet<_> = queue.iter().chain(&expected).map(|it| (it.0, it.1)).collect();
    let same = lanes.into_iter().all(|of| {
        queue.iter().filter(|it| lane(of, it)).eq(expected.iter().filter(|it| lane(of, it)))
    });
    (!same).then(|| format!("queued: expected {expected:#?}, were {queue:#?}"))
}

fn queued(seen: &Seen, names: &Names) -> Vec<(Person, Number, String)> {
    let name = |(to, through, body): &(Uuid, String, String)| {
        (names.person(*to), names.number(through), body.clone())
    };
    seen.queued.iter().map(name).collect()
}

/// Puts what was promised since, by two texts at once, into the order that it got.
pub fn reorder(world: &mut World, since: usize, seen: &Seen, names: &Names) {
    let queue = queued(seen, names);
    let since = since.min(world.queue.len());
    world.queue[since..].sort_by_key(|it| {
        queue
            .iter()
            .rposition(|(to, through, body)| (*to, *through, body) == (it.to, it.through, &it.body))
    });
}
