//! The fetcher: takes the pictures of a text, makes them fit, stores them, and lets the text go.
//!
//! Any number of fetchers may run, in any number of processes. No transaction is open while one
//! fetches, paints or stores. What one that died has done is done again, and changes nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio::{task::JoinSet, time::Instant};

use super::{
    Refusal, Sources, old, picture,
    release::release_settled,
    source::NotFetched,
    store::{self, Claim, Outcome},
};
use crate::{
    app::App,
    database::{self, in_time},
    storage::StorageError,
    vault::Field,
};

/// How long claimed pictures are ours before others take this process for dead.
const LEASE: SignedDuration = SignedDuration::from_mins(5);
/// How long all pictures of a text may take together. Shorter than the lease.
const PATIENCE: Duration = Duration::from_mins(4);
/// How often is looked when nobody rings: for other processes' pictures, and for retries.
const POLL: Duration = Duration::from_secs(1);
/// How many texts' pictures are under way at once.
const TEXTS: usize = 4;
/// How many pictures of one text are passed on.
const PICTURES: i16 = 10;
/// After so many tries a picture that cannot be fetched is given up: with the waits below, after 4
/// to 9 minutes.
const TRIES: i16 = 10;
/// How long a picture waits for our own storage. The carrier gives it out for days.
const AWAY: SignedDuration = SignedDuration::from_hours(24);
/// The first wait; each one after it is twice as long.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// The longest wait for our own storage, so that all goes on soon after it is back.
const STORAGE_WAIT: SignedDuration = SignedDuration::from_mins(1);
/// How much all pictures of a text may hold, in bytes. The carrier takes 767,840, the words included.
const ROOM: usize = 750_000;
/// How long the database may take to hand out pictures, or to note what became of them; and how long
/// removing old ones may keep new ones waiting.
const GLANCE: Duration = Duration::from_secs(10);
/// How often old pictures are looked for, and how many are removed at once.
const ROUND: Duration = Duration::from_hours(1);
const BATCH: i64 = 100;
/// When it is gone on with removing what was left.
const AGAIN: Duration = Duration::from_mins(1);

/// Why the pictures of a text could not be had this time.
#[derive(Debug, thiserror::Error)]
enum NotMade {
    /// Fetching them did not work.
    #[error("{0}")]
    Fetching(String),
    /// Our own storage did not work.
    #[error(transparent)]
    Storing(#[from] StorageError),
}

impl NotMade {
    /// Whether there is no sense in another try.
    fn is_final(&self, claim: &Claim, now: Timestamp) -> bool {
        match self {
            Self::Fetching(_) => claim.attempt >= TRIES,
            Self::Storing(_) => claim.since < now.saturating_sub(AWAY).unwrap_or(Timestamp::MIN),
        }
    }

