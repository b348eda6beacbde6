//! Reading that leaves the machine to those who text.
//!
//! Whoever reads much of the trail does so in batches, and rests between them while texts come in:
//! the longer, the more of them do. While nothing is written, nobody rests. All who read in one
//! process share what there is to spend, so that searching again and again takes no more than
//! searching once; a little is saved up, so that a page now and then never waits.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgConnection;
use tokio::time::Instant;

/// Up to how many rows may be written in a second before anybody rests: those of some 60 texts.
const QUIET: f64 = 400.0;
/// What share of the time reading takes at least, and until it is known how much is written.
const LEAST: f64 = 0.05;
/// How many seconds of reading are saved up at most, and how many owed.
const SAVED: f64 = 0.25;
const OWED: f64 = 1.0;
/// How often it is asked how much is written: PostgreSQL's sessions tell once a second.
const LOOK: Duration = Duration::from_secs(1);
/// After how long an answer is too old to go by.
const STALE: Duration = Duration::from_secs(5);
/// How much smaller batches are while texts come in: they share a core with them.
const SMALLER: u32 = 10;

/// What each database's readers in this process share, by the database's id.
static BUDGETS: LazyLock<Mutex<HashMap<i64, Shared>>> = LazyLock::new(Mutex::default);

type Shared = Arc<Mutex<Budget>>;

/// The pace of somebody who reads. What they do between two calls is taken for reading.
#[derive(Debug)]
pub struct Pace {
    shared: Shared,
    since: Instant,
}

impl Pace {
    /// Begins to read: at once, unless too much was read already.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let (id, _) = written(conn).await?;
        let shared = Arc::clone(locked(&BUDGETS).entry(id).or_default());
        let mut pace = Self { shared, since: Instant::now() };
        pace.wait(conn, -SAVED).await?;
        Ok(pace)
    }

    /// Rests as long as the last batch requires.
    ///
    /// # Errors
    /// The database's.
    pub async fn rest(&mut self, conn: &mut PgConnection) -> sqlx::Result<()> {
        self.pay();
        self.wait(conn, 0.0).await
    }

    /// How large a batch is to be that is this large when nobody texts.
    pub fn batch(&self, whole: u32) -> u32 {
        if self.is_slowed() { (whole / SMALLER).max(1) } else { whole }
    }

    /// Whether texts come in so that it rests.
    pub fn is_slowed(&self) -> bool {
        locked(&self.shared).share < 1.0
    }

    /// Waits until so much is left to spend.
    async fn wait(&mut self, conn: &mut PgConnection, least: f64) -> sqlx::Result<()> {
        loop {
            if locked(&self.shared).is_due(Instant::now()) {
                let (_, rows) = written(conn).await?;
                locked(&self.shared).see(rows, Instant::now());
            }
            let Some(rest) = locked(&self.shared).rest(least, Instant::now()) else { break };
            // What is written may change meanwhile.
            tokio::time::sleep(rest.min(LOOK)).await;
        }
        self.since = Instant::now();
        Ok(())
    }

    fn pay(&mut self) {
        let now = Instant::now();
        locked(&self.shared).pay((now - self.since).as_secs_f64(), now);
        self.since = now;
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.pay();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds of reading that may be spent.
#[derive(Debug)]
struct Budget {
    /// Less than none where more was spent.
    left: f64,
    /// Until when it was earned.
    earned: Instant,
    /// How much of a second is earned in a second.
    share: f64,
    /// How many rows had been written at the last look.
    seen: Option<(i64, Instant)>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: SAVED, earned: Instant::now(), share: LEAST, seen: None }
    }
}

impl Budget {
    fn is_due(&self, now: Instant) -> bool {
        self.seen.is_none_or(|(_, at)| now - at >= LOOK)
    }

    /// Takes in how many rows have been written up to now.
    fn see(&mut self, rows: i64, now: Instant) {
        self.earn(now);
        let fresh = self.seen.filter(|(_, at)| now - *at < STALE);
        self.share = fresh.map_or(LEAST, |(before, at)| {
            let more = u32::try_from((rows - before).max(0)).unwrap_or(u32::MAX);
            (QUIET * (now - at).as_secs_f64() / f64::from(more)).clamp(LEAST, 1.0)
        });
        self.seen = Some((rows, now));
    }

