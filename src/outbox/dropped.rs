//! Texts that never leave: their recipient opted out first.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::queue::{Left, record_all};
use crate::{audit::Kind, ids::PersonId};

/// Drops what is queued for somebody who has just opted out.
///
/// What is being sent this moment can no longer be held back.
pub async fn drop_queued(
    conn: &mut PgConnection,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    let dropped = sqlx::query_as!(
        Left,
        "with dropped as (
             delete from outbox
             where recipient_id = $1 and state = 'queued'
             returning id, conversation_id, recipient_id, masked_number_id
         )
         select d.id, d.conversation_id, d.recipient_id, m.number as masked_number
         from dropped d
         join masked_number m on m.id = d.masked_number_id",
        person as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    record_all(conn, dropped, Kind::Dropped, "opted_out", now).await
}

/// Drops what waits for somebody who opted out, however that came about.
pub(super) async fn drop_suppressed(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<()> {
    let dropped = sqlx::query_as!(
        Left,
        "with due as (
             select o.id
             from outbox o
             join suppression s on s.person_id = o.recipient_id
             where o.state = 'queued' and not o.despite_optout
             for update of o skip locked
         ), dropped as (
             delete from outbox o
             using due
             where o.id = due.id
             returning o.id, o.conversation_id, o.recipient_id, o.masked_number_id
         )
         select d.id, d.conversation_id, d.recipient_id, m.number as masked_number
         from dropped d
         join masked_number m on m.id = d.masked_number_id"
    )
    .fetch_all(&mut *conn)
    .await?;
    record_all(conn, dropped, Kind::Dropped, "opted_out", now).await
}
