//! Who gives a command, as the trail keeps it.

use clap::Args;
use nix::unistd::{Uid, User};

use super::{Done, words};
use crate::{
    audit::{Kind, Record},
    phone,
};

/// Who gives a command that changes something.
#[derive(Debug, Args)]
pub struct By {
    /// Who does this, as the audit trail keeps it. By default your user on this computer.
    #[arg(long, value_name = "NAME", value_parser = name)]
    by: Option<String>,
}

impl By {
    /// Who that is.
    pub(super) fn name(&self) -> String {
        self.by.clone().unwrap_or_else(os_user)
    }

    /// The record of what staff did; the rule names the command, `what` says what came of it.
    pub(super) fn record(&self, rule: &'static str, what: &str) -> Record {
        let who = self.name();
        Record {
            rule: Some(rule),
            detail: Some(format!("by {who}: {what}")),
            ..Record::of(Kind::Staff)
        }
    }
}

/// A name that goes on record.
pub(super) fn name(text: &str) -> Result<String, String> {
    if phone::stands_in(text) {
        return Err("must be a name, without a telephone number".into());
    }
    words(text)
}

/// The user that runs this process: its name, or else its number.
fn os_user() -> String {
    let uid = Uid::current();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| format!("user {uid}"), |user| user.name)
}

/// Refuses words that hold what looks like a telephone number.
pub(super) fn refuse_numbers(option: &str, words: &str) -> Done {
    if phone::stands_in(words) {
        return Err(format!(
            "{option} holds what looks like a telephone number, and those are kept in one place only: leave it \
             out there. If it is something else, such as a ticket, put a letter between its digits"
        )
        .into());
    }
    Ok(())
}
