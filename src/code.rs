//! The code that lets the second person in, and where its randomness comes from.
//!
//! People read codes aloud, copy them from paper and type them on any keyboard. Reading forgives
//! all that; what comes out is always the same eight characters.

use std::{
    fmt,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use rand::{
    Rng, SeedableRng, TryRng,
    rngs::{SysError, SysRng, Xoshiro256PlusPlus},
};

/// The characters of a code: none that is taken for another when read or heard.
const ALPHABET: &[u8; 28] = b"23456789ACDEFGHJKMNPQRTUVWXY";

/// The digits that no letter stands in for. Every code holds one of them, so that a word without
/// digits is never a code, however its letters are read.
const PLAIN_DIGITS: [char; 5] = ['3', '4', '6', '7', '9'];

/// The length of a code, in characters.
const LENGTH: usize = 8;

/// The length of each of the two groups in which a code is shown.
const GROUP: usize = LENGTH / 2;

/// A code, such as `K7QM-4XRT`: eight characters of its alphabet, one of 3, 4, 6, 7, 9 among them.
///
/// Who knows an open code can join, so `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Code(String);

/// What was given does not have the form of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a code, such as K7QM-4XRT")]
pub struct NotACode;

impl Code {
    /// Draws a code; each is as likely as any other.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let Ok(code) = Self::try_draw(rng);
        code
    }

    /// The eight characters without the hyphen, for SQL; never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Draws from a source that may fail.
    ///
    /// A code without a plain digit is thrown away whole: mending it would make some likelier.
    fn try_draw<R: TryRng>(rng: &mut R) -> Result<Self, R::Error> {
        loop {
            let mut text = String::with_capacity(LENGTH);
            while text.len() < LENGTH {
                text.extend(character(rng)?);
            }
            if text.contains(PLAIN_DIGITS) {
                return Ok(Self(text));
            }
        }
    }
}

/// Draws a character, or nothing where the drawn byte would favour some characters.
fn character<R: TryRng>(rng: &mut R) -> Result<Option<char>, R::Error> {
    let mut byte = [0];
    rng.try_fill_bytes(&mut byte)?;
    let drawn = usize::from(byte[0]);
    let fair = 256 - 256 % ALPHABET.len();
    Ok((drawn < fair).then(|| char::from(ALPHABET[drawn % ALPHABET.len()])))
}

impl FromStr for Code {
    type Err = NotACode;

    /// Reads a code as people write it: in either case, in one run of eight or two of four, with
    /// look-alikes. Full-width forms and accents are the caller's to fold first.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let mut runs = text.split(is_separator).filter(|run| !run.is_empty());
        let (first, second) = (runs.next().unwrap_or_default(), runs.next().unwrap_or_default());
        let shape = (first.len(), second.len());
        if runs.next().is_some() || (shape != (LENGTH, 0) && shape != (GROUP, GROUP)) {
            return Err(NotACode);
        }
        let read = first.chars().chain(second.chars()).map(canonical).collect::<Option<String>>();
        read.filter(|code| code.contains(PLAIN_DIGITS)).map(Self).ok_or(NotACode)
    }
}

/// Whether people put this between letters without changing the word.
pub(crate) fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '.' | '_')
}

