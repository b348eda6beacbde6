//! What is asked for, in words: for whoever decides on it and does not know the fields.

use super::expression::{Expression, Field, Term};
use crate::console::say;

/// What must hold of a record so that its conversation is found, a sentence each.
pub(in crate::console) fn in_words(read: &Expression) -> Vec<String> {
    let zone = read.terms.iter().find(|term| term.field == Field::Zone);
    let clock = zone.map_or("UTC", |term| &term.value);
    let mut told: Vec<String> =
        read.terms.iter().filter_map(|term| sentence(term, clock)).collect();
    let kinds = read.terms.iter().filter(|term| term.field == Field::Kind);
    let kinds: Vec<&str> = kinds.map(|term| term.value.as_str()).collect();
    if !kinds.is_empty() {
        told.push(format!("It says that a text was {}.", kinds.join(" or ").replace('_', " ")));
    }
    if !read.words.is_empty() {
        told.push(format!("It holds the words “{}”.", read.words));
    }
    told
}

fn sentence(term: &Term, clock: &str) -> Option<String> {
    let value = &*term.value;
    Some(match term.field {
        Field::Person => format!("Person {} wrote it or was sent it.", say::pseudonym(value)),
        Field::Number => format!("It went through the masked number {value}."),
        Field::Conversation => format!("It is of conversation {}.", say::pseudonym(value)),
        Field::Text => format!("It is of the conversation of the text {value}."),
        Field::From => format!("It is of {} or later.", time(value, clock)),
        Field::Until => format!("It is of a time before {}.", time(value, clock)),
        Field::Way if value == "inbound" => "It is a text that came in.".to_owned(),
        Field::Way => "It is a text that went out.".to_owned(),
        Field::Rule => format!("The rule “{}” was followed.", value.replace('_', " ")),
        Field::State => format!("Its conversation is {value} when the export is written."),
        Field::Has => "Pictures came along with it.".to_owned(),
        Field::Is if value == "held" => "A legal hold covers it.".to_owned(),
        Field::Is => {
            "Its conversation is flagged: somebody may have opted out, or was reported.".to_owned()
        }
        // One sentence for all of them; and part of the times.
        Field::Kind | Field::Zone => return None,
    })
}

/// A time, and on whose clock.
fn time(value: &str, clock: &str) -> String {
    match value.parse::<jiff::Timestamp>() {
        Ok(_) => value.to_owned(),
        Err(_) => format!("{value} ({clock})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_told_in_a_sentence() {
        let told = |text: &str| in_words(&text.parse().unwrap()).join(" ");
        for (asked, says) in [
            (
                "person:019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94",
                "Person 0e7c2b94 wrote it or was sent it.",
            ),
            ("number:+14155550100", "It went through the masked number +14155550100."),
            (
                "from:2026-03-01 until:2026-04-01T10:00 zone:Europe/Berlin",
                "It is of 2026-03-01 (Europe/Berlin) or later. \
                 It is of a time before 2026-04-01T10:00 (Europe/Berlin).",
            ),
            ("from:2026-03-01T00:00:00Z", "It is of 2026-03-01T00:00:00Z or later."),
            ("until:2026-03-01", "It is of a time before 2026-03-01 (UTC)."),
            ("way:inbound", "It is a text that came in."),
            ("way:outbound", "It is a text that went out."),
            (
                "kind:failed has:media kind:dropped",
                "Pictures came along with it. It says that a text was failed or dropped.",
            ),
            ("rule:opt_out", "The rule “opt out” was followed."),
            ("state:ended", "Its conversation is ended when the export is written."),
            ("is:held", "A legal hold covers it."),
            (
                "text:mdr2-1 blue \"bicycle\"",
                "It is of the conversation of the text mdr2-1. It holds the words “blue bicycle”.",
            ),
        ] {
            assert_eq!(told(asked), says);
        }
        assert!(told("is:flagged").contains("flagged"));
        for (_, name, ..) in super::super::expression::FIELDS {
            let value = if name == "person" || name == "conversation" {
                "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94"
            } else {
                "x"
            };
            assert!(name == "zone" || !told(&format!("{name}:{value}")).is_empty(), "{name}");
        }
    }
}
