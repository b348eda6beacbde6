//! Who may be texted: the ledger of what people allowed and forbade, and what is in force.
//!
//! The ledger only grows. What is in force is its fold; `suppression` and `carrier_block` hold that
//! fold for quick reading, and only `append` adds and removes there, in the statement that writes
//! the ledger. An opt-out silences a person on every masked number; what the carrier blocks is one
//! pair of a phone and a number.

mod fold;
mod ledger;
mod silent;

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

pub use self::{
    fold::{InForce, fold},
    ledger::{Entry, append, block, history, lock},
    silent::{Silent, list, silent_since},
};
use crate::{
    clock::SqlTimestamp,
    ids::{MaskedNumberId, PersonId},
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
    /// What proves it: the carrier's id of the text, or the words of whoever noted it.
    pub evidence: Option<String>,
}

/// What must be known of a person before they are answered.
#[derive(Debug)]
pub struct Standing {
    /// Whether they opted out.
    pub suppressed: bool,
    /// Whether the carrier refuses to bring them texts from the number that they texted.
    pub blocked_here: bool,
    /// When they last got each answer that is given only so often.
    pub given: HashMap<String, Timestamp>,
}

/// Loads how a person stands who texted this masked number.
pub async fn standing(
    conn: &mut PgConnection,
    person: PersonId,
    masked_number: MaskedNumberId,
) -> sqlx::Result<Standing> {
    let row = sqlx::query!(
        r#"select exists (select from suppression where person_id = $1) as "suppressed!",
               exists (select from carrier_block where person_id = $1 and masked_number_id = $2)
                   as "blocked_here!",
               array(select answer from answer_given where person_id = $1 order by answer)
                   as "answers!",
               array(select last_at from answer_given where person_id = $1 order by answer)
                   as "last_at!: Vec<SqlTimestamp>""#,
        person as _,
        masked_number as _,
    )
    .fetch_one(conn)
    .await?;
    let last_at = row.last_at.into_iter().map(SqlTimestamp::to_jiff);
    Ok(Standing {
        suppressed: row.suppressed,
        blocked_here: row.blocked_here,
        given: row.answers.into_iter().zip(last_at).collect(),
    })
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
