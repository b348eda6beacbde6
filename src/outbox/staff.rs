//! What staff see of the texts that are unknown, and what they do with them.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgConnection;

use super::{
    dropped,
    left::Left,
    told::{self, Certainty},
};
use crate::{
    audit::{self, Kind},
    ids::{ConversationId, TextId},
    vault::Pen,
};

/// What the trail says of who did it.
const BY_STAFF: &str = "by_staff";

/// An unknown text as staff see it: neither its words nor a person's number.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: TextId,
    /// The conversation that it belongs to.
    pub conversation: Option<ConversationId>,
    /// The masked number that it comes from.
    pub masked_number: String,
    /// Since when it is unknown.
    pub unknown_since: Timestamp,
    /// For how many seconds.
    pub age_seconds: i64,
    /// How often it was tried.
    pub attempts: i32,
    /// How often it was sent again although the carrier may have had it.
    pub resends: i16,
    /// Whether its lane goes on without it.
    pub parked: bool,
    /// Whether it is never sent again.
    pub once: bool,
}

/// Lists the unknown texts, those that have been so for longest in front.
pub async fn list(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"select o.id, o.conversation_id, m.number as masked_number, o.attempt, o.resends, o.once,
               o.passed_at is not null as "parked!",
               coalesce(o.unknown_since, o.queued_at) as "unknown_since!"
           from outbox o
           join masked_number m on m.id = o.masked_number_id
           where o.state = 'unknown'
           order by coalesce(o.unknown_since, o.queued_at), o.seq"#
    )
    .fetch_all(conn)
    .await?;
    let listed = rows.into_iter().map(|row| {
        let unknown_since = row.unknown_since.to_jiff();
        Listed {
            id: row.id,
            conversation: row.conversation_id,
            masked_number: row.masked_number,
            unknown_since,
            age_seconds: now.duration_since(unknown_since).max(SignedDuration::ZERO).as_secs(),
            attempts: row.attempt,
            resends: row.resends,
            parked: row.parked,
            once: row.once,
        }
    });
    Ok(listed.collect())
}

/// Why nothing was done with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not in the outbox: it was settled, or never existed.
    #[error("is not in the outbox: it was settled, or there is no such text")]
    Gone,
    /// It waits or is being sent.
    #[error("is not unknown: it waits for its turn, or is being sent")]
    NotUnknown,
    /// It is a confirmation of an opt-out, or holds a code.
    #[error("is never sent again: it confirms an opt-out or holds a code, and may have arrived")]
    Once,
}

/// Sends an unknown text again, at its place if its lane has waited for it.
pub async fn resend(
    conn: &mut PgConnection,
    id: TextId,
    now: Timestamp,
) -> sqlx::Result<Result<(), Refusal>> {
    if let Err(refusal) = lock_unknown(conn, id, true).await? {
        return Ok(Err(refusal));
    }
    let resent = sqlx::query_as!(
        Left,
        r#"update outbox o
           set state = 'queued', unknown_since = null, first_tried_at = null, due_at = $2,
               sent_to = null, resends = o.resends + 1
           from masked_number m
           where o.id = $1 and m.id = o.masked_number_id
           returning o.id, o.conversation_id, o.recipient_id, o.sent_to, o.masked_number_id,
               m.number as masked_number, $2::timestamptz as "at!""#,
        id as _,
        now.to_sqlx() as _,
    )
    .fetch_one(&mut *conn)
    .await?;
    audit::record(conn, &[resent.record(Kind::Resent, Some(BY_STAFF))], now).await?;
    Ok(Ok(()))
}

/// Takes an unknown text out of the outbox for good, and tells its author, if nobody has yet, that it
/// may not have arrived.
pub async fn drop_unknown(
    conn: &mut PgConnection,
    id: TextId,
    pen: &Pen,
    now: Timestamp,
) -> sqlx::Result<Result<(), Refusal>> {
    if let Err(refusal) = lock_unknown(conn, id, false).await? {
        return Ok(Err(refusal));
    }
    let dropped = sqlx::query_as!(
        Left,
        r#"with dropped as (
               delete from outbox where id = $1
               returning id, conversation_id, recipient_id, sent_to, masked_number_id
           )
           select d.id, d.conversation_id, d.recipient_id, d.sent_to, d.masked_number_id,
               m.number as masked_number, $2::timestamptz as "at!"
           from dropped d
           join masked_number m on m.id = d.masked_number_id"#,
        id as _,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    dropped::note(conn, dropped, BY_STAFF, now).await?;
    told::tell(conn, id, Certainty::Unknown, pen, now).await?;
    Ok(Ok(()))
}

/// Locks a text until commit, if staff may do something with it.
async fn lock_unknown(
    conn: &mut PgConnection,
    id: TextId,
    is_sent: bool,
) -> sqlx::Result<Result<(), Refusal>> {
    let text = sqlx::query!("select state, once from outbox where id = $1 for update", id as _)
        .fetch_optional(conn)
        .await?;
    Ok(match text {
        None => Err(Refusal::Gone),
        Some(text) if text.state != "unknown" => Err(Refusal::NotUnknown),
        Some(text) if text.once && is_sent => Err(Refusal::Once),
        Some(_) => Ok(()),
    })
}
