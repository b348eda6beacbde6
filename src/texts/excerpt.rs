//! The beginning of somebody's words, by which they know which text is meant.

use crate::segments;

/// The longest, in septets.
const LONGEST: usize = 56;

/// The beginning of somebody's words, plain and short enough to stand in an answer of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Takes the beginning of a text; none when too little of it can be written in GSM-7.
    ///
    /// Quotes and dashes that phones make curly become plain; other characters outside the set
    /// are left out.
    pub fn of(text: &str) -> Option<Self> {
        let plain: String = text.chars().filter_map(plain).collect();
        let words: Vec<&str> = plain.split_whitespace().collect();
        let words = words.join(" ");
        let told = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
        // Of what is mostly in another script or in pictures, the rest says nothing.
        if told(&words) == 0 || 2 * told(&words) < told(text) {
            return None;
        }
        if segments::septets(&words).is_some_and(|length| length <= LONGEST) {
            return Some(Self(words));
        }
        let (mut cut, mut length) = (String::new(), "...".len());
        for c in words.chars() {
            length += segments::septets(c.encode_utf8(&mut [0; 4])).unwrap_or(1);
            if length > LONGEST {
                break;
            }
            cut.push(c);
        }
        Some(Self(format!("{}...", cut.trim_end())))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn plain(c: char) -> Option<char> {
    match c {
        '‘' | '’' | '`' | '´' => Some('\''),
        '“' | '”' | '„' | '«' | '»' => Some('"'),
        '–' | '—' => Some('-'),
        c if c.is_whitespace() => Some(' '),
        c if c.is_control() => None,
        c => segments::septets(c.encode_utf8(&mut [0; 4])).map(|_| c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_plain_short_and_only_where_it_says_something() {
        let long = "See you at the corner by the old town hall at six, and bring the keys";
        let table = [
            ("See you at six", Some("See you at six")),
            (long, Some("See you at the corner by the old town hall at six, an...")),
            ("  it’s\n\n“here” 🙂 ", Some("it's \"here\"")),
            ("Увидимся в 6", None),
            ("🙂🙂", None),
            ("", None),
            ("[€]", None),
            ("naïve", Some("nave")),
        ];
        for (text, excerpt) in table {
            assert_eq!(Excerpt::of(text).as_ref().map(Excerpt::as_str), excerpt, "{text}");
        }
        for text in ["€".repeat(200), "[a] ".repeat(50), "ж a".repeat(100), "word ".repeat(40)] {
            let length = Excerpt::of(&text).map(|excerpt| segments::septets(excerpt.as_str()));
            assert!(length.is_none_or(|length| length.is_some_and(|length| length <= LONGEST)));
        }
    }
}
