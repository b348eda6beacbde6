//! What one account asks for and another grants: real numbers, an export, a copy of somebody's data, or
//! their erasure. Each has a table of its own; where it stands, who may decide, and how that is told is
//! the same for all.

use std::fmt::Display;

use jiff::Timestamp;

use super::visitor::Visitor;
use crate::{audit::Record, ids::StaffId};

/// Said where somebody was faster.
pub(super) const DECIDED: &str = "It is decided already.";

/// What is asked for, and what was decided.
#[derive(Debug)]
pub(super) struct Request {
    /// The case that it is for.
    pub(super) matter: String,
    pub(super) reason: String,
    pub(super) asker: StaffId,
    pub(super) asked_by: String,
    pub(super) asked_at: Timestamp,
    pub(super) decision: Option<Decision>,
    /// Until when what it opens is open.
    pub(super) open_until: Option<Timestamp>,
}

/// What somebody else decided.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) by: String,
    pub(super) at: Timestamp,
    pub(super) is_granted: bool,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// Somebody else must decide.
    Asked,
    Refused,
    /// It is granted, and what it opens is open.
    Open,
    /// It was granted. What it opened is closed again, or it opened nothing that lasts.
    Done,
}

impl Decision {
    /// Puts together what a row says; nothing where nobody decided.
    pub(super) fn of(
        by: Option<String>,
        at: Option<Timestamp>,
        is_granted: Option<bool>,
    ) -> Option<Self> {
        Some(Self { by: by?, at: at?, is_granted: is_granted? })
    }
}

impl Request {
    /// Where it stands at this time.
    pub(super) fn stands(&self, now: Timestamp) -> Stands {
        match (&self.decision, self.open_until) {
            (Some(decision), _) if !decision.is_granted => Stands::Refused,
            (_, Some(until)) if now < until => Stands::Open,
            // It may have been opened without approval.
            (None, None) => Stands::Asked,
            _ => Stands::Done,
        }
    }

    /// Whether somebody must decide on it.
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        self.stands(now) == Stands::Asked
    }

    /// Whether what it opens is open at this time.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.stands(now) == Stands::Open
    }

    /// Whether this account may decide on it, and if not, why. Nobody decides on their own.
    pub(super) fn judge(&self, by: StaffId, now: Timestamp) -> Result<(), &'static str> {
        match self.stands(now) {
            Stands::Asked if self.asker == by => {
                Err("Somebody else must decide: you asked for it yourself.")
            }
            Stands::Asked => Ok(()),
            _ => Err(DECIDED),
        }
    }

    /// The colour of the word for where it stands, and the word. While it is open, and afterwards, each
    /// kind has a word of its own.
    pub(super) fn tag(
        &self,
        now: Timestamp,
        open: &'static str,
        done: &'static str,
    ) -> (&'static str, &'static str) {
        match self.stands(now) {
            Stands::Asked => (" warn", "waits for an approver"),
            Stands::Refused => ("", "refused"),
            Stands::Open => (" good", open),
            Stands::Done => ("", done),
        }
    }

    /// The record of what somebody decided on it, and what came of that.
    pub(super) fn decided(
        &self,
        visitor: &Visitor,
        (granted, refused): (&'static str, &'static str),
        what: impl Display,
        is_granted: bool,
        more: &str,
    ) -> Record {
        let (rule, done) = if is_granted { (granted, "granted") } else { (refused, "refused") };
        visitor.record(rule, &format!("{what} for {} {done}{more}", self.asked_by))
    }
}
