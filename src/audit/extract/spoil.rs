//! Exports that were made for staff before somebody was forgotten.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

/// Said of one that is gone for that.
const WHY: &str =
    "Somebody was forgotten after it was written, and it may hold their words. Ask anew.";

/// Destroys the keys of all files of exports: any may hold the words of whoever is forgotten now. Those
/// that are being written are begun anew. Returns how many were there to be downloaded.
pub async fn spoil(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"with spoilt as (
               update export_job
               set state = case when state = 'done' then 'expired' else 'waiting' end,
                   problem = case when state = 'done' then $2 end,
                   ended_at = case when state = 'done' then $1::timestamptz end,
                   key_sealed = null, leased_until = null
               where state in ('done', 'running')
               returning state
           )
           select count(*) as "count!" from spoilt where state = 'expired'"#,
        now.to_sqlx() as _,
        WHY,
    )
    .fetch_one(conn)
    .await
}
