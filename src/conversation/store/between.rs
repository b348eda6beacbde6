//! The SQL of what people do about each other, and about their phones: BLOCK and MOVE.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    code::Code,
    ids::{ConversationId, PersonId},
};

/// Keeps two people apart for ever.
pub async fn block(
    conn: &mut PgConnection,
    person: PersonId,
    other: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into block (person_id, other_id, since)
         values ($1, $2, $3)
         on conflict (person_id, other_id) do nothing",
        person as _,
        other as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives a person a MOVE code, in the place of one that they had; false when it is taken.
#[must_use = "false means that the code is taken, and another must be drawn"]
pub async fn offer_move(
    conn: &mut PgConnection,
    person: PersonId,
    code: &Code,
    expires_at: Timestamp,
) -> sqlx::Result<bool> {
    let offered = sqlx::query!(
        "insert into move_code (person_id, code, expires_at)
         select $1, $2, $3
         where not exists (select from move_code where code = $2)
         on conflict (person_id) do update
         set code = excluded.code, expires_at = excluded.expires_at",
        person as _,
        code.as_str(),
        expires_at.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(offered.rows_affected() == 1)
}

/// Takes back the MOVE code of somebody who is forgotten.
pub async fn forget_offer(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<()> {
    sqlx::query!("delete from move_code where person_id = $1", person as _).execute(conn).await?;
    Ok(())
}

/// Seats one phone where another sat. The code is used up, and whom the old phone must not meet the
/// new one must not meet either.
pub async fn move_to(
    conn: &mut PgConnection,
    from: PersonId,
    to: PersonId,
    conversations: &[ConversationId],
    now: Timestamp,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = conversations.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "with used as (
             delete from move_code where person_id = $1
         ), seated as (
             update participant
             set person_id = $2
             where person_id = $1 and conversation_id = any($3) and left_at is null
         )
         insert into block (person_id, other_id, since)
         select $2, other, $4
         from (
             select other_id as other from block where person_id = $1
             union
             select person_id from block where other_id = $1
         ) blocked
         where other <> $2
         on conflict (person_id, other_id) do nothing",
        from as _,
        to as _,
        &ids,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
