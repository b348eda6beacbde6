//! The exporter: writes what staff asked for and somebody else has approved, keeps the file for a while,
//! and removes it.
//!
//! Any number may run, in any number of processes. Whoever takes an export does so under a lease; if
//! they die, another begins it anew, with another key. Who asked is on record before anything is read.
//! Nothing readable of it is ever on a disk or in the storage.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::{sync::watch, task::JoinSet};

use super::{
    file::name,
    lease::{self, Claim, Made},
    make::{Trouble, make},
    store::{self, Job},
    touch,
};
use crate::{
    app::App,
    audit::{
        self, Kind, Record,
        extract::{Progress, Spool},
        search::Query,
    },
    console::{request, search, visitor},
    database::{self, in_time},
};

/// How often is looked for work.
const POLL: Duration = Duration::from_secs(2);
/// How often is noted how far an export is, and its lease made longer.
const BEAT: Duration = Duration::from_secs(2);
/// How long the database may take for that.
const GLANCE: Duration = Duration::from_secs(10);

/// Writes exports until the app is draining; what is under way then, another begins anew.
pub async fn run(app: App) {
    Spool::clear_left();
    let (mut under_way, mut counting) = (JoinSet::new(), JoinSet::new());
    while !app.draining.is_cancelled() {
        if let Err(error) = in_time(GLANCE, tidy(&app)).await {
            tracing::warn!(%error, "exports could not be looked through; trying again");
        }
        if under_way.is_empty() {
            match in_time(GLANCE, take(&app)).await {
                Ok(None) => {}
                Ok(Some((claim, job, query))) => {
                    drop(under_way.spawn(work(app.clone(), claim, job, query)));
                }
                Err(error) => tracing::warn!(%error, "no export can be taken; trying again"),
            }
        }
        if counting.is_empty() {
            drop(counting.spawn(count(app.clone())));
        }
        tokio::select! {
            () = app.draining.cancelled() => {}
            Some(_) = under_way.join_next() => {}
            () = tokio::time::sleep(POLL) => {}
        }
        while counting.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

/// Counts how much those would touch that wait for an approver, until the app is draining.
async fn count(app: App) {
    let counted = async {
        while touch::count_next(&app).await? {}
        Ok::<_, sqlx::Error>(())
    };
    tokio::select! {
        () = app.draining.cancelled() => {}
        counted = counted => if let Err(error) = counted {
            tracing::warn!(%error, "cannot count how much an export would touch; trying again");
        }
    }
}

/// Tidies up, counts what waits for an approver, and writes what is due now. Returns how many exports.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> sqlx::Result<usize> {
    tidy(app).await?;
    while touch::count_next(app).await? {}
    let mut count = 0;
    while let Some((claim, job, query)) = take(app).await? {
        Box::pin(work(app.clone(), claim, job, query)).await;
        count += 1;
    }
    tidy(app).await?;
    Ok(count)
}

/// Puts back what the dead have held, lets files go whose time is over, and removes what nothing opens.
/// Puts on record what nobody decided in time, exports or not: no other worker belongs to the console.
async fn tidy(app: &App) -> sqlx::Result<()> {
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let dead = lease::take_back(&mut tx, now).await?.into_iter().map(|id| {
        visitor::own("export_fail", &format!("export {id} failed: it was cut off again and again"))
    });
    let gone = lease::expire(&mut tx, now).await?.into_iter().map(|id| {
        visitor::own(
            "export_expire",
            &format!("the file of export {id} is gone, its time was over"),
        )
    });
    audit::record(&mut tx, &dead.chain(gone).collect::<Vec<_>>(), now).await?;
    request::lapse(&mut tx, now).await?;
    tx.commit().await?;
    let mut conn = app.db.acquire().await?;
    for (id, place, pieces) in lease::left(&mut conn).await? {
        for piece in (0..pieces).rev() {
            if let Err(error) = app.settings.media.storage.remove(&name(&place, piece)).await {
                tracing::warn!(%error, "the file of an export could not be removed; trying again");
                return Ok(());
            }
            // There may be many: who goes on later begins here.
            lease::left_are(&mut conn, id, piece).await?;
        }
        lease::forget_file(&mut conn, id).await?;
    }
    Ok(())
}

/// Takes the next export that is due. That it begins, for whom and why, is on record with that.
async fn take(app: &App) -> sqlx::Result<Option<(Claim, Job, Query)>> {
    loop {
        let mut tx = app.db.begin().await?;
        let now = database::time(&mut tx, &app.clock).await?;
        let Some(claim) = lease::claim(&mut tx, &app.pen.vault, now).await? else {
            return Ok(None);
        };
        let job = store::find(&mut tx, &app.pen.vault, claim.id).await?;
        let job = job.ok_or(sqlx::Error::RowNotFound)?;
        let query = search::wanted(&mut tx, &job.scope, None, job.request.asked_at).await?;
        let begun = match query {
            Ok(query) => {
                let query = query.covered_by(job.covered);
                let said = format!("begun: {}", told(&job, &query));
                note(&mut tx, &job, "export_begin", &said, now).await?;
                Some((claim, job, query))
            }
            Err(problem) => {
                lease::fail(&mut tx, claim, &problem, true, now).await?;
                note(&mut tx, &job, "export_fail", &problem, now).await?;
                None
            }
        };
        tx.commit().await?;
        if begun.is_some() {
            return Ok(begun);
        }
    }
}

/// What an export is of, how and why, for the record.
fn told(job: &Job, query: &Query) -> String {
    format!(
        "{query}, of the first {} records, as {}, {}: {}",
        job.covered,
        job.format.as_str(),
        job.request.matter,
        job.request.reason
    )
}

/// Puts on record what became of an export, and who asked for it.
async fn note(
    conn: &mut PgConnection,
    job: &Job,
    rule: &'static str,
    what: &str,
    now: jiff::Timestamp,
) -> sqlx::Result<()> {
    let approver = job.request.decision.as_ref().map_or("", |it| &it.by);
    let detail = format!(
        "by {}, {}, approved by {approver}: export {} {what}",
        job.request.asked_by, job.role, job.id
    );
    let record = Record { rule: Some(rule), detail: Some(detail), ..Record::of(Kind::Staff) };
    audit::record(conn, &[record], now).await
}

/// Writes an export, and notes what became of it.
async fn work(app: App, claim: Claim, job: Job, query: Query) {
    let (far, seen) = watch::channel(Progress::default());
    let made = tokio::select! {
        made = make(&app, claim, &job, &query, &far) => made,
        lost = beat(&app, claim, seen) => Err(lost),
        () = app.draining.cancelled() => Err(Trouble::Stopped),
    };
    if let Err(error) = &made {
        tracing::warn!(export = %claim.id, %error, "an export came to nothing");
    }
    let far = *far.borrow();
    // When it cannot be noted, the lease ends, and another begins anew.
    if let Err(error) = in_time(GLANCE, settle(&app, claim, &job, far, made)).await {
        tracing::warn!(export = %claim.id, %error, "cannot note what became of an export");
    }
}

/// Notes every few seconds how far it is. Returns when it is ours no more.
async fn beat(app: &App, claim: Claim, seen: watch::Receiver<Progress>) -> Trouble {
    loop {
        tokio::time::sleep(BEAT).await;
        let far = *seen.borrow();
        let keep = async {
            let mut conn = app.db.acquire().await?;
            let now = database::time(&mut conn, &app.clock).await?;
            lease::keep(&mut conn, claim, far, now).await
        };
        match in_time(GLANCE, keep).await {
            Ok(true) => {}
            Ok(false) => return Trouble::Lost,
            Err(error) => tracing::warn!(%error, "cannot note how far an export is"),
        }
    }
}

/// Notes what became of an export.
async fn settle(
    app: &App,
    claim: Claim,
    job: &Job,
    far: Progress,
    made: Result<Made, Trouble>,
) -> sqlx::Result<()> {
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    match made {
        Ok(made) => {
            let lifetime = app.settings.console.export_lifetime;
            if lease::finish(&mut tx, claim, far, &made, now, lifetime).await? {
                let said = format!(
                    "made: {} records of {} conversations in {} bytes, SHA-256 {}",
                    far.records, far.conversations, made.bytes, made.sha256
                );
                note(&mut tx, job, "export_made", &said, now).await?;
            }
        }
        Err(Trouble::Lost) => {}
        Err(Trouble::Stopped) => lease::give_back(&mut tx, claim).await?,
        Err(trouble) => {
            let is_final = matches!(trouble, Trouble::Senseless(_));
            let problem = trouble.in_words();
            if lease::fail(&mut tx, claim, &problem, is_final, now).await? {
                note(&mut tx, job, "export_fail", &format!("failed: {problem}"), now).await?;
            }
        }
    }
    tx.commit().await
}
