//! The pool of masked numbers: the operator's own numbers that stand between two people.

mod candidates;
mod choose;
mod forecast;
mod health;
mod list;
mod state;
mod sync;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

pub use self::{
    candidates::candidates,
    choose::{Candidate, Met, Near, choose, may_use},
    forecast::{Forecast, forecast, look},
    health::quarantine_failing,
    list::{Listed, list},
    state::{NumberState, lock_states, open_conversations, set_state},
    sync::Plan,
};
use crate::{ids::MaskedNumberId, phone::PhoneNumber};

/// A number of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedNumber {
    /// Its id.
    pub id: MaskedNumberId,
    /// The number itself, which is no secret.
    pub number: PhoneNumber,
}

/// Finds a masked number by the number that was texted.
pub async fn find(
    conn: &mut PgConnection,
    number: &PhoneNumber,
) -> sqlx::Result<Option<MaskedNumber>> {
    let id = sqlx::query_scalar!("select id from masked_number where number = $1", number.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(id.map(|id| MaskedNumber { id, number: number.clone() }))
}

/// Adds a number, in service; false when it was there before, in whatever state.
pub async fn add(
    conn: &mut PgConnection,
    number: &PhoneNumber,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "insert into masked_number (id, number, added_at, state_since)
         values ($1, $2, $3, $3)
         on conflict (number) do nothing",
        MaskedNumberId::new() as _,
        number.as_str(),
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Reads what a check constraint has already approved.
fn read_number(stored: &str) -> sqlx::Result<PhoneNumber> {
    stored.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
