//! The SQL of conversations: lock, load, and apply what was decided.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{Address, Conversation, EndReason, State, decide::Fresh};
use crate::{
    clock::SqlTimestamp,
    code::Code,
    ids::{ConversationId, PersonId},
    phone::PhoneNumber,
    pool::MaskedNumber,
};

/// Locks until commit the open conversations of a person, and the one that a code names.
///
/// Always in the order of their ids, so that two texts never wait for each other. What is loaded
/// before the lock is held may be stale, so loading is a statement of its own.
pub async fn lock(
    conn: &mut PgConnection,
    person: PersonId,
    code: Option<&Code>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "select id
         from conversation
         where id in (
             select conversation_id from participant where person_id = $1 and left_at is null
             union all
             select id from conversation where code = $2 and state <> 'ended'
         )
         order by id
         for no key update",
        person as _,
        code.map(Code::as_str),
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Loads the open conversations of a person, and the one that a code names.
pub async fn load(
    conn: &mut PgConnection,
    person: PersonId,
    code: Option<&Code>,
) -> sqlx::Result<Vec<Conversation>> {
    let rows = sqlx::query!(
        r#"select c.id, c.code, c.state, c.code_expires_at,
               p.person_id, p.masked_number_id, m.number
           from conversation c
           join participant p on p.conversation_id = c.id
           join masked_number m on m.id = p.masked_number_id
           where c.state <> 'ended' and c.id in (
               select conversation_id from participant where person_id = $1 and left_at is null
               union all
               select id from conversation where code = $2 and state <> 'ended'
           )
           order by c.id, p.seat"#,
        person as _,
        code.map(Code::as_str),
    )
    .fetch_all(conn)
    .await?;
    let mut loaded: Vec<Conversation> = Vec::new();
    for row in rows {
        let participant = Address {
            person: row.person_id,
            through: MaskedNumber {
                id: row.masked_number_id,
                number: read::<PhoneNumber>(&row.number)?,
            },
        };
        match loaded.last_mut().filter(|last| last.id == row.id) {
            Some(last) => last.participants.push(participant),
            None => loaded.push(Conversation {
                id: row.id,
                code: read::<Code>(&row.code)?,
                state: state(&row.state, row.code_expires_at),
                participants: vec![participant],
            }),
        }
    }
    Ok(loaded)
}

fn state(name: &str, expires_at: SqlTimestamp) -> State {
    match name {
        "active" => State::Active,
        _ => State::Waiting { expires_at: expires_at.to_jiff() },
    }
}

/// Reads what a check constraint has already approved.
fn read<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    stored: &str,
) -> sqlx::Result<T> {
    stored.parse().map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

/// Opens a conversation unless its code is taken; the unique index decides.
#[must_use = "false means that the code is taken, and another must be drawn"]
pub async fn open(
    conn: &mut PgConnection,
    fresh: &Fresh,
    expires_at: Timestamp,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let opened = sqlx::query!(
        "insert into conversation (id, code, code_expires_at, state, opened_at)
         values ($1, $2, $3, 'waiting', $4)
         on conflict (code) where state <> 'ended' do nothing",
        fresh.id as _,
        fresh.code.as_str(),
        expires_at.to_sqlx() as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(opened.rows_affected() == 1)
}

/// Makes a waiting conversation active.
pub async fn activate(conn: &mut PgConnection, id: ConversationId) -> sqlx::Result<()> {
    sqlx::query!("update conversation set state = 'active' where id = $1", id as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a person a seat: 1 for who opened the conversation, 2 for who joined it.
pub async fn seat(
    conn: &mut PgConnection,
    id: ConversationId,
    seat: i16,
    whose: &Address,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into participant (conversation_id, seat, person_id, masked_number_id, joined_at)
         values ($1, $2, $3, $4, $5)",
        id as _,
        seat,
        whose.person as _,
        whose.through.id as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a conversation for everybody in it.
pub async fn end(
    conn: &mut PgConnection,
    id: ConversationId,
    reason: EndReason,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with ended as (
             update conversation
             set state = 'ended', ended_at = $2, end_reason = $3
             where id = $1
         )
         update participant
         set left_at = $2
         where conversation_id = $1",
        id as _,
        now.to_sqlx() as _,
        reason.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
