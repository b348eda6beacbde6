//! Texts of which nobody knows whether the carrier has them: their answer was lost, or their worker.
//!
//! Such a text holds up its lane. A receipt, the carrier's list or a late answer settles it; else,
//! after a while, the operator's choice: it is sent once more, or parked and shown.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{
    absurd,
    claim::Claim,
    lanes,
    left::{Left, record_all},
    settle::{count_settled, lanes_of},
    told::{self, Certainty},
};
use crate::{
    app::App,
    audit::Kind,
    clock::SqlTimestamp,
    config::OnUnknown,
    tasks::{self, Task},
};

/// How long a receipt or the carrier's list may take to settle a text.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_mins(5);
/// How many are decided at once.
const BATCH: i64 = 100;

/// Marks a text whose answer was lost.
pub(super) async fn mark(
    conn: &mut PgConnection,
    claim: &Claim,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<()> {
    let lost = sqlx::query_as!(
        Left,
        r#"update outbox o
           set state = 'unknown', leased_until = null,
               unknown_since = coalesce($3, clock_timestamp())
           from masked_number m
           where o.id = $1 and o.attempt = $2 and o.state = 'sending' and m.id = o.masked_number_id
           returning o.id, o.conversation_id, o.recipient_id, o.sent_to, o.masked_number_id,
               m.number as masked_number, o.unknown_since as "at!""#,
        claim.id as _,
        claim.attempt,
        instead as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    record_all(conn, lost, Kind::Unknown, "answer_lost").await
}

/// Marks what was being sent when its lease ended: the worker died, and nobody knows whether the
/// carrier has it. Never simply sent again. Returns how many.
pub(super) async fn abandon_expired(
    conn: &mut PgConnection,
    now: Timestamp,
) -> sqlx::Result<usize> {
    let lost = sqlx::query_as!(
        Left,
        r#"with lost as (
               select id
               from outbox
               where state = 'sending' and (leased_until < $1 or leased_until > $2)
               for update skip locked
           )
           update outbox o
           set state = 'unknown', leased_until = null, unknown_since = $1
           from lost, masked_number m
           where o.id = lost.id and m.id = o.masked_number_id
           returning o.id, o.conversation_id, o.recipient_id, o.sent_to, o.masked_number_id,
               m.number as masked_number, $1::timestamptz as "at!""#,
        now.to_sqlx() as _,
        absurd(now).to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    let count = lost.len();
    record_all(conn, lost, Kind::Unknown, "lease_expired").await?;
    Ok(count)
}

/// Does as the operator chose with what has stayed unknown for long. Returns how many.
pub(super) async fn decide(
    conn: &mut PgConnection,
    app: &App,
    now: Timestamp,
) -> sqlx::Result<usize> {
    let resent = match app.settings.on_unknown {
        OnUnknown::Resend => resend_overdue(conn, now).await?,
        OnUnknown::Park => 0,
    };
    let since = now.saturating_sub(PATIENCE).unwrap_or(Timestamp::MIN);
    let parked = sqlx::query_as!(
        Left,
        r#"with overdue as (
               select id
               from outbox
               where state = 'unknown' and passed_at is null
                   and coalesce(unknown_since, queued_at) <= $2
               limit $3
               for update skip locked
           )
           update outbox o
           set passed_at = $1, unknown_since = coalesce(o.unknown_since, $1)
           from overdue, masked_number m
           where o.id = overdue.id and m.id = o.masked_number_id
           returning o.id, o.conversation_id, o.recipient_id, o.sent_to, o.masked_number_id,
               m.number as masked_number, $1::timestamptz as "at!""#,
        now.to_sqlx() as _,
        since.to_sqlx() as _,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    let count = parked.len();
    let lanes = lanes_of(&parked);
    for text in &parked {
        count_settled("park");
        let task = Task {
            person: Some(text.recipient_id),
            conversation: text.conversation_id,
            masked_number: Some(text.masked_number_id),
            detail: Some(text.id.to_string()),
            ..Task::of(tasks::Kind::Unknown)
        };
        tasks::raise(conn, &task, now).await?;
        told::tell(conn, text.id, Certainty::Unknown, &app.pen, now).await?;
    }
    record_all(conn, parked, Kind::Parked, "nobody_knows").await?;
    lanes::wake(conn, lanes, now.to_sqlx()).await?;
    Ok(resent + count)
}

/// Puts back, for one more try, what may be sent again.
async fn resend_overdue(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<usize> {
    let since = now.saturating_sub(PATIENCE).unwrap_or(Timestamp::MIN);
    let resent = sqlx::query_as!(
        Left,
        r#"with overdue as (
               select id
               from outbox
               where state = 'unknown' and passed_at is null and not once and resends = 0
                   and coalesce(unknown_since, queued_at) <= $2
               limit $3
               for update skip locked
           )
           update outbox o
           set state = 'queued', unknown_since = null, first_tried_at = null, due_at = $1,
               sent_to = null, resends = o.resends + 1
           from overdue, masked_number m
           where o.id = overdue.id and m.id = o.masked_number_id
           returning o.id, o.conversation_id, o.recipient_id, o.sent_to, o.masked_number_id,
               m.number as masked_number, $1::timestamptz as "at!""#,
        now.to_sqlx() as _,
        since.to_sqlx() as _,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    let count = resent.len();
    for _ in &resent {
        count_settled("resend");
    }
    record_all(conn, resent, Kind::Resent, "by_setting").await?;
    Ok(count)
}
