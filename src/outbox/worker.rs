//! The worker: claims what is due, sends it with no transaction open, hands on what became of it.
//!
//! Any number of workers may run, in any number of processes. A worker that dies leaves leases
//! behind; what they held is marked unknown, never simply sent again. One that was stopped for a
//! while finds its claims too old when it wakes, and sends nothing.

use std::{pin::pin, task::Poll, time::Duration};

use jiff::SignedDuration;
use sqlx::PgConnection;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::Instant,
};
use tracing::Instrument;

use super::{
    backlog,
    claim::{self, Claim},
    dropped,
    front::Front,
    lanes,
    limit::{self, Kind},
    mend, pictures,
    settler::{self, Sent},
};
use crate::{
    app::App,
    carrier::{Flowroute, Outgoing},
    database,
    ids::TextId,
    telemetry,
};

/// How long a claimed text is ours before others take its worker for dead.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How long after it was claimed a text may still be sent, by a clock that nobody can set.
const FRESH: Duration = Duration::from_secs(30);
/// How long after it was claimed a call is given up. It takes 15 s at most, so this is for a worker
/// that was stopped: the rest of the lease is for settling.
const OVER: Duration = Duration::from_secs(50);
/// How often the outbox is looked at when nobody rings, for other processes' texts and retries, and
/// how often the whole of it is.
const POLL: Duration = Duration::from_millis(500);
/// How often texts are looked for that sleep behind nobody.
const FORGOTTEN: Duration = Duration::from_mins(1);
/// How long the database may take to hand out what is due.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many calls are under way at once, and how many texts are claimed at once. With 100 the worker
/// waits for answers while cores lie idle; more than this brings nothing. A process that is killed
/// leaves no more than this unknown.
const CALLS: usize = 300;

/// What one look at the outbox brought.
#[derive(Default)]
struct Round {
    claims: Vec<Claim>,
    /// Claims that nobody knows to be committed: the answer to that was lost. They are not sent.
    doubtful: Vec<Claim>,
    /// How long until the carrier's limit lets the next text go, if it is what holds them back.
    next: Option<Duration>,
    /// Whether texts were moved out of the way, so that another look may bring more.
    again: bool,
}

