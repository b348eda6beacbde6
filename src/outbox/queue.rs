//! The SQL of the outbox: claim under a lease, settle behind the attempt's number.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::LONGEST_WAIT;
use crate::{
    audit::{self, Kind, Record},
    clock::SqlTimestamp,
    ids::{ConversationId, MaskedNumberId, PersonId, TextId},
    phone::PhoneNumber,
};

/// A text that this worker alone may send until its lease ends.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) id: TextId,
    /// Counts the tries; it fences the answer of a worker whose lease has ended.
    pub(super) attempt: i32,
    /// When it was claimed, by the database's clock.
    pub(super) at: Timestamp,
    pub(super) person: PersonId,
    pub(super) number: MaskedNumberId,
    pub(super) to: PhoneNumber,
    pub(super) from: PhoneNumber,
    pub(super) body: String,
}

/// A text that has left the outbox, or stands in it for good.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) id: TextId,
    pub(super) conversation_id: Option<ConversationId>,
    pub(super) recipient_id: PersonId,
    pub(super) masked_number_id: MaskedNumberId,
    pub(super) masked_number: String,
    /// When that came to be.
    pub(super) at: SqlTimestamp,
}

impl Left {
    /// The record of what became of it.
    pub(super) fn record(self, kind: Kind, detail: Option<&str>) -> Record {
        Record {
            conversation: self.conversation_id,
            recipient: Some(self.recipient_id),
            // A number that our own check constraint let in.
            masked_number: self.masked_number.parse().ok(),
            text: Some(self.id),
            detail: detail.map(str::to_owned),
            ..Record::of(kind)
        }
    }
}

/// A time that no lease and no wait set now would reach: what lies beyond it was written by a clock
/// that has been set back since.
fn absurd(now: Timestamp) -> Timestamp {
    now.saturating_add(LONGEST_WAIT * 2).unwrap_or(Timestamp::MAX)
}

/// Claims up to `count` texts that are due: of each lane the first one, and only while no other
/// of that lane is under way. What may not leave any more is left where it is, to be dropped.
pub(super) async fn claim(
    conn: &mut PgConnection,
    count: i64,
    lease: SignedDuration,
    now: Timestamp,
) -> sqlx::Result<Vec<Claim>> {
    let until = now.saturating_add(lease).unwrap_or(Timestamp::MAX);
    let rows = sqlx::query!(
        "with due as (
             select o.id
             from outbox o
             where o.state = 'queued'
                 and (o.due_at <= $1 or o.due_at > $4)
                 and (o.despite_optout
                     or not exists (select from suppression s where s.person_id = o.recipient_id))
                 and not exists (
                     select from carrier_block b
                     where b.person_id = o.recipient_id and b.masked_number_id = o.masked_number_id
                 )
                 and (o.give_up_at is null or o.give_up_at > $1)
                 and not exists (
                     select from outbox ahead
                     where ahead.recipient_id = o.recipient_id
                         and ahead.masked_number_id = o.masked_number_id
                         and ahead.seq < o.seq
                         and ahead.state <> 'unknown'
                 )
             order by o.seq
             limit $2
             for update skip locked
         )
         update outbox o
         set state = 'sending', attempt = o.attempt + 1, leased_until = $3
         from due, person p, masked_number m
         where o.id = due.id and p.id = o.recipient_id and m.id = o.masked_number_id
         returning o.id, o.attempt, o.recipient_id, o.masked_number_id, o.body,
             p.number as person_number, m.number as masked_number",
        now.to_sqlx() as _,
        count,
        until.to_sqlx() as _,
        absurd(now).to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let number = |text: String| {
                text.parse::<PhoneNumber>().map_err(|error| sqlx::Error::Decode(error.into()))
            };
            let (to, from) = (number(row.person_number)?, number(row.masked_number)?);
            Ok(Claim {
                id: row.id,
                attempt: row.attempt,
                at: now,
                person: row.recipient_id,
                number: row.masked_number_id,
                to,
                from,
                body: row.body,
            })
        })
        .collect()
}

/// Marks as unknown what was being sent when its lease ended: the worker died, and nobody knows
/// whether the carrier has it. Never simply sent again. Returns how many.
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
           set state = 'unknown', leased_until = null
           from lost, masked_number m
           where o.id = lost.id and m.id = o.masked_number_id
           returning o.id, o.conversation_id, o.recipient_id, o.masked_number_id,
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

