//! A telephone number as it stands on the wire, and as it is shown: hardly at all.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A telephone number in E.164: `+`, then 7 to 15 digits, the first not 0.
///
/// Reads the digits with or without `+` (Flowroute sends both) and nothing else: no letters, no
/// national forms. Parsers for people turn letters into digits and guess a country; a guess here
/// would text a stranger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PhoneNumber(String);

/// What was given is no telephone number in E.164.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a telephone number in E.164, such as +14155550100")]
pub struct NotANumber;

impl PhoneNumber {
    /// The number with `+`, for the wire and for SQL; never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits without `+`, as Flowroute writes them in its webhooks.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

impl FromStr for PhoneNumber {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let plausible = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if plausible { Ok(Self(format!("+{digits}"))) } else { Err(NotANumber) }
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = NotANumber;

    fn try_from(text: String) -> Result<Self, NotANumber> {
        text.parse()
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> Self {
        number.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber(…{})", &self.0[self.0.len() - 2..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_carriers_forms_and_no_others() {
        for same in ["+14155550100", "14155550100"] {
            assert_eq!(same.parse::<PhoneNumber>().unwrap().as_str(), "+14155550100");
        }
        for not in [
            "",
            "+",
            "0",
            "12345",
            "+04155550100",
            "1415555010O",
            "415-555-0100",
            " 14155550100",
            "1234567890123456",
            "++14155550100",
            "１４１５５５５０１００",
        ] {
            assert_eq!(not.parse::<PhoneNumber>(), Err(NotANumber), "{not}");
        }
    }

    #[test]
    fn debug_shows_two_digits() {
        let number: PhoneNumber = "+14155550171".parse().unwrap();
        assert_eq!(format!("{number:?}"), "PhoneNumber(…71)");
    }
}
