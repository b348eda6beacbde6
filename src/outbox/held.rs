//! Texts that wait for their pictures.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{
    lanes,
    left::{Left, record_all},
};
use crate::{audit::Kind, ids::TextId};

/// Lets a held text go with the pictures that these tokens name, or without any. One that has
/// neither words nor pictures left is dropped.
pub async fn release(
    conn: &mut PgConnection,
    text: TextId,
    tokens: &[String],
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update outbox
         set held = false, is_mms = cardinality($2::text[]) > 0, media = $2
         where id = $1 and held and (body_sealed is not null or cardinality($2::text[]) > 0)",
        text as _,
        tokens,
    )
    .execute(&mut *conn)
    .await?;
    let dropped = sqlx::query_as!(
        Left,
        r#"with dropped as (
               delete from outbox
               where id = $1 and held
               returning id, conversation_id, recipient_id, sent_to, masked_number_id
           )
           select d.id, d.conversation_id, d.recipient_id, d.sent_to, d.masked_number_id,
               m.number as masked_number, $2::timestamptz as "at!"
           from dropped d
           join masked_number m on m.id = d.masked_number_id"#,
        text as _,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    let lanes = dropped.iter().map(Left::lane).collect();
    record_all(conn, dropped, Kind::Dropped, "pictures_refused").await?;
    lanes::wake(conn, lanes, now.to_sqlx()).await
}
