//! How far the sealing is behind, for whoever watches.

use sqlx::PgConnection;

use crate::clock::SqlTimestamp;

/// How far the sealing is behind.
#[derive(Debug, Clone, Copy)]
pub struct Behind {
    /// How many records are not sealed, of at most a hundred thousand.
    pub records: i64,
    /// For how many seconds the oldest of them has waited.
    pub seconds: f64,
    /// For how many seconds what is sealed has waited for a checkpoint.
    pub unsigned_seconds: f64,
    /// Since when the signer refuses, because the trail is not what was signed before.
    pub refused_since: Option<SqlTimestamp>,
}

/// Looks how far the sealing is behind, without looking at everything.
///
/// # Errors
/// The database's.
pub async fn behind(conn: &mut PgConnection) -> sqlx::Result<Behind> {
    // What lies beyond this server's transactions was restored from another's, and is sealed first.
    sqlx::query_as!(
        Behind,
        r#"select waiting.count as "records!",
               coalesce(greatest(extract(epoch from clock_timestamp() - waiting.since), 0), 0)::float8
                   as "seconds!",
               coalesce(extract(epoch from clock_timestamp() - s.unsigned_since), 0)::float8
                   as "unsigned_seconds!",
               s.refused_since
           from audit_seal s
           cross join lateral (
               select count(*) as count, min(bare.at) as since
               from (
                   select r.at
                   from audit_record r
                   where (r.xid::text::bigint) >= s.watermark
                       and (r.xid::text::bigint)
                           < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                       and not exists (
                           select from audit_leaf l where l.at = r.at and l.id = r.id
                       )
                   limit 100000
               ) bare
           ) waiting"#
    )
    .fetch_one(conn)
    .await
}
