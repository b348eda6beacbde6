//! The sweeper: what happens to conversations and numbers when nobody texts.
//!
//! It works in small batches, any number of replicas side by side, and by the database's time, so
//! that no replica's clock ends anything early.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    app::App,
    conversation::store,
    database::{self, in_time},
    dispatch, pool,
};

/// How often it looks when nothing was due.
const PAUSE: Duration = Duration::from_secs(5);
/// How often the pool of numbers is looked at.
const ROUND: Duration = Duration::from_mins(5);
/// How long a look at either may take. A connection that has fallen silent would keep us for ever.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many conversations it takes at once.
const BATCH: i64 = 100;

/// Sweeps until the app is draining.
pub async fn run(app: App) {
    let mut next_round = Instant::now();
    while !app.draining.is_cancelled() {
        let swept = in_time(PATIENCE, step(&app)).await;
        if let Err(error) = &swept {
            tracing::warn!(%error, "the sweeper could not sweep; trying again");
        }
        if next_round <= Instant::now() {
            next_round += ROUND;
            if let Err(error) = in_time(PATIENCE, look_at_pool(&app)).await {
                tracing::warn!(%error, "the sweeper could not look at the pool; trying again");
            }
        }
        // A full batch may have left some behind.
        if swept.is_ok_and(|count| count >= BATCH) {
            continue;
        }
        tokio::select! {
            () = app.draining.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Sweeps once: what is due, up to a batch of it. Returns how many conversations were looked at.
///
/// # Errors
/// The database's; nothing has changed then.
pub async fn step(app: &App) -> sqlx::Result<i64> {
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let looked = dispatch::sweep(&mut tx, &app.pen, BATCH, now).await?;
    let ended = dispatch::end_carrier_blocked(&mut tx, &app.pen, BATCH, now).await?;
    store::forget_failures(&mut tx, now).await?;
    tx.commit().await?;
    if looked + ended > 0 {
        app.wake.notify_one();
    }
    Ok(i64::try_from(looked.max(ended)).unwrap_or(BATCH))
}

/// Takes numbers out of service whose texts fail, measures the pool, and calls staff when it runs
/// out.
///
/// # Errors
/// The database's; nothing has changed then.
pub async fn look_at_pool(app: &App) -> sqlx::Result<()> {
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    pool::quarantine_failing(&mut tx, now).await?;
    pool::look(&mut tx, &app.settings.pool, now).await?;
    tx.commit().await
}
