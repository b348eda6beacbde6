//! How many exports stand where, for whoever watches over Maskline.

use jiff::Timestamp;
use sqlx::PgConnection;

use crate::clock::SqlTimestamp;

/// Where an export can wait for somebody or something.
pub const WAITING: [&str; 3] = ["asked", "waiting", "running"];

/// How many exports are in each state, and since when the oldest of them is asked for.
///
/// # Errors
/// The database's.
pub async fn states(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, i64, Timestamp)>> {
    let rows = sqlx::query!(
        r#"select state, count(*) as "count!",
               min(coalesce(decided_at, asked_at)) as "oldest!: SqlTimestamp"
           from export_job
           where state in ('asked', 'waiting', 'running') and lapsed_at is null
           group by state"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.count, row.oldest.to_jiff())).collect())
}
