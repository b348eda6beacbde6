//! What is typed into the one box: fields with values, and words.

use std::{fmt::Write, str::FromStr};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use uuid::Uuid;

use crate::{
    audit::{
        Direction, Kind,
        search::{Filter, Standing},
    },
    phone::{self, PhoneNumber},
};

/// What a value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Person,
    Number,
    Conversation,
    Text,
    From,
    Until,
    Zone,
    Way,
    Kind,
    Rule,
    State,
    Has,
    Is,
}

/// Each field, its name, an example, and what it asks for.
pub(super) const FIELDS: [(Field, &str, &str, &str); 13] = [
    (Field::Person, "person", "person:+12065550163", "whoever has this number, or this whole id"),
    (Field::Number, "number", "number:+14155550100", "what went through this masked number"),
    (
        Field::Conversation,
        "conversation",
        "conversation:019ab1de-…",
        "this conversation, by its whole id",
    ),
    (
        Field::Text,
        "text",
        "text:mdr2-0123abcd",
        "the conversation of this text, by the carrier’s id",
    ),
    (Field::From, "from", "from:2026-03-01", "what happened then or later"),
    (Field::Until, "until", "until:2026-04-01", "what happened before"),
    (
        Field::Zone,
        "zone",
        "zone:Europe/Berlin",
        "on whose clock those days begin; UTC unless given",
    ),
    (Field::Way, "way", "way:inbound", "texts that came in, or outbound: that went out"),
    (
        Field::Kind,
        "kind",
        "kind:failed",
        "what happened, such as relayed or delivered; may be repeated",
    ),
    (Field::Rule, "rule", "rule:opt_out", "how a text was understood, or what was answered"),
    (Field::State, "state", "state:active", "where it stands: waiting, active or ended"),
    (Field::Has, "has", "has:media", "texts that pictures came along with"),
    (
        Field::Is,
        "is",
        "is:held",
        "what a legal hold covers, or is:flagged: words that may be an opt-out",
    ),
];

impl Field {
    pub(super) fn name(self) -> &'static str {
        FIELDS.iter().find(|(field, ..)| *field == self).map_or("", |(_, name, ..)| name)
    }
}

/// A field and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) field: Field,
    pub(super) value: String,
}

/// What was typed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::console) struct Expression {
    pub(super) terms: Vec<Term>,
    /// Words to look for; empty for none.
    pub(in crate::console) words: String,
}

impl FromStr for Expression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut expression = Self::default();
        for (part, is_quoted) in parts(text) {
            match part.split_once(':').filter(|_| !is_quoted) {
                Some((name, value)) => expression.terms.push(term(name, value)?),
                None if !is_quoted && phone::stands_in(&part) => {
                    return Err("That looks like a telephone number. Write person: in front of a person’s and number: in front of a masked one, with no blanks; or put it in quotes to look for it as words.".to_owned());
                }
                None => {
                    let gap = if expression.words.is_empty() { "" } else { " " };
                    write!(expression.words, "{gap}{part}").map_err(|error| error.to_string())?;
                }
            }
        }
        let times = |field| expression.terms.iter().filter(|term| term.field == field).count();
        let once = |field: &Field| !matches!(field, Field::Kind | Field::Is);
        let mut single = FIELDS.iter().map(|(field, ..)| *field).filter(once);
        match single.find(|field| times(*field) > 1) {
            Some(field) => Err(format!("{}: is given twice. Keep one of them.", field.name())),
            None => Ok(expression),
        }
    }
}

/// Splits at blanks, but not within quotes. True for what was quoted as a whole.
fn parts(text: &str) -> Vec<(String, bool)> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut is_within, mut is_quoted) = (false, false);
    for c in text.chars() {
        match c {
            '"' | '“' | '”' => {
                is_quoted |= part.is_empty();
                is_within = !is_within;
            }
            c if c.is_whitespace() && !is_within => {
                if !part.is_empty() {
                    parts.push((std::mem::take(&mut part), is_quoted));
                }
                is_quoted = false;
            }
            c => part.push(c),
        }
    }
    if !part.is_empty() {
        parts.push((part, is_quoted));
    }
    parts
}

