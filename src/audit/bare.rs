//! Records without a leaf: those that wait for one, and those that should have one.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{finding::Who, pace::Pace, verify::Judge};

/// How many records are looked at together.
const BATCH: u32 = 50_000;

/// What came of a look at the next records.
struct Looked {
    /// The last of them, its time as PostgreSQL writes it: it may be one that no calendar here holds.
    at: Option<String>,
    id: Option<Uuid>,
    count: i64,
    waiting: i64,
    times: Vec<i64>,
    ids: Vec<Uuid>,
}

/// Counts the records without a leaf. One that should have one was added afterwards: its transaction
/// is older than what is sealed, or its time is by more than an hour.
pub(super) async fn find(conn: &mut PgConnection, judge: &mut Judge) -> sqlx::Result<u64> {
    let mut pace = Pace::begin(conn).await?;
    let (mut at, mut id, mut waiting) = ("-infinity".to_owned(), Uuid::nil(), 0);
    loop {
        let batch = pace.batch(BATCH);
        let looked = look(conn, &at, id, batch).await?;
        waiting += looked.waiting.cast_unsigned();
        for (at, id) in looked.times.into_iter().zip(looked.ids) {
            judge.added(Who { at, id });
        }
        match (looked.at, looked.id) {
            (Some(last_at), Some(last_id)) if looked.count == i64::from(batch) => {
                (at, id) = (last_at, last_id);
            }
            _ => return Ok(waiting),
        }
        pace.rest(conn).await?;
    }
}

/// Looks at the next records behind this place, and at the leaves of their times.
async fn look(conn: &mut PgConnection, at: &str, id: Uuid, batch: u32) -> sqlx::Result<Looked> {
    sqlx::query_as!(
        Looked,
        r#"with next as materialized (
               select r.at, r.id, r.xid
               from audit_record r
               where r.at >= $1::text::timestamptz and (r.at, r.id) > ($1::text::timestamptz, $2)
               order by r.at, r.id
               limit $3
           ), leaf as materialized (
               select l.at, l.id
               from audit_leaf l
               where l.at >= (select min(at) from next) and l.at <= (select max(at) from next)
           ), bare as materialized (
               select n.at, n.id,
                   (n.xid is null and s.is_old_done)
                       or coalesce(n.xid::text::bigint < s.watermark, false)
                       or coalesce(n.at < (select at from audit_leaf order by index desc limit 1)
                           - interval '1 hour', false) as is_added
               from next n
               cross join audit_seal s
               where not exists (select from leaf l where l.at = n.at and l.id = n.id)
           ), added as (
               select at, id from bare where is_added order by at, id limit 20
           )
           select (select at::text from next order by at desc, id desc limit 1) as at,
               (select id from next order by at desc, id desc limit 1) as id,
               (select count(*) from next) as "count!",
               (select count(*) from bare where not is_added) as "waiting!",
               array(select (extract(epoch from at) * 1000000)::bigint from added order by at, id)
                   as "times!",
               array(select id from added order by at, id) as "ids!""#,
        at,
        id,
        i64::from(batch),
    )
    .fetch_one(conn)
    .await
}
