//! The SQL of what became of a text: accepted, failed, to be tried again, or unknown.
//!
//! An acceptance settles a text whoever tells of it and whichever attempt it was; everything else
//! counts only from the attempt that is known last.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    claim::Claim,
    lanes::{self, Lane},
    left::Left,
    twice,
};
use crate::{
    audit::{self, Kind, Record},
    clock::SqlTimestamp,
    ids::{PersonId, TextId},
};

/// Who told us of an acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The answer to the send.
    Answer,
    /// A receipt on the text's own callback.
    Receipt,
    /// The carrier's list of messages.
    List,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Receipt => "receipt",
            Self::List => "list",
        }
    }
}

/// A text that the carrier has.
#[derive(Debug, Clone)]
pub(super) struct Acceptance {
    pub(super) id: TextId,
    /// The carrier's id of it.
    pub(super) carrier_id: String,
    /// When it left, where that is known. Else it is the earliest time at which it can have left, so
    /// that a failure of it overrules nothing that its recipient said since.
    pub(super) tried_at: Option<Timestamp>,
}

/// Settles texts as accepted, in their order, in a few statements however many they are. Returns
/// those of which everything was known before.
///
/// Like all that settles, it takes the database's time unless one is given `instead`.
pub(super) async fn accept<'a>(
    conn: &mut PgConnection,
    accepted: &'a [Acceptance],
    by: By,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<Vec<&'a Acceptance>> {
    let Taken { mut texts, at } = take_accepted(conn, accepted, instead).await?;
    let (mut records, mut lanes, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for acceptance in accepted {
        // Of two acceptances of one text the first takes it.
        let Some((left, was_unknown)) = texts.remove(&acceptance.id) else {
            others.push(acceptance);
            continue;
        };
        if was_unknown {
            count_settled(by.as_str());
        }
        lanes.push(left.lane());
        let carrier_id = Some(acceptance.carrier_id.clone());
        records.push(Record { carrier_id, ..left.record(Kind::Accepted, None) });
    }
    audit::record(conn, &records, at.to_jiff()).await?;
    lanes::wake(conn, lanes, at).await?;
    let mut known = Vec::new();
    for other in others {
        if !twice::note(conn, other, at).await? {
            known.push(other);
        }
    }
    Ok(known)
}

/// What was taken out of the outbox at one time, and which of it had been unknown.
struct Taken {
    texts: HashMap<TextId, (Left, bool)>,
    at: SqlTimestamp,
}

async fn take_accepted(
    conn: &mut PgConnection,
    accepted: &[Acceptance],
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<Taken> {
    let ids: Vec<Uuid> = accepted.iter().map(|one| one.id.uuid()).collect();
    let carrier_ids: Vec<String> = accepted.iter().map(|one| one.carrier_id.clone()).collect();
    let tried: Vec<Option<SqlTimestamp>> =
        accepted.iter().map(|one| one.tried_at.map(ToSqlx::to_sqlx)).collect();
    let rows = sqlx::query!(
        r#"with accepted as (
               select distinct on (id) id, carrier_id, tried_at, coalesce($4, clock_timestamp()) as at
               from unnest($1::uuid[], $2::text[], $3::timestamptz[]) with ordinality
                   as new (id, carrier_id, tried_at, place)
               order by id, place
           ), taken as (
               delete from outbox o
               using accepted a
               where o.id = a.id and o.attempt > 0
               returning o.id, o.state, o.conversation_id, o.recipient_id, o.sent_to,
                   o.masked_number_id,
                   -- It may be the first of several attempts that is told of here.
                   case when o.resends > 0 then o.queued_at else o.tried_at end as left_at
           ), kept as (
               insert into carrier_message (carrier_id, direction, noted_at, text_id, delivery,
                   recipient_id, masked_number_id, tried_at)
               select a.carrier_id, 'outbound', a.at, a.id, 'sent',
                   coalesce(t.sent_to, t.recipient_id), t.masked_number_id,
                   coalesce(a.tried_at, t.left_at)
               from accepted a
               join taken t on t.id = a.id
               on conflict (carrier_id) do nothing
               returning carrier_id
           )
           select a.id as "id!: TextId", a.at as "at!", t.state as "state?", t.conversation_id,
               t.recipient_id as "recipient_id?", t.sent_to as "sent_to: PersonId",
               t.masked_number_id as "masked_number_id?",
               m.number as "masked_number?", k.carrier_id is not null as "is_new!"
           from accepted a
           left join taken t on t.id = a.id
           left join masked_number m on m.id = t.masked_number_id
           left join kept k on k.carrier_id = a.carrier_id"#,
        &ids,
        &carrier_ids,
        &tried as _,
        instead as _,
    )
    .fetch_all(conn)
    .await?;
    let at = rows.iter().map(|row| row.at).max().unwrap_or_else(|| Timestamp::UNIX_EPOCH.to_sqlx());
    let mut texts = HashMap::new();
    for row in rows {
        let (Some(state), Some(recipient_id), Some(masked_number_id), Some(masked_number)) =
            (row.state, row.recipient_id, row.masked_number_id, row.masked_number)
        else {
            continue;
        };
        if !row.is_new {
            tracing::error!(id = %row.id, "the carrier gave an id that it had given before");
        }
        let left = Left {
            id: row.id,
            conversation_id: row.conversation_id,
            recipient_id,
            sent_to: row.sent_to,
            masked_number_id,
            masked_number,
            at,
        };
        texts.insert(left.id, (left, state == "unknown"));
    }
    Ok(Taken { texts, at })
}

