//! Who may be texted: the ledger of what people allowed and forbade, and what is in force.
//!
//! The ledger only grows. What is in force is its fold; `suppression` and `carrier_block` hold that
//! fold for quick reading, and only `append` adds and removes there, in the statement that writes
//! the ledger. An opt-out silences a person on every masked number; what the carrier blocks is one
//! pair of a phone and a number.

mod fold;
mod ledger;
mod silent;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

pub use self::{
    fold::{InForce, fold},
    ledger::{Entry, append, block, has_spoken, history, lock, outlive},
    silent::{Silent, list, silent_since},
};
use crate::{
    ids::{MaskedNumberId, PersonId},
    vault::Author,
};

/// The version of the wording in which people are told what they agree to by START or JOIN. It is
/// kept with every such consent: change it whenever those texts change in what they promise.
pub const DISCLOSURE: &str = "2026-11";

/// What an entry of the ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The person may be texted.
    Granted,
    /// The person may not be texted.
    Revoked,
    /// The person's words may mean an opt-out; staff decide. Changes nothing by itself.
    Flagged,
    /// The carrier refuses texts from one masked number to this person, who texted STOP to it.
    CarrierBlocked,
    /// The person texted UNSTOP to a masked number, which ends that.
    CarrierLifted,
}

impl EventKind {
    const ALL: [Self; 5] =
        [Self::Granted, Self::Revoked, Self::Flagged, Self::CarrierBlocked, Self::CarrierLifted];

    /// The name under which it is stored. It is stored for years: never change one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Revoked => "revoked",
            Self::Flagged => "flagged",
            Self::CarrierBlocked => "carrier_blocked",
            Self::CarrierLifted => "carrier_lifted",
        }
    }
}

/// How an entry came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The person's own text.
    Text,
    /// Staff, who were told by other means.
    Staff,
    /// The carrier's answer or receipt.
    Carrier,
    /// A list from elsewhere.
    Import,
}

impl Channel {
    const ALL: [Self; 4] = [Self::Text, Self::Staff, Self::Carrier, Self::Import];

    /// The name under which it is stored. It is stored for years: never change one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Staff => "staff",
            Self::Carrier => "carrier",
            Self::Import => "import",
        }
    }
}

/// What proves an entry.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// A text, by the carrier's id of it or by ours.
    Id(String),
    /// The words of whoever noted it. They are kept under the key of the person they are about.
    Words(Author, String),
}

/// Something to be written into the ledger.
#[derive(Debug, Clone)]
pub struct Event {
    /// Whom it is about.
    pub person: PersonId,
    /// What it says.
    pub kind: EventKind,
    /// The masked number of a pair; given for what the carrier blocks and lifts, and only then.
    pub masked_number: Option<MaskedNumberId>,
    /// The rule, command or report that it came from.
    pub rule: &'static str,
    /// How it came in.
    pub channel: Channel,
    /// What proves it.
    pub evidence: Option<Evidence>,
}

/// Notes that a person is given an answer that is given only so often.
pub async fn note_given(
    conn: &mut PgConnection,
    person: PersonId,
    answer: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into answer_given (person_id, answer, last_at)
         values ($1, $2, $3)
         on conflict (person_id, answer) do update set last_at = excluded.last_at",
        person as _,
        answer,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
