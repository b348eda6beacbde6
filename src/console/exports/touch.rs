//! How much an export would touch that waits for an approver: counted behind their back, up to a bound.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::store::{self, Job};
use crate::{
    app::App,
    audit::extract::{self, Count},
    console::{say, search},
    database,
    ids::ExportId,
};

/// How far is counted. Beyond this it makes no difference to whoever decides.
const BOUND: u32 = 10_000;

/// Counts how much the next export would touch that waits uncounted; false where there is none, or where
/// another process counts one.
pub(super) async fn count_next(app: &App) -> sqlx::Result<bool> {
    let mut tx = app.db.begin().await?;
    let Some(id) = next(&mut tx).await? else { return Ok(false) };
    let Some(job) = store::find(&mut tx, &app.pen.vault, id).await? else { return Ok(false) };
    let query = search::wanted(&mut tx, &job.scope, None, job.request.asked_at).await?;
    // What makes no sense any more is not written either, and whoever grants it is told why.
    let count = match query {
        Ok(query) => {
            let query = query.covered_by(job.covered);
            Some(extract::count(&mut tx, &app.pen.vault, &query, BOUND).await?)
        }
        Err(_) => None,
    };
    let now = database::time(&mut tx, &app.clock).await?;
    note(&mut tx, id, count, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// The export that has waited longest to be counted. One process counts at a time.
async fn next(conn: &mut PgConnection) -> sqlx::Result<Option<ExportId>> {
    sqlx::query_scalar!(
        "select id from export_job
         where state = 'asked' and lapsed_at is null and counted_at is null
             and pg_try_advisory_xact_lock(hashtext('export_job_counted'))
         order by asked_at, id
         limit 1"
    )
    .fetch_optional(conn)
    .await
}

/// Notes how much an export would hold that waits; nothing where nobody can tell.
async fn note(
    conn: &mut PgConnection,
    id: ExportId,
    count: Option<Count>,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update export_job
         set counted_at = $2, counted_conversations = $3, counted_records = $4
         where id = $1",
        id as _,
        now.to_sqlx() as _,
        count.map(|it| it.conversations),
        count.map(|it| it.records),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How much it would touch, in words.
pub(super) fn touches(job: &Job) -> String {
    let many = |count: i64, what: &str| {
        let bound = i64::from(BOUND);
        match count {
            1 => format!("1 {what}"),
            _ if count > bound => format!("more than {} {what}s", say::count(&bound)),
            _ => format!("{} {what}s", say::count(&count)),
        }
    };
    match (job.is_counted, job.count) {
        (_, Some(Count { records: 0, .. })) => "nothing".to_owned(),
        (_, Some(Count { conversations: 0, records })) => many(records, "record"),
        (_, Some(Count { conversations, records })) => {
            format!("{} of {}", many(records, "record"), many(conversations, "conversation"))
        }
        (true, None) => "nobody can tell how much".to_owned(),
        (false, None) => "it is being counted".to_owned(),
    }
}
