//! People's numbers as they are typed. One that cannot be read is never shown again.

use std::{ffi::OsStr, io::Read};

use clap::{
    Arg, Command, Error,
    builder::{StringValueParser, TypedValueParser},
    error::ErrorKind,
};

use sqlx::PgPool;

use crate::{
    cli::Failure,
    ids::PersonId,
    people,
    phone::{NotANumber, PhoneNumber},
    vault::Vault,
};

/// How many digits in a row, whatever stands between them, give a number away.
const TELLING: usize = 7;

/// Whose number is given.
#[derive(Debug, Clone)]
pub enum Whom {
    /// This one's.
    One(PhoneNumber),
    /// That of the person with this id, which nobody has to know.
    Person(PersonId),
    /// Those on standard input.
    Many,
}

impl Whom {
    /// The numbers: as given, looked up, or from standard input.
    pub(super) async fn read(
        self,
        db: &PgPool,
        vault: &Vault,
    ) -> Result<Vec<PhoneNumber>, Failure> {
        match self {
            Self::One(number) => Ok(vec![number]),
            Self::Person(id) => {
                let found = people::number(&mut *db.acquire().await?, vault, id).await?;
                let found = found.ok_or("there is no person with that id: `maskline tasks list --format json` shows whole ids")?;
                Ok(vec![found])
            }
            Self::Many => {
                let mut list = String::new();
                let read = std::io::stdin().lock().read_to_string(&mut list);
                read.map_err(|_| "standard input is no UTF-8 text: give one number a line")?;
                read_list(&list)
            }
        }
    }
}

/// Reads a number, an id, or `-`. clap's own error would show what was typed.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneNumber;

impl TypedValueParser for OneNumber {
    type Value = Whom;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Whom, Error> {
        match StringValueParser::new().parse_ref(command, arg, value)?.as_str() {
            "-" => Ok(Whom::Many),
            text => match text.parse() {
                Ok(person) => Ok(Whom::Person(person)),
                Err(_) => PhoneNumber::typed(text).map(Whom::One).map_err(|NotANumber| {
                    let why = format!("NUMBER is {NotANumber}\n");
                    Error::raw(ErrorKind::ValueValidation, why).with_cmd(command)
                }),
            },
        }
    }
}

/// Reads a list with one number a line, each once; empty lines do not count. Whatever is wrong is
/// named at once, by the line and not by what stands there.
fn read_list(list: &str) -> Result<Vec<PhoneNumber>, Failure> {
    let (mut numbers, mut wrong) = (Vec::new(), Vec::new());
    let mut seen = std::collections::BTreeSet::new();
    for (at, line) in list.lines().enumerate() {
        match line.trim() {
            "" => {}
            text => match PhoneNumber::typed(text) {
                Ok(number) if seen.insert(number.clone()) => numbers.push(number),
                Ok(_) => {}
                Err(NotANumber) => wrong.push((at + 1).to_string()),
            },
        }
    }
    if !wrong.is_empty() {
        let lines = if wrong.len() == 1 { "line" } else { "lines" };
        return Err(format!(
            "{lines} {} of standard input: {NotANumber}. Nothing was written",
            wrong.join(", ")
        )
        .into());
    }
    if numbers.is_empty() {
        return Err("standard input holds no number: give one a line".into());
    }
    Ok(numbers)
}

/// Whether words give this number away, however it is written.
pub(super) fn holds(words: &str, number: &PhoneNumber) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let telling = &number.digits()[number.digits().len() - TELLING..];
    digits(words).contains(telling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_every_bad_line_and_nothing_that_stands_there() {
        let good = read_list("+12065550142\r\n\n  12065550187 \n+12065550142").unwrap();
        assert_eq!(good.len(), 2, "each once");
        let bad = read_list("+12065550142\n206-555-0187\n\nBen\n").unwrap_err().to_string();
        assert!(bad.starts_with("lines 2, 4 of standard input"), "{bad}");
        assert!(!bad.contains("0187") && !bad.contains("Ben"), "{bad}");
        assert!(read_list(" \n").is_err());
    }

    #[test]
    fn a_number_is_seen_in_words_however_it_is_written() {
        let number = "+12065550142".parse().unwrap();
        for told in ["+12065550142", "call from (206) 555-0142", "555.01.42"] {
            assert!(holds(told, &number), "{told}");
        }
        for silent in ["ticket 4711", "2026-03-01 12:00, call 0142", ""] {
            assert!(!holds(silent, &number), "{silent}");
        }
        assert!(holds("1234567", &"1234567".parse().unwrap()));
    }
}
