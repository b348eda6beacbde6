//! The table of `docs/opt-out.md`: every row is texted to the real system, and must do what it says.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Write as _,
};

use futures_util::{StreamExt, stream};
use jiff::SignedDuration;
use maskline::{
    carrier::{simulator::Faults, wire::InboundText},
    consent::{self, Channel, Event, EventKind},
    ids::{MaskedNumberId, PersonId},
    inbound,
    phone::PhoneNumber,
};

use crate::support::{NUMBER, TestApp, Wishes, number};

/// As many as there must be at least.
const ENOUGH: usize = 400;
/// How many texts come in at the same time.
const AT_ONCE: usize = 8;
/// A code that nobody has.
const UNKNOWN: &str = "K7QM-4XRT";

/// What stands for characters that nobody sees.
const INVISIBLE: [(&str, &str); 11] = [
    ("nothing", ""),
    ("space", " "),
    ("NBSP", "\u{a0}"),
    ("wide space", "\u{3000}"),
    ("tab", "\t"),
    ("new line", "\n"),
    ("ZWSP", "\u{200b}"),
    ("ZWJ", "\u{200d}"),
    ("SHY", "\u{ad}"),
    ("BOM", "\u{feff}"),
    ("U+FFFC", "\u{fffc}"),
];

/// The rules in the trail: somebody who opted out meets each of them. Not `end_code`, which is an
/// opt out for whoever has no conversation to end.
const RULES: [&str; 16] = [
    "opt_out",
    "unstop",
    "yes",
    "help",
    "start",
    "join",
    "leave",
    "leave_code",
    "extend",
    "reopen",
    "block",
    "report",
    "move",
    "move_code",
    "talk",
    "empty",
];

/// How the answers begin that the table tells apart.
const ANSWERS: [(&str, &str); 11] = [
    ("Maskline: You are opted out", "opted out"),
    ("Maskline: Vous ne recevrez plus", "opted out in French"),
    ("Maskline: Welcome back", "welcome back"),
    ("Maskline: Hidden numbers", "help"),
    ("Maskline: Textos", "help in French"),
    ("Maskline: Connected", "joined"),
    ("They have joined", "they joined"),
    ("This conversation has ended.", "ended"),
    ("You have ended", "you ended"),
    ("Done. You two are not connected any more, and never", "blocked"),
    ("Thank you, our staff will look at it. You two are not", "reported"),
];

/// One row of the table.
#[derive(Debug)]
struct Row {
    line: usize,
    text: String,
    who: Who,
    happens: String,
}

/// How somebody stands before they text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Connected,
    Waiting,
    Nowhere,
    OptedOut,
    Refused,
    OptedOutAndRefused,
}

impl Who {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "in a conversation" => Self::Connected,
            "whose code waits" => Self::Waiting,
            "in no conversation" => Self::Nowhere,
            "who opted out" => Self::OptedOut,
            "whom the carrier refuses" => Self::Refused,
            "who opted out and whom the carrier refuses" => Self::OptedOutAndRefused,
            _ => return None,
        })
    }

    fn opted_out(self) -> bool {
        matches!(self, Self::OptedOut | Self::OptedOutAndRefused)
    }

    fn refused(self) -> bool {
        matches!(self, Self::Refused | Self::OptedOutAndRefused)
    }

    /// What is to be seen of them when their text changes nothing.
    fn unmoved(self) -> Seen {
        let conversation = match self {
            Self::Connected => "active",
            Self::Waiting => "waiting",
            Self::Nowhere => "none",
            Self::OptedOut | Self::OptedOutAndRefused => "ended opted_out",
            Self::Refused => "ended carrier_blocked",
        };
        Seen {
            conversation: conversation.to_owned(),
            suppressed: self.opted_out(),
            refused: self.refused(),
            received: 1,
            ..Seen::default()
        }
    }
}

