//! A conversation as a transcript: whose words they were, what was passed on, and what became of it.
//!
//! Nothing is left out: a record that is no text and belongs to none stands as a line of its own.

use std::collections::HashMap;

use serde_json::Value;

use super::say;
use crate::{
    audit::show::{Line, Shown},
    ids::{PersonId, TextId},
};

/// One day of a transcript.
pub(super) struct Day {
    /// The day, in UTC.
    pub(super) day: String,
    pub(super) turns: Vec<Turn>,
}

/// Something that happened.
pub(super) struct Turn {
    /// The record that it begins with.
    pub(super) id: String,
    /// When, to the second.
    pub(super) clock: String,
    day: String,
    pub(super) what: What,
}

/// What happened.
pub(super) enum What {
    /// Somebody texted.
    Text(Text),
    /// Maskline texted.
    Own(Text),
    /// Something else.
    Event { said: String, who: Option<PersonId>, detail: Option<String> },
}

/// A text.
pub(super) struct Text {
    /// Who wrote it; of Maskline's own, whom it was for.
    pub(super) who: Option<PersonId>,
    pub(super) words: Words,
    /// How it was understood; nothing for plain talk.
    pub(super) rule: Option<String>,
    /// What the other was sent, where that differs.
    pub(super) relayed: Option<Words>,
    /// Whether it was passed on at all, where that is to be expected.
    pub(super) is_passed_on: bool,
    pub(super) pictures: usize,
    /// What became of it on its way out.
    pub(super) fates: Vec<Fate>,
}

/// Words, or why there are none.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Words {
    Said(String),
    None,
    /// Whoever wrote them was forgotten on that day.
    Erased(String),
    /// They cannot be opened.
    Unreadable,
}

/// Something that became of a text.
pub(super) struct Fate {
    pub(super) clock: String,
    pub(super) said: String,
    pub(super) is_bad: bool,
}

/// What a record is, as far as it decides with which it belongs together.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    kind: &'a str,
    carrier_id: Option<&'a str>,
    text: Option<TextId>,
}

impl<'a> From<&'a Line> for Key<'a> {
    fn from(line: &'a Line) -> Self {
        Self { kind: &line.kind, carrier_id: line.carrier_id.as_deref(), text: line.text }
    }
}

impl<'a> From<&'a Shown> for Key<'a> {
    fn from(shown: &'a Shown) -> Self {
        Self { kind: &shown.kind, carrier_id: shown.carrier_id.as_deref(), text: shown.text }
    }
}

/// Of each record of a conversation, oldest first, the place of the one with which its turn begins: its own
/// where it begins one.
pub(super) fn heads(keys: &[Key<'_>]) -> Vec<usize> {
    // Where the texts stand that came in, by the carrier's id, and those that go out, by their own.
    let mut inbound: HashMap<&str, usize> = HashMap::new();
    let mut outbound: HashMap<TextId, usize> = HashMap::new();
    for (at, key) in keys.iter().enumerate() {
        if let ("received" | "refused", Some(carrier_id)) = (key.kind, key.carrier_id) {
            inbound.insert(carrier_id, at);
        }
    }
    let head = |(at, key): (usize, &Key<'_>)| match key.kind {
        "received" | "refused" => at,
        "relayed" => {
            let cause = key.carrier_id.and_then(|id| inbound.get(id)).copied();
            let head = cause.filter(|cause| *cause < at).unwrap_or(at);
            outbound.extend(key.text.map(|id| (id, head)));
            head
        }
        "answered" => {
            outbound.extend(key.text.map(|id| (id, at)));
            at
        }
        kind if is_fate(kind) => key.text.and_then(|id| outbound.get(&id)).copied().unwrap_or(at),
        _ => at,
    };
    keys.iter().enumerate().map(head).collect()
}

/// Puts the records of a conversation, oldest first, together: all of them, or those of some turns.
pub(super) fn days(records: &[Shown]) -> Vec<Day> {
    let keys: Vec<Key<'_>> = records.iter().map(Key::from).collect();
    let mut turns: Vec<Turn> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for ((at, record), head) in records.iter().enumerate().zip(heads(&keys)) {
        if head == at {
            places.insert(at, turns.len());
            turns.push(turn(record, begun(record)));
        } else if let Some(What::Text(text) | What::Own(text)) =
            places.get(&head).map(|place| &mut turns[*place].what)
        {
            add(text, record);
        }
    }
    by_day(turns)
}

/// What begins with a record.
fn begun(record: &Shown) -> What {
    match &*record.kind {
        "received" | "refused" => What::Text(received(record)),
        // What was passed on, and came in where nobody knows any more.
        "relayed" => What::Text(Text { is_passed_on: true, ..received(record) }),
        "answered" => {
            What::Own(Text { who: record.recipient, is_passed_on: true, ..received(record) })
        }
        kind => event(kind, record),
    }
}

/// Adds to a text what became of it.
fn add(text: &mut Text, record: &Shown) {
    if let Some(fate) = fate(&record.kind, record) {
        text.fates.push(fate);
    } else {
        let words = words(record);
        text.is_passed_on = true;
        text.relayed = (words != text.words).then_some(words);
    }
}

fn by_day(turns: Vec<Turn>) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for turn in turns {
        match days.last_mut() {
            Some(day) if day.day == turn.day => day.turns.push(turn),
            _ => days.push(Day { day: turn.day.clone(), turns: vec![turn] }),
        }
    }
    days
}

fn turn(record: &Shown, what: What) -> Turn {
    Turn {
        id: record.id.to_string(),
        clock: say::clock(&record.at),
        day: say::day(&record.at),
        what,
    }
}

