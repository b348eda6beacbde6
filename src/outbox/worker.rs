//! The worker: claims what is due, sends it with no transaction open, settles what became of it.
//!
//! Any number of workers may run, in any number of processes. A worker that dies leaves leases
//! behind; what they held is marked unknown, never simply sent again.

use std::time::Duration;

use jiff::SignedDuration;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use tokio::task::JoinSet;

use super::{
    LONGEST_WAIT, backlog, dropped,
    failures::{self, STOPPED, Stopped},
    limit,
    queue::{self, Claim},
};
use crate::{
    app::App,
    carrier::{Flowroute, Outgoing, SendError},
    clock::SqlTimestamp,
    consent,
};

/// How long a claimed text is ours before others take its worker for dead. A call takes 15 s at
/// most; the rest is for settling it while the database is away for a moment.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How often the outbox is looked at when nobody rings: for other processes' texts and retries.
const POLL: Duration = Duration::from_millis(500);
/// How long the database may take to hand out what is due.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many calls are under way at once.
const CALLS: usize = 32;
/// After so many tries a text has failed: with the waits below, after 34 to 67 minutes.
const TRIES: i32 = 16;
/// The first wait; each one after it is twice as long.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// What one look at the outbox brought.
struct Round {
    claims: Vec<Claim>,
    /// How long until the carrier's limit lets the next text go, if it is what holds them back.
    next: Option<Duration>,
}

