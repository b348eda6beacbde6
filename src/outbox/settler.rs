//! The settler: notes what became of texts, all that wait in one transaction.
//!
//! There is no timer: it takes whatever waits when the last commit returns, so one text alone waits
//! for nothing. A batch that cannot be noted is noted one by one, so that a bad one hurts only itself;
//! what still cannot is kept until it can.

use std::{sync::atomic::Ordering, time::Duration};

use jiff::SignedDuration;
use sqlx::PgConnection;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    LONGEST_WAIT,
    claim::Claim,
    failures::{self, STOPPED, Stopped},
    settle::{self, Acceptance, By},
    told::{self, Certainty},
    unknown,
    worker::bounded,
};
use crate::{
    app::App,
    carrier::SendError,
    clock::{Clock, SqlTimestamp},
    consent,
    vault::Pen,
};

/// How many are noted at once.
const BATCH: usize = 100;
/// How long until what could not be noted is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// After so many tries a text has failed: with the waits below, after 34 to 67 minutes.
const TRIES: i32 = 16;
/// The first wait; each one after it is twice as long.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// A text that was sent, and what came of it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) claim: Claim,
    pub(super) outcome: Result<String, SendError>,
}

impl Sent {
    /// Counts it, and says what went wrong.
    pub(super) fn report(&self) {
        let what = match &self.outcome {
            Ok(_) => "accepted",
            Err(SendError::Refused { .. }) => "refused",
            Err(SendError::NotAccepted { .. }) if self.is_given_up() => "gave_up",
            Err(SendError::NotAccepted { .. }) => "not_accepted",
            Err(SendError::Unknown(_)) => "unknown",
        };
        metrics::counter!("maskline_sends_total", "outcome" => what).increment(1);
        let (id, attempt) = (self.claim.id, self.claim.attempt);
        match &self.outcome {
            Ok(_) => tracing::debug!(%id, attempt, "the carrier has a text"),
            Err(error) => {
                tracing::warn!(%id, attempt, outcome = what, %error, "a send did not succeed");
            }
        }
    }

    /// Whether it was one try too many.
    fn is_given_up(&self) -> bool {
        self.claim.attempt >= TRIES && matches!(self.outcome, Err(SendError::NotAccepted { .. }))
    }

    /// Whether the phone texted STOP to the number. To note that takes the person's lock, which
    /// comes before any text of the outbox: so it has a transaction of its own.
    fn is_stopped(&self) -> bool {
        self.outcome == Err(SendError::Refused { status: 400, code: Some(STOPPED) })
    }
}

/// Notes what became of texts, until nobody sends any more and all is noted.
pub(super) async fn run(app: App, mut sent: UnboundedReceiver<Sent>) {
    let (mut late, mut is_open) = (Vec::new(), true);
    while is_open || !late.is_empty() {
        let mut batch = Vec::new();
        tokio::select! {
            count = sent.recv_many(&mut batch, BATCH), if is_open => is_open = count > 0,
            () = tokio::time::sleep(PAUSE), if !late.is_empty() => {}
        }
        let (stopped, together): (Vec<_>, Vec<_>) = batch.into_iter().partition(Sent::is_stopped);
        late.extend(stopped);
        if !together.is_empty() {
            match bounded(Box::pin(note(&app, &together))).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, count = together.len(), "cannot note what became of texts together");
                    late.extend(together);
                }
            }
        }
        late = one_by_one(&app, late).await;
        // What is settled lets others go.
        app.wake.notify_one();
    }
}

/// Notes each in a transaction of its own; returns those that could not be.
async fn one_by_one(app: &App, sent: Vec<Sent>) -> Vec<Sent> {
    let mut left = Vec::new();
    let mut sent = sent.into_iter();
    while let Some(one) = sent.next() {
        let Err(error) = bounded(Box::pin(note(app, std::slice::from_ref(&one)))).await else {
            continue;
        };
        tracing::warn!(%error, id = %one.claim.id, "cannot note what became of a text; trying again");
        left.push(one);
        if !matches!(error, sqlx::Error::Database(_)) {
            // The database is away: the others would only wait for it too.
            left.extend(sent.by_ref());
        }
    }
    left
}

/// Notes what became of these texts, all or none.
async fn note(app: &App, sent: &[Sent]) -> sqlx::Result<()> {
    let instead = app.clock.instead();
    let acceptance = |one: &Sent| {
        let carrier_id = one.outcome.as_ref().ok()?.clone();
        Some(Acceptance { id: one.claim.id, carrier_id, tried_at: Some(one.claim.at) })
    };
    let accepted: Vec<Acceptance> = sent.iter().filter_map(acceptance).collect();
    let mut tx = app.db.begin().await?;
    if !accepted.is_empty() {
        settle::accept(&mut tx, &accepted, By::Answer, instead).await?;
    }
    for one in sent {
        if let Err(error) = &one.outcome {
            not_accepted(&mut tx, &app.pen, one, error, instead).await?;
        }
    }
    tx.commit().await?;
    if !accepted.is_empty() {
        heard(app);
    }
    Ok(())
}

async fn not_accepted(
    conn: &mut PgConnection,
    pen: &Pen,
    one: &Sent,
    error: &SendError,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<()> {
    let claim = &one.claim;
    let why = match error {
        SendError::Unknown(_) => return unknown::mark(conn, claim, instead).await,
        SendError::Refused { .. } if one.is_stopped() => {
            return stopped(conn, claim, error, instead).await;
        }
        SendError::NotAccepted { retry_after, .. } if !one.is_given_up() => {
            let wait = backoff(claim.attempt, *retry_after, rand::random());
            return settle::postpone(conn, claim, wait, instead).await;
        }
        SendError::NotAccepted { .. } => "gave_up".to_owned(),
        SendError::Refused { .. } => error.to_string(),
    };
    let Some(at) = settle::fail(conn, claim, &why, instead).await? else { return Ok(()) };
    if let SendError::Refused { status, .. } = error {
        let (pair, why) = ((claim.person, claim.number), format!("refused {status}"));
        failures::note(conn, pair, &why, at).await?;
    }
    told::tell(conn, claim.id, Certainty::Failed, pen, at).await
}

/// Settles a text to a phone that texted STOP to the number, and notes that.
async fn stopped(
    conn: &mut PgConnection,
    claim: &Claim,
    error: &SendError,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<()> {
    let now = consent::lock(conn, claim.person, instead).await?;
    let at = Some(jiff_sqlx::ToSqlx::to_sqlx(now));
    settle::fail(conn, claim, &error.to_string(), at).await?;
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

/// Remembers that the carrier accepts texts.
fn heard(app: &App) {
    app.last_accepted.store(now(&app.clock), Ordering::Relaxed);
}

/// Whether the carrier has accepted a text of this process within the last minute.
pub(super) fn accepts(app: &App) -> bool {
    const MINUTE: u64 = 60_000_000;
    app.last_accepted.load(Ordering::Relaxed).abs_diff(now(&app.clock)) <= MINUTE
}

fn now(clock: &Clock) -> i64 {
    clock.now().as_microsecond()
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