/// Sends texts until the app is draining, then finishes those under way.
pub async fn run(app: App, carrier: Flowroute) {
    let (sent, receiver) = unbounded_channel();
    let settler = tokio::spawn(settler::run(app.clone(), receiver));
    let (mut calls, mut next_whole, mut next_search) =
        (JoinSet::new(), Instant::now(), Instant::now());
    let (mut doubtful, mut front) = (Vec::new(), Front::default());
    while !app.draining.is_cancelled() {
        while calls.try_join_next().is_some() {}
        let began = Instant::now();
        let (is_whole, mut is_idle) = (next_whole <= began, false);
        if is_whole {
            (front, next_whole) = (Front::default(), began + POLL);
            match bounded(mend(&app)).await {
                Ok(idle) => is_idle = idle,
                Err(error) => tracing::warn!(%error, "the outbox cannot be mended; trying again"),
            }
            if !is_idle && next_search <= began {
                next_search = began + FORGOTTEN;
                if let Err(error) = bounded(wake_forgotten(&app)).await {
                    tracing::warn!(%error, "nobody looked for texts that are forgotten");
                }
            }
        }
        if !doubtful.is_empty() && bounded(give_back(&app, &doubtful)).await.is_ok() {
            doubtful.clear();
            is_idle = false;
        }
        let room = if is_idle { 0 } else { CALLS.saturating_sub(calls.len()) };
        let asked = Instant::now();
        let mut wait = POLL;
        match claim(&app, room, &mut front).await {
            Ok(round) => {
                doubtful.extend(round.doubtful);
                for claim in round.claims {
                    calls.spawn(deliver(app.clone(), carrier.clone(), claim, asked, sent.clone()));
                }
                if round.again {
                    continue;
                }
                wait = round.next.unwrap_or(POLL).min(POLL);
            }
            Err(error) => tracing::warn!(%error, "the outbox cannot be read; trying again"),
        }
        tokio::select! {
            () = app.wake.notified() => {}
            () = app.draining.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    calls.join_all().await;
    drop(sent);
    settler.await.ok();
}

/// Sends once what is due now, and waits until what became of it is noted. Returns how many texts
/// that were.
///
/// # Errors
/// When the outbox cannot be read.
pub async fn step(app: &App, carrier: &Flowroute) -> sqlx::Result<usize> {
    mend(app).await?;
    wake_forgotten(app).await?;
    let asked = Instant::now();
    let claims = loop {
        let round = claim(app, CALLS, &mut Front::default()).await?;
        if !round.claims.is_empty() || !round.again {
            break round.claims;
        }
    };
    let count = claims.len();
    let (sent, receiver) = unbounded_channel();
    let calls: JoinSet<()> = claims
        .into_iter()
        .map(|claim| deliver(app.clone(), carrier.clone(), claim, asked, sent.clone()))
        .collect();
    drop(sent);
    tokio::join!(Box::pin(settler::run(app.clone(), receiver)), calls.join_all());
    Ok(count)
}

/// Gives up what takes the database too long.
pub(super) async fn bounded<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    database::in_time(PATIENCE, work).await
}

/// Mends what time has done. True when there is nothing to mend and nothing to send.
async fn mend(app: &App) -> sqlx::Result<bool> {
    if backlog::is_idle(&mut *app.db.acquire().await?).await? {
        return Ok(true);
    }
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let mended = mend::mend(&mut tx, app, now).await?;
    tx.commit().await?;
    mended.report();
    Ok(false)
}

/// Wakes what sleeps behind nobody. It reads all that sleeps, so nothing else waits for its commit.
async fn wake_forgotten(app: &App) -> sqlx::Result<()> {
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let forgotten = lanes::wake_forgotten(&mut tx, now).await?;
    tx.commit().await?;
    if forgotten > 0 {
        tracing::info!(forgotten, "texts slept behind nobody");
    }
    Ok(())
}

/// Claims what may leave now.
async fn claim(app: &App, room: usize, front: &mut Front) -> sqlx::Result<Round> {
    if room == 0 {
        return Ok(Round::default());
    }
    let mut tx = bounded(app.db.begin()).await?;
    let mut round = bounded(look(app, &mut tx, room, front)).await?;
    if let Err(error) = bounded(tx.commit()).await {
        tracing::warn!(%error, "nobody knows whether texts were claimed: they are given back");
        round.doubtful = std::mem::take(&mut round.claims);
    }
    Ok(round)
}

/// Looks for what may leave, and takes it.
async fn look(
    app: &App,
    conn: &mut PgConnection,
    room: usize,
    front: &mut Front,
) -> sqlx::Result<Round> {
    // The limits' rows are locked first: workers take turns, and none claims what it may not send.
    let mut limits = limit::lock(conn, &app.settings, app.clock.instead()).await?;
    let now = limits.now;
    let free = |kind: &Kind| limits.free(*kind) > 0;
    let kinds: Vec<Kind> = [Kind::Sms, Kind::Mms].into_iter().filter(free).collect();
    let most = kinds.iter().map(|kind| limits.free(*kind)).sum::<usize>().min(room);
    let mut due = claim::due(conn, &kinds, most, front, now).await?;
    let mut moved = dropped::drop_vain(conn, &due.vain, &app.pen, now).await? > 0;
    if !due.behind.is_empty() {
        moved |= lanes::sleep(conn, &due.behind).await? > 0;
    }
    due.limit(room, |kind| limits.free(kind));
    let mut claims = Vec::new();
    if !due.free.is_empty() {
        let (taken, unreadable) = claim::take(conn, &app.pen.vault, &due.free, LEASE, now).await?;
        claims = taken;
        dropped::drop_unreadable(conn, unreadable, &app.pen, now).await?;
        let mms: Vec<TextId> =
            claims.iter().filter(|claim| claim.is_mms).map(|claim| claim.id).collect();
        pictures::keep_open(conn, &mms, now).await?;
        limits.note(conn, claims.len() - mms.len(), mms.len()).await?;
    }
    let again = moved && claims.len() < room;
    Ok(Round { next: limits.next(), again, claims, doubtful: Vec::new() })
}

/// Gives back what was claimed, if it was, and never sent.
async fn give_back(app: &App, claims: &[Claim]) -> sqlx::Result<()> {
    claim::give_back(&mut *app.db.acquire().await?, claims).await
}

/// Sends one text and hands on what became of it; nothing where the claim was too old.
async fn deliver(
    app: App,
    carrier: Flowroute,
    claim: Claim,
    asked: Instant,
    sent: UnboundedSender<Sent>,
) {
    let text = Outgoing {
        to: claim.to.clone(),
        from: claim.from.clone(),
        body: claim.body.clone(),
        media_urls: claim.media.iter().map(|token| picture(&app, token)).collect(),
        dlr_callback: callback(&app, &claim),
    };
    metrics::histogram!("maskline_outbox_wait_seconds").record(claim.waited);
    let began = Instant::now();
    let span = telemetry::going_on(claim.traceparent.as_deref());
    let Some(outcome) = while_fresh(asked, carrier.send(&text).instrument(span)).await else {
        tracing::warn!(id = %claim.id, "this worker was stopped for long: a claim is left to its lease");
        metrics::counter!("maskline_sends_total", "outcome" => "too_old").increment(1);
        return;
    };
    if outcome.is_ok() {
        metrics::histogram!("maskline_accept_seconds").record(claim.waited + began.elapsed());
    }
    let one = Sent { claim, outcome };
    one.report();
    // Nobody hears it only when the process ends; the lease tells, then.
    sent.send(one).ok();
}

/// Does the work for a claim that was asked for at this time, unless that is too old.
async fn while_fresh<T>(asked: Instant, work: impl Future<Output = T>) -> Option<T> {
    if asked.elapsed() >= FRESH {
        return None;
    }
    before(asked + OVER, work).await
}

/// Does the work, unless it is too late. Each time before it goes on the clock is read: a timer
/// alone tells a process that was stopped the time only after it has done some more.
async fn before<T>(end: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut late = pin!(tokio::time::sleep_until(end));
    std::future::poll_fn(|context| {
        if late.as_mut().poll(context).is_ready() || Instant::now() >= end {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

fn callback(app: &App, claim: &Claim) -> String {
    let base = app.settings.public_url.as_str().trim_end_matches('/');
    format!("{base}/api/receipt/{}/{}", app.settings.webhook_secrets.current(), claim.id)
}

/// Where the carrier fetches the picture of this token.
fn picture(app: &App, token: &str) -> String {
    format!("{}/media/{token}", app.settings.public_url.as_str().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        carrier::simulator::{self, Simulator},
        config::FlowrouteSettings,
    };

    #[tokio::test]
    async fn a_claim_of_31_seconds_ago_is_not_sent() {
        let number = |text: &str| text.parse().unwrap();
        let numbers = vec![number("+14155550100")];
        let settings = simulator::Settings { numbers, ..simulator::Settings::default() };
        let simulator = Simulator::start(settings).unwrap();
        let carrier = Flowroute::new(&FlowrouteSettings {
            url: simulator.url().parse().unwrap(),
            access_key: "simulated".into(),
            secret_key: "simulated".into(),
        })
        .unwrap();
        let text = Outgoing {
            to: number("+12065550142"),
            from: number("+14155550100"),
            body: "hello".to_owned(),
            media_urls: Vec::new(),
            dlr_callback: "http://127.0.0.1:9/".to_owned(),
        };
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        assert_eq!(while_fresh(ago(31), carrier.send(&text)).await, None);
        assert_eq!(simulator.ledger().accepted.len(), 0);
        while_fresh(ago(29), carrier.send(&text)).await.unwrap().unwrap();
        assert_eq!(simulator.ledger().accepted.len(), 1);
    }

    #[tokio::test]
    async fn what_is_too_late_is_not_even_begun() {
        let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(before(past, async { panic!("begun") }).await, None::<()>);
        assert_eq!(before(Instant::now() + OVER, async { 1 }).await, Some(1));
    }

    #[tokio::test]
    async fn a_call_that_outlives_a_stop_is_not_gone_on_with() {
        let mut polls = 0;
        let call = std::future::poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let end = Instant::now() + Duration::from_millis(20);
        assert_eq!(before(end, call).await, None);
        assert!(polls > 0);
    }
}
