//! An acceptance of a text that has left the outbox already: the carrier may have it twice.

use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::settle::Acceptance;
use crate::{
    audit::{self, Kind, Record},
    clock::SqlTimestamp,
    ids::{ConversationId, PersonId},
};

/// Keeps the carrier's id of a text that was settled before, so that no receipt of it is lost, and
/// records what that means. False when the id is known, or the text was never sent.
pub(super) async fn note(
    conn: &mut PgConnection,
    acceptance: &Acceptance,
    at: SqlTimestamp,
) -> sqlx::Result<bool> {
    let Acceptance { id, carrier_id, tried_at } = acceptance;
    let kept = sqlx::query!(
        r#"with sent as (
               select conversation_id, recipient_id, masked_number
               from audit_record
               where text_id = $1 and kind in ('accepted', 'unknown', 'failed')
                   and not exists (select from outbox where id = $1)
               order by at
               limit 1
           ), kept as (
               insert into carrier_message (carrier_id, direction, noted_at, text_id, delivery,
                   recipient_id, masked_number_id, tried_at)
               select $2, 'outbound', $3, $1, 'sent', s.recipient_id, m.id,
                   coalesce($4, (select min(at) from audit_record where text_id = $1))
               from sent s
               left join masked_number m on m.number = s.masked_number
               on conflict (carrier_id) do nothing
               returning carrier_id
           )
           select s.conversation_id as "conversation: ConversationId",
               s.recipient_id as "recipient: PersonId", s.masked_number,
               exists (select from carrier_message where text_id = $1) as "is_second!"
           from sent s, kept"#,
        *id as _,
        carrier_id,
        at as _,
        tried_at.map(ToSqlx::to_sqlx) as _,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(kept) = kept else { return Ok(false) };
    let kind = if kept.is_second { Kind::AcceptedTwice } else { Kind::Accepted };
    if kept.is_second {
        metrics::counter!("maskline_accepted_twice_total").increment(1);
        tracing::error!(%id, "the carrier accepted a text twice: it was sent again when its answer was lost");
    }
    let record = Record {
        conversation: kept.conversation,
        recipient: kept.recipient,
        masked_number: kept.masked_number.and_then(|number| number.parse().ok()),
        carrier_id: Some(carrier_id.clone()),
        text: Some(*id),
        ..Record::of(kind)
    };
    audit::record(conn, &[record], at.to_jiff()).await?;
    Ok(true)
}
