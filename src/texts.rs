//! Everything that Maskline itself says, in one place, ready to be translated.
//!
//! Each text fits one segment, whatever the brand and the number: a second one would cost the
//! operator, and may arrive before the first.

mod answer;
mod excerpt;
mod language;
mod render;

use std::{fmt, str::FromStr};

pub use self::{answer::Answer, excerpt::Excerpt, language::Language, render::delayed};
use crate::segments;

/// The longest brand, in characters.
const LONGEST_BRAND: usize = 20;

/// The name under which an operator texts, so that people know who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand(String);

/// What was given cannot be a brand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotABrand {
    /// It is empty or too long.
    #[error("a brand has 1 to {LONGEST_BRAND} characters")]
    Length,
    /// It begins or ends with a space.
    #[error("a brand neither begins nor ends with a space")]
    Space,
    /// A character is not in the basic set, so that every text would cost twice as much or more.
    #[error("{0:?} is not in the basic GSM-7 set: use plain letters, digits and punctuation")]
    Character(char),
}

impl Brand {
    /// The brand as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Brand {
    type Err = NotABrand;

    fn from_str(text: &str) -> Result<Self, NotABrand> {
        // Line breaks are in the set, but would let a brand look like a text of its own.
        let odd = |c: &char| c.is_control() || !segments::is_basic(*c);
        if !(1..=LONGEST_BRAND).contains(&text.chars().count()) {
            Err(NotABrand::Length)
        } else if let Some(c) = text.chars().find(odd) {
            Err(NotABrand::Character(c))
        } else if text.starts_with(' ') || text.ends_with(' ') {
            Err(NotABrand::Space)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
