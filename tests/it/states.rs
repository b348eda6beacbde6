//! `docs/states.md` shows the machine that the code is: its table and its diagram are made here, by
//! asking judgement about every situation and every command.

use std::{collections::BTreeMap, fmt::Write, fs};

use jiff::{SignedDuration, Timestamp};
use maskline::{
    code::Code,
    command,
    config::{NumberChoice, PoolSettings, Times},
    conversation::{
        Address, Conversation, EndReason, State,
        command::Command,
        decide::decide,
        effect::{Effect, Fresh, noted_as},
        facts::{Facts, Failures, Mover, Past},
    },
    ids::{ConversationId, MaskedNumberId, PersonId},
    pool::{Candidate, MaskedNumber, Near},
    texts::Answer,
};

use crate::support::{NUMBER, OTHER_NUMBER, at, number};

const OWN: &str = "K7QM4XRT";
const RIGHT: &str = "33333333";
/// What happens when nobody texts.
const SWEEPER: &str = "nobody; the sweeper looks";

/// What is texted, as the table names it and as it is texted.
const TEXTS: [(&str, &str); 25] = [
    ("STOP", "STOP"),
    ("any other opt-out word", "UNSUBSCRIBE"),
    ("END + own code", "END K7QM4XRT"),
    ("END + any other code", "END 66666666"),
    ("HELP", "HELP"),
    ("START", "START"),
    ("JOIN + right code", "JOIN 33333333"),
    ("JOIN + wrong code", "JOIN 66666666"),
    ("JOIN + own code", "JOIN K7QM4XRT"),
    ("LEAVE", "LEAVE"),
    ("LEAVE + own code", "LEAVE K7QM4XRT"),
    ("LEAVE + any other code", "LEAVE 66666666"),
    ("EXTEND", "EXTEND"),
    ("REOPEN", "REOPEN"),
    ("BLOCK", "BLOCK"),
    ("REPORT", "REPORT"),
    ("MOVE", "MOVE"),
    ("MOVE + right code", "MOVE 33333333"),
    ("MOVE + wrong code", "MOVE 66666666"),
    ("UNSTOP", "UNSTOP"),
    ("YES", "YES"),
    ("talk", "see you at 6"),
    ("talk with a plea", "please stop texting me"),
    ("a picture", ""),
    ("nothing to read", " "),
];

