//! The pool as `maskline numbers list` shows it.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgConnection;

use super::NumberState;

/// How far back texts are counted.
const WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A number of the pool with all that is known of it.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// The number in E.164.
    pub number: String,
    /// What it is used for. One that is retiring and has no open conversation is retired.
    pub state: NumberState,
    /// Why, where somebody said so.
    pub reason: Option<String>,
    /// Since when.
    pub state_since: Timestamp,
    /// When it was added.
    pub added_at: Timestamp,
    /// How many conversations stand on it now.
    pub open_conversations: i64,
    /// How many people are in them.
    pub people: i64,
    /// How many texts from it the carrier accepted in the last 7 days.
    pub accepted: i64,
    /// How many texts failed in the last 7 days for a reason that may lie with the number.
    pub failed: i64,
    /// How many of a hundred texts failed; none when there were no texts.
    pub undelivered_percent: Option<f64>,
}

/// Lists all numbers, oldest first.
pub async fn list(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"select m.number, m.state, m.reason, m.state_since, m.added_at,
               open.conversations as "conversations!", open.people as "people!",
               t.accepted as "accepted!", f.failed as "failed!",
               t.accepted + greatest(f.failed - t.undelivered, 0) as "texts!"
           from masked_number m
           cross join lateral (
               select count(distinct conversation_id) as conversations, count(*) as people
               from participant
               where masked_number_id = m.id and left_at is null
           ) open
           cross join lateral (
               select count(*) as accepted,
                   count(*) filter (where delivery = 'failed') as undelivered
               from carrier_message
               where direction = 'outbound' and masked_number_id = m.id and noted_at >= $1
           ) t
           cross join lateral (
               select count(*) as failed
               from send_failure
               where masked_number_id = m.id and at >= $1
           ) f
           order by m.added_at, m.number"#,
        now.saturating_sub(WINDOW).unwrap_or(Timestamp::MIN).to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Listed {
                number: row.number,
                state: NumberState::read(&row.state)?,
                reason: row.reason,
                state_since: row.state_since.to_jiff(),
                added_at: row.added_at.to_jiff(),
                open_conversations: row.conversations,
                people: row.people,
                accepted: row.accepted,
                failed: row.failed,
                undelivered_percent: percent(row.failed, row.texts),
            })
        })
        .collect()
}

/// A share in per cent with one digit behind the point.
#[expect(clippy::cast_precision_loss, reason = "texts of a week are fewer than 2^52")]
fn percent(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 * 1000.0 / whole as f64).round() / 10.0)
}
