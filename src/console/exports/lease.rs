//! The SQL of exports as the worker sees them: taken under a lease, and fenced by their attempt.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::{
    audit::extract::Progress,
    console::request::after,
    ids::ExportId,
    vault::{FileKey, Vault},
};

/// How long an export is ours before others take this process for dead.
pub(super) const LEASE: SignedDuration = SignedDuration::from_mins(2);
/// After so many tries that came to nothing an export is given up.
const TRIES: i32 = 3;
/// How long until the next one.
const WAIT: SignedDuration = SignedDuration::from_mins(1);
/// Said of one whose worker was never heard of again.
const CUT_OFF: &str = "It was cut off while it was written.";

/// An export that this process alone may write until its lease ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) id: ExportId,
    /// It fences the answer of a process whose lease has ended.
    pub(super) attempt: i32,
}

/// Where a file ended up.
pub(super) struct Made {
    pub(super) pieces: i32,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Puts back what a process held that is taken for dead, or gives it up; says what was given up. What it
/// wrote opens no more.
/// A lease that ends later than any that is given now was written by a clock that has been set back.
pub(super) async fn take_back(
    conn: &mut PgConnection,
    now: Timestamp,
) -> sqlx::Result<Vec<ExportId>> {
    let taken = sqlx::query!(
        "update export_job
         set state = case when failures + 1 < $2 then 'waiting' else 'failed' end,
             ended_at = case when failures + 1 < $2 then null else $1::timestamptz end,
             failures = failures + 1, problem = $3, leased_until = null, due_at = null,
             key_sealed = null
         where state = 'running' and (leased_until <= $1 or leased_until > $4)
         returning id, state",
        now.to_sqlx() as _,
        TRIES,
        CUT_OFF,
        after(now, LEASE * 2).to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let given_up = taken.into_iter().filter(|row| row.state == "failed");
    Ok(given_up.map(|row| row.id).collect())
}

/// Destroys the keys of files whose time is over, and says of which exports they were.
pub(super) async fn expire(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Vec<ExportId>> {
    sqlx::query_scalar!(
        "update export_job
         set state = 'expired', ended_at = $1, key_sealed = null
         where state = 'done' and expires_at <= $1
         returning id",
        now.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await
}

/// Files that nothing opens any more: where they lie, and in how many pieces at most.
pub(super) async fn left(conn: &mut PgConnection) -> sqlx::Result<Vec<(ExportId, String, i32)>> {
    let rows = sqlx::query!(
        r#"select id, storage_key as "storage_key!", pieces
           from export_job
           where storage_key is not null and state not in ('running', 'done')
           order by id
           limit 100"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.storage_key, row.pieces)).collect())
}

/// Notes that no more than so many pieces of such a file are left.
pub(super) async fn left_are(
    conn: &mut PgConnection,
    id: ExportId,
    pieces: i32,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update export_job set pieces = $2 where id = $1 and state not in ('running', 'done')",
        id as _,
        pieces,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets where such a file lay.
pub(super) async fn forget_file(conn: &mut PgConnection, id: ExportId) -> sqlx::Result<()> {
    sqlx::query!(
        "update export_job set storage_key = null, pieces = 0
         where id = $1 and state not in ('running', 'done')",
        id as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the next export that is due, and gives its file a place and a key.
pub(super) async fn claim(
    conn: &mut PgConnection,
    vault: &Vault,
    now: Timestamp,
) -> sqlx::Result<Option<Claim>> {
    let due = sqlx::query_scalar!(
        "select id from export_job
         where state = 'waiting' and storage_key is null and (due_at is null or due_at <= $1
             or due_at > $2)
         order by decided_at, id
         limit 1
         for update skip locked",
        now.to_sqlx() as _,
        after(now, WAIT * 2).to_sqlx() as _,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(id) = due else { return Ok(None) };
    let attempt = sqlx::query_scalar!(
        "update export_job
         set state = 'running', attempt = attempt + 1, leased_until = $2, due_at = null,
             storage_key = $3, key_sealed = $4, pieces = 0, conversations = 0,
             conversations_in_all = null, records = 0
         where id = $1
         returning attempt",
        id as _,
        after(now, LEASE).to_sqlx() as _,
        format!("{:032x}", rand::random::<u128>()),
        FileKey::draw().sealed(vault.own(), id),
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(Claim { id, attempt }))
}

/// Notes how far it is, and keeps it for another while; false where it is ours no more. Until it is known
/// how many conversations there are, there are none.
pub(super) async fn keep(
    conn: &mut PgConnection,
    claim: Claim,
    far: Progress,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let kept = sqlx::query!(
        "update export_job
         set leased_until = $3, conversations = $4, conversations_in_all = nullif($5::bigint, 0),
             records = $6
         where id = $1 and attempt = $2 and state = 'running'",
        claim.id as _,
        claim.attempt,
        after(now, LEASE).to_sqlx() as _,
        far.conversations.cast_signed(),
        far.conversations_in_all.cast_signed(),
        far.records.cast_signed(),
    )
    .execute(conn)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Notes before a piece is stored that it may be there; false where it is ours no more.
pub(super) async fn reserve(
    conn: &mut PgConnection,
    claim: Claim,
    pieces: i32,
) -> sqlx::Result<bool> {
    let reserved = sqlx::query!(
        "update export_job set pieces = $3
         where id = $1 and attempt = $2 and state = 'running'",
        claim.id as _,
        claim.attempt,
        pieces,
    )
    .execute(conn)
    .await?;
    Ok(reserved.rows_affected() == 1)
}

/// Notes that it is done, unless it is ours no more. So long its file is kept.
pub(super) async fn finish(
    conn: &mut PgConnection,
    claim: Claim,
    far: Progress,
    made: &Made,
    now: Timestamp,
    lifetime: SignedDuration,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update export_job
         set state = 'done', leased_until = null, problem = null, conversations = $3,
             conversations_in_all = $3, records = $4, pieces = $5, bytes = $6, sha256 = $7,
             ended_at = $8, expires_at = $9
         where id = $1 and attempt = $2 and state = 'running'",
        claim.id as _,
        claim.attempt,
        far.conversations.cast_signed(),
        far.records.cast_signed(),
        made.pieces,
        made.bytes.cast_signed(),
        made.sha256,
        now.to_sqlx() as _,
        after(now, lifetime).to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that it came to nothing, unless it is ours no more. It is tried again after a while, if there is
/// sense in that. True where it is given up.
pub(super) async fn fail(
    conn: &mut PgConnection,
    claim: Claim,
    problem: &str,
    is_final: bool,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let state = sqlx::query_scalar!(
        "update export_job
         set state = case when $4 or failures + 1 >= $5 then 'failed' else 'waiting' end,
             ended_at = case when $4 or failures + 1 >= $5 then $6::timestamptz end,
             failures = failures + 1, problem = $3, leased_until = null, key_sealed = null,
             due_at = $7
         where id = $1 and attempt = $2 and state = 'running'
         returning state",
        claim.id as _,
        claim.attempt,
        problem,
        is_final,
        TRIES,
        now.to_sqlx() as _,
        after(now, WAIT).to_sqlx() as _,
    )
    .fetch_optional(conn)
    .await?;
    Ok(state.is_some_and(|state| state == "failed"))
}

/// Gives it back to whoever is next: this process is to stop.
pub(super) async fn give_back(conn: &mut PgConnection, claim: Claim) -> sqlx::Result<()> {
    sqlx::query!(
        "update export_job set state = 'waiting', leased_until = null, key_sealed = null
         where id = $1 and attempt = $2 and state = 'running'",
        claim.id as _,
        claim.attempt,
    )
    .execute(conn)
    .await?;
    Ok(())
}
