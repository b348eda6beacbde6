//! How much an export would hold, for whoever decides on it.

use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::keep_to_indexes;
use crate::{
    audit::{pace::Pace, search, search::Query},
    ids::ConversationId,
    vault::Vault,
};

/// How many conversations are counted at once.
const CHUNK: u32 = 200;

/// How much there is, as far as it was counted: with one more than the bound, it is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many conversations.
    pub conversations: i64,
    /// How many records of theirs.
    pub records: i64,
}

/// Counts what [`write`](super::write) would write, no further than to one more than this bound. Call it
/// within a transaction, which changes nothing.
///
/// # Errors
/// The database's.
pub async fn count(
    conn: &mut PgConnection,
    vault: &Vault,
    query: &Query,
    bound: u32,
) -> sqlx::Result<Count> {
    let (more, enough) = (i64::from(bound) + 1, bound as usize + 1);
    let (ids, alone) = search::some(conn, vault, query, enough).await?;
    if ids.len() >= enough {
        // Each has a record.
        return Ok(Count { conversations: more, records: more });
    }
    if ids.len() + alone.len() >= enough {
        // Of how many conversations, nobody knows: not all were met.
        return Ok(Count { conversations: 0, records: more });
    }
    let conversations = i64::try_from(ids.len()).unwrap_or(more);
    keep_to_indexes(conn).await?;
    let (mut left, mut pace) = (&*ids, Pace::begin(conn).await?);
    let alone = search::with_fates(conn, query, &alone).await?.len();
    let mut records = i64::try_from(alone).unwrap_or(more).min(more);
    while !left.is_empty() && records < more {
        let (some, rest) = left.split_at(left.len().min(pace.batch(CHUNK) as usize));
        records += of(conn, query, some, more - records).await?;
        pace.rest(conn).await?;
        left = rest;
    }
    Ok(Count { conversations, records })
}

/// How many records an export would hold of these conversations, no more than so many.
async fn of(
    conn: &mut PgConnection,
    query: &Query,
    ids: &[ConversationId],
    limit: i64,
) -> sqlx::Result<i64> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let (from, until) = query.times();
    sqlx::query_scalar!(
        r#"with text as materialized (
               select distinct r.conversation_id, r.text_id
               from audit_record r
               where r.conversation_id = any($1) and r.text_id is not null
                   and r.at < coalesce($4::timestamptz, 'infinity')
               limit $5
           ), entry as (
               select r.at, r.id
               from audit_record r
               where r.conversation_id = any($1)
                   and r.at >= coalesce($3::timestamptz, '-infinity')
                   and r.at < coalesce($4::timestamptz, 'infinity')
               union all
               select r.at, r.id
               from text t
               join audit_record r on r.text_id = t.text_id and r.conversation_id is null
                   and r.at >= coalesce($3::timestamptz, '-infinity')
                   and r.at < coalesce($4::timestamptz, 'infinity')
           ), counted as (
               select
               from entry e
               join audit_leaf l on l.at = e.at and l.id = e.id and l.index < $2
               limit $5
           )
           select count(*) as "count!" from counted"#,
        &ids,
        query.covered.unwrap_or(i64::MAX),
        from.map(ToSqlx::to_sqlx) as _,
        until.map(ToSqlx::to_sqlx) as _,
        limit,
    )
    .fetch_one(conn)
    .await
}