fn now() -> Timestamp {
    at("2026-03-01T12:00:00Z")
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

fn waiting(whose: &Address, opened_by: &str, expires_at: Timestamp) -> Conversation {
    Conversation {
        id: ConversationId::new(),
        code: code(opened_by),
        state: State::Waiting { expires_at },
        participants: vec![whose.clone()],
    }
}

/// The people and numbers of all situations.
struct Cast {
    numbers: [MaskedNumber; 2],
    sender: Address,
    other: Address,
    /// Waits for whoever texts JOIN and the right code.
    starter: Address,
    /// Has texted MOVE for the right code.
    old_phone: Address,
}

impl Cast {
    fn new() -> Self {
        let numbers = [NUMBER, OTHER_NUMBER]
            .map(|text| MaskedNumber { id: MaskedNumberId::new(), number: number(text) });
        let somebody =
            |place: usize| Address { person: PersonId::new(), through: numbers[place].clone() };
        Self {
            sender: somebody(0),
            other: somebody(0),
            starter: somebody(0),
            old_phone: somebody(1),
            numbers,
        }
    }

    /// Active, silent for so many hours, perhaps warned so many hours ago, old for so many.
    fn active(&self, silent: i64, warned: Option<i64>, old: i64) -> Conversation {
        Conversation {
            state: State::Active {
                last_talk_at: now() - hours(silent),
                silence: hours(72),
                warned_at: warned.map(|warned| now() - hours(warned)),
                ends_at: now() + hours(720 - old),
            },
            participants: vec![self.other.clone(), self.sender.clone()],
            ..waiting(&self.sender, OWN, now())
        }
    }

    fn past(&self, reason: EndReason, ended: i64, asked_by: Option<&Address>) -> Past {
        Past {
            id: ConversationId::new(),
            ended_at: now() - hours(ended),
            reason,
            other: self.other.clone(),
            asked_by: asked_by.map(|asked| asked.person),
            other_is_free: true,
            numbers_serve: true,
        }
    }

    /// In no conversation, and nothing stands in the way.
    fn nothing(&self) -> Facts {
        let candidate = |number: &MaskedNumber| Candidate {
            number: number.clone(),
            added_at: now(),
            in_service: true,
            load: 0,
            carrier_blocked: false,
            taken: false,
            last_ended: None,
            met: Vec::new(),
            near: Near::SameCountry,
        };
        Facts {
            sender: self.sender.clone(),
            suppressed: false,
            blocked_here: false,
            open: Vec::new(),
            coded: None,
            past: None,
            mover: None,
            unwanted: [].into(),
            failures: Failures { own: 0, all: 0, alarm_at: 100 },
            numbers: self.numbers.iter().map(candidate).collect(),
            fresh: Some(Fresh { id: ConversationId::new(), code: code("77777777") }),
            given: [].into(),
            has_media: false,
            late: None,
            times: Times {
                code_lifetime: hours(24),
                silence: hours(72),
                longest: hours(720),
                reopen_within: hours(24),
            },
            pool: PoolSettings {
                choice: NumberChoice::Sticky,
                capacity: 100,
                cool_off: hours(1),
                keep_apart: hours(0),
            },
        }
    }

    /// In this conversation.
    fn within(&self, here: Conversation) -> Facts {
        let mut facts = Facts { open: vec![here], ..self.nothing() };
        facts.numbers[0].taken = true;
        facts
    }

    /// Every situation that the table shows, with the state of the sender's conversation here.
    fn situations(&self) -> Vec<Situation> {
        let nothing = || self.nothing();
        let ended = |past| Facts { past: Some(past), ..nothing() };
        let mut nowhere = self.within(self.active(1, None, 1));
        nowhere.numbers[1].taken = true;
        let mut full = nothing();
        full.numbers.iter_mut().for_each(|number| number.in_service = false);
        let over = Answer::Over { may_reopen: true };
        let told = Facts {
            given: [(noted_as(&over, &self.sender), now())].into(),
            ..ended(self.past(EndReason::Left, 1, None))
        };
        let minute_ago = now() - SignedDuration::from_mins(1);
        let given = ["help", "nobody"].map(|answer| (answer.to_owned(), minute_ago));
        let recently = Facts { given: given.into(), ..nothing() };
        let failed = |own, alarm| {
            let all = if alarm { 100 } else { own };
            Facts { failures: Failures { own, all, alarm_at: 100 }, ..nothing() }
        };
        let alone = |left| self.within(waiting(&self.sender, OWN, now() + hours(left)));
        let active = |silent, warned, old| self.within(self.active(silent, warned, old));
        let asked = |by| ended(self.past(EndReason::Silence, 1, Some(by)));
        let silenced = |suppressed, blocked_here| Facts { suppressed, blocked_here, ..nothing() };
        let (none, some) = ("in nothing", "active");
        let (over, past) = ("ended an hour ago", "ended 24 hours ago");
        let quiet = "active, silent for 71 h";
        let list = vec![
            (none, "", Stand::Nothing, nothing()),
            ("in nothing, answered a minute ago", none, Stand::Nothing, recently),
            ("in nothing, no number free", none, Stand::Nothing, full),
            ("5 codes failed within the hour", none, Stand::Nothing, failed(5, false)),
            ("1 code failed, and many of all people's", none, Stand::Nothing, failed(1, true)),
            ("waiting", none, Stand::Waiting, alone(1)),
            ("waiting, code expired", none, Stand::Waiting, alone(0)),
            (some, "", Stand::Active, active(1, None, 1)),
            ("active, no other number free", some, Stand::Active, nowhere),
            (quiet, some, Stand::Active, active(71, None, 71)),
            ("active, warned", some, Stand::Warned, active(71, Some(0), 71)),
            ("active, silent for 90 h, not warned", quiet, Stand::Active, active(90, None, 90)),
            ("active, warned, silent for 72 h", over, Stand::Warned, active(72, Some(1), 72)),
            ("active for 30 days", over, Stand::Active, active(1, None, 720)),
            (over, none, Stand::Ended, ended(self.past(EndReason::Left, 1, None))),
            ("ended an hour ago, and told so", over, Stand::Ended, told),
            ("ended, the sender asked to reopen", over, Stand::Asked, asked(&self.sender)),
            ("ended, the other asked to reopen", over, Stand::Asked, asked(&self.other)),
            (past, over, Stand::Closed, ended(self.past(EndReason::Left, 24, None))),
            ("ended by BLOCK", over, Stand::Closed, ended(self.past(EndReason::Blocked, 1, None))),
            ("opted out", "", Stand::Nothing, silenced(true, false)),
            ("blocked at the carrier", "opted out", Stand::Nothing, silenced(false, true)),
            ("opted out, blocked there too", "opted out", Stand::Nothing, silenced(true, true)),
        ];
        let situation = |(name, like, stand, facts)| Situation { name, like, stand, facts };
        list.into_iter().map(situation).collect()
    }

    fn name(&self, person: PersonId) -> &'static str {
        [
            (&self.other, "the other"),
            (&self.starter, "the starter"),
            (&self.old_phone, "the old phone"),
        ]
        .into_iter()
        .find(|(address, _)| address.person == person)
        .map_or("the sender", |(_, name)| name)
    }
}

