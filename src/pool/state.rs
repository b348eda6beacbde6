//! What a masked number is used for.
//!
//! Whatever the state, the conversations that stand on a number go on; only a number in service gets
//! new ones.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgConnection;

use crate::phone::PhoneNumber;

/// What a masked number is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberState {
    /// It gets new conversations.
    InService,
    /// Held back by the operator.
    Reserved,
    /// On its way out of the pool; out once its last conversation has ended.
    Retiring,
    /// Taken out of service because too many of its texts failed.
    Quarantined,
}

impl NumberState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::InService, Self::Reserved, Self::Retiring, Self::Quarantined];

    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InService => "in_service",
            Self::Reserved => "reserved",
            Self::Retiring => "retiring",
            Self::Quarantined => "quarantined",
        }
    }

    /// Reads what a check constraint has already approved.
    pub(super) fn read(stored: &str) -> sqlx::Result<Self> {
        let unknown = || sqlx::Error::Decode(format!("{stored} is no state of a number").into());
        Self::ALL.into_iter().find(|state| state.as_str() == stored).ok_or_else(unknown)
    }
}

/// Puts a number into a state and returns the one it left; none when it is not in the pool.
///
/// In the state that it has already, a number stays since when it was; only a new reason replaces
/// the old one.
pub async fn set_state(
    conn: &mut PgConnection,
    number: &PhoneNumber,
    state: NumberState,
    reason: Option<&str>,
    now: Timestamp,
) -> sqlx::Result<Option<NumberState>> {
    let left = sqlx::query_scalar!(
        "update masked_number m
         set state = $2,
             state_since = case when old.state = $2 then old.state_since else $4 end,
             reason = case when old.state = $2 then coalesce($3, old.reason) else $3 end
         from (select id, state, state_since, reason from masked_number where number = $1
               for no key update) old
         where m.id = old.id
         returning old.state",
        number.as_str(),
        state.as_str(),
        reason,
        now.to_sqlx() as _,
    )
    .fetch_optional(conn)
    .await?;
    left.map(|left| NumberState::read(&left)).transpose()
}

/// Every number with its state, locked until commit so that none changes meanwhile.
pub async fn lock_states(conn: &mut PgConnection) -> sqlx::Result<Vec<(PhoneNumber, NumberState)>> {
    let rows = sqlx::query!(
        "select number, state from masked_number order by added_at, id for no key update"
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| Ok((super::read_number(&row.number)?, NumberState::read(&row.state)?)))
        .collect()
}

/// How many numbers are in each state; a state that none is in is left out.
pub(super) async fn count_states(conn: &mut PgConnection) -> sqlx::Result<Vec<(NumberState, i64)>> {
    let rows = sqlx::query!(
        r#"select state, count(*) as "count!" from masked_number group by state order by state"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((NumberState::read(&row.state)?, row.count))).collect()
}

/// How many conversations stand on a number.
pub async fn open_conversations(
    conn: &mut PgConnection,
    number: &PhoneNumber,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(distinct p.conversation_id) as "open!"
           from participant p
           join masked_number m on m.id = p.masked_number_id
           where m.number = $1 and p.left_at is null"#,
        number.as_str(),
    )
    .fetch_one(conn)
    .await
}