    fn earn(&mut self, now: Instant) {
        let more = (now - self.earned).as_secs_f64() * self.share;
        self.left = if self.share < 1.0 { (self.left + more).min(SAVED) } else { SAVED };
        self.earned = now;
    }

    fn pay(&mut self, spent: f64, now: Instant) {
        self.earn(now);
        self.left = (self.left - spent).max(-OWED);
    }

    /// How long it takes until so much is left; none if it is.
    fn rest(&mut self, least: f64, now: Instant) -> Option<Duration> {
        self.earn(now);
        let missing = least - self.left;
        // A timer is no finer than a millisecond.
        let rest = || Duration::from_secs_f64(missing / self.share).max(Duration::from_millis(1));
        (missing > 0.0).then(rest)
    }
}

/// The database's id, and how many rows were ever written into it. A standby counts none.
async fn written(conn: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    // Within a transaction PostgreSQL would say the same again and again.
    let found = sqlx::query!(
        r#"with fresh as materialized (select pg_stat_clear_snapshot()::text)
           select d.oid::bigint as "id!", pg_stat_get_db_tuples_inserted(d.oid) as "rows!"
           from fresh
           cross join pg_database d
           where d.datname = current_database()"#
    )
    .fetch_one(conn)
    .await?;
    Ok((found.id, found.rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads in steps of this length for a minute while so many rows a second are written: what
    /// share of it was spent on reading, and how long the longest rest was.
    fn minute(step: f64, rows_per_second: i64, least: f64) -> (f64, f64) {
        let start = Instant::now();
        let (mut budget, mut now, mut spent, mut longest) = (Budget::default(), 0.0, 0.0, 0.0_f64);
        while now < 60.0 {
            let at = start + Duration::from_secs_f64(now);
            if budget.is_due(at) {
                let millis = i64::try_from((at - start).as_millis()).unwrap();
                budget.see(millis * rows_per_second / 1_000, at);
            }
            if let Some(rest) = budget.rest(least, at) {
                longest = longest.max(rest.as_secs_f64());
                now += rest.min(LOOK).as_secs_f64();
            } else {
                now += step;
                spent += step;
                budget.pay(step, start + Duration::from_secs_f64(now));
            }
        }
        (spent / now, longest)
    }

    #[test]
    fn reading_takes_a_small_share_while_many_text_and_all_while_nobody_does() {
        for least in [0.0, -SAVED] {
            for step in [0.002, 0.05, 0.4] {
                let (busy, _) = minute(step, 14_000, least);
                assert!((0.04..0.07).contains(&busy), "{step} s: {busy}");
                let (half, _) = minute(step, 800, least);
                assert!((0.4..0.6).contains(&half), "{step} s: {half}");
                // But for the first second, in which it is not known yet.
                let (alone, _) = minute(step, 0, least);
                assert!(alone > 0.95, "{step} s: {alone}");
            }
        }
    }

    #[test]
    fn a_page_now_and_then_never_waits_and_nobody_waits_for_long() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.see(0, start);
        for page in 1..100 {
            let at = start + Duration::from_secs(3 * page);
            budget.see(30_000 * i64::try_from(page).unwrap(), at);
            assert_eq!(budget.rest(-SAVED, at), None, "page {page}");
            budget.pay(0.15, at + Duration::from_millis(150));
        }
        budget.pay(1_000.0, start + Duration::from_secs(1_300));
        let rest = budget.rest(0.0, start + Duration::from_secs(1_300)).unwrap();
        assert!(rest <= Duration::from_secs(20), "{rest:?}");
    }

    #[test]
    fn what_was_seen_long_ago_is_not_gone_by() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.see(0, start);
        budget.see(0, start + LOOK);
        assert!(budget.share >= 1.0);
        budget.see(0, start + LOOK + STALE);
        assert!(budget.share <= LEAST);
    }
}