/// A situation in which somebody texts.
struct Situation {
    name: &'static str,
    /// The one before it that it is compared with: what is the same there is not said again.
    like: &'static str,
    /// Where the sender's conversation on this number stands.
    stand: Stand,
    facts: Facts,
}

/// What somebody does, or time does, in a situation.
struct Case {
    text: &'static str,
    effects: Vec<Effect>,
}

/// Where a conversation stands, as the diagram shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    Nothing,
    Waiting,
    Active,
    Warned,
    Ended,
    Asked,
    Closed,
}

impl Stand {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "[*]",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Warned => "warned",
            Self::Ended => "ended",
            Self::Asked => "asked",
            Self::Closed => "closed",
        }
    }

    /// Where an end leaves a conversation that stood here.
    fn after_end(self, reason: EndReason) -> Self {
        let may_reopen = reason.may_reopen() && self != Self::Waiting;
        if may_reopen { Self::Ended } else { Self::Closed }
    }
}

/// What the effects make of the conversations: each change, from where to where.
fn turns(effects: &[Effect], mut stand: Stand) -> Vec<(Stand, Stand, String)> {
    let mut turns = Vec::new();
    for effect in effects {
        let (from, to) = match effect {
            Effect::Open { .. } => (Stand::Nothing, Stand::Waiting),
            Effect::Join(..) => (Stand::Waiting, Stand::Active),
            Effect::End(_, reason) => (stand, stand.after_end(*reason)),
            Effect::Warn(_) => (stand, Stand::Warned),
            Effect::Extend(_) | Effect::Relay { .. } | Effect::Reopen { .. } => {
                (stand, Stand::Active)
            }
            Effect::AskToReopen(..) => (stand, Stand::Asked),
            Effect::Block { .. } => (stand, Stand::Closed),
            _ => continue,
        };
        let why = match effect {
            Effect::End(_, reason) => format!("{} ({})", to.name(), reason.as_str()),
            _ => to.name().to_owned(),
        };
        if from != to {
            turns.push((from, to, why));
        }
        stand = to;
    }
    turns
}

/// What else the effects do, in a few words each.
fn also(effects: &[Effect]) -> Vec<&'static str> {
    let also = effects.iter().filter_map(|effect| match effect {
        Effect::Extend(_) | Effect::Relay { .. } => Some("silence begins anew"),
        Effect::Suppress(_) => Some("opted out"),
        Effect::Lift(_) => Some("may be texted again"),
        Effect::CarrierLift(_) => Some("carrier connects again"),
        Effect::Flag { .. } => Some("staff are called"),
        Effect::Block { report: None, .. } => Some("kept apart"),
        Effect::Block { report: Some(_), .. } => Some("kept apart, staff are called"),
        Effect::CountFailure(_) => Some("failure counted"),
        Effect::OfferMove { .. } => Some("MOVE code made"),
        Effect::Move { .. } => Some("conversations moved to this phone"),
        _ => None,
    });
    also.collect()
}

