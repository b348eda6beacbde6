//! The SQL of pictures that are to go: nobody wants them any more, they are old, or their sender was
//! forgotten.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::ids::MediaId;

/// Settles what no text waits for any more: it was dropped.
pub(super) async fn forget_unwanted(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "update media m
         set state = 'refused', refused = 'not_wanted', source_url_sealed = null, leased_until = null
         where m.state = 'pending' and not exists (select from outbox o where o.id = m.text_id)"
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Pictures that came before this, or whose sender was forgotten, as many as this at most, with their
/// names in the storage. Those of a text that has not left are left: without them nothing would ever let
/// it go. So are those that a legal hold covers, and those that somebody fetches this moment.
pub(super) async fn find(
    conn: &mut PgConnection,
    before: Timestamp,
    count: i64,
    now: Timestamp,
) -> sqlx::Result<Vec<(MediaId, String)>> {
    let rows = sqlx::query!(
        "select m.id, m.storage_key
         from media m
         where (m.created_at < $1 or m.is_erased)
             and (not m.is_erased or m.leased_until is null or m.leased_until < $3)
             and not exists (
                 select from outbox o
                 where o.id = m.text_id and (o.held or not m.is_erased)
             )
             and not exists (
                 select from legal_hold h
                 where h.released_at is null
                     and (h.person_id is null or h.person_id = m.sender_id or exists (
                         select from participant p
                         where p.conversation_id = m.conversation_id
                             and p.person_id = h.person_id
                     ))
                     and (h.conversation_id is null or h.conversation_id = m.conversation_id)
                     and (h.masked_number is null or exists (
                         select from participant p
                         join masked_number n on n.id = p.masked_number_id
                         where p.conversation_id = m.conversation_id
                             and n.number = h.masked_number
                     ))
                     and (h.from_at is null or m.created_at >= h.from_at)
                     and (h.until_at is null or m.created_at < h.until_at)
             )
         order by m.created_at
         limit $2",
        before.to_sqlx() as _,
        count,
        now.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.storage_key)).collect())
}

/// Forgets a picture whose file is gone.
pub(super) async fn forget(conn: &mut PgConnection, picture: MediaId) -> sqlx::Result<()> {
    sqlx::query!("delete from media where id = $1", picture as _).execute(conn).await?;
    Ok(())
}