/// Counts an unknown text whose outcome was settled, by what settled it.
pub(super) fn count_settled(by: &'static str) {
    metrics::counter!("maskline_unknown_total", "settled_by" => by).increment(1);
}

/// Settles a text as failed for good, and tells when; none when it was settled before, or goes to
/// the new phone of its recipient, of which the refusal says nothing.
pub(super) async fn fail(
    conn: &mut PgConnection,
    claim: &Claim,
    why: &str,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<Option<Timestamp>> {
    if goes_on(conn, claim, instead).await? {
        return Ok(None);
    }
    let failed = sqlx::query!(
        r#"with failed as (
               delete from outbox
               where id = $1 and attempt = $2
               returning id, state, conversation_id, recipient_id, sent_to, masked_number_id
           )
           select f.id, f.state, f.conversation_id, f.recipient_id, f.sent_to, f.masked_number_id,
               m.number as masked_number, coalesce($3, clock_timestamp()) as "at!"
           from failed f
           join masked_number m on m.id = f.masked_number_id"#,
        claim.id as _,
        claim.attempt,
        instead as _,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(failed) = failed else { return Ok(None) };
    if failed.state == "unknown" {
        count_settled(By::Answer.as_str());
    }
    let left = Left {
        id: failed.id,
        conversation_id: failed.conversation_id,
        recipient_id: failed.recipient_id,
        sent_to: failed.sent_to,
        masked_number_id: failed.masked_number_id,
        masked_number: failed.masked_number,
        at: failed.at,
    };
    let lane = left.lane();
    let at = failed.at.to_jiff();
    audit::record(conn, &[left.record(Kind::Failed, Some(why))], at).await?;
    lanes::wake(conn, vec![lane], failed.at).await?;
    Ok(Some(at))
}

/// Puts a text back at once that was sent to its recipient's old phone; false where that is none.
async fn goes_on(
    conn: &mut PgConnection,
    claim: &Claim,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<bool> {
    let redirected = sqlx::query_scalar!(
        r#"select exists (
               select from outbox where id = $1 and attempt = $2 and sent_to is not null
           ) as "is!""#,
        claim.id as _,
        claim.attempt,
    )
    .fetch_one(&mut *conn)
    .await?;
    if redirected {
        postpone(conn, claim, SignedDuration::ZERO, instead).await?;
    }
    Ok(redirected)
}

/// Puts a text back, to be tried again after this wait. Its place in its lane stays. So is one that
/// was unknown meanwhile: it certainly was not accepted.
pub(super) async fn postpone(
    conn: &mut PgConnection,
    claim: &Claim,
    wait: SignedDuration,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<()> {
    let before = sqlx::query_scalar!(
        "with before as (
             select id, state from outbox
             where id = $1 and attempt = $2 and state <> 'queued'
             for update
         )
         update outbox o
         set state = 'queued', leased_until = null, unknown_since = null, sent_to = null,
             due_at = coalesce($4, clock_timestamp()) + make_interval(secs => $3)
         from before
         where o.id = before.id
         returning before.state",
        claim.id as _,
        claim.attempt,
        wait.as_secs_f64(),
        instead as _,
    )
    .fetch_optional(conn)
    .await?;
    if before.as_deref() == Some("unknown") {
        count_settled(By::Answer.as_str());
    }
    Ok(())
}

/// The lanes of texts, for whoever wakes them.
pub(super) fn lanes_of(left: &[Left]) -> Vec<Lane> {
    left.iter().map(Left::lane).collect()
}