/// The last four cells of a row: what comes of this.
fn outcome(cast: &Cast, stand: Stand, effects: &[Effect]) -> String {
    let turns: Vec<String> = turns(effects, stand).into_iter().map(|(_, _, why)| why).collect();
    let (mut sender, mut others) = (Vec::new(), Vec::new());
    for effect in effects {
        let (to, what) = match effect {
            Effect::Relay { to, pictures: true, .. } => (to, "*the picture*".to_owned()),
            Effect::Relay { to, .. } => (to, "*the words*".to_owned()),
            Effect::Say { to, answer, .. } => (to, answer.name().to_owned()),
            _ => continue,
        };
        match cast.name(to.person) {
            "the sender" => sender.push(what),
            "the other" => others.push(what),
            name => others.push(format!("{name}: {what}")),
        }
    }
    let cell =
        |words: Vec<String>| if words.is_empty() { "–".to_owned() } else { words.join(", ") };
    let also = also(effects).into_iter().map(str::to_owned).collect();
    format!("{} | {} | {} | {}", cell(turns), cell(also), cell(sender), cell(others))
}

/// The facts as they are loaded for this command.
fn load(cast: &Cast, facts: &Facts, command: &Command, has_media: bool) -> Facts {
    let coded = match command {
        Command::Join(named) if *named == code(RIGHT) => {
            Some(waiting(&cast.starter, RIGHT, now() + hours(1)))
        }
        Command::Join(named) if *named == code(OWN) => facts.open.first().cloned(),
        _ => None,
    };
    let mover = (*command == Command::MoveCode(code(RIGHT))).then(|| {
        let third = Address { person: PersonId::new(), ..cast.old_phone.clone() };
        let participants = vec![cast.old_phone.clone(), third];
        let open = vec![Conversation { participants, ..cast.active(1, None, 1) }];
        Mover {
            person: cast.old_phone.person,
            expires_at: now() + hours(1),
            open,
            unwanted: [].into(),
        }
    });
    Facts { coded, mover, has_media, ..facts.clone() }
}

/// What judgement decides about every text in a situation, and about none.
fn cases(cast: &Cast, situation: &Situation) -> Vec<Case> {
    let facts = &situation.facts;
    let mut cases = Vec::new();
    for (text, words) in TEXTS {
        let names_own = text.ends_with("own code");
        if names_own && facts.here().is_none() {
            continue;
        }
        let command = command::parse(words);
        let loaded = load(cast, facts, &command, text == "a picture");
        cases.push(Case { text, effects: decide(&loaded, &command, now()).effects });
    }
    if let Some(here) = facts.here() {
        cases.push(Case { text: SWEEPER, effects: here.pass(now()) });
    }
    cases
}

/// What time has done before the text is looked at.
fn first(situation: &Situation) -> Vec<Effect> {
    let facts = &situation.facts;
    let silent = Facts { suppressed: true, ..facts.clone() };
    decide(&silent, &Command::Empty, now()).effects
}

/// The rows of a situation: what comes of each text, those with the same outcome together.
fn rows(cast: &Cast, situation: &Situation) -> Vec<(&'static str, String)> {
    let before = first(situation);
    let stand = turns(&before, situation.stand).last().map_or(situation.stand, |turn| turn.1);
    let mut rows = Vec::new();
    if !before.is_empty() {
        rows.push(("*whatever is texted, first*", outcome(cast, situation.stand, &before)));
    }
    for Case { text, effects } in cases(cast, situation) {
        if text == SWEEPER {
            rows.push((text, outcome(cast, situation.stand, &effects)));
            continue;
        }
        let rest = effects.strip_prefix(&before[..]);
        let rest = rest.unwrap_or_else(|| panic!("time comes first: {effects:?}"));
        rows.push((text, outcome(cast, stand, rest)));
    }
    rows
}