/// Records what became of these texts, all at one time.
pub(super) async fn record_all(
    conn: &mut PgConnection,
    left: Vec<Left>,
    kind: Kind,
    detail: &str,
) -> sqlx::Result<()> {
    let Some(at) = left.first().map(|left| left.at.to_jiff()) else { return Ok(()) };
    let records: Vec<Record> =
        left.into_iter().map(|left| left.record(kind, Some(detail))).collect();
    audit::record(conn, &records, at).await
}

/// Settles a text as accepted, by this attempt or, told by its receipt, by whichever attempt.
///
/// False when it was settled before. A late answer settles one that was already given up as
/// unknown. Like all that settles, it takes the database's time unless one is given `instead`.
pub(super) async fn accept(
    conn: &mut PgConnection,
    id: TextId,
    attempt: Option<i32>,
    carrier_id: &str,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<bool> {
    let Some(left) = take(conn, id, attempt, instead).await? else { return Ok(false) };
    let noted = sqlx::query!(
        "insert into carrier_message (carrier_id, direction, noted_at, text_id, delivery,
             recipient_id, masked_number_id)
         values ($1, 'outbound', $2, $3, 'sent', $4, $5)
         on conflict (carrier_id) do nothing",
        carrier_id,
        left.at as _,
        id as _,
        left.recipient_id as _,
        left.masked_number_id as _,
    )
    .execute(&mut *conn)
    .await?;
    if noted.rows_affected() == 0 {
        tracing::error!(%id, "the carrier gave an id that it had given before");
    }
    let at = left.at.to_jiff();
    let record =
        Record { carrier_id: Some(carrier_id.to_owned()), ..left.record(Kind::Accepted, None) };
    audit::record(conn, &[record], at).await?;
    Ok(true)
}

/// Settles a text as failed for good, and tells when; none when it was settled before.
pub(super) async fn fail(
    conn: &mut PgConnection,
    claim: &Claim,
    why: &str,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<Option<Timestamp>> {
    let Some(left) = take(conn, claim.id, Some(claim.attempt), instead).await? else {
        return Ok(None);
    };
    let at = left.at.to_jiff();
    audit::record(conn, &[left.record(Kind::Failed, Some(why))], at).await?;
    Ok(Some(at))
}

/// Takes a text out of the outbox once it is settled.
async fn take(
    conn: &mut PgConnection,
    id: TextId,
    attempt: Option<i32>,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<Option<Left>> {
    sqlx::query_as!(
        Left,
        r#"with taken as (
               delete from outbox
               where id = $1 and attempt = coalesce($2, attempt) and attempt > 0
               returning id, conversation_id, recipient_id, masked_number_id
           )
           select t.id, t.conversation_id, t.recipient_id, t.masked_number_id,
               m.number as masked_number, coalesce($3, clock_timestamp()) as "at!"
           from taken t
           join masked_number m on m.id = t.masked_number_id"#,
        id as _,
        attempt,
        instead as _,
    )
    .fetch_optional(conn)
    .await
}

/// Puts a text back, to be tried again after this wait. Its place in its lane stays. One given up as
/// unknown meanwhile is left: what was behind it in its lane may be gone already.
pub(super) async fn postpone(
    conn: &mut PgConnection,
    claim: &Claim,
    wait: SignedDuration,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update outbox
         set state = 'queued', leased_until = null,
             due_at = coalesce($4, clock_timestamp()) + make_interval(secs => $3)
         where id = $1 and attempt = $2 and state = 'sending'",
        claim.id as _,
        claim.attempt,
        wait.as_secs_f64(),
        instead as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks a text whose answer was lost. It stays, is shown, and is not sent again by itself.
pub(super) async fn mark_unknown(
    conn: &mut PgConnection,
    claim: &Claim,
    why: &str,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<()> {
    let lost = sqlx::query_as!(
        Left,
        r#"update outbox o
           set state = 'unknown', leased_until = null
           from masked_number m
           where o.id = $1 and o.attempt = $2 and o.state = 'sending' and m.id = o.masked_number_id
           returning o.id, o.conversation_id, o.recipient_id, o.masked_number_id,
               m.number as masked_number, coalesce($3, clock_timestamp()) as "at!""#,
        claim.id as _,
        claim.attempt,
        instead as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    record_all(conn, lost, Kind::Unknown, why).await
}
