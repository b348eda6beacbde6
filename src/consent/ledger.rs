//! The SQL of the ledger. One person's entries are written one at a time, under the lock of their
//! row: their order is the order of what happened.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{Channel, DISCLOSURE, Event, EventKind, Evidence};
use crate::{
    clock::SqlTimestamp,
    ids::{ConsentEventId, MaskedNumberId, PersonId},
    vault::Field,
};

/// An entry of one person's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub kind: EventKind,
    /// The masked number of a pair.
    pub masked_number: Option<MaskedNumberId>,
    /// How it came in.
    pub channel: Channel,
    /// When.
    pub at: Timestamp,
}

/// Locks a known person until commit, and tells the time behind the lock: `instead`, or else the
/// database's.
///
/// Who holds the row already locks it again at no cost. It comes before any row of the outbox.
pub async fn lock(
    conn: &mut PgConnection,
    person: PersonId,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<Timestamp> {
    // The time is asked for outside, where the lock is held already.
    let now = sqlx::query_scalar!(
        r#"with locked as materialized (
               select id from person where id = $1 for no key update
           )
           select coalesce($2, clock_timestamp()) as "now!" from locked"#,
        person as _,
        instead as _,
    )
    .fetch_one(conn)
    .await?;
    Ok(now.to_jiff())
}

/// Writes an entry, and what it puts in force or out of it. The caller holds the person's lock.
///
/// The first of several revocations stands, with its rule and time, until a consent ends it.
pub async fn append(conn: &mut PgConnection, event: &Event, now: Timestamp) -> sqlx::Result<()> {
    let id = ConsentEventId::new();
    let (evidence, sealed) = match &event.evidence {
        None => (None, None),
        Some(Evidence::Id(id)) => (Some(id), None),
        Some(Evidence::Words(author, words)) => {
            (None, Some(author.seal(Field::Evidence, id, words.as_bytes()).to_bytes()))
        }
    };
    let own = event.kind == EventKind::Granted && event.channel == Channel::Text;
    sqlx::query!(
        "with noted as (
             insert into consent_event
                 (id, at, person_id, masked_number_id, kind, rule, channel, evidence,
                  disclosure, evidence_sealed)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ), silenced as (
             insert into suppression (person_id, rule, since)
             select $3, $6, $2 where $5 = 'revoked'
             on conflict (person_id) do nothing
         ), heard_again as (
             delete from suppression where person_id = $3 and $5 = 'granted'
         ), blocked as (
             insert into carrier_block (person_id, masked_number_id, since)
             select $3, $4, $2 where $5 = 'carrier_blocked'
             on conflict (person_id, masked_number_id) do nothing
         )
         delete from carrier_block
         where person_id = $3 and masked_number_id = $4 and $5 = 'carrier_lifted'",
        id as _,
        now.to_sqlx() as _,
        event.person as _,
        event.masked_number as _,
        event.kind.as_str(),
        event.rule,
        event.channel.as_str(),
        evidence,
        // Only who asks for texts by text has read what the answer says.
        own.then_some(DISCLOSURE),
        sealed,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the carrier refused a text of ours because the person texted STOP to its number.
/// False when that is known, or was over before: the person's UNSTOP came after the text had left.
pub async fn block(
    conn: &mut PgConnection,
    event: &Event,
    left_at: Timestamp,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let is_known = sqlx::query_scalar!(
        r#"select exists (
               select from carrier_block where person_id = $1 and masked_number_id = $2
           ) or exists (
               select from consent_event
               where person_id = $1 and masked_number_id = $2 and kind = 'carrier_lifted'
                   and at > $3
           ) as "is_known!""#,
        event.person as _,
        event.masked_number as _,
        left_at.to_sqlx() as _,
    )
    .fetch_one(&mut *conn)
    .await?;
    if !is_known {
        append(conn, event, now).await?;
    }
    Ok(!is_known)
}

/// Keeps the opt-out of somebody who is about to be forgotten, by the tag of their number alone; false
/// where they may be texted. Should they come back, they are silent until they say otherwise.
pub async fn outlive(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<bool> {
    let in_force = super::fold(&history(conn, person).await?);
    let kept = sqlx::query!(
        "insert into suppressed_tag (tag, is_own)
         select p.tag, $2
         from person p
         join suppression s on s.person_id = p.id
         where p.id = $1 and p.tag is not null
         on conflict (tag) do nothing",
        person as _,
        // A release without the ledger silenced people by their own texts only.
        in_force.own || !in_force.suppressed,
    )
    .execute(conn)
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// Whether somebody who is silenced, or is not, said so later than at that time; of consent only
/// their own texts count. A text that came late counts from when it was sent.
pub async fn has_spoken(
    conn: &mut PgConnection,
    person: PersonId,
    suppressed: bool,
    sent_at: Timestamp,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from consent_event e
               left join carrier_message m on m.carrier_id = e.evidence
               where e.person_id = $1
                   and case when $2 then e.kind = 'revoked'
                       else e.kind = 'granted' and e.channel = 'text' end
                   and coalesce(m.sent_at, e.at) > $3
           ) as "has!""#,
        person as _,
        suppressed,
        sent_at.to_sqlx() as _,
    )
    .fetch_one(conn)
    .await
}

/// Reads one person's entries, oldest first.
pub async fn history(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query!(
        "select kind, masked_number_id, channel, at
         from consent_event
         where person_id = $1
         order by seq",
        person as _,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = EventKind::ALL.into_iter().find(|kind| kind.as_str() == row.kind);
            let channel = Channel::ALL.into_iter().find(|channel| channel.as_str() == row.channel);
            let unknown =
                || sqlx::Error::Decode("an entry of the ledger of a newer version".into());
            Ok(Entry {
                kind: kind.ok_or_else(unknown)?,
                masked_number: row.masked_number_id,
                channel: channel.ok_or_else(unknown)?,
                at: row.at.to_jiff(),
            })
        })
        .collect()
}
