//! What the reference model knows: plain sets and lists, no database, no types of the product's.

use std::collections::{BTreeMap, BTreeSet};

/// A person, by their place among the people of one sequence.
pub type Person = usize;
/// A masked number, by its place in the pool.
pub type Number = usize;
/// A conversation, by its place among all that there ever were.
pub type Link = usize;
/// A code, by its place among all that were ever drawn.
pub type Code = usize;
/// Seconds since the sequence began.
pub type Time = i64;

pub const MINUTE: Time = 60;
pub const HOUR: Time = 60 * MINUTE;

/// The settings that the rules depend on.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub numbers: usize,
    pub code_lifetime: Time,
    pub silence: Time,
    pub longest: Time,
    pub reopen_within: Time,
    pub never_the_same: bool,
    pub capacity: usize,
    pub cool_off: Time,
    pub keep_apart: Time,
    pub alarm: usize,
}

/// A conversation, open or not.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub code: Code,
    /// Who sits in it, through which number, and since when.
    pub seats: Vec<(Person, Number, Time)>,
    /// When the code stops to work.
    pub code_until: Time,
    pub last_talk: Time,
    /// When its people were told that it ends soon; nobody has texted since.
    pub warned: Option<Time>,
    pub longest_until: Time,
    pub ended: Option<(Time, &'static str)>,
    pub reopen_asked_by: Option<Person>,
}

impl Conversation {
    pub fn is_active(&self) -> bool {
        self.seats.len() == 2
    }

    pub fn seat(&self, person: Person) -> Option<Number> {
        self.seats.iter().find(|seat| seat.0 == person).map(|seat| seat.1)
    }

    pub fn other(&self, person: Person) -> Option<(Person, Number)> {
        self.seats.iter().find(|seat| seat.0 != person).map(|seat| (seat.0, seat.1))
    }
}

/// What a text is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A person's own words.
    Words(String),
    /// An answer of Maskline's, and what must stand in it.
    Answer(&'static str, Vec<Hint>),
}

/// Something that an answer must or must not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    Code(Code),
    Number(Number),
    Says(&'static str),
    SaysNot(&'static str),
}

/// A text that was promised.
#[derive(Clone, Debug)]
pub struct Promise {
    pub to: Person,
    pub through: Number,
    pub what: What,
    /// What was really promised, once that is known.
    pub body: String,
    /// Goes out to somebody who opted out.
    pub despite: bool,
    /// When it is of no use any more.
    pub until: Option<Time>,
    pub about: Option<Link>,
}

/// What one step is expected to do.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub rule: Option<&'static str>,
    pub sent: Vec<Promise>,
    /// What else the trail says, in any order.
    pub turns: Vec<String>,
}

/// A code, and the letters of it once the system has told them.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub letters: Option<String>,
    pub moves: bool,
}

/// All that is known.
#[derive(Clone, Debug)]
pub struct World {
    pub terms: Terms,
    /// Whether a person's phone and a masked number have the same area code.
    pub near: Vec<Vec<bool>>,
    pub now: Time,
    pub links: Vec<Conversation>,
    pub codes: Vec<Drawn>,
    pub suppressed: BTreeSet<Person>,
    /// Pairs that never meet again, the smaller first.
    pub apart: BTreeSet<(Person, Person)>,
    pub moves: BTreeMap<Person, (Code, Time)>,
    pub failures: Vec<(Person, Time)>,
    pub given: BTreeMap<(Person, &'static str), Time>,
    /// When somebody was last told that their conversation on a number is over.
    pub told_over: BTreeMap<(Person, Number), Time>,
    /// Pairs that the carrier connects no more, known to us or not.
    pub cut: BTreeSet<(Person, Number)>,
    /// Those of them that we know of, and whether their conversation has been ended for it.
    pub known_cut: BTreeMap<(Person, Number), bool>,
    pub queue: Vec<Promise>,
}

impl World {
    pub fn new(terms: Terms, near: Vec<Vec<bool>>) -> Self {
        Self {
            terms,
            near,
            now: 0,
            links: Vec::new(),
            codes: Vec::new(),
            suppressed: BTreeSet::new(),
            apart: BTreeSet::new(),
            moves: BTreeMap::new(),
            failures: Vec::new(),
            given: BTreeMap::new(),
            told_over: BTreeMap::new(),
            cut: BTreeSet::new(),
            known_cut: BTreeMap::new(),
            queue: Vec::new(),
        }
    }