/// Everything that a text did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// What came to each phone because of it: the sender's, the other participant's, and that of
    /// somebody else whose code waits.
    sender_got: Vec<String>,
    other_got: Vec<String>,
    third_got: Vec<String>,
    /// The sender's last conversation afterwards.
    conversation: String,
    suppressed: bool,
    refused: bool,
    /// Whether the two never meet again.
    apart: bool,
    /// The entries in the ledger of consent for which it is the evidence.
    ledger: Vec<String>,
    /// The tasks that it raised, and when they are due.
    tasks: Vec<String>,
    /// How many records say that it came in, word for word.
    received: usize,
}

/// What the table's words mean.
fn expected(who: Who, happens: &str) -> Option<Seen> {
    let mut seen = who.unmoved();
    let says = |what: &str| vec![what.to_owned()];
    let soft = says("soft_opt_out 2026-03-16");
    // Nobody but who is connected has somebody to tell.
    let ended = if who == Who::Connected { says("ended") } else { vec![] };
    let end = |seen: &mut Seen, why: &str| {
        if matches!(who, Who::Connected | Who::Waiting) {
            seen.conversation = format!("ended {why}");
        }
        seen.other_got.clone_from(&ended);
    };
    match happens {
        "opts out, confirmed" | "opts out, confirmed in French" | "opts out, no confirmation" => {
            end(&mut seen, "opted_out");
            seen.suppressed = true;
            seen.ledger = says("revoked");
            seen.sender_got = match happens {
                "opts out, confirmed" => says("opted out"),
                "opts out, confirmed in French" => says("opted out in French"),
                _ => vec![],
            };
        }
        "stays opted out" => seen.ledger = says("revoked"),
        "recorded only" => {}
        "passed on" => seen.other_got = says("their words"),
        "passed on, staff look at it" => {
            seen.other_got = says("their words");
            (seen.ledger, seen.tasks) = (says("flagged"), soft);
        }
        "passed on, the carrier's block is lifted" => {
            seen.other_got = says("their words");
            seen.ledger = says("carrier_lifted");
        }
        "answered: HELP" => seen.sender_got = says("help"),
        "answered: HELP in French" => seen.sender_got = says("help in French"),
        "answered only" => seen.sender_got = says("an answer"),
        "answered only, staff look at it" => {
            seen.sender_got = says("an answer");
            (seen.ledger, seen.tasks) = (says("flagged"), soft);
        }
        "the conversation ends" => {
            end(&mut seen, "left");
            seen.sender_got = says("you ended");
        }
        "the conversation ends, the two never meet again" => {
            end(&mut seen, "blocked");
            (seen.sender_got, seen.apart) = (says("blocked"), true);
        }
        "the conversation ends, the two never meet again, staff look at it" => {
            end(&mut seen, "reported");
            (seen.sender_got, seen.apart) = (says("reported"), true);
            seen.tasks = says("report 2026-03-03");
        }
        "recorded only, the two never meet again" => seen.apart = true,
        "recorded only, the two never meet again, staff look at it" => {
            (seen.apart, seen.tasks) = (true, says("report 2026-03-03"));
        }
        "joins" | "comes back and joins" => {
            (seen.sender_got, seen.third_got) = (says("joined"), says("they joined"));
            (seen.conversation, seen.suppressed) = ("active".to_owned(), false);
            let times = if who.opted_out() { 2 } else { 1 };
            seen.ledger = vec!["granted".to_owned(); times];
        }
        "comes back" => {
            (seen.sender_got, seen.suppressed) = (says("welcome back"), false);
            seen.ledger = says("granted");
        }
        "comes back, at the carrier too" => {
            seen.sender_got = says("welcome back");
            (seen.suppressed, seen.refused) = (false, false);
            seen.ledger = says("carrier_lifted");
            if who.opted_out() {
                seen.ledger.insert(0, "granted".to_owned());
            }
        }
        "comes back, but not at the carrier" => {
            seen.suppressed = false;
            seen.ledger = says("granted");
        }
        _ => return None,
    }
    Some(seen)
}

