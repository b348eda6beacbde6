//! Tasks as staff see them: all of them, or the part of a list that is shown.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    clock::SqlTimestamp,
    ids::{ConversationId, PersonId, TaskId},
};

/// A task as staff see it. People stand in it by their ids.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: TaskId,
    /// Why staff are called.
    pub kind: String,
    /// Whom it is about.
    pub person: Option<PersonId>,
    /// Which conversation it is about.
    pub conversation: Option<ConversationId>,
    /// Which masked number it is about.
    pub masked_number: Option<String>,
    /// The carrier's id of the text that raised it.
    pub carrier_id: Option<String>,
    /// How many records of the trail are kept with it.
    pub transcript_records: i32,
    /// More about it.
    pub detail: Option<String>,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// Until when it must be looked at.
    pub due_at: Timestamp,
    /// Whether that is over, and it is still open.
    pub overdue: bool,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// What came of it.
    pub outcome: Option<String>,
}

/// Lists the open tasks, those due first in front, and with `all` the closed ones behind them.
pub async fn list(conn: &mut PgConnection, all: bool, now: Timestamp) -> sqlx::Result<Vec<Listed>> {
    read(conn, all, None, now).await
}

/// Lists these, in the same order.
pub async fn some(
    conn: &mut PgConnection,
    ids: &[TaskId],
    now: Timestamp,
) -> sqlx::Result<Vec<Listed>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    read(conn, true, Some(&ids), now).await
}

async fn read(
    conn: &mut PgConnection,
    all: bool,
    among: Option<&[Uuid]>,
    now: Timestamp,
) -> sqlx::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"select t.id, t.kind, t.person_id, t.conversation_id, m.number as "number?", t.carrier_id,
               cardinality(t.transcript) as "records!", t.detail, t.raised_at, t.due_at,
               t.closed_at, t.outcome
           from task t
           left join masked_number m on m.id = t.masked_number_id
           where (t.closed_at is null or $1) and ($2::uuid[] is null or t.id = any($2))
           order by t.closed_at desc nulls first, t.due_at, t.id"#,
        all,
        among,
    )
    .fetch_all(conn)
    .await?;
    let listed = rows.into_iter().map(|row| {
        let (due_at, closed_at) = (row.due_at.to_jiff(), row.closed_at.map(SqlTimestamp::to_jiff));
        Listed {
            id: row.id,
            kind: row.kind,
            person: row.person_id,
            conversation: row.conversation_id,
            masked_number: row.number,
            carrier_id: row.carrier_id,
            transcript_records: row.records,
            detail: row.detail,
            raised_at: row.raised_at.to_jiff(),
            due_at,
            overdue: closed_at.is_none() && due_at < now,
            closed_at,
            outcome: row.outcome,
        }
    });
    Ok(listed.collect())
}

/// The open tasks by when they are due, those due first in front; or the closed ones by when they were
/// closed, the last in front.
pub async fn places(
    conn: &mut PgConnection,
    is_closed: bool,
) -> sqlx::Result<Vec<(Timestamp, TaskId)>> {
    let rows = sqlx::query!(
        r#"select id as "id: TaskId", coalesce(closed_at, due_at) as "at!"
           from task
           where (closed_at is not null) = $1
           order by closed_at desc, due_at, id"#,
        is_closed,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.at.to_jiff(), row.id)).collect())
}
