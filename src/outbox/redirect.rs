//! Texts whose recipient has a new phone.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{ConversationId, PersonId};

/// Sends what is promised in these conversations to one phone to another, after all that is promised
/// to that one already; but not what the text of this id, `cause`, promised.
///
/// What is being sent this moment, or may have been, was for the old one. It stands in the new one's
/// lane from now on, in its order, and goes there if it is tried again.
pub async fn redirect(
    conn: &mut PgConnection,
    from: PersonId,
    to: PersonId,
    conversations: &[ConversationId],
    cause: Option<&str>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = conversations.iter().map(|id| id.uuid()).collect();
    // First held, so that none is claimed between the two statements that follow.
    sqlx::query!(
        "select id
         from outbox
         where recipient_id = $1 and conversation_id = any($2) and cause is distinct from $3
         order by id
         for update",
        from as _,
        &ids,
        cause,
    )
    .fetch_all(&mut *conn)
    .await?;
    // In place: whoever settles one of these waits for this row, and must find it.
    sqlx::query!(
        "update outbox
         set recipient_id = $2, sent_to = coalesce(sent_to, recipient_id), seq = default
         where recipient_id = $1 and conversation_id = any($3) and state <> 'queued'
             and cause is distinct from $4",
        from as _,
        to as _,
        &ids,
        cause,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "with redirected as (
             delete from outbox
             where recipient_id = $1 and conversation_id = any($3) and state = 'queued'
                 and cause is distinct from $4
             returning *
         )
         insert into outbox (id, kind, despite_optout, conversation_id, recipient_id,
             masked_number_id, cause, body_sealed, author_id, state, attempt, queued_at, due_at,
             give_up_at,
             urgent, once, tried_at, first_tried_at, resends, passed_at, is_mms, held,
             media, traceparent)
         select id, kind, despite_optout, conversation_id, $2,
             masked_number_id, cause, body_sealed, author_id, state, attempt, queued_at,
             case when due_at = 'infinity' then queued_at else due_at end, give_up_at,
             urgent, once, tried_at, first_tried_at, resends, passed_at, is_mms, held,
             media, traceparent
         from redirected
         order by seq",
        from as _,
        to as _,
        &ids,
        cause,
    )
    .execute(conn)
    .await?;
    Ok(())
}
