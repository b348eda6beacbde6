//! Looking for a keyword in words.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// A keyword in its normal form. `Debug` does not show it.
#[derive(Clone)]
pub(super) struct Keyword {
    typed: String,
    folded: String,
}

impl fmt::Debug for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyword(of {} characters)", self.length())
    }
}

impl Keyword {
    pub(super) fn new(typed: &str) -> Self {
        let typed = typed.trim();
        Self { typed: typed.to_owned(), folded: folded(typed) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// How many characters were typed.
    pub(super) fn length(&self) -> usize {
        self.typed.chars().count()
    }

    /// What was typed.
    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    /// Whether it stands in these words.
    pub(super) fn stands_in(&self, words: &str) -> bool {
        folded(words).contains(&self.folded)
    }
}

/// Words in one form, however a phone spells them: compatible forms, case, blanks, and nothing that
/// cannot be seen. Accents stay: they make other words.
fn folded(words: &str) -> String {
    let seen = words.chars().filter(|c| !is_invisible(*c));
    // Upper case first: `ß` becomes two letters, and both forms of sigma the same one.
    let folded = seen.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc();
    let mut out = String::new();
    for c in folded {
        let c = if c.is_whitespace() { ' ' } else { c };
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out
}

/// What hides in a word without being seen: soft hyphens, zero-width characters, marks of direction.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}')
        || c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_found_however_it_is_spelled() {
        for (keyword, words) in [
            ("bicycle", "The BICYCLE is blue"),
            ("straße", "STRASSE 7"),
            ("STRASSE", "Straße 7"),
            ("caf\u{e9}", "CAFE\u{301}"),
            ("ΟΔΟΣ", "οδος"),
            ("meet me", "meet\u{a0}\n me"),
            ("abc", "ＡＢＣ"),
            ("cash", "c\u{200b}a\u{ad}sh"),
            (" 50 ", "for 50, please"),
        ] {
            assert!(Keyword::new(keyword).stands_in(words), "{keyword} in {words}");
        }
        for (keyword, words) in [("bicycle", "bi cycle"), ("cafe", "caf\u{e9}"), ("a", "")] {
            assert!(!Keyword::new(keyword).stands_in(words), "{keyword} in {words}");
        }
        assert!(Keyword::new(" \u{200b}\n").is_empty());
        assert_eq!(format!("{:?}", Keyword::new("cash")), "Keyword(of 4 characters)");
    }
}
