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

/// The calling codes of two digits (ITU-T E.164). Those that begin with 1 or 7 have one digit, all
/// others three.
const TWO_DIGITS: [&str; 44] = [
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47",
    "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65",
    "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
];
/// The area codes of North American toll-free numbers, which lie nowhere.
const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];

impl PhoneNumber {
    /// The number with `+`, for the wire and for SQL; never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as people may see it: its last two digits.
    pub fn hidden(&self) -> String {
        format!("…{}", self.last_two_digits())
    }

    /// What of it people may see.
    pub fn last_two_digits(&self) -> &str {
        &self.0[self.0.len() - 2..]
    }

    /// The digits without `+`, as Flowroute writes them in its webhooks.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// Reads a number as somebody types it: in North America with all its eleven digits, elsewhere
    /// with its `+`. Ten digits alone would be somebody else's, far away.
    ///
    /// # Errors
    /// When it is no number in E.164 that is written out.
    pub fn typed(text: &str) -> Result<Self, NotANumber> {
        let number: Self = text.parse()?;
        let is_whole = match number.country() {
            "1" => number.digits().len() == 11,
            _ => text.starts_with('+'),
        };
        if is_whole { Ok(number) } else { Err(NotANumber) }
    }

    /// The calling code of its country, such as `1` or `44`. Some countries share one.
    pub fn country(&self) -> &str {
        let digits = self.digits();
        let is_two = || TWO_DIGITS.iter().any(|code| digits.starts_with(code));
        match digits.as_bytes()[0] {
            b'1' | b'7' => &digits[..1],
            _ if is_two() => &digits[..2],
            _ => &digits[..3],
        }
    }

    /// The area code of a North American number; none elsewhere, and none if it is toll-free.
    pub fn area(&self) -> Option<&str> {
        self.prefix().filter(|area| !TOLL_FREE.contains(area))
    }

    /// Whether it is a toll-free number of North America.
    pub fn is_toll_free(&self) -> bool {
        self.prefix().is_some_and(|area| TOLL_FREE.contains(&area))
    }

    /// The three digits after the calling code of North America.
    fn prefix(&self) -> Option<&str> {
        let local = self.digits().strip_prefix('1').filter(|local| local.len() == 10)?;
        Some(&local[..3])
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

/// Whether words hold what looks like a telephone number, in whatever form: seven digits or more with
/// nothing between them but blanks, brackets, full stops, slashes, `-` and `+`. A date is none.
pub fn stands_in(words: &str) -> bool {
    let is_mark = |c: char| c.is_whitespace() || "()./-+".contains(c);
    words.split(|c: char| !c.is_numeric() && !is_mark(c)).any(|run| {
        let mut digits = 0;
        run.split_whitespace().any(|part| {
            digits =
                if is_date(part) { 0 } else { digits + part.matches(char::is_numeric).count() };
            digits >= 7
        })
    })
}

/// Whether this is a day of the last or of this century, such as 2026-03-01 or 1.3.2026.
fn is_date(part: &str) -> bool {
    let parts: Vec<&str> = part.split(['-', '.', '/']).filter(|part| !part.is_empty()).collect();
    let is_year =
        |year: &str| year.len() == 4 && (year.starts_with("19") || year.starts_with("20"));
    match parts[..] {
        [first, middle, last] if middle.len() <= 2 => {
            is_year(first) && last.len() <= 2 || first.len() <= 2 && is_year(last)
        }
        _ => false,
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({})", self.hidden())
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
    fn a_number_has_a_country_and_some_have_an_area() {
        let table = [
            ("+14155550100", "1", Some("415")),
            ("+18005550100", "1", None),
            ("+18335550100", "1", None),
            ("+18885550100", "1", None),
            ("+18225550100", "1", Some("822")),
            ("+1415555010", "1", None),
            ("+141555501001", "1", None),
            ("+74155550100", "7", None),
            ("+442079460000", "44", None),
            ("+4930123456", "49", None),
            ("+353209174242", "353", None),
            ("+9714155550", "971", None),
            ("+2120000", "212", None),
            ("+999000000", "999", None),
        ];
        for (number, country, area) in table {
            let number: PhoneNumber = number.parse().unwrap();
            assert_eq!((number.country(), number.area()), (country, area), "{}", number.as_str());
        }
    }

    #[test]
    fn what_is_typed_is_written_out() {
        for whole in ["+14155550100", "+447700900123", "+4930123456"] {
            assert_eq!(PhoneNumber::typed(whole).unwrap().as_str(), whole);
        }
        assert_eq!(PhoneNumber::typed("14155550100").unwrap().as_str(), "+14155550100");
        for not in
            ["447700900123", "4155550100", "+1415555010", "+141555501000", "++14155550100", ""]
        {
            assert_eq!(PhoneNumber::typed(not), Err(NotANumber), "{not}");
        }
    }

    #[test]
    fn a_number_is_seen_in_words_and_a_date_is_none() {
        for told in [
            "+14155550100",
            "called them on (415) 555-0100",
            "415.555.0100 rang",
            "tel:4155550100",
            "555 0100",
            "on 2026-03-01 415 555 0100",
            "+44 20 7946 0000",
        ] {
            assert!(stands_in(told), "{told}");
        }
        for silent in [
            "",
            "called them; opted out",
            "ticket 471100",
            "2026-03-01 12:00, spoke to them until 12:15",
            "on 01.03.2026, 3 times. 100 texts",
            "1/3/2026",
            "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94",
        ] {
            assert!(!stands_in(silent), "{silent}");
        }
    }

    #[test]
    fn debug_shows_two_digits() {
        let number: PhoneNumber = "+14155550171".parse().unwrap();
        assert_eq!(format!("{number:?}"), "PhoneNumber(…71)");
    }
}
