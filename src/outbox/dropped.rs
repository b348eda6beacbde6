//! Texts that never leave: their recipient may not or cannot be texted, or it is too late.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::queue::{Left, record_all};
use crate::{
    audit::Kind,
    ids::{MaskedNumberId, PersonId},
};

/// Drops what is queued for somebody who has just opted out, but not the confirmation of that.
///
/// What is being sent this moment can no longer be held back.
pub async fn drop_queued(
    conn: &mut PgConnection,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    drop_for(conn, person, None, "opted_out", now).await
}

/// Drops what is queued for a pair that the carrier blocks, the confirmation of an opt-out too: the
/// carrier refuses it like the rest.
pub(super) async fn drop_blocked(
    conn: &mut PgConnection,
    person: PersonId,
    number: MaskedNumberId,
    now: Timestamp,
) -> sqlx::Result<()> {
    drop_for(conn, person, Some(number), "carrier_blocked", now).await
}

/// Drops the words of somebody that are queued for whoever has just blocked them.
///
/// What is being sent this moment can no longer be held back.
pub async fn drop_words(
    conn: &mut PgConnection,
    person: PersonId,
    of: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    let dropped = sqlx::query_as!(
        Left,
        r#"with dropped as (
               delete from outbox
               where recipient_id = $1 and kind = 'relay' and state = 'queued'
                   and conversation_id in (
                       select conversation_id from participant where person_id = $2
                   )
               returning id, conversation_id, recipient_id, masked_number_id
           )
           select d.id, d.conversation_id, d.recipient_id, d.masked_number_id,
               m.number as masked_number, $3::timestamptz as "at!"
           from dropped d
           join masked_number m on m.id = d.masked_number_id"#,
        person as _,
        of as _,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    record_all(conn, dropped, Kind::Dropped, "blocked").await
}

async fn drop_for(
    conn: &mut PgConnection,
    person: PersonId,
    number: Option<MaskedNumberId>,
    why: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    let dropped = sqlx::query_as!(
        Left,
        r#"with dropped as (
               delete from outbox
               where recipient_id = $1 and masked_number_id = coalesce($2, masked_number_id)
                   and state = 'queued' and ($2 is not null or not despite_optout)
               returning id, conversation_id, recipient_id, masked_number_id
           )
           select d.id, d.conversation_id, d.recipient_id, d.masked_number_id,
               m.number as masked_number, $3::timestamptz as "at!"
           from dropped d
           join masked_number m on m.id = d.masked_number_id"#,
        person as _,
        number as _,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    record_all(conn, dropped, Kind::Dropped, why).await
}

/// Drops whatever waits in vain: its recipient opted out, the carrier blocks the pair, or it is too
/// late. However that came about, it is asked again here, just before texts leave.
pub(super) async fn drop_unsendable(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"with due as (
               select o.id,
                   case when s.person_id is not null and not o.despite_optout then 'opted_out'
                       when b.person_id is not null then 'carrier_blocked'
                       else 'too_late'
                   end as why
               from outbox o
               left join suppression s on s.person_id = o.recipient_id
               left join carrier_block b
                   on b.person_id = o.recipient_id and b.masked_number_id = o.masked_number_id
               where o.state = 'queued'
                   and ((s.person_id is not null and not o.despite_optout)
                       or b.person_id is not null
                       or o.give_up_at <= $1)
               for update of o skip locked
           ), dropped as (
               delete from outbox o
               using due
               where o.id = due.id
               returning o.id, o.conversation_id, o.recipient_id, o.masked_number_id, due.why
           )
           select d.id, d.conversation_id, d.recipient_id, d.masked_number_id,
               m.number as masked_number, $1::timestamptz as "at!", d.why as "why!"
           from dropped d
           join masked_number m on m.id = d.masked_number_id"#,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    for why in ["opted_out", "carrier_blocked", "too_late"] {
        let dropped = rows.iter().filter(|row| row.why == why).map(|row| Left {
            id: row.id,
            conversation_id: row.conversation_id,
            recipient_id: row.recipient_id,
            masked_number_id: row.masked_number_id,
            masked_number: row.masked_number.clone(),
            at: row.at,
        });
        record_all(conn, dropped.collect(), Kind::Dropped, why).await?;
    }
    Ok(())
}
