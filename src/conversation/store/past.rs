//! The SQL of what has been: the conversation that ended last, and MOVE codes.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::address;
use crate::{
    clock::SqlTimestamp,
    code::Code,
    conversation::{Address, EndReason, facts::Past},
    ids::{ConversationId, MaskedNumberId, PersonId},
};

/// Loads the conversation in which a person last met somebody on a number, if it has ended.
pub async fn past(conn: &mut PgConnection, whose: &Address) -> sqlx::Result<Option<Past>> {
    let row = sqlx::query!(
        r#"select c.id, c.ended_at as "ended_at!: SqlTimestamp", c.end_reason as "end_reason!",
               c.reopen_asked_by as "asked_by: PersonId",
               o.person_id as "other!: PersonId", o.masked_number_id as "other_number!: MaskedNumberId",
               m.number,
               exists (select from person p where p.id = o.person_id and p.tag is not null)
                   and not exists (select from suppression s where s.person_id = o.person_id)
                   and not exists (
                       select from carrier_block b
                       where b.person_id = o.person_id
                           and b.masked_number_id = o.masked_number_id)
                   and not exists (
                       select from participant busy
                       where busy.person_id = o.person_id
                           and busy.masked_number_id = o.masked_number_id
                           and busy.left_at is null)
                   as "other_is_free!",
               m.state = 'in_service' and here.state = 'in_service' as "numbers_serve!"
           from participant p
           join participant o on o.conversation_id = p.conversation_id and o.seat <> p.seat
           join conversation c on c.id = p.conversation_id
           join masked_number m on m.id = o.masked_number_id
           join masked_number here on here.id = p.masked_number_id
           where p.person_id = $1 and p.masked_number_id = $2 and p.left_at is not null
           order by p.joined_at desc, p.conversation_id desc
           limit 1"#,
        whose.person as _,
        whose.through.id as _,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let reason = EndReason::named(&row.end_reason)
            .ok_or_else(|| sqlx::Error::Decode("an end without a known reason".into()))?;
        Ok(Past {
            id: row.id,
            ended_at: row.ended_at.to_jiff(),
            reason,
            other: address(row.other, row.other_number, &row.number)?,
            asked_by: row.asked_by,
            other_is_free: row.other_is_free,
            numbers_serve: row.numbers_serve,
        })
    })
    .transpose()
}

/// Whether a conversation came about, or was joined, by a text that was sent later than at that time.
/// Where nobody knows when that text was sent, it was when it came in.
pub async fn began_after(
    conn: &mut PgConnection,
    conversation: ConversationId,
    sent_at: Timestamp,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from participant p
               left join consent_event e
                   on e.person_id = p.person_id and e.kind = 'granted' and e.at = p.joined_at
               left join carrier_message m on m.carrier_id = e.evidence
               where p.conversation_id = $1 and coalesce(m.sent_at, p.joined_at) > $2
           ) as "has!""#,
        conversation as _,
        sent_at.to_sqlx() as _,
    )
    .fetch_one(conn)
    .await
}

/// Who got this MOVE code, and until when it works.
pub async fn mover(
    conn: &mut PgConnection,
    code: &Code,
) -> sqlx::Result<Option<(PersonId, Timestamp)>> {
    let row =
        sqlx::query!("select person_id, expires_at from move_code where code = $1", code.as_str(),)
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|row| (row.person_id, row.expires_at.to_jiff())))
}