    /// How long to wait before the next one.
    fn wait(&self, attempt: i16) -> SignedDuration {
        let wait = backoff(attempt, rand::random());
        match self {
            Self::Fetching(_) => wait,
            Self::Storing(_) => wait.min(STORAGE_WAIT),
        }
    }
}

/// Fetches pictures until the app is draining, then finishes those under way.
pub async fn run(app: App, sources: Sources) {
    let mut texts = JoinSet::new();
    let mut next_round = Instant::now();
    loop {
        if !app.draining.is_cancelled() {
            while texts.len() < TEXTS {
                match in_time(GLANCE, claim(&app)).await {
                    Ok(claims) if claims.is_empty() => break,
                    Ok(claims) => drop(texts.spawn(work(app.clone(), sources.clone(), claims))),
                    Err(error) => {
                        tracing::warn!(%error, "pictures cannot be claimed; trying again");
                        break;
                    }
                }
            }
            if next_round <= Instant::now() {
                next_round += ROUND;
                if let Err(error) = in_time(GLANCE, remove_old(&app)).await {
                    next_round = Instant::now() + AGAIN;
                    tracing::warn!(%error, "old pictures could not be removed; trying again later");
                }
            }
        } else if texts.is_empty() {
            return;
        }
        tokio::select! {
            () = app.pictures.notified() => {}
            Some(_) = texts.join_next() => {}
            () = app.draining.cancelled(), if !app.draining.is_cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Fetches what is due now, and returns of how many texts the pictures were.
///
/// # Errors
/// When nothing can be claimed.
pub async fn step(app: &App, sources: &Sources) -> sqlx::Result<usize> {
    let mut count = 0;
    loop {
        let claims = claim(app).await?;
        if claims.is_empty() {
            return Ok(count);
        }
        work(app.clone(), sources.clone(), claims).await;
        count += 1;
    }
}

/// Lets go what waits for nothing, and claims the pictures of one text.
async fn claim(app: &App) -> sqlx::Result<Vec<Claim>> {
    if store::is_idle(&mut *app.db.acquire().await?).await? {
        return Ok(Vec::new());
    }
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let released = release_settled(&mut tx, app, now).await?;
    let claims = store::claim(&mut tx, &app.pen.vault, LEASE, now).await?;
    tx.commit().await?;
    if released {
        app.wake.notify_one();
    }
    Ok(claims)
}

/// Fetches, paints and stores the pictures of one text, and notes what became of them.
async fn work(app: App, sources: Sources, claims: Vec<Claim>) {
    let made = tokio::time::timeout(PATIENCE, make(&app, &sources, &claims));
    let outcomes =
        made.await.unwrap_or_else(|_| Err(NotMade::Fetching("it takes too long".to_owned())));
    if let Err(error) = &outcomes {
        let id = claims.first().map(|claim| claim.id.to_string());
        tracing::warn!(id, %error, "a picture could not be passed on; trying again");
    }
    // When it cannot be noted, the lease ends, and all is done again.
    if let Err(error) = in_time(GLANCE, settle(&app, &claims, outcomes)).await {
        tracing::warn!(%error, "cannot note what became of pictures; they are fetched again");
    }
}

/// What becomes of each picture; an error when one of them may be tried again.
async fn make(app: &App, sources: &Sources, claims: &[Claim]) -> Result<Vec<Outcome>, NotMade> {
    let mut outcomes = Vec::new();
    let mut room = ROOM;
    let mut left = claims.len().min(usize::from(PICTURES.unsigned_abs()));
    for claim in claims {
        // What one does not use is left for those behind it.
        let share = room / left.max(1);
        left = left.saturating_sub(1);
        let outcome = make_one(app, sources, claim, share).await?;
        if let Outcome::Ready { bytes, .. } = &outcome {
            room -= bytes;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

async fn make_one(
    app: &App,
    sources: &Sources,
    claim: &Claim,
    room: usize,
) -> Result<Outcome, NotMade> {
    if claim.place > PICTURES {
        return Ok(Outcome::Refused(Refusal::TooMany));
    }
    // Nobody can read any more where it lies: its sender was forgotten.
    let Ok((sender, url)) = &claim.source else {
        return Ok(Outcome::Refused(Refusal::NotThere));
    };
    let file = match sources.fetch(url).await {
        Ok(file) => file,
        Err(NotFetched::Refused(why)) => return Ok(Outcome::Refused(why)),
        // The others go without it.
        Err(NotFetched::Later(_)) if claim.attempt >= TRIES => {
            return Ok(Outcome::Refused(Refusal::GaveUp));
        }
        Err(NotFetched::Later(why)) => return Err(NotMade::Fetching(why)),
    };
    let easel = sources.easels.acquire().await;
    let easel = easel.map_err(|error| NotMade::Fetching(error.to_string()))?;
    let painted = tokio::task::spawn_blocking(move || picture::prepare(&file, room)).await;
    drop(easel);
    // Whoever falls over it would fall over it again.
    let picture = match painted.unwrap_or(Err(Refusal::Broken)) {
        Ok(picture) => picture,
        Err(why) => return Ok(Outcome::Refused(why)),
    };
    let (mime, bytes) = (picture.mime, picture.bytes.len());
    let sha256 = Sha256::digest(&picture.bytes).into();
    let sealed = sender.seal(Field::MediaFile, claim.id, &picture.bytes).to_bytes();
    app.settings.media.storage.put(&claim.key, sealed).await?;
    Ok(Outcome::Ready { mime, bytes, sha256 })
}

/// Notes what became of the pictures of a text, and lets it go; or puts them back.
async fn settle(
    app: &App,
    claims: &[Claim],
    outcomes: Result<Vec<Outcome>, NotMade>,
) -> sqlx::Result<()> {
    let Some(first) = claims.first() else { return Ok(()) };
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let outcomes = match outcomes {
        Err(error) if error.is_final(first, now) => {
            Ok(claims.iter().map(|_| Outcome::Refused(Refusal::GaveUp)).collect())
        }
        other => other,
    };
    let mut released = false;
    match &outcomes {
        Ok(outcomes) => {
            for (claim, outcome) in claims.iter().zip(outcomes) {
                store::settle(&mut tx, claim, outcome).await?;
            }
            released = release_settled(&mut tx, app, now).await?;
        }
        Err(error) => store::postpone(&mut tx, claims, error.wait(first.attempt), now).await?,
    }
    tx.commit().await?;
    if released {
        app.wake.notify_one();
    }
    count(outcomes.as_deref().unwrap_or_default());
    Ok(())
}

fn count(outcomes: &[Outcome]) {
    for outcome in outcomes {
        let what = match outcome {
            Outcome::Ready { bytes, .. } => {
                metrics::counter!("maskline_media_bytes_total").increment(*bytes as u64);
                "ready"
            }
            Outcome::Refused(why) => why.as_str(),
        };
        metrics::counter!("maskline_media_total", "outcome" => what).increment(1);
    }
}

/// How long to wait before the next try: twice as long each time, between half and all of it by
/// chance. `chance` is 0 to 1.
fn backoff(attempt: i16, chance: f64) -> SignedDuration {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(8);
    (FIRST_WAIT * 2_i32.pow(doublings)).mul_f64(f64::midpoint(1.0, chance))
}

/// Removes what is older than the settings say, from the storage first. Returns how many.
///
/// # Errors
/// The database's. What the storage does not let go is tried again.
pub async fn remove_old(app: &App) -> sqlx::Result<usize> {
    let mut conn = app.db.acquire().await?;
    let now = database::time(&mut conn, &app.clock).await?;
    old::forget_unwanted(&mut conn).await?;
    let before = now.saturating_sub(app.settings.media.keep).unwrap_or(Timestamp::MIN);
    let mut count = 0;
    loop {
        let found = old::find(&mut conn, before, BATCH, now).await?;
        for (picture, key) in &found {
            if let Err(error) = app.settings.media.storage.remove(key).await {
                tracing::warn!(%error, "an old picture could not be removed; trying again later");
                return Ok(count);
            }
            old::forget(&mut conn, *picture).await?;
            count += 1;
        }
        if found.len() < usize::try_from(BATCH).unwrap_or_default() {
            return Ok(count);
        }
    }
}
