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
    forecast::{Forecast, forecast, measure, warn_if_short},
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

/// Both ends of a text, seen from the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// The masked number that was texted; none when it is not in the pool.
    pub to: Option<MaskedNumber>,
    /// Whether the sender is a number of the pool, too.
    pub is_from_ours: bool,
}

/// Finds the number that was texted, and whether it was one of ours that did so.
pub async fn find_both(
    conn: &mut PgConnection,
    to: &PhoneNumber,
    from: Option<&PhoneNumber>,
) -> sqlx::Result<Ends> {
    let ours = sqlx::query!(
        "select id, number from masked_number where number = $1 or number = $2",
        to.as_str(),
        from.map(PhoneNumber::as_str),
    )
    .fetch_all(conn)
    .await?;
    let find = |number: &PhoneNumber| {
        let row = ours.iter().find(|row| row.number == number.as_str())?;
        Some(MaskedNumber { id: row.id, number: number.clone() })
    };
    Ok(Ends { to: find(to), is_from_ours: from.and_then(find).is_some() })
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
