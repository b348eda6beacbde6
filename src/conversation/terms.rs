//! When a conversation ends by itself, as staff see and change it.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    clock::SqlTimestamp,
    ids::{ConversationId, PersonId},
};

/// An open conversation as staff see it.
#[derive(Debug, Serialize)]
pub struct Open {
    /// Its id.
    pub id: ConversationId,
    /// `waiting` or `active`.
    pub state: String,
    /// Who is in it.
    pub people: Vec<PersonId>,
    /// The masked numbers through which they are reached, in the same order.
    pub masked_numbers: Vec<String>,
    /// When something was last said in it.
    pub last_talk_at: Option<Timestamp>,
    /// When it ends unless something is said before; a waiting one ends with its code.
    pub ends_by_silence_at: Timestamp,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
}

/// What is to change about the terms of a conversation; what is none stays as it is.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// After how long a silence it ends; two hours at least.
    pub silence: Option<SignedDuration>,
    /// When it ends at the latest.
    pub ends_at: Option<Timestamp>,
}

/// Lists the open conversations, oldest first.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Open>> {
    let rows = sqlx::query!(
        r#"select c.id, c.state, c.last_talk_at, c.ends_at,
               array_agg(p.person_id order by p.seat) as "people!: Vec<PersonId>",
               array_agg(m.number order by p.seat) as "numbers!",
               case c.state
                   when 'waiting' then c.code_expires_at
                   else coalesce(c.last_talk_at, max(p.joined_at))
                       + make_interval(secs => c.silence_seconds)
               end as "ends_by_silence_at!"
           from conversation c
           join participant p on p.conversation_id = c.id
           join masked_number m on m.id = p.masked_number_id
           where c.state <> 'ended'
           group by c.id
           order by c.id"#
    )
    .fetch_all(conn)
    .await?;
    let open = rows.into_iter().map(|row| Open {
        id: row.id,
        state: row.state,
        people: row.people,
        masked_numbers: row.numbers,
        last_talk_at: row.last_talk_at.map(SqlTimestamp::to_jiff),
        ends_by_silence_at: row.ends_by_silence_at.to_jiff(),
        ends_at: row.ends_at.to_jiff(),
    });
    Ok(open.collect())
}

/// Gives an open conversation terms of its own, and has the sweeper look at it at once; false when
/// it is not open. Whoever was warned of its end is warned again before the new one.
pub async fn change(
    conn: &mut PgConnection,
    id: ConversationId,
    change: Change,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let seconds =
        change.silence.map(|silence| i32::try_from(silence.as_secs()).unwrap_or(i32::MAX));
    let ends_at: Option<SqlTimestamp> = change.ends_at.map(ToSqlx::to_sqlx);
    let changed = sqlx::query!(
        "update conversation
         set silence_seconds = coalesce($2, silence_seconds),
             ends_at = coalesce($3, ends_at),
             warned_at = null,
             next_look_at = $4
         where id = $1 and state <> 'ended'",
        id as _,
        seconds,
        ends_at as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(changed.rows_affected() == 1)
}
