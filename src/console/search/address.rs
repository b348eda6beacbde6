//! A search as an address, and as the chips that show what is asked for.

use jiff::Timestamp;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use super::expression::{Expression, Field, Term};
use crate::{audit::search::Cursor, console::say, ids::SearchId};

/// A part of what is asked for, which can be taken out.
pub(in crate::console) struct Chip {
    pub(in crate::console) name: &'static str,
    pub(in crate::console) value: String,
    pub(super) without: String,
}

/// Where searches are.
pub(super) const PATH: &str = "/search";

/// What stands in the box for an expression.
pub(in crate::console) fn typed(read: &Expression) -> String {
    let words = match read.words.as_str() {
        "" => String::new(),
        words if words.contains(':') || words.chars().any(char::is_numeric) => {
            format!("\"{words}\"")
        }
        words => words.to_owned(),
    };
    format!("{} {words}", read.to_text()).trim().to_owned()
}

/// The address of a search, or of what else is done with one.
pub(in crate::console) fn address(
    path: &str,
    terms: &str,
    words: Option<SearchId>,
    before: Option<Cursor>,
) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("q", terms);
    if let Some(words) = words {
        query.append_pair("w", &words.to_string());
    }
    if let Some(before) = before {
        query.append_pair("before", &before.to_string());
    }
    format!("{path}?{}", query.finish())
}

/// What is asked for, piece by piece, each with the address that leaves it out.
pub(in crate::console) fn chips(read: &Expression, words: Option<SearchId>) -> Vec<Chip> {
    let is_on_no_clock = !read.terms.iter().any(|term| term.field == Field::Zone);
    let of_term = |(at, term): (usize, &Term)| Chip {
        name: term.field.name(),
        value: match (term.field, term.value.parse::<Uuid>()) {
            (_, Ok(id)) => say::pseudonym(id),
            (Field::From | Field::Until, _)
                if is_on_no_clock && term.value.parse::<Timestamp>().is_err() =>
            {
                format!("{} UTC", term.value)
            }
            _ => term.value.clone(),
        },
        without: address(PATH, &read.without(at), words, None),
    };
    let mut chips: Vec<Chip> = read.terms.iter().enumerate().map(of_term).collect();
    if !read.words.is_empty() {
        let without = address(PATH, &read.to_text(), None, None);
        chips.push(Chip { name: "words", value: read.words.clone(), without });
    }
    chips
}
