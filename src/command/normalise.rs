//! One form for all the ways in which phones spell the same word.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The longest text, in bytes of its normal form, that can be a command.
///
/// Ample for every keyword spelled out with separators, and for a code in quotes.
const LONGEST: usize = 64;

/// Whether there is nothing to see in a text.
pub(super) fn is_blank(body: &str) -> bool {
    body.chars().all(|c| c.is_whitespace() || is_invisible(c))
}

/// The text in its normal form, or nothing if it is too long to be a command.
///
/// The form has no accents, no lower case, no invisible characters and single spaces, and begins
/// and ends with a letter or digit. Takes time linear in the body and never keeps more than
/// [`LONGEST`] bytes of it: whoever texts chooses the body.
pub(super) fn normalise(body: &str) -> Option<String> {
    let mut text = String::new();
    // What stands between two words, kept back until a word follows it.
    let mut gap = String::new();
    for c in folded(body).skip_while(|c| !c.is_alphanumeric()) {
        if c.is_alphanumeric() {
            if text.len() + gap.len() + c.len_utf8() > LONGEST {
                return None;
            }
            text.push_str(&gap);
            text.push(c);
            gap.clear();
        } else if gap.len() <= LONGEST {
            let c = if c.is_whitespace() { ' ' } else { c };
            if c != ' ' || !gap.ends_with(' ') {
                gap.push(c);
            }
        }
    }
    Some(text)
}

/// The characters that are left when compatible forms, accents and case are folded.
pub(super) fn folded(body: &str) -> impl Iterator<Item = char> {
    body.chars()
        // Without it, a body of nothing but accents is gathered whole before it is sorted.
        .stream_safe()
        .nfkd()
        .filter(|c| !is_combining_mark(*c) && !is_invisible(*c))
        .flat_map(char::to_uppercase)
}

/// Whether a character is never seen: controls and Unicode's default ignorables.
fn is_invisible(c: char) -> bool {
    match c {
        '\u{AD}'
        | '\u{34F}'
        | '\u{61C}'
        // Fillers, which count as letters.
        | '\u{115F}'..='\u{1160}'
        | '\u{3164}'
        | '\u{FFA0}'
        | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        // Variation selectors and the byte order mark.
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}'
        // The last of these stands where a phone took out a picture.
        | '\u{FFF0}'..='\u{FFFC}'
        | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}'
        // Tags and more variation selectors.
        | '\u{E0000}'..='\u{E0FFF}' => true,
        _ => c.is_control() && !c.is_whitespace(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_what_looks_or_reads_the_same() {
        let table = [
            ("stop", "STOP"),
            ("  \u{feff}\u{200b}Sto\u{ad}p\u{200d}\r\n", "STOP"),
            ("ＳＴＯＰ", "STOP"),
            ("𝐒𝐓𝐎𝐏", "STOP"),
            ("ⓢⓣⓞⓟ", "STOP"),
            ("arrêt", "ARRET"),
            ("arre\u{302}t", "ARRET"),
            ("a\u{a0}\t\u{2003}\u{3000}b\n\nc", "A B C"),
            ("“«¡(stop)!»”", "STOP"),
            ("🛑 stop 🛑\u{fe0f}", "STOP"),
            ("s\u{0}t\u{1b}op", "STOP"),
            ("a - b", "A - B"),
            ("!?", ""),
            ("", ""),
        ];
        for (body, normal) in table {
            assert_eq!(normalise(body).as_deref(), Some(normal), "{body:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_but_its_edges_do_not_count() {
        assert_eq!(normalise(&"A".repeat(64)), Some("A".repeat(64)));
        assert_eq!(normalise(&"A".repeat(65)), None);
        assert_eq!(normalise(&format!("A{}B", "!".repeat(63))), None);
        let edge = "🛑 \n!".repeat(10_000);
        assert_eq!(normalise(&format!("{edge}stop{edge}")).as_deref(), Some("STOP"));
    }

    #[test]
    fn blank_is_what_shows_nothing() {
        for blank in ["", " ", "\n\t\u{a0}\u{3000}", "\u{200b}\u{feff}", "\0", "\u{fffc}"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        assert!(is_blank(&" \u{200b}".repeat(500_000)));
        for seen in [".", "🙂", "a", "\u{301}"] {
            assert!(!is_blank(seen), "{seen:?}");
        }
    }
}
