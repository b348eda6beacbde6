//! A conversation as a transcript: whose words they were, what was passed on, and what became of it.
//!
//! Nothing is left out: a record that is no text and belongs to none stands as a line of its own.

use std::collections::HashMap;

use serde_json::Value;

use super::say;
use crate::{
    audit::show::Shown,
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

/// Puts the records of a conversation, oldest first, together.
pub(super) fn days(records: &[Shown]) -> Vec<Day> {
    let mut turns: Vec<Turn> = Vec::new();
    // Where the texts stand that came in, by the carrier's id, and those that go out, by their own.
    let mut inbound: HashMap<&str, usize> = HashMap::new();
    let mut outbound: HashMap<TextId, usize> = HashMap::new();
    for (at, record) in records.iter().enumerate() {
        if let ("received" | "refused", Some(carrier_id)) = (&*record.kind, &record.carrier_id) {
            inbound.insert(carrier_id, at);
        }
    }
    let mut places: HashMap<usize, usize> = HashMap::new();
    for (at, record) in records.iter().enumerate() {
        match &*record.kind {
            "received" | "refused" => {
                places.insert(at, turns.len());
                turns.push(turn(record, What::Text(received(record))));
            }
            "relayed" => {
                let cause = record.carrier_id.as_deref().and_then(|id| inbound.get(id));
                let place = cause.and_then(|cause| places.get(cause)).copied();
                let place = place.unwrap_or_else(|| {
                    turns.push(turn(record, What::Text(received(record))));
                    turns.len() - 1
                });
                if let What::Text(text) = &mut turns[place].what {
                    let words = words(record);
                    text.is_passed_on = true;
                    text.relayed = (words != text.words).then_some(words);
                }
                outbound.extend(record.text.map(|id| (id, place)));
            }
            "answered" => {
                outbound.extend(record.text.map(|id| (id, turns.len())));
                let own = Text { who: record.recipient, is_passed_on: true, ..received(record) };
                turns.push(turn(record, What::Own(own)));
            }
            kind => {
                let place = record.text.and_then(|id| outbound.get(&id)).copied();
                match (place.map(|place| &mut turns[place].what), fate(kind, record)) {
                    (Some(What::Text(text) | What::Own(text)), Some(fate)) => text.fates.push(fate),
                    _ => turns.push(turn(record, event(kind, record))),
                }
            }
        }
    }
    by_day(turns)
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

/// What a record says became of a text; none where it says something else.
fn fate(kind: &str, record: &Shown) -> Option<Fate> {
    let detail = || record.detail.as_deref().map(|detail| format!(": {detail}"));
    let (said, is_bad) = match kind {
        "accepted" => ("taken by the carrier".to_owned(), false),
        "delivered" => ("delivered".to_owned(), false),
        "reported" => (format!("the carrier says{}", detail().unwrap_or_default()), false),
        "failed" => (format!("failed{}", detail().unwrap_or_default()), true),
        "dropped" => (format!("not sent{}", detail().unwrap_or_default()), true),
        "unknown" => ("the carrier’s answer was lost".to_owned(), true),
        "resent" => ("sent once more".to_owned(), true),
        "parked" => ("not sent again: nobody knows whether it arrived".to_owned(), true),
        "passed" => ("the texts behind it went on without it".to_owned(), true),
        "accepted_twice" => ("taken by the carrier twice".to_owned(), true),
        "pictures" => ("its pictures were made ready or refused".to_owned(), false),
        _ => return None,
    };
    Some(Fate { clock: say::clock(&record.at), said, is_bad })
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
