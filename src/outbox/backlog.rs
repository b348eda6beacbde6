//! What stands in the outbox, for the worker's first glance and for the metrics.

use jiff::Timestamp;
use sqlx::PgConnection;

use crate::clock::SqlTimestamp;

/// Whether there is nothing but what is parked, so that there is nothing to claim or to mend.
pub(super) async fn is_idle(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select not exists (
               select from outbox where state <> 'unknown' or passed_at is null
           ) as "idle!""#
    )
    .fetch_one(conn)
    .await
}

/// How many lanes have a text that waits.
pub async fn waiting_lanes(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(distinct (recipient_id, lane)) as "count!"
           from outbox
           where state = 'queued'"#
    )
    .fetch_one(conn)
    .await
}

/// How many texts stand in the outbox in each state, and since when the oldest has waited.
pub async fn states(
    conn: &mut PgConnection,
) -> sqlx::Result<Vec<(String, i64, Option<Timestamp>)>> {
    let rows = sqlx::query!(
        r#"select state, count(*) as "count!", min(queued_at) as "oldest: SqlTimestamp"
           from outbox
           group by state"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.state, row.count, row.oldest.map(SqlTimestamp::to_jiff)))
        .collect())
}
