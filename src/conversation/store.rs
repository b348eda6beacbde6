//! The SQL of conversations: lock, then load. What was decided is applied by `write`.

mod between;
mod guesses;
mod past;
mod write;

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::{between::*, guesses::*, past::*, write::*};
use super::{Address, Conversation, State};
use crate::{
    clock::SqlTimestamp,
    code::Code,
    ids::{ConversationId, MaskedNumberId, PersonId},
    phone::PhoneNumber,
    pool::MaskedNumber,
};

/// Which open conversations a text may concern, beside the sender's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Named<'a> {
    /// The one that waits with this code. One that is used is like one that never was.
    pub by_code: Option<&'a Code>,
    /// All of the person who got this MOVE code.
    pub by_move_code: Option<&'a Code>,
}

/// Locks until commit the open conversations of a person, and those that a code names; returns
/// their ids.
///
/// Always in the order of their ids, so that two texts never wait for each other. What is loaded
/// before the lock is held may be stale, so loading is a statement of its own.
///
/// The ids are an array, not a semi-join: after a wait PostgreSQL asks again whether the row is
/// meant, and behind some plans of a semi-join it then forgets all rows but the first.
pub async fn lock(
    conn: &mut PgConnection,
    person: PersonId,
    named: Named<'_>,
) -> sqlx::Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        "select id
         from conversation
         where id = any(array(
             select conversation_id from participant where person_id = $1 and left_at is null
             union all
             select id from conversation where code = $2 and state = 'waiting'
             union all
             select p.conversation_id
             from move_code m
             join participant p on p.person_id = m.person_id and p.left_at is null
             where m.code = $3
         ))
         order by id
         for no key update",
        person as _,
        named.by_code.map(Code::as_str),
        named.by_move_code.map(Code::as_str),
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(ConversationId::uuid).collect())
}

/// Loads those of these conversations that are open.
pub async fn open_among(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Conversation>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"select c.id, c.code, c.state, c.code_expires_at, c.opened_at, c.last_talk_at,
               c.silence_seconds, c.warned_at, c.ends_at,
               p.person_id, p.masked_number_id, m.number
           from conversation c
           join participant p on p.conversation_id = c.id
           join masked_number m on m.id = p.masked_number_id
           where c.state <> 'ended' and c.id = any($1)
           order by c.id, p.seat"#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut loaded: Vec<Conversation> = Vec::new();
    for row in rows {
        let participant = address(row.person_id, row.masked_number_id, &row.number)?;
        match loaded.last_mut().filter(|last| last.id == row.id) {
            Some(last) => last.participants.push(participant),
            None => loaded.push(Conversation {
                id: row.id,
                code: read::<Code>(&row.code)?,
                state: match row.state.as_str() {
                    "active" => State::Active {
                        last_talk_at: row.last_talk_at.unwrap_or(row.opened_at).to_jiff(),
                        silence: SignedDuration::from_secs(row.silence_seconds.into()),
                        warned_at: row.warned_at.map(SqlTimestamp::to_jiff),
                        ends_at: row.ends_at.to_jiff(),
                    },
                    _ => State::Waiting { expires_at: row.code_expires_at.to_jiff() },
                },
                participants: vec![participant],
            }),
        }
    }
    Ok(loaded)
}

/// Locks conversations that are due, as many as this at most, and leaves those that somebody else
/// holds.
pub async fn lock_due(
    conn: &mut PgConnection,
    count: i64,
    now: Timestamp,
) -> sqlx::Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        "select id
         from conversation
         where state <> 'ended' and next_look_at <= $1
         order by next_look_at
         limit $2
         for no key update skip locked",
        now.to_sqlx() as _,
        count,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(ConversationId::uuid).collect())
}

/// Locks open conversations of which the carrier connects a participant no more.
pub async fn lock_carrier_blocked(conn: &mut PgConnection, count: i64) -> sqlx::Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        "select c.id
         from carrier_block b
         join participant p on p.person_id = b.person_id
             and p.masked_number_id = b.masked_number_id and p.left_at is null
         join conversation c on c.id = p.conversation_id
         where not b.settled
         order by c.id
         limit $1
         for no key update of c skip locked",
        count,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(ConversationId::uuid).collect())
}

/// The people whom a person has blocked, or who have blocked them.
pub async fn unwanted(
    conn: &mut PgConnection,
    person: PersonId,
) -> sqlx::Result<HashSet<PersonId>> {
    let people = sqlx::query_scalar!(
        r#"select other_id as "id!: PersonId" from block where person_id = $1
           union
           select person_id from block where other_id = $1"#,
        person as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(people.into_iter().collect())
}

fn address(person: PersonId, number_id: MaskedNumberId, number: &str) -> sqlx::Result<Address> {
    let number = read::<PhoneNumber>(number)?;
    Ok(Address { person, through: MaskedNumber { id: number_id, number } })
}

/// Reads what a check constraint has already approved.
fn read<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    stored: &str,
) -> sqlx::Result<T> {
    stored.parse().map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}
