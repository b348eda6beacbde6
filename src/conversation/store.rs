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

/// Locks until commit the open conversations of a person; returns their ids.
///
/// Always in the order of their ids, so that two texts never wait for each other. What is loaded
/// before the lock is held may be stale, so loading is a statement of its own.
///
/// The ids are an array, not a semi-join: after a wait PostgreSQL asks again whether the row is
/// meant, and behind some plans of a semi-join it then forgets all rows but the first.
pub async fn lock(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        "select id
         from conversation
         where id = any(array(
             select conversation_id from participant where person_id = $1 and left_at is null
         ))
         order by id
         for no key update",
        person as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(ConversationId::uuid).collect())
}

/// A participant of an open conversation, with all of that conversation.
#[derive(Debug)]
pub struct Seat {
    /// The conversation.
    pub id: ConversationId,
    /// Its code.
    pub code: String,
    /// Where it stands.
    pub state: String,
    /// When the code stops working.
    pub code_expires_at: SqlTimestamp,
    /// When it was opened.
    pub opened_at: SqlTimestamp,
    /// When it was last talked in.
    pub last_talk_at: Option<SqlTimestamp>,
    /// How long a silence it outlives.
    pub silence_seconds: i32,
    /// When the participants were told that it would end.
    pub warned_at: Option<SqlTimestamp>,
    /// When it ends at the latest.
    pub ends_at: SqlTimestamp,
    /// The participant.
    pub person_id: PersonId,
    /// Through which number.
    pub masked_number_id: MaskedNumberId,
    /// That number.
    pub number: String,
}

impl Seat {
    /// Adds it to its conversation, which is the last one or a new one.
    ///
    /// # Errors
    /// When the database holds what no constraint of ours lets in.
    pub fn push_to(self, conversations: &mut Vec<Conversation>) -> sqlx::Result<()> {
        let participant = address(self.person_id, self.masked_number_id, &self.number)?;
        if let Some(last) = conversations.last_mut().filter(|last| last.id == self.id) {
            last.participants.push(participant);
            return Ok(());
        }
        conversations.push(Conversation {
            id: self.id,
            code: read::<Code>(&self.code)?,
            state: match self.state.as_str() {
                "active" => State::Active {
                    last_talk_at: self.last_talk_at.unwrap_or(self.opened_at).to_jiff(),
                    silence: SignedDuration::from_secs(self.silence_seconds.into()),
                    warned_at: self.warned_at.map(SqlTimestamp::to_jiff),
                    ends_at: self.ends_at.to_jiff(),
                },
                _ => State::Waiting { expires_at: self.code_expires_at.to_jiff() },
            },
            participants: vec![participant],
        });
        Ok(())
    }
}

/// Loads those of these conversations that are open.
pub async fn open_among(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Conversation>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let seats = sqlx::query_as!(
        Seat,
        "select c.id, c.code, c.state, c.code_expires_at, c.opened_at, c.last_talk_at,
             c.silence_seconds, c.warned_at, c.ends_at,
             p.person_id, p.masked_number_id, m.number
         from conversation c
         join participant p on p.conversation_id = c.id
         join masked_number m on m.id = p.masked_number_id
         where c.state <> 'ended' and c.id = any($1)
         order by c.id, p.seat",
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut loaded: Vec<Conversation> = Vec::new();
    for seat in seats {
        seat.push_to(&mut loaded)?;
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