fn received(record: &Shown) -> Text {
    let pictures = record.media.as_ref().and_then(Value::as_array).map_or(0, Vec::len);
    Text {
        who: record.person,
        words: words(record),
        rule: record
            .rule
            .as_ref()
            .filter(|rule| *rule != "talk")
            .map(|rule| rule.replace('_', " ")),
        relayed: None,
        // What is no talk is not meant for the other.
        is_passed_on: record.rule.as_deref() != Some("talk"),
        pictures,
        fates: Vec::new(),
    }
}

fn words(record: &Shown) -> Words {
    match (&record.words, record.erased_at) {
        (Some(words), _) if !words.is_empty() => Words::Said(words.clone()),
        (_, Some(at)) => Words::Erased(say::day(&at)),
        _ if record.is_unreadable => Words::Unreadable,
        _ => Words::None,
    }
}

/// What becomes of texts on their way out, in words, and whether it is bad.
const FATES: [(&str, &str, bool); 11] = [
    ("accepted", "taken by the carrier", false),
    ("delivered", "delivered", false),
    ("reported", "the carrier says", false),
    ("failed", "failed", true),
    ("dropped", "not sent", true),
    ("unknown", "the carrier’s answer was lost", true),
    ("resent", "sent once more", true),
    ("parked", "not sent again: nobody knows whether it arrived", true),
    ("passed", "the texts behind it went on without it", true),
    ("accepted_twice", "taken by the carrier twice", true),
    ("pictures", "its pictures were made ready or refused", false),
];

fn is_fate(kind: &str) -> bool {
    FATES.iter().any(|(fate, ..)| *fate == kind)
}

/// What a record says became of a text; none where it says something else.
fn fate(kind: &str, record: &Shown) -> Option<Fate> {
    let (_, said, is_bad) = FATES.iter().find(|(fate, ..)| *fate == kind)?;
    let detail =
        record.detail.as_deref().filter(|_| matches!(kind, "reported" | "failed" | "dropped"));
    let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    Some(Fate { clock: say::clock(&record.at), said: format!("{said}{detail}"), is_bad: *is_bad })
}

fn event(kind: &str, record: &Shown) -> What {
    let said = match kind {
        "opened" => "opened the conversation and got a code",
        "joined" => "joined with the code",
        "ended" => "The conversation ended",
        "warned" => "Both were told that it is about to end",
        "extended" => "kept it from ending",
        "reopen_asked" => "wants it opened again",
        "reopened" => "It was opened again, after another one",
        "moved" => "took the conversation to another phone",
        "blocked" => "blocked the other",
        "person_reported" => "reported the other and blocked them",
        "flagged" => "wrote words that may be an opt-out",
        "opted_out" => "opted out",
        "opted_in" => "may be texted again",
        "kept" => "Staff changed when it ends by itself",
        "staff" => "Staff",
        "delivered" | "reported" | "accepted" | "failed" => {
            "The carrier reported on a text that is not here"
        }
        other => other,
    };
    What::Event { said: said.to_owned(), who: record.person, detail: record.detail.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RecordId;

    fn record(kind: &str, at: &str, carrier_id: Option<&str>, words: Option<&str>) -> Shown {
        Shown {
            id: RecordId::new(),
            at: at.parse().unwrap(),
            kind: kind.to_owned(),
            rule: (kind == "received").then(|| "talk".to_owned()),
            person: None,
            recipient: None,
            masked_number: None,
            carrier_id: carrier_id.map(str::to_owned),
            text: None,
            words: words.map(str::to_owned),
            media: None,
            detail: None,
            is_unreadable: false,
            erased_at: None,
        }
    }

    #[test]
    fn a_text_stands_once_with_what_became_of_it() {
        let text = Some(TextId::new());
        let records = [
            record("received", "2026-03-01T23:59:59Z", Some("1"), Some("hi")),
            Shown {
                text,
                ..record("relayed", "2026-03-01T23:59:59Z", Some("1"), Some("hi, late"))
            },
            Shown { text, ..record("accepted", "2026-03-02T00:00:01Z", Some("2"), None) },
            Shown { text, ..record("delivered", "2026-03-02T00:00:02Z", Some("2"), None) },
            record("received", "2026-03-02T00:00:03Z", Some("3"), Some("lost")),
            record("ended", "2026-03-02T00:00:04Z", None, None),
        ];
        let days = days(&records);
        let dates: Vec<&str> = days.iter().map(|day| day.day.as_str()).collect();
        assert_eq!(dates, ["2026-03-01", "2026-03-02"]);
        let What::Text(first) = &days[0].turns[0].what else { panic!("a text") };
        assert!(matches!(&first.relayed, Some(Words::Said(words)) if words == "hi, late"));
        let fates: Vec<&str> = first.fates.iter().map(|fate| fate.said.as_str()).collect();
        assert_eq!(fates, ["taken by the carrier", "delivered"]);
        let What::Text(second) = &days[1].turns[0].what else { panic!("a text") };
        assert!(!second.is_passed_on);
        assert!(matches!(days[1].turns[1].what, What::Event { .. }));
        assert_eq!(days[1].turns.len(), 2);
    }

    #[test]
    fn no_record_is_left_out() {
        let text = Some(TextId::new());
        let kinds = ["accepted", "delivered", "relayed", "strange", "staff", "moved"];
        let records =
            kinds.map(|kind| Shown { text, ..record(kind, "2026-03-01T12:00:00Z", None, None) });
        let days = days(&records);
        let turns: usize = days.iter().map(|day| day.turns.len()).sum();
        assert_eq!(turns, records.len(), "none belongs to a text that is here");
    }
}
