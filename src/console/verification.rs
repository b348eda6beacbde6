//! Verifying the whole trail from the console: behind the pages, one at a time, on record before it
//! begins and when it is done.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{say, visitor::Visitor};
use crate::{
    app::App,
    audit::{
        self,
        kept::{self, Found},
        note::Verifier,
        verify::{Judge, Report},
        walk,
    },
    clock::SqlTimestamp,
    ids::{StaffId, VerificationId},
};

/// How often it is noted how far it came. It is thought to be cut off when that was not noted for
/// half a minute.
const EVERY: Duration = Duration::from_secs(1);

/// A verification as staff see it.
#[derive(Debug)]
pub(super) struct Verification {
    pub(super) asked_by: String,
    pub(super) asked_at: Timestamp,
    pub(super) seen: i64,
    pub(super) total: i64,
    pub(super) is_running: bool,
    /// None while it runs, and where it was cut off.
    pub(super) is_intact: Option<bool>,
    pub(super) findings: Vec<String>,
    /// How many checkpoints that are kept outside it was compared with.
    pub(super) kept: i64,
    /// How many records the greatest of them counts.
    pub(super) vouched: i64,
    /// How many folders could not be read.
    pub(super) unread: i32,
}

/// The last that was asked for.
pub(super) async fn last(conn: &mut PgConnection) -> sqlx::Result<Option<Verification>> {
    let found = sqlx::query!(
        r#"select f.name, v.asked_at, v.seen, v.total, v.is_intact, v.findings,
               v.kept, v.vouched, v.unread, v.finished_at is null and v.alive_until > now() as "is_running!"
           from verification v
           join staff f on f.id = v.asked_by
           order by v.asked_at desc, v.id desc
           limit 1"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|found| Verification {
        asked_by: found.name,
        asked_at: SqlTimestamp::to_jiff(found.asked_at),
        seen: found.seen,
        total: found.total,
        is_running: found.is_running,
        is_intact: found.is_intact,
        findings: found.findings,
        kept: found.kept,
        vouched: found.vouched,
        unread: found.unread,
    }))
}

/// Begins one; none while another runs. One that was cut off makes room.
pub(super) async fn begin(
    conn: &mut PgConnection,
    by: StaffId,
    now: Timestamp,
) -> sqlx::Result<Option<VerificationId>> {
    sqlx::query!(
        "update verification set finished_at = $1 where finished_at is null and alive_until <= now()",
        now.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar!(
        r#"insert into verification (id, asked_by, asked_at, alive_until)
           values ($1, $2, $3, now() + interval '30 seconds')
           on conflict do nothing
           returning id as "id: VerificationId""#,
        VerificationId::new() as _,
        by as _,
        now.to_sqlx() as _,
    )
    .fetch_optional(conn)
    .await
}

/// Does it, and notes how far it came and what was found. Where the database goes away meanwhile it is
/// cut off, and can be asked for anew.
pub(super) async fn run(app: App, visitor: Visitor, id: VerificationId) {
    match verify(&app, id).await {
        Ok((report, unread)) => {
            if let Err(error) = note(&app, &visitor, id, &report, unread).await {
                tracing::warn!(%error, "what verifying the trail found could not be noted");
            }
        }
        Err(error) => tracing::warn!(%error, "verifying the trail was cut off"),
    }
}

/// What was found, and how many folders that keep checkpoints could not be read.
async fn verify(app: &App, id: VerificationId) -> sqlx::Result<(Report, usize)> {
    let audit = &app.settings.audit;
    let keys: Vec<Verifier> = audit.signer.iter().map(|signer| signer.verifier()).collect();
    let origins: Vec<&str> = keys.iter().map(Verifier::name).collect();
    let Found { kept, unread } = kept::read(&audit.targets, &origins).await;
    for (folder, error) in &unread {
        tracing::warn!(%error, folder = %folder.display(), "what is kept of the audit trail outside cannot be read");
    }
    // A connection of its own: it is held for long, and set up to sort much.
    let mut conn = app.db.acquire().await?.detach();
    let (seen, total) = (AtomicI64::new(0), AtomicI64::new(0));
    let progress = |at: u64, of: u64| {
        seen.store(at.cast_signed(), Ordering::Relaxed);
        total.store(of.cast_signed(), Ordering::Relaxed);
    };
    let walk = walk::verify(&mut conn, Judge::new(keys, kept), progress);
    tokio::pin!(walk);
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            report = &mut walk => return Ok((report?, unread.len())),
            _ = tick.tick() => {
                let far = (seen.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
                // It is not thought to be cut off before half a minute is over: the next note may do.
                if let Err(error) = come(app, id, far).await {
                    tracing::warn!(%error, "cannot note how far verifying the trail is");
                }
            }
        }
    }
}

/// Notes how far it came, and that it goes on.
async fn come(app: &App, id: VerificationId, (seen, total): (i64, i64)) -> sqlx::Result<()> {
    let mut conn = app.db.acquire().await?;
    sqlx::query!(
        "update verification
         set seen = $2, total = $3, alive_until = now() + interval '30 seconds'
         where id = $1 and finished_at is null",
        id as _,
        seen,
        total,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

async fn note(
    app: &App,
    visitor: &Visitor,
    id: VerificationId,
    report: &Report,
    unread: usize,
) -> sqlx::Result<()> {
    let now = app.clock.now();
    let mut findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if report.more > 0 {
        findings.push(format!("and {} more", report.more));
    }
    let records = report.records.cast_signed();
    let said = match findings.first() {
        None => format!(
            "the trail is intact, {} records, compared with {}",
            say::count(&records),
            match report.kept.cast_signed() {
                0 => "no checkpoint kept outside".to_owned(),
                kept => format!("{} checkpoints kept outside", say::count(&kept)),
            }
        ),
        Some(first) => format!("the trail is NOT intact: {first}"),
    };
    if !report.is_intact() {
        tracing::error!(findings = findings.len(), "the trail is not intact");
    }
    let mut tx = app.db.begin().await?;
    sqlx::query!(
        "update verification
         set finished_at = $2, is_intact = $3, findings = $4, seen = $5, total = $5,
             kept = $6, vouched = $7, unread = $8
         where id = $1 and finished_at is null",
        id as _,
        now.to_sqlx() as _,
        report.is_intact(),
        &findings,
        records,
        report.kept.cast_signed(),
        report.vouched.cast_signed(),
        i32::try_from(unread).unwrap_or(i32::MAX),
    )
    .execute(&mut *tx)
    .await?;
    audit::record(&mut tx, &[visitor.record("trail_verified", &said)], now).await?;
    tx.commit().await
}