    /// The open conversations, oldest first.
    pub fn open(&self) -> impl Iterator<Item = Link> + '_ {
        (0..self.links.len()).filter(|link| self.links[*link].ended.is_none())
    }

    /// Those of them in which a person sits.
    pub fn open_of(&self, person: Person) -> Vec<Link> {
        self.open().filter(|link| self.links[*link].seat(person).is_some()).collect()
    }

    /// A person's open conversation on a number.
    pub fn here(&self, person: Person, number: Number) -> Option<Link> {
        self.open_of(person).into_iter().find(|it| self.links[*it].seat(person) == Some(number))
    }

    /// The conversation in which a person last met somebody on a number, if it is over.
    pub fn past(&self, person: Person, number: Number) -> Option<Link> {
        let met = |link: &&Conversation| link.ended.is_some() && link.is_active();
        let since = |link: &Conversation| {
            link.seats.iter().find(|seat| seat.0 == person && seat.1 == number).map(|seat| seat.2)
        };
        let past = self.links.iter().enumerate().filter(|(_, link)| met(link));
        past.filter_map(|(at, link)| Some((since(link)?, at))).max().map(|(_, at)| at)
    }

    pub fn are_apart(&self, one: Person, other: Person) -> bool {
        self.apart.contains(&(one.min(other), one.max(other)))
    }

    pub fn part(&mut self, one: Person, other: Person) {
        self.apart.insert((one.min(other), one.max(other)));
    }

    pub fn is_known_cut(&self, person: Person, number: Number) -> bool {
        self.known_cut.contains_key(&(person, number))
    }

    pub fn draw(&mut self, moves: bool) -> Code {
        self.codes.push(Drawn { letters: None, moves });
        self.codes.len() - 1
    }

    /// Why a conversation is over although nobody has ended it yet.
    pub fn over(&self, link: Link) -> Option<&'static str> {
        let it = &self.links[link];
        if !it.is_active() {
            return (self.now >= it.code_until).then_some("expired");
        }
        if self.now >= it.longest_until {
            return Some("longest");
        }
        // Never without a notice an hour before.
        let end = (it.last_talk + self.terms.silence).max(it.warned? + HOUR);
        (self.now >= end).then_some("silence")
    }

    /// Whether its people are to be told now that it ends soon. Not where it ends by its age before
    /// a silence could end it.
    pub fn is_to_be_warned(&self, link: Link) -> bool {
        let it = &self.links[link];
        let end = it.last_talk + self.terms.silence;
        it.is_active()
            && it.warned.is_none()
            && end <= it.longest_until
            && self.now >= end - HOUR
            && self.over(link).is_none()
    }

    pub fn end(&mut self, link: Link, reason: &'static str, outcome: &mut Outcome) {
        self.links[link].ended = Some((self.now, reason));
        outcome.turns.push(format!("ended {reason}"));
    }

    /// Promises an answer about a conversation.
    pub fn tell(
        &mut self,
        outcome: &mut Outcome,
        (to, through): (Person, Number),
        about: Option<Link>,
        name: &'static str,
        hints: Vec<Hint>,
    ) {
        self.promise(outcome, (to, through), about, What::Answer(name, hints), false);
    }

    pub fn promise(
        &mut self,
        outcome: &mut Outcome,
        (to, through): (Person, Number),
        about: Option<Link>,
        what: What,
        despite: bool,
    ) {
        let until = match &what {
            What::Answer("opted_out", _) => Some(self.now + 5 * MINUTE),
            What::Answer("move_code", _) => Some(self.now + 15 * MINUTE),
            _ => None,
        };
        let promise = Promise { to, through, what, body: String::new(), despite, until, about };
        self.queue.push(promise.clone());
        outcome.sent.push(promise);
    }

    /// Silences a person: nothing that is queued for them leaves, save a confirmation.
    pub fn suppress(&mut self, person: Person, outcome: &mut Outcome) {
        self.suppressed.insert(person);
        self.queue.retain(|promise| promise.to != person || promise.despite);
        outcome.turns.push("opted_out".to_owned());
    }
}