/// Reads the rows of the table, and fails on any that cannot be read.
fn rows(document: &str) -> Vec<Row> {
    let lines = document.lines().enumerate().filter(|(_, line)| line.starts_with("| `"));
    let row = |(at, line): (usize, &str)| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [text, who, happens, why] = cells[..] else { panic!("line {}: {line}", at + 1) };
        let text = text.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap();
        assert!(text.chars().all(is_visible) && !text.contains("  "), "line {}: {line}", at + 1);
        assert!(!text.starts_with(' ') && !text.ends_with(' '), "line {}: {line}", at + 1);
        assert!(!why.is_empty(), "line {}: {line}", at + 1);
        let who = Who::named(who).unwrap_or_else(|| panic!("line {}: who is that?", at + 1));
        assert!(expected(who, happens).is_some(), "line {}: what happens?", at + 1);
        Row { line: at + 1, text: text.to_owned(), who, happens: happens.to_owned() }
    };
    lines.map(row).collect()
}

/// Whether a reader sees this character, and sees which one it is.
fn is_visible(c: char) -> bool {
    let stands_for = |stood_for: &str| stood_for.starts_with(c);
    let is_mark =
        matches!(c, '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '\u{202a}'..='\u{202e}');
    c == ' ' || !c.is_control() && !is_mark && !INVISIBLE.iter().any(|(_, it)| stands_for(it))
}

/// The text as it is sent, with everything in `⟨…⟩` put in.
fn decode(text: &str, code: impl Fn(&str) -> Option<String>) -> String {
    let mut decoded = String::new();
    for (n, part) in text.split('⟨').enumerate() {
        let Some((name, rest)) = part.split_once('⟩').filter(|_| n > 0) else {
            decoded.push_str(part);
            continue;
        };
        let invisible = INVISIBLE.iter().find(|(known, _)| *known == name);
        let point = name.strip_prefix("U+").and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let invisible = invisible.map(|(_, stood_for)| (*stood_for).to_owned());
        let point = || Some(char::from_u32(point?)?.to_string());
        let stood_for = invisible.or_else(point).or_else(|| code(name));
        decoded.push_str(&stood_for.unwrap_or_else(|| panic!("{name:?} stands for nothing")));
        decoded.push_str(rest);
    }
    decoded
}

/// The people of one row. Each row has its own, so that no row meets another.
struct Cast {
    sender: PhoneNumber,
    other: PhoneNumber,
    third: PhoneNumber,
    /// What is texted.
    body: String,
}

fn phone(role: u32, row: usize) -> PhoneNumber {
    number(&format!("+1206{role}{row:06}"))
}

fn id(row: usize) -> String {
    format!("row-{row}")
}

impl TestApp {
    /// Takes in a text as the webhook does.
    async fn takes(&self, id: &str, from: &PhoneNumber, body: &str) {
        let text = InboundText {
            carrier_id: id.to_owned(),
            from: Some(from.clone()),
            to: Some(number(NUMBER)),
            body: body.to_owned(),
            media: Vec::new(),
            sent_at: None,
        };
        inbound::receive(&self.app, text).await.unwrap();
    }

    /// Opens a conversation that waits, and returns its code.
    async fn opens(&self, who: &PhoneNumber) -> String {
        self.takes(&format!("start-{}", who.as_str()), who, "START").await;
        let code: String = self
            .value(&format!(
                "select c.code from conversation c
                 join participant t on t.conversation_id = c.id
                 join person p on p.id = t.person_id
                 where p.number = '{}' and t.left_at is null",
                who.as_str()
            ))
            .await;
        format!("{}-{}", &code[..4], &code[4..])
    }

    async fn connects(&self, starter: &PhoneNumber, joiner: &PhoneNumber) -> String {
        let code = self.opens(starter).await;
        self.takes(&format!("join-{}", joiner.as_str()), joiner, &format!("JOIN {code}")).await;
        code
    }

    /// Notes what the carrier's refusal of a text tells.
    async fn refuses(&self, who: &PhoneNumber) {
        let person: PersonId =
            self.value(&format!("select id from person where number = '{}'", who.as_str())).await;
        let masked: MaskedNumberId =
            self.value(&format!("select id from masked_number where number = '{NUMBER}'")).await;
        let event = Event {
            person,
            kind: EventKind::CarrierBlocked,
            masked_number: Some(masked),
            rule: "refused",
            channel: Channel::Carrier,
            evidence: None,
        };
        let mut conn = self.db.acquire().await.unwrap();
        consent::append(&mut conn, &event, self.app.clock.now()).await.unwrap();
    }

    /// Brings the people of a row to where they stand before its text.
    async fn sets_up(&self, n: usize, row: &Row, shared: &HashMap<&'static str, String>) -> Cast {
        let (sender, other, third) = (phone(2, n), phone(3, n), phone(4, n));
        let mut codes = shared.clone();
        let own = match row.who {
            Who::Nowhere => String::new(),
            Who::Waiting => self.opens(&sender).await,
            _ => self.connects(&other, &sender).await,
        };
        codes.insert("own code in one run", own.replace('-', ""));
        codes.insert("own code in small letters", own.to_lowercase());
        codes.insert("own code", own);
        if row.text.contains("⟨a code that waits⟩") {
            codes.insert("a code that waits", self.opens(&third).await);
        }
        if row.who.opted_out() {
            self.takes(&format!("bye-{n}"), &sender, "UNSUBSCRIBE").await;
        }
        if row.who.refused() {
            self.refuses(&sender).await;
        }
        Cast { sender, other, third, body: decode(&row.text, |name| codes.get(name).cloned()) }
    }

    /// Lines of two columns, gathered by the first.
    async fn gathered(&self, sql: &str) -> HashMap<String, Vec<String>> {
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for line in self.column(sql).await {
            let (key, value) = line.split_once('|').unwrap();
            found.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        found
    }

    /// The rules by which those who opted out were judged.
    async fn rules_of_those_who_opted_out(&self, rows: &[Row], casts: &[Cast]) -> BTreeSet<String> {
        let rules = "select carrier_id || '|' || rule from audit_record where kind = 'received'";
        let rules = self.gathered(rules).await;
        let silent = (0..casts.len()).filter(|n| rows[*n].who == Who::OptedOut);
        silent.flat_map(|n| rules[&id(n)].clone()).collect()
    }

    /// Looks at everything that the rows' texts did; `before` is how many texts had been sent.
    async fn looks(&self, casts: &[Cast], before: usize) -> Vec<Seen> {
        let conversations = "select p.number || '|' || c.state || coalesce(' ' || c.end_reason, '')
             from participant t
             join person p on p.id = t.person_id
             join conversation c on c.id = t.conversation_id
             order by c.opened_at, c.id";
        let conversations = self.gathered(conversations).await;
        let numbers = |table: &str| {
            format!("select p.number from {table} t join person p on p.id = t.person_id")
        };
        let suppressed = HashSet::<String>::from_iter(self.column(&numbers("suppression")).await);
        let refused = HashSet::<String>::from_iter(self.column(&numbers("carrier_block")).await);
        let apart = HashSet::<String>::from_iter(self.column(&numbers("block")).await);
        let ledger = "select evidence || '|' || kind from consent_event
             where evidence is not null order by seq";
        let mut ledger = self.gathered(ledger).await;
        let tasks = "select carrier_id || '|' || kind || ' ' || (due_at at time zone 'utc')::date
             from task where carrier_id is not null";
        let mut tasks = self.gathered(tasks).await;
        let received = "select carrier_id || '|' || body from audit_record where kind = 'received'";
        let received = self.gathered(received).await;
        let mut got: HashMap<PhoneNumber, Vec<String>> = HashMap::new();
        for text in self.simulator.ledger().accepted.into_iter().skip(before) {
            got.entry(text.to).or_default().push(text.body);
        }
        let heard = |cast: &Cast, phone| {
            let bodies = got.get(phone).into_iter().flatten();
            bodies.map(|body| named(body, cast)).collect::<Vec<_>>()
        };
        let seen = casts.iter().enumerate().map(|(n, cast)| {
            let sender = cast.sender.as_str();
            let words = received.get(&id(n)).into_iter().flatten();
            let last = conversations.get(sender).and_then(|all| all.last()).cloned();
            Seen {
                sender_got: heard(cast, &cast.sender),
                other_got: heard(cast, &cast.other),
                third_got: heard(cast, &cast.third),
                conversation: last.unwrap_or_else(|| "none".to_owned()),
                suppressed: suppressed.contains(sender),
                refused: refused.contains(sender),
                apart: apart.contains(sender),
                ledger: ledger.remove(&id(n)).unwrap_or_default(),
                tasks: tasks.remove(&id(n)).unwrap_or_default(),
                received: words.filter(|body| **body == cast.body).count(),
            }
        });
        seen.collect()
    }
}

/// What a text that came to a phone of this row is called.
fn named(body: &str, cast: &Cast) -> String {
    let answer = ANSWERS.iter().find(|(begins, _)| body.starts_with(begins));
    match answer {
        Some((_, name)) => (*name).to_owned(),
        None if body == cast.body => "their words".to_owned(),
        None => "an answer".to_owned(),
    }
}

/// Codes that no row spends: one that has expired, and one of two strangers who stay connected.
async fn shared(test: &TestApp) -> HashMap<&'static str, String> {
    let expired = test.opens(&phone(5, 0)).await;
    test.advance(SignedDuration::from_hours(25));
    let another = test.connects(&phone(5, 1), &phone(5, 2)).await;
    [("expired code", expired), ("another’s code", another), ("unknown code", UNKNOWN.to_owned())]
        .into()
}

#[tokio::test]
async fn every_row_of_the_table_happens_as_it_says() {
    let rows = rows(include_str!("../../docs/opt-out.md"));
    // All rows stand on one masked number, at the same time.
    let settings = [("MASKLINE_NUMBER_CAPACITY", "1000000")];
    let test = TestApp::wishing(Wishes { settings: &settings, ..Wishes::default() }).await;
    let shared = shared(&test).await;
    let set_up = rows.iter().enumerate().map(|(n, row)| test.sets_up(n, row, &shared));
    let casts: Vec<Cast> = stream::iter(set_up).buffered(AT_ONCE).collect().await;
    // What was said on the way is of no interest here, and takes longer to send than all the rest.
    test.run("delete from outbox").await;
    // Ends the conversations of those whom the carrier refuses.
    test.sweep().await;
    let before = test.simulator.ledger().accepted.len();

    let texts = casts.iter().enumerate();
    let texts = texts.map(async |(n, cast)| test.takes(&id(n), &cast.sender, &cast.body).await);
    stream::iter(texts).buffered(AT_ONCE).collect::<()>().await;
    // Receipts would double the time and change nothing of this.
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    test.deliver().await;

    let mut wrong = String::new();
    for (row, seen) in rows.iter().zip(test.looks(&casts, before).await) {
        let expected = expected(row.who, &row.happens).unwrap();
        if seen != expected {
            let Row { line, text, who, happens } = row;
            writeln!(wrong, "line {line}: {text} from {who:?}: {happens}").unwrap();
            writeln!(wrong, "  expected {expected:?}\n      seen {seen:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let strangers = format!(
        "select c.state from participant t
         join person p on p.id = t.person_id
         join conversation c on c.id = t.conversation_id
         where p.number = '{}'",
        phone(5, 1).as_str()
    );
    assert_eq!(test.value::<String>(&strangers).await, "active", "whoever texts END and its code");
    assert_eq!(
        test.rules_of_those_who_opted_out(&rows, &casts).await,
        RULES.map(str::to_owned).into()
    );
}

#[test]
fn the_table_is_long_enough_and_says_nothing_twice() {
    let rows = rows(include_str!("../../docs/opt-out.md"));
    assert!(rows.len() >= ENOUGH, "{} rows", rows.len());
    let mut once = HashSet::new();
    for Row { line, text, who, .. } in &rows {
        let plain = decode(text, |name| Some(format!("⟨{name}⟩")));
        assert!(once.insert((who, plain)), "line {line}: {text} stands there twice");
    }
}