fn term(name: &str, value: &str) -> Result<Term, String> {
    let known = FIELDS.iter().find(|(_, known, ..)| known.eq_ignore_ascii_case(name));
    let Some((field, ..)) = known else {
        return Err(format!(
            "There is no field called {}. Put it in quotes to look for it as words.",
            name.chars().filter(|c| c.is_alphanumeric()).take(20).collect::<String>()
        ));
    };
    if value.is_empty() {
        return Err(format!("{}: needs a value right behind it.", field.name()));
    }
    Ok(Term { field: *field, value: value.to_owned() })
}

impl Expression {
    /// The fields as they are typed, without the words.
    pub(in crate::console) fn to_text(&self) -> String {
        self.without(usize::MAX)
    }

    /// The same, without one of them.
    pub(super) fn without(&self, place: usize) -> String {
        let kept = self.terms.iter().enumerate().filter(|(at, _)| *at != place);
        let kept = kept.map(|(_, term)| format!("{}:{}", term.field.name(), term.value));
        kept.collect::<Vec<_>>().join(" ")
    }

    /// A person's real number that was typed, if one was.
    pub(super) fn typed_number(&self) -> Result<Option<PhoneNumber>, String> {
        let Some(value) = self.value(Field::Person) else { return Ok(None) };
        if value.parse::<Uuid>().is_ok() {
            return Ok(None);
        }
        PhoneNumber::typed(value).map(Some).map_err(|_| {
            "person: needs a number that is written out, such as +12065550163, or a whole id."
                .to_owned()
        })
    }

    /// Puts an id in place of the number that was typed.
    pub(super) fn set_person(&mut self, id: Uuid) {
        for term in self.terms.iter_mut().filter(|term| term.field == Field::Person) {
            term.value = id.to_string();
        }
    }

    fn value(&self, field: Field) -> Option<&str> {
        self.terms.iter().find(|term| term.field == field).map(|term| term.value.as_str())
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &str> {
        self.terms.iter().filter(move |term| term.field == field).map(|term| term.value.as_str())
    }

    /// The filter that these fields make; a person stands in it by their id.
    pub(super) fn filter(&self) -> Result<Filter, String> {
        let zone = match self.value(Field::Zone) {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| {
                "zone: needs a time zone such as Europe/Berlin, America/New_York or UTC.".to_owned()
            })?,
        };
        let when = |field: Field| match self.value(field) {
            None => Ok(None),
            Some(text) => read_time(text, &zone).map(Some).ok_or_else(|| {
                format!(
                    "{}: needs a day or a time, such as 2026-03-01 or 2026-03-01T14:30.",
                    field.name()
                )
            }),
        };
        let kinds = self
            .values(Field::Kind)
            .map(|word| word.parse::<Kind>().map_err(|must| format!("kind: {must}.")));
        let has = self.value(Field::Has);
        if has.is_some_and(|what| what != "media") {
            return Err("has: goes with media only.".to_owned());
        }
        let is: Vec<&str> = self.values(Field::Is).collect();
        if is.iter().any(|what| !["held", "flagged"].contains(what)) {
            return Err("is: goes with held and flagged.".to_owned());
        }
        Ok(Filter {
            person: self.id(Field::Person)?.map(Into::into),
            conversation: self.id(Field::Conversation)?.map(Into::into),
            external: self.value(Field::Text).map(str::to_owned),
            masked_number: self.read(Field::Number, |text| {
                PhoneNumber::typed(text)
                    .map_err(|_| "a number that is written out, such as +14155550100")
            })?,
            from: when(Field::From)?,
            until: when(Field::Until)?,
            direction: self.read(Field::Way, |text| {
                text.parse::<Direction>().map_err(|_| "inbound or outbound")
            })?,
            kinds: kinds.collect::<Result<_, _>>()?,
            rule: self.read(Field::Rule, |text| {
                let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                let is_rule =
                    text.len() <= 60 && text.chars().all(is_name) && !phone::stands_in(text);
                if is_rule {
                    Ok(text.to_owned())
                } else {
                    Err("a rule’s name, such as talk or opt_out")
                }
            })?,
            with_media: has.is_some(),
            held: is.contains(&"held"),
            flagged: is.contains(&"flagged"),
            state: self.read(Field::State, |text| {
                text.parse::<Standing>().map_err(|_| "waiting, active or ended")
            })?,
        })
    }

