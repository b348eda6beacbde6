//! Whose, on the command line: an id, or a number that no shell remembers.

use std::{
    io::{BufRead, IsTerminal},
    str::FromStr,
};

use sqlx::PgConnection;

use super::Failure;
use crate::{ids::PersonId, people, phone::PhoneNumber, vault::Vault};

/// A person: their whole id, or - to type their number, so that no shell remembers it.
#[derive(Debug, Clone, Copy)]
pub enum Whose {
    /// This one.
    Id(PersonId),
    /// The one whose number is typed.
    Typed,
}

impl FromStr for Whose {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "-" => Ok(Self::Typed),
            id => id.parse().map(Self::Id).map_err(|_| {
                "give a whole id, or - and then type the number: one on the command line stays in the shell's history"
            }),
        }
    }
}

impl Whose {
    /// Whose that is.
    pub(super) async fn find(
        self,
        conn: &mut PgConnection,
        vault: &Vault,
    ) -> Result<PersonId, Failure> {
        let found = self.look(conn, vault).await?;
        found
            .ok_or_else(|| "nobody with this number is known: there is nothing of them here".into())
    }

    /// The same; none where nobody with that number is known.
    pub(super) async fn look(
        self,
        conn: &mut PgConnection,
        vault: &Vault,
    ) -> Result<Option<PersonId>, Failure> {
        if let Self::Id(id) = self {
            return Ok(Some(id));
        }
        if std::io::stdin().is_terminal() {
            eprint!("Their number, such as +12065550142: ");
        }
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        read.map_err(|_| "standard input is no UTF-8 text: give one number on a line")?;
        let number = PhoneNumber::typed(line.trim())?;
        Ok(people::find(conn, vault, &number).await?.map(|(id, _)| id))
    }
}