fn table(cast: &Cast) -> String {
    let mut table =
        "| situation | texts | conversation | also | the sender hears | the other hears |\n\
                     | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    let situations = cast.situations();
    for situation in &situations {
        let like = situations.iter().find(|other| other.name == situation.like);
        let known = like.map_or(Vec::new(), |like| rows(cast, like));
        let mut outcomes: Vec<(String, Vec<&str>)> = Vec::new();
        for row in rows(cast, situation).into_iter().filter(|row| !known.contains(row)) {
            match outcomes.iter_mut().find(|(outcome, _)| *outcome == row.1) {
                Some((_, texts)) => texts.push(row.0),
                None => outcomes.push((row.1, vec![row.0])),
            }
        }
        let mut head = format!("**{}**", situation.name);
        if like.is_some() {
            write!(head, "; else as *{}*", situation.like).unwrap();
        }
        if outcomes.is_empty() {
            writeln!(table, "| **{}**; as *{}* | | | | | |", situation.name, situation.like)
                .unwrap();
        }
        for (outcome, texts) in outcomes {
            writeln!(table, "| {head} | {} | {outcome} |", texts.join(", ")).unwrap();
            head.clear();
        }
    }
    table
}

fn diagram(cast: &Cast) -> String {
    let mut edges: BTreeMap<(Stand, Stand), Vec<String>> = BTreeMap::new();
    let mut add = |from, to, why: &str| {
        let whys = edges.entry((from, to)).or_default();
        if !whys.iter().any(|known| known == why) {
            whys.push(why.to_owned());
        }
    };
    for situation in cast.situations() {
        for Case { text, effects } in cases(cast, &situation) {
            for (from, to, name) in turns(&effects, situation.stand) {
                let reason = name.split_once(" (").map(|(_, reason)| reason.trim_end_matches(')'));
                add(from, to, reason.unwrap_or(text.split(" + ").next().unwrap_or(text)));
            }
        }
    }
    // A day after its end it can be opened no more.
    let asks = |ended| {
        let past = Some(cast.past(EndReason::Left, ended, None));
        decide(&Facts { past, ..cast.nothing() }, &Command::Reopen, now()).effects
    };
    let is_asked = |effects: &[Effect]| matches!(effects[0], Effect::AskToReopen(..));
    assert!(is_asked(&asks(23)) && !is_asked(&asks(24)));
    for from in [Stand::Ended, Stand::Asked] {
        add(from, Stand::Closed, "24 h");
    }
    let mut diagram = "```mermaid\nstateDiagram-v2\n".to_owned();
    for ((from, to), whys) in edges {
        writeln!(diagram, "    {} --> {}: {}", from.name(), to.name(), whys.join(", ")).unwrap();
    }
    diagram + "    closed --> [*]\n```\n"
}

#[expect(clippy::disallowed_methods, reason = "a test may be asked to write the document")]
fn is_asked_to_write() -> bool {
    std::env::var_os("UPDATE_STATES").is_some()
}

#[test]
fn the_document_shows_the_machine_that_the_code_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/states.md");
    let cast = Cast::new();
    let mut document = fs::read_to_string(path).unwrap();
    let before = document.clone();
    for (name, made) in [("diagram", diagram(&cast)), ("table", table(&cast))] {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let from =
            document.find(&begin).unwrap_or_else(|| panic!("{begin} is missing")) + begin.len();
        let to = from + document[from..].find(&end).unwrap_or_else(|| panic!("{end} is missing"));
        document.replace_range(from..to, &made);
    }
    if is_asked_to_write() {
        fs::write(path, document).unwrap();
        return;
    }
    let differ = before.lines().zip(document.lines()).find(|(before, after)| before != after);
    assert!(
        before == document,
        "docs/states.md does not show what the code does. The first difference:\n  document: {}\n  \
         code:     {}\nIf the code is right, `UPDATE_STATES=1 cargo test --test it states` writes \
         the table and the diagram anew.",
        differ.map_or("(too long or too short)", |(before, _)| before),
        differ.map_or("(see the whole table)", |(_, after)| after),
    );
}