    fn id(&self, field: Field) -> Result<Option<Uuid>, String> {
        self.read(field, |text| {
            text.parse().map_err(|_| "a whole id, such as 019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94")
        })
    }

    fn read<T>(
        &self,
        field: Field,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, String> {
        let value = self.value(field).map(read).transpose();
        value.map_err(|needs| format!("{}: needs {needs}.", field.name()))
    }
}

/// A time with its zone, or a day or a time on this clock.
fn read_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let at: DateTime = text.parse().ok()?;
    zone.to_timestamp(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Expression {
        text.parse().unwrap()
    }

    #[test]
    fn fields_and_words_are_told_apart() {
        let read = read("  state:active see you “at five: sharp” KIND:failed kind:dropped ");
        assert_eq!(read.words, "see you at five: sharp");
        assert_eq!(read.to_text(), "state:active kind:failed kind:dropped");
        assert_eq!(read.without(1), "state:active kind:dropped");
        assert_eq!(read.filter().unwrap().kinds.len(), 2);
        assert_eq!("".parse::<Expression>().unwrap(), Expression::default());
    }

    #[test]
    fn what_cannot_be_asked_for_is_said() {
        for (text, says) in [
            ("colour:red", "no field called colour"),
            ("https://a.example", "no field called https"),
            ("state:", "needs a value"),
            ("state:active state:ended", "given twice"),
            ("206-555-0142", "looks like a telephone number"),
            ("call +12065550142", "looks like a telephone number"),
        ] {
            let error = text.parse::<Expression>().unwrap_err();
            assert!(error.contains(says) && !error.contains("5550142"), "{text}: {error}");
        }
        for (text, says) in [
            ("state:open", "waiting, active or ended"),
            ("is:red", "held and flagged"),
            ("has:words", "media"),
            ("from:yesterday", "a day or a time"),
            ("zone:Mars", "time zone"),
            ("conversation:7", "whole id"),
            ("number:5550100", "written out"),
            ("rule:+12065550142", "a rule’s name"),
            ("kind:nothing", "must be one of"),
            ("way:up", "inbound or outbound"),
        ] {
            let error = read(text).filter().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn days_begin_on_the_clock_that_is_named() {
        let from = |text: &str| read(text).filter().unwrap().from.unwrap().to_string();
        assert_eq!(from("from:2026-03-01"), "2026-03-01T00:00:00Z");
        assert_eq!(from("from:2026-03-01 zone:Europe/Berlin"), "2026-02-28T23:00:00Z");
        assert_eq!(from("from:2026-03-01T14:30"), "2026-03-01T14:30:00Z");
        assert_eq!(from("from:2026-03-01T14:30:00+02:00"), "2026-03-01T12:30:00Z");
    }

    #[test]
    fn a_typed_number_gives_way_to_an_id() {
        let mut typed = read("person:+12065550142 is:held");
        assert_eq!(typed.typed_number().unwrap().unwrap().as_str(), "+12065550142");
        let id: Uuid = "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94".parse().unwrap();
        typed.set_person(id);
        assert_eq!(typed.typed_number().unwrap(), None);
        assert_eq!(typed.to_text(), format!("person:{id} is:held"));
        assert!(read("person:5550142").typed_number().is_err());
    }
}
