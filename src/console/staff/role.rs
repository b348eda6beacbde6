//! What accounts are called, and what they may do.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::phone;

/// What somebody may do. Each account has one role, and none may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks after numbers and tasks. Reads no words.
    Operator,
    /// Searches and reads the trail; people stand in it masked.
    Auditor,
    /// Approves what others ask for.
    Approver,
    /// Looks after the accounts of staff. Reads no words.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Auditor, Self::Approver, Self::Admin];

    /// Its name, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Reads the name of a role as it is stored.
    pub(crate) fn read(name: &str) -> sqlx::Result<Self> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == name);
        found.ok_or_else(|| sqlx::Error::Decode(format!("no role is called {name}").into()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of an account: 1 to 60 characters on one line, and no telephone number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// What it must be, in words that follow the word that names it.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > 60 || text.contains(char::is_control) {
            return Err("must be one line of 1 to 60 characters".into());
        }
        if phone::stands_in(text) {
            return Err("must be a name, without a telephone number".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_no_number() {
        assert_eq!(Name::read("  Dana Ek ").unwrap().as_str(), "Dana Ek");
        for wrong in ["", "  ", "a\nb", "206-555-0142", &"x".repeat(61)] {
            assert!(Name::read(wrong).is_err(), "{wrong:?}");
        }
    }
}
