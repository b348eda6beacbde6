//! Lanes: one person in one conversation, or on one masked number for what belongs to none.
//!
//! A text blocks those behind it from its promise until it is settled or passed. One that is found
//! behind another is put to sleep, so that a long lane is not read again and again; whoever takes a
//! text out of its lane wakes the next one, whose turn begins behind those of all other lanes. Urgent
//! answers stand beside their lanes: who asks for help, or for silence, waits for nobody.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    absurd,
    left::{Left, record_all},
};
use crate::{
    audit::Kind,
    clock::SqlTimestamp,
    ids::{PersonId, TextId},
};

/// How long a lane waits for a text that is tried again and again, while others are accepted.
const STUCK: SignedDuration = SignedDuration::from_mins(5);
/// How many texts are passed at once.
const BATCH: i64 = 100;

/// Whose texts wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    /// Who gets them.
    pub(super) recipient: PersonId,
    /// The conversation, or else the masked number.
    pub(super) within: Uuid,
}

/// Wakes the first text of each of these lanes, which others have left or let pass.
///
/// In a statement of its own behind the one that took them out: that one has waited for whoever
/// was about to put a text to sleep behind them, and only a later one sees what they did.
pub(super) async fn wake(
    conn: &mut PgConnection,
    mut lanes: Vec<Lane>,
    now: SqlTimestamp,
) -> sqlx::Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    lanes.sort_unstable();
    lanes.dedup();
    let recipients: Vec<Uuid> = lanes.iter().map(|lane| lane.recipient.uuid()).collect();
    let within: Vec<Uuid> = lanes.iter().map(|lane| lane.within).collect();
    sqlx::query!(
        "update outbox o
         set due_at = $3
         from unnest($1::uuid[], $2::uuid[]) as open (recipient_id, lane)
         cross join lateral (
             select n.id
             from outbox n
             where n.recipient_id = open.recipient_id and n.lane = open.lane
                 and n.passed_at is null and not n.urgent
             order by n.seq
             limit 1
         ) next
         where o.id = next.id and o.state = 'queued'
             and (o.attempt = 0 or o.due_at = 'infinity')",
        &recipients,
        &within,
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts texts to sleep that stand behind others, the second of each pair.
///
/// Only while that one is held here: were it leaving at this moment, nobody would wake them. Returns
/// how many.
pub(super) async fn sleep(
    conn: &mut PgConnection,
    behind: &[(TextId, TextId)],
) -> sqlx::Result<u64> {
    let (texts, ahead): (Vec<Uuid>, Vec<Uuid>) =
        behind.iter().map(|(text, ahead)| (text.uuid(), ahead.uuid())).unzip();
    let asleep = sqlx::query!(
        "with held as (
             select id
             from outbox
             where id = any($2) and passed_at is null
             for share skip locked
         ), behind as (
             select o.id
             from unnest($1::uuid[], $2::uuid[]) as pair (id, ahead)
             join held on held.id = pair.ahead
             join outbox o on o.id = pair.id
             where o.state = 'queued' and o.passed_at is null
             for update of o skip locked
         )
         update outbox o
         set due_at = 'infinity'
         from behind
         where o.id = behind.id",
        &texts,
        &ahead,
    )
    .execute(conn)
    .await?;
    Ok(asleep.rows_affected())
}

/// Wakes those that sleep behind nobody, as a release leaves them that knows of no sleep.
pub(super) async fn wake_forgotten(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<u64> {
    let woken = sqlx::query!(
        "update outbox o
         set due_at = $1
         where o.state = 'queued' and not o.held and o.is_mms = any('{true,false}')
             and o.urgent = any('{true,false}') and o.due_at = 'infinity'
             and not exists (
                 select from outbox ahead
                 where ahead.recipient_id = o.recipient_id and ahead.lane = o.lane
                     and ahead.seq < o.seq and ahead.passed_at is null and not ahead.urgent
             )",
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(woken.rows_affected())
}

/// Makes due what a clock that has been set back since has put off for long.
pub(super) async fn mend_times(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query!(
        "update outbox
         set due_at = $1
         where state = 'queued' and not held and is_mms = any('{true,false}')
             and urgent = any('{true,false}') and due_at > $2 and due_at < 'infinity'",
        now.to_sqlx() as _,
        absurd(now).to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets lanes go on whose first text has been tried again and again for too long. It keeps its
/// tries. To be asked only while the carrier accepts other texts: what nobody can send keeps its
/// order. Returns how many.
pub(super) async fn pass_stuck(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<usize> {
    let stuck = sqlx::query_scalar!(
        "select id
         from outbox
         where state = 'queued' and passed_at is null and first_tried_at <= $1
         order by first_tried_at
         limit $2
         for update skip locked",
        stuck_since(now) as _,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    pass(conn, &stuck, "not_accepted", now).await
}

/// Lets lanes go on whose first text has waited for its pictures for too long, as when our own
/// storage is away. It leaves once they are there. Returns how many.
pub(super) async fn pass_held(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<usize> {
    let late = sqlx::query_scalar!(
        "select id
         from outbox
         where held and passed_at is null and queued_at <= $1
         order by queued_at
         limit $2
         for update skip locked",
        stuck_since(now) as _,
        BATCH,
    )
    .fetch_all(&mut *conn)
    .await?;
    pass(conn, &late, "pictures_late", now).await
}

fn stuck_since(now: Timestamp) -> SqlTimestamp {
    now.saturating_sub(STUCK).unwrap_or(Timestamp::MIN).to_sqlx()
}

/// Passes these texts, which are locked: notes why, and wakes those behind them.
async fn pass(
    conn: &mut PgConnection,
    texts: &[TextId],
    why: &str,
    now: Timestamp,
) -> sqlx::Result<usize> {
    if texts.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = texts.iter().map(|text| text.uuid()).collect();
    let passed = sqlx::query_as!(
        Left,
        r#"update outbox o
           set passed_at = $1
           from masked_number m
           where o.id = any($2) and m.id = o.masked_number_id
           returning o.id, o.conversation_id, o.recipient_id, o.sent_to, o.masked_number_id,
               m.number as masked_number, $1::timestamptz as "at!""#,
        now.to_sqlx() as _,
        &ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let lanes = passed.iter().map(Left::lane).collect();
    record_all(conn, passed, Kind::Passed, why).await?;
    wake(conn, lanes, now.to_sqlx()).await?;
    Ok(texts.len())
}
