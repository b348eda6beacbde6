//! What can happen in a sequence. Codes and earlier texts are named by how long ago they were, and
//! looked up when the step is taken, so that a sequence stays one while it is cut down.

use proptest::{prelude::*, sample::select};

use super::{
    word::{Heard, Word},
    world::{Code, HOUR, MINUTE, Number, Person, Terms, Time, World},
};

/// How many people a sequence has.
pub const PEOPLE: usize = 5;
const NAMES: [&str; PEOPLE] = ["Ann", "Ben", "Cara", "Dan", "Eve"];

/// One step.
#[derive(Clone, Debug)]
pub enum Op {
    Text(Text),
    /// Two texts at the same moment.
    Both(Text, Text),
    /// One text that is delivered twice at the same moment.
    Twice(Text),
    /// An earlier text is delivered once more.
    Again(usize),
    Wait(Time),
    Sweep,
    Deliver,
    StaffOptOut(Person),
    StaffOptIn(Person),
}

/// A text that somebody sends.
#[derive(Clone, Debug)]
pub struct Text {
    /// Whoever sits or sat in this place of all conversations, the latest first, on their number;
    /// else this person, to this number.
    pub seat: Option<usize>,
    pub who: Person,
    pub to: Number,
    pub says: Says,
}

#[derive(Clone, Debug)]
pub enum Says {
    Plain(&'static str),
    Talk,
    Plea,
    Picture,
    PictureAndWords,
    Coded(&'static str, Which),
}

/// Which code somebody texts.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// Of a conversation, the latest first.
    Link(usize),
    /// For a new phone, the latest first.
    Move(usize),
    Unknown,
}

const WORDS: [&str; 24] = [
    "STOP",
    "stop.",
    "UNSUBSCRIBE",
    "ARRET",
    "quit",
    "END",
    "UNSTOP",
    "YES",
    "START",
    "New chat",
    "HELP",
    "aide",
    "LEAVE",
    "EXTEND",
    "REOPEN",
    "BLOCK",
    "REPORT",
    "MOVE",
    "\u{200b} ",
    "leave",
    "reopen",
    "move",
    "extend",
    "info",
];

fn which(moves: bool) -> impl Strategy<Value = Which> {
    let (links, moved) = if moves { (1, 8) } else { (8, 1) };
    prop_oneof![
        links => prop_oneof![4 => Just(0_usize), 2 => Just(1), 1 => 0..6_usize].prop_map(Which::Link),
        moved => prop_oneof![4 => Just(0_usize), 1 => 0..3_usize].prop_map(Which::Move),
        1 => Just(Which::Unknown),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        16 => Just(Says::Talk),
        1 => Just(Says::Plea),
        1 => Just(Says::Picture),
        1 => Just(Says::PictureAndWords),
        6 => Just(Says::Plain("START")),
        6 => select(&["LEAVE", "REOPEN", "REOPEN", "REOPEN", "MOVE", "MOVE"][..]).prop_map(Says::Plain),
        16 => select(&WORDS[..]).prop_map(Says::Plain),
        9 => which(false).prop_map(|code| Says::Coded("JOIN", code)),
        1 => which(false).prop_map(|code| Says::Coded("LEAVE", code)),
        1 => which(false).prop_map(|code| Says::Coded("END", code)),
        5 => which(true).prop_map(|code| Says::Coded("MOVE", code)),
    ]
}

fn text(numbers: usize) -> impl Strategy<Value = Text> {
    let seat = prop_oneof![
        2 => Just(None),
        3 => (0..2_usize).prop_map(Some),
        1 => (0..6_usize).prop_map(Some),
    ];
    let to = prop_oneof![3 => Just(0), 2 => 0..numbers];
    (seat, 0..PEOPLE, to, says()).prop_map(|(seat, who, to, says)| Text { seat, who, to, says })
}

fn says_so(seat: usize, says: Says) -> Op {
    Op::Text(Text { seat: Some(seat), who: 0, to: 0, says })
}

/// Somebody joins somebody, which is how most sequences begin.
fn meeting(numbers: usize) -> impl Strategy<Value = Vec<Op>> {
    (0..PEOPLE, 1..PEOPLE, 0..numbers).prop_map(|(who, more, to)| {
        let text = |who, says| Op::Text(Text { seat: None, who, to, says });
        let join = Says::Coded("JOIN", Which::Link(0));
        vec![text(who, Says::Plain("START")), text((who + more) % PEOPLE, join)]
    })
}

/// What by chance alone would hardly ever come together.
fn story(numbers: usize, lifetime: Time) -> impl Strategy<Value = Vec<Op>> {
    let story = (0..5_usize, 0..PEOPLE, 0..numbers, 0..2_usize);
    story.prop_map(move |(which, who, to, seat)| {
        let text = |says| Op::Text(Text { seat: None, who, to, says });
        match which {
            0 => {
                vec![says_so(seat, Says::Plain("MOVE")), text(Says::Coded("MOVE", Which::Move(0)))]
            }
            1 => vec![
                says_so(seat, Says::Plain("LEAVE")),
                says_so(0, Says::Plain("REOPEN")),
                says_so(1, Says::Plain("REOPEN")),
            ],
            2 => vec![
                text(Says::Plain("START")),
                Op::Wait(lifetime + MINUTE),
                Op::Text(Text {
                    seat: None,
                    who: (who + 1) % PEOPLE,
                    to,
                    says: Says::Coded("JOIN", Which::Link(0)),
                }),
            ],
            // The third place is then that of whoever did not start.
            3 => vec![
                says_so(seat, Says::Plain("BLOCK")),
                says_so(0, Says::Plain("START")),
                says_so(2, Says::Coded("JOIN", Which::Link(0))),
            ],
            _ => vec![
                text(Says::Plain("STOP")),
                text(Says::Plain("START")),
                text(Says::Plain("START")),
                Op::Deliver,
                Op::Sweep,
            ],
        }
    })
}

/// A step among so many masked numbers, in a world where a silence lasts this long.
fn op(numbers: usize, silence: Time) -> impl Strategy<Value = Op> {
    let waits = [MINUTE, 6 * MINUTE, 16 * MINUTE, HOUR + MINUTE, 3 * HOUR, 23 * HOUR, 25 * HOUR];
    let waits = prop_oneof![
        4 => select(waits.to_vec()),
        3 => Just(silence - HOUR + MINUTE),
        1 => Just(silence + MINUTE),
        1 => Just(2 * silence),
    ];
    prop_oneof![
        60 => text(numbers).prop_map(Op::Text),
        5 => (text(numbers), text(numbers)).prop_map(|(one, other)| Op::Both(one, other)),
        2 => text(numbers).prop_map(Op::Twice),
        2 => (0..8_usize).prop_map(Op::Again),
        8 => waits.prop_map(Op::Wait),
        7 => Just(Op::Sweep),
        3 => Just(Op::Deliver),
        1 => (0..PEOPLE).prop_map(Op::StaffOptOut),
        1 => (0..PEOPLE).prop_map(Op::StaffOptIn),
    ]
}

/// A sequence.
pub fn ops(terms: &Terms) -> impl Strategy<Value = Vec<Op>> {
    let (numbers, silence, lifetime) = (terms.numbers, terms.silence, terms.code_lifetime);
    let one = move || op(numbers, silence).prop_map(|op| vec![op]);
    let part = prop_oneof![24 => one(), 2 => meeting(numbers), 2 => story(numbers, lifetime)];
    let meetings = prop::collection::vec(meeting(numbers), 0..3);
    (meetings, prop::collection::vec(part, 2..16))
        .prop_map(|(meetings, parts)| meetings.into_iter().chain(parts).flatten().collect())
}

impl Text {
    /// What is really texted, given the codes that there are by now.
    pub fn heard(&self, world: &World, count: usize) -> Heard {
        let (who, to) = self.seat(world).unwrap_or((self.who, self.to));
        let (word, body, picture) = match &self.says {
            Says::Plain(body) => (plain(body), (*body).to_owned(), false),
            Says::Talk => (Word::Talk { plea: false }, format!("words number {count}"), false),
            Says::Plea => {
                (Word::Talk { plea: true }, format!("number {count}: stop texting me"), false)
            }
            Says::Picture => (Word::Empty, String::new(), true),
            Says::PictureAndWords => {
                (Word::Talk { plea: false }, format!("look at number {count}"), true)
            }
            Says::Coded(word, which) => {
                let code = which.find(world);
                let letters = code.and_then(|code| world.codes[code].letters.clone());
                let body = format!("{word} {}", letters.as_deref().unwrap_or("3333-3333"));
                (coded(word, code), body, false)
            }
        };
        Heard { who, to, word, body, picture }
    }
}

impl Text {
    fn seat(&self, world: &World) -> Option<(Person, Number)> {
        let seats = world.links.iter().rev().flat_map(|link| &link.seats);
        let seats: Vec<_> = seats.map(|(who, to, _)| (*who, *to)).collect();
        let place = self.seat? % seats.len().max(1);
        seats.get(place).copied()
    }
}

impl Which {
    fn find(self, world: &World) -> Option<Code> {
        let (back, moves) = match self {
            Self::Link(back) => (back, false),
            Self::Move(back) => (back, true),
            Self::Unknown => return None,
        };
        let known: Vec<Code> = (0..world.codes.len())
            .rev()
            .filter(|code| world.codes[*code].moves == moves)
            .filter(|code| world.codes[*code].letters.is_some())
            .collect();
        (!known.is_empty()).then(|| known[back % known.len()])
    }
}

fn plain(body: &str) -> Word {
    match body.to_uppercase().as_str() {
        "STOP" => Word::OptOut { bare_stop: true, french: false },
        "ARRET" => Word::OptOut { bare_stop: false, french: true },
        "STOP." | "UNSUBSCRIBE" | "QUIT" | "END" => {
            Word::OptOut { bare_stop: false, french: false }
        }
        "UNSTOP" => Word::Unstop,
        "YES" => Word::Yes,
        "START" | "NEW CHAT" => Word::Start,
        "HELP" | "INFO" => Word::Help { french: false },
        "AIDE" => Word::Help { french: true },
        "LEAVE" => Word::Leave,
        "EXTEND" => Word::Extend,
        "REOPEN" => Word::Reopen,
        "BLOCK" => Word::Block,
        "REPORT" => Word::Report,
        "MOVE" => Word::Move,
        _ => Word::Empty,
    }
}

fn coded(word: &str, code: Option<Code>) -> Word {
    match word {
        "JOIN" => Word::Join(code),
        "LEAVE" => Word::LeaveCode(code),
        "END" => Word::EndCode(code),
        _ => Word::MoveCode(code),
    }
}

pub fn name(person: Person) -> &'static str {
    NAMES[person]
}