/// The character of the alphabet that was meant.
fn canonical(c: char) -> Option<char> {
    let meant = match c.to_ascii_uppercase() {
        'Z' => '2',
        'S' => '5',
        'B' => '8',
        'O' | '0' => 'Q',
        other => other,
    };
    u8::try_from(meant).is_ok_and(|byte| ALPHABET.contains(&byte)).then_some(meant)
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(GROUP);
        write!(f, "{first}-{second}")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// Where codes are drawn from.
#[derive(Debug)]
pub struct Randomness(Source);

#[derive(Debug)]
enum Source {
    System,
    Seeded(Mutex<Xoshiro256PlusPlus>),
}

/// The operating system gave no random numbers, so no code could be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random numbers")]
pub struct NoRandomness(#[from] SysError);

impl Randomness {
    /// The operating system's generator, whose codes nobody can guess.
    pub fn os() -> Self {
        Self(Source::System)
    }

    /// A generator that draws the same codes again for the same seed, for tests and the demo.
    ///
    /// Its codes can be foretold, so real conversations never use it.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Mutex::new(Xoshiro256PlusPlus::seed_from_u64(seed))))
    }

    /// Draws a code.
    ///
    /// Fails only when the operating system's source fails.
    pub fn draw_code(&self) -> Result<Code, NoRandomness> {
        match &self.0 {
            Source::System => Ok(Code::try_draw(&mut SysRng)?),
            Source::Seeded(generator) => {
                // A generator that was left in the middle of a draw is as good as any other.
                let mut generator = generator.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Code::draw(&mut *generator))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn seeded(seed: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(seed)
    }

    /// The check constraint of the migration, in Rust.
    fn fits_the_schema(code: &str) -> bool {
        code.len() == 8
            && code.chars().all(|c| "23456789ACDEFGHJKMNPQRTUVWXY".contains(c))
            && code.chars().any(|c| "34679".contains(c))
    }

    #[test]
    fn shows_two_groups_and_debug_shows_nothing() {
        let code: Code = "k7qm4xrt".parse().unwrap();
        assert_eq!(code.to_string(), "K7QM-4XRT");
        assert_eq!(code.as_str(), "K7QM4XRT");
        assert_eq!(format!("{code:?}"), "Code(…)");
    }

    #[test]
    fn forgives_case_separators_and_look_alikes() {
        let table = [
            ("K7QM-4XRT", "K7QM4XRT"),
            ("k7qm4xrt", "K7QM4XRT"),
            ("K7qM 4xRt", "K7QM4XRT"),
            ("K7QM - 4XRT", "K7QM4XRT"),
            ("K7QM\u{2010}4XRT", "K7QM4XRT"),
            ("K7QM\u{2011}4XRT", "K7QM4XRT"),
            ("K7QM–4XRT", "K7QM4XRT"),
            ("K7QM—4XRT", "K7QM4XRT"),
            ("K7QM.4XRT", "K7QM4XRT"),
            ("K7QM_4XRT", "K7QM4XRT"),
            ("K7QM\u{a0}4XRT", "K7QM4XRT"),
            ("K70M-4XRT", "K7QM4XRT"),
            ("k7om-4xrt", "K7QM4XRT"),
            ("zsbo-4xrt", "258Q4XRT"),
            ("ZSB0 4444", "258Q4444"),
        ];
        for (written, meant) in table {
            assert_eq!(written.parse::<Code>().as_ref().map(Code::as_str), Ok(meant), "{written}");
        }
    }

    #[test]
    fn other_words_are_no_codes() {
        let table = [
            "",
            "-",
            "tomorrow",
            "us at 22 30",
            "me at 6",
            "K7QM-4XR",
            "K7QM-4XRTA",
            "K7Q-M4XRT",
            "K7-QM-4XRT",
            "K7 QM 4X RT",
            "K7QM-4XRT K7QM",
            "K7QI-4XRT",
            "K7QL-4XRT",
            "K7Q1-4XRT",
            "K7QM/4XRT",
            "Ｋ７ＱＭ４ＸＲＴ",
            "éé44",
            "zebrazoo",
            "SOBS-SOBS",
            "KZQM-SXRT",
            "K2QM-5XRT",
        ];
        for written in table {
            assert_eq!(written.parse::<Code>(), Err(NotACode), "{written}");
        }
    }

    #[test]
    fn draws_every_character_about_as_often() {
        let mut rng = seeded(1);
        let mut seen = HashMap::new();
        for _ in 0..20_000 {
            for c in Code::draw(&mut rng).as_str().chars() {
                *seen.entry(c).or_insert(0_u32) += 1;
            }
        }
        assert_eq!(seen.len(), 28);
        // The plain digits come a little more often, as codes without one are thrown away.
        let often = |plain: bool| {
            let of_kind = |(c, n): (&char, &u32)| (PLAIN_DIGITS.contains(c) == plain).then_some(*n);
            let counts: Vec<u32> = seen.iter().filter_map(of_kind).collect();
            (*counts.iter().min().unwrap(), *counts.iter().max().unwrap())
        };
        let (rare, frequent) = often(true);
        assert!(rare > 6_900 && frequent < 7_500, "{rare}..{frequent}");
        let (rare, frequent) = often(false);
        assert!(rare > 5_100 && frequent < 5_700, "{rare}..{frequent}");
    }

    #[test]
    fn the_same_seed_draws_the_same_codes() {
        let draw = |seed| {
            let randomness = Randomness::seeded(seed);
            (0..3).map(|_| randomness.draw_code().unwrap().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(draw(7).into_iter().collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    fn the_operating_system_draws_codes_that_differ() {
        let randomness = Randomness::os();
        let codes: HashSet<Code> = (0..100).map(|_| randomness.draw_code().unwrap()).collect();
        assert_eq!(codes.len(), 100);
        assert!(codes.iter().all(|code| fits_the_schema(code.as_str())));
    }

    #[test]
    fn a_source_that_fails_gives_no_code() {
        struct Broken;
        impl TryRng for Broken {
            type Error = fmt::Error;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Err(fmt::Error)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Err(fmt::Error)
            }
            fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
                Err(fmt::Error)
            }
        }
        assert_eq!(Code::try_draw(&mut Broken), Err(fmt::Error));
    }

    /// A code as somebody might type it: any case, any look-alike, any separator.
    fn typed(code: &Code, choices: &[u8], separator: &str) -> String {
        let mut text = String::new();
        for (place, (c, choice)) in code.as_str().chars().zip(choices).enumerate() {
            if place == GROUP {
                text.push_str(separator);
            }
            let look_alike = match (c, choice % 3) {
                ('2', 1) => 'Z',
                ('5', 1) => 'S',
                ('8', 1) => 'B',
                ('Q', 1) => 'O',
                ('Q', 2) => '0',
                _ => c,
            };
            text.push(if choice & 8 == 0 { look_alike } else { look_alike.to_ascii_lowercase() });
        }
        text
    }

    proptest! {
        #[test]
        fn what_is_drawn_fits_the_schema_and_reads_back(
            seed: u64,
            choices in prop::array::uniform8(any::<u8>()),
            separator in "[ \u{a0}._‐‑–—-]{0,3}",
        ) {
            let code = Code::draw(&mut seeded(seed));
            prop_assert!(fits_the_schema(code.as_str()));
            prop_assert_eq!(code.to_string().parse(), Ok(code.clone()));
            prop_assert_eq!(typed(&code, &choices, &separator).parse(), Ok(code));
        }

        #[test]
        fn whatever_reads_as_a_code_fits_the_schema(text in "[0-9A-Za-zé -]{0,10}") {
            if let Ok(code) = text.parse::<Code>() {
                prop_assert!(fits_the_schema(code.as_str()));
                prop_assert!(text.contains(|c: char| c.is_ascii_digit()));
            }
        }

        #[test]
        fn reading_never_panics(text: String) {
            let _ = text.parse::<Code>();
        }
    }
}
