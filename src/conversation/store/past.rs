//! The SQL of what has been: the conversation that ended last, and MOVE codes.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::address;
use crate::{
    clock::SqlTimestamp,
    code::Code,
    conversation::{Address, EndReason, facts::Past},
    ids::{MaskedNumberId, PersonId},
    phone::PhoneNumber,
};

/// Locks until commit somebody and whom they last met on a number, in the order of their ids: where
/// both do this to each other at once, one waits, and neither for ever.
pub async fn lock_pair(
    conn: &mut PgConnection,
    phone: &PhoneNumber,
    through: MaskedNumberId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "select id
         from person
         where id = any(array(
             select id from person where number = $1
             union all
             (select o.person_id
              from person me
              join participant p on p.person_id = me.id
              join participant o on o.conversation_id = p.conversation_id and o.seat <> p.seat
              where me.number = $1 and p.masked_number_id = $2 and p.left_at is not null
              order by p.joined_at desc, p.conversation_id desc
              limit 1)
         ))
         order by id
         for no key update",
        phone.as_str(),
        through as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Locks until commit the conversation in which a person last met somebody on a number, if it has
/// ended. Before the open ones, so that two texts never wait for each other.
pub async fn lock_past(conn: &mut PgConnection, whose: &Address) -> sqlx::Result<()> {
    sqlx::query!(
        "select c.id
         from conversation c
         where c.state = 'ended' and c.id = (
             select p.conversation_id
             from participant p
             join participant o on o.conversation_id = p.conversation_id and o.seat <> p.seat
             where p.person_id = $1 and p.masked_number_id = $2 and p.left_at is not null
             order by p.joined_at desc, p.conversation_id desc
             limit 1
         )
         for no key update",
        whose.person as _,
        whose.through.id as _,
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// Loads the conversation in which a person last met somebody on a number, if it has ended.
pub async fn past(conn: &mut PgConnection, whose: &Address) -> sqlx::Result<Option<Past>> {
    let row = sqlx::query!(
        r#"select c.id, c.ended_at as "ended_at!: SqlTimestamp", c.end_reason as "end_reason!",
               c.reopen_asked_by as "asked_by: PersonId",
               o.person_id as "other!: PersonId", o.masked_number_id as "other_number!: MaskedNumberId",
               m.number,
               not exists (select from suppression s where s.person_id = o.person_id)
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
