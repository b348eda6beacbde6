//! Texts whose recipient has a new phone.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{ConversationId, PersonId};

/// Sends what is queued in these conversations for one phone to another, after all that is promised
/// to that one already; but not what the text of this id, `cause`, promised. What is being sent this
/// moment still goes to the old one.
pub async fn redirect(
    conn: &mut PgConnection,
    from: PersonId,
    to: PersonId,
    conversations: &[ConversationId],
    cause: Option<&str>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = conversations.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "with redirected as (
             delete from outbox
             where recipient_id = $1 and conversation_id = any($3) and state = 'queued'
                 and cause is distinct from $4
             returning *
         )
         insert into outbox (id, kind, despite_optout, conversation_id, recipient_id,
             masked_number_id, cause, body, state, attempt, queued_at, due_at, give_up_at,
             urgent, once, tried_at, first_tried_at, resends, passed_at, is_mms, held,
             media)
         select id, kind, despite_optout, conversation_id, $2,
             masked_number_id, cause, body, state, attempt, queued_at,
             case when due_at = 'infinity' then queued_at else due_at end, give_up_at,
             urgent, once, tried_at, first_tried_at, resends, passed_at, is_mms, held,
             media
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