/// Sends texts until the app is draining, then finishes those under way.
pub async fn run(app: App, carrier: Flowroute) {
    let mut calls = JoinSet::new();
    loop {
        let mut wait = POLL;
        if !app.draining.is_cancelled() {
            let claimed = claim(&app, CALLS.saturating_sub(calls.len()));
            match tokio::time::timeout(PATIENCE, claimed).await {
                Err(_) => tracing::warn!("the database takes too long; trying again"),
                Ok(Ok(round)) => {
                    for claim in round.claims {
                        calls.spawn(deliver(app.clone(), carrier.clone(), claim));
                    }
                    wait = round.next.unwrap_or(POLL).min(POLL);
                }
                Ok(Err(error)) => tracing::warn!(%error, "the outbox cannot be read; trying again"),
            }
        } else if calls.is_empty() {
            return;
        }
        tokio::select! {
            () = app.wake.notified() => {}
            Some(_) = calls.join_next() => {}
            () = app.draining.cancelled(), if !app.draining.is_cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Sends once what is due now, and waits for the answers. Returns how many texts that were.
///
/// # Errors
/// When the outbox cannot be read.
pub async fn step(app: &App, carrier: &Flowroute) -> sqlx::Result<usize> {
    let claims = claim(app, CALLS).await?.claims;
    let count = claims.len();
    let calls: JoinSet<()> =
        claims.into_iter().map(|claim| deliver(app.clone(), carrier.clone(), claim)).collect();
    calls.join_all().await;
    Ok(count)
}

async fn claim(app: &App, room: usize) -> sqlx::Result<Round> {
    if room == 0 || backlog::is_idle(&mut *app.db.acquire().await?).await? {
        return Ok(Round { claims: Vec::new(), next: None });
    }
    let per_second = app.settings.sms_per_second;
    let mut tx = app.db.begin().await?;
    // The limit's row is locked first: workers take turns, and none claims what it may not send.
    let (mut recent, now) = limit::lock(&mut tx, app.clock.instead()).await?;
    let abandoned = queue::abandon_expired(&mut tx, now).await?;
    dropped::drop_unsendable(&mut tx, now).await?;
    let count = recent.free(per_second, now).min(room);
    let claims = match i64::try_from(count) {
        Ok(count @ 1..) => queue::claim(&mut tx, count, LEASE, now).await?,
        _ => Vec::new(),
    };
    let next = recent
        .next(per_second, now)
        .map(|next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
    if !claims.is_empty() {
        limit::write(&mut tx, recent.note(claims.len(), now)).await?;
    }
    tx.commit().await?;
    if abandoned > 0 {
        tracing::warn!(abandoned, "texts were being sent when their worker stopped: unknown now");
    }
    Ok(Round { claims, next })
}

/// Sends one text and settles it, however long that takes.
async fn deliver(app: App, carrier: Flowroute, claim: Claim) {
    let text = Outgoing {
        to: claim.to.clone(),
        from: claim.from.clone(),
        body: claim.body.clone(),
        dlr_callback: callback(&app, &claim),
    };
    let outcome = carrier.send(&text).await;
    report(&claim, &outcome);
    // What is known is kept until it can be noted; a late answer still settles a text.
    while let Err(error) = settle(&app, &claim, &outcome).await {
        tracing::warn!(%error, id = %claim.id, "cannot note what became of a text; trying again");
        tokio::time::sleep(POLL).await;
    }
}

fn callback(app: &App, claim: &Claim) -> String {
    let base = app.settings.public_url.as_str().trim_end_matches('/');
    format!("{base}/api/receipt/{}/{}", app.settings.webhook_secrets.current(), claim.id)
}

async fn settle(app: &App, claim: &Claim, outcome: &Result<String, SendError>) -> sqlx::Result<()> {
    let instead = app.clock.instead();
    let mut tx = app.db.begin().await?;
    match outcome {
        Ok(carrier_id) => {
            queue::accept(&mut tx, claim.id, Some(claim.attempt), carrier_id, instead).await?;
        }
        Err(error @ SendError::Refused { status, code }) => {
            refused(&mut tx, claim, error, (*status, *code), instead).await?;
        }
        Err(SendError::NotAccepted { .. }) if claim.attempt >= TRIES => {
            queue::fail(&mut tx, claim, "gave_up", instead).await?;
        }
        Err(SendError::NotAccepted { retry_after, .. }) => {
            let wait = backoff(claim.attempt, *retry_after, rand::random());
            queue::postpone(&mut tx, claim, wait, instead).await?;
        }
        Err(SendError::Unknown(_)) => {
            queue::mark_unknown(&mut tx, claim, "answer_lost", instead).await?;
        }
    }
    tx.commit().await
}

/// Settles a text that was refused for good, and notes what that says beyond the text.
async fn refused(
    conn: &mut PgConnection,
    claim: &Claim,
    error: &SendError,
    (status, code): (u16, Option<u32>),
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<()> {
    let why = error.to_string();
    if (status, code) != (400, Some(STOPPED)) {
        if let Some(at) = queue::fail(conn, claim, &why, instead).await? {
            failures::note(conn, claim.number, &format!("refused {status}"), at).await?;
        }
        return Ok(());
    }
    let now = consent::lock(conn, claim.person, instead).await?;
    queue::fail(conn, claim, &why, Some(now.to_sqlx())).await?;
    let stopped = Stopped {
        person: claim.person,
        number: claim.number,
        rule: "refused_1110",
        evidence: claim.id.to_string(),
        carrier_id: None,
        left_at: claim.at,
    };
    failures::block(conn, stopped, now).await
}

/// How long to wait before the next try: twice as long each time, between half and all of it by
/// chance, so that texts that failed together do not all come back together. `chance` is 0 to 1.
fn backoff(attempt: i32, asked: Option<SignedDuration>, chance: f64) -> SignedDuration {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(20);
    let full = (FIRST_WAIT * 2_i32.pow(doublings)).min(LONGEST_WAIT);
    let ours = full.mul_f64(f64::midpoint(1.0, chance));
    asked.map_or(ours, |asked| asked.max(ours)).min(LONGEST_WAIT)
}

fn report(claim: &Claim, outcome: &Result<String, SendError>) {
    let what = match outcome {
        Ok(_) => "accepted",
        Err(SendError::Refused { .. }) => "refused",
        Err(SendError::NotAccepted { .. }) if claim.attempt >= TRIES => "gave_up",
        Err(SendError::NotAccepted { .. }) => "not_accepted",
        Err(SendError::Unknown(_)) => "unknown",
    };
    metrics::counter!("maskline_sends_total", "outcome" => what).increment(1);
    let attempt = claim.attempt;
    match outcome {
        Ok(_) => tracing::debug!(id = %claim.id, attempt, "the carrier has a text"),
        Err(error) => {
            tracing::warn!(id = %claim.id, attempt, outcome = what, %error, "a send did not succeed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_heed_the_carrier() {
        let seconds = |attempt, asked: Option<i64>, chance| {
            backoff(attempt, asked.map(SignedDuration::from_secs), chance).as_secs_f64()
        };
        assert!((seconds(1, None, 1.0) - 1.0).abs() < 1e-9);
        assert!((seconds(1, None, 0.0) - 0.5).abs() < 1e-9);
        assert!((seconds(5, None, 1.0) - 16.0).abs() < 1e-9);
        assert!((seconds(i32::MAX, None, 1.0) - 600.0).abs() < 1e-9);
        assert!((seconds(1, Some(30), 1.0) - 30.0).abs() < 1e-9);
        assert!((seconds(1, Some(86_400), 1.0) - 600.0).abs() < 1e-9);
        assert!((seconds(1, Some(-5), 1.0) - 1.0).abs() < 1e-9);
        let minutes = |chance| (1..TRIES).map(|n| seconds(n, None, chance)).sum::<f64>() / 60.0;
        assert_eq!((minutes(0.0).round(), minutes(1.0).round()), (34.0, 67.0));
    }
}
