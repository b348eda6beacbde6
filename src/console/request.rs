//! What one account asks for and another grants: real numbers, an export, a copy of somebody's data,
//! their erasure, or the removal of old months. Each has a table of its own; where it stands, who may
//! decide, and how that is told is the same for all.

use std::fmt::Display;

use jiff::{SignedDuration, Timestamp};
use sqlx::{PgConnection, PgTransaction};

use super::{
    exports, retention, reveal, subject,
    visitor::{self, Visitor},
};
use crate::{
    audit::{self, Record},
    ids::StaffId,
};

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
    /// From when on it can be granted no more.
    pub(super) lapses_at: Timestamp,
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
    /// Nobody decided in time.
    Lapsed,
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
            (None, None) if now < self.lapses_at => Stands::Asked,
            (None, None) => Stands::Lapsed,
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
            Stands::Lapsed => Err(
                "Nobody decided in time, so it can be granted no more. Whoever needs it asks anew.",
            ),
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
            Stands::Lapsed => ("", "expired"),
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

/// Puts on record of what nobody decided in time.
pub(super) async fn lapse(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<()> {
    let mut records = reveal::store::lapse(conn, now).await?;
    records.extend(exports::store::lapse(conn, now).await?);
    records.extend(subject::store::lapse(conn, now).await?);
    records.extend(retention::store::lapse(conn, now).await?);
    audit::record(conn, &records, now).await
}

/// The record of one of those.
pub(super) fn lapsed(rule: &'static str, what: impl Display, asked_by: &str) -> Record {
    visitor::own(rule, &format!("{what} for {asked_by} expired, nobody decided in time"))
}

/// Ends what was begun for a decision that cannot be taken: why it cannot may have to go on record.
pub(super) async fn leave(mut tx: PgTransaction<'_>, now: Timestamp) -> sqlx::Result<()> {
    lapse(&mut tx, now).await?;
    tx.commit().await
}

/// The time so long after another.
pub(super) fn after(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.saturating_add(span).unwrap_or(Timestamp::MAX)
}
