//! Reads the pool as it stands for one person.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{
    MaskedNumber,
    choose::{Candidate, Met, Near},
};
use crate::{
    clock::SqlTimestamp,
    config::PoolSettings,
    ids::{MaskedNumberId, PersonId},
    phone::PhoneNumber,
};

/// Loads every number of the pool as it stands for a person, or `only` that one, oldest first.
///
/// Nothing is locked: two people who are seated at the same moment may both get the last place.
pub async fn candidates(
    conn: &mut PgConnection,
    person: PersonId,
    phone: &PhoneNumber,
    only: Option<MaskedNumberId>,
    settings: &PoolSettings,
    now: Timestamp,
) -> sqlx::Result<Vec<Candidate>> {
    // A full number is not counted on: the limit inside keeps the count as short as the capacity.
    let rows = sqlx::query!(
        r#"with mine as (
               select conversation_id, masked_number_id, left_at
               from participant
               where person_id = $1 and ($2::uuid is null or masked_number_id = $2)
           ),
           stays as (
               select masked_number_id, bool_or(left_at is null) as taken,
                   max(left_at) as last_ended
               from mine
               group by masked_number_id
           ),
           met as (
               select mine.masked_number_id, other.person_id,
                   max(coalesce(mine.left_at, $3)) as last
               from mine
               join participant other on other.conversation_id = mine.conversation_id
               where other.person_id <> $1
               group by mine.masked_number_id, other.person_id
           ),
           meetings as (
               select masked_number_id,
                   array_agg(person_id order by last desc, person_id) as who,
                   array_agg(last order by last desc, person_id) as last
               from met
               group by masked_number_id
           )
           select m.id, m.number, m.added_at,
               m.state = 'in_service' as "in_service!",
               (select count(*) from (
                   select from participant p
                   where p.masked_number_id = m.id and p.left_at is null
                   limit $4
               ) as open) as "load!",
               exists (
                   select from carrier_block b
                   where b.person_id = $1 and b.masked_number_id = m.id
               ) as "carrier_blocked!",
               coalesce(stays.taken, false) as "taken!",
               stays.last_ended as "last_ended: SqlTimestamp",
               coalesce(meetings.who, '{}') as "met!: Vec<PersonId>",
               coalesce(meetings.last, '{}') as "met_last!: Vec<SqlTimestamp>"
           from masked_number m
           left join stays on stays.masked_number_id = m.id
           left join meetings on meetings.masked_number_id = m.id
           where $2::uuid is null or m.id = $2
           order by m.added_at, m.id"#,
        person as _,
        only as _,
        now.to_sqlx() as _,
        i64::from(settings.capacity),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let number = super::read_number(&row.number)?;
            let met = row.met.into_iter().zip(row.met_last);
            Ok(Candidate {
                near: Near::of(&number, phone),
                number: MaskedNumber { id: row.id, number },
                added_at: row.added_at.to_jiff(),
                in_service: row.in_service,
                load: u32::try_from(row.load).unwrap_or(u32::MAX),
                carrier_blocked: row.carrier_blocked,
                taken: row.taken,
                last_ended: row.last_ended.map(SqlTimestamp::to_jiff),
                met: met.map(|(who, last)| Met { who, last: last.to_jiff() }).collect(),
            })
        })
        .collect()
}
