//! What stands in the outbox, for the worker's first glance and for the metrics.

use jiff::Timestamp;
use sqlx::PgConnection;

use crate::clock::SqlTimestamp;

/// Whether there is nothing to claim and nothing to mend: nothing but what is parked, or waits for
/// pictures.
///
/// Each part is the first entry of an index. A plain `exists` would pass over the rows of all that
/// have left.
pub(super) async fn is_idle(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select (select min(leased_until) from outbox where state = 'sending') is null
               and (
                   select min(unknown_since) from outbox
                   where state = 'unknown' and passed_at is null
               ) is null
               and not exists (
                   select
                   from (values (false), (true)) as wanted (is_mms)
                   cross join (values (false), (true)) as turn (urgent)
                   cross join lateral (
                       select
                       from outbox o
                       where o.state = 'queued' and not o.held and o.is_mms = wanted.is_mms
                           and o.urgent = turn.urgent
                       order by o.due_at
                       limit 1
                   ) first
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
