//! The desk: connections that lie ready for the next text.
//!
//! A connection that is given back to the pool is asked whether it lives, which takes as long as half
//! of what a text asks for. Where texts come one upon the other, one that has just served stays here
//! for the next instead, for a moment.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use tokio::time::Instant;

/// For how long the pool's word for a connection is taken.
const MOMENT: Duration = Duration::from_millis(50);

/// Connections that lie ready. Clones stand at the same desk.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    db: PgPool,
    ready: Arc<Mutex<Vec<Ready>>>,
}

/// A connection, and since when the pool has not seen it.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) conn: PoolConnection<Postgres>,
    since: Instant,
}

impl Desk {
    /// An empty one.
    pub(super) fn new(db: PgPool) -> Self {
        Self { db, ready: Arc::default() }
    }

    /// Takes one that lies ready, else one of the pool.
    pub(super) async fn take(&self) -> sqlx::Result<Ready> {
        let ready = self.ready().pop().filter(|ready| ready.since.elapsed() < MOMENT);
        match ready {
            Some(ready) => Ok(ready),
            None => Ok(Ready { conn: self.db.acquire().await?, since: Instant::now() }),
        }
    }

    /// Lays one ready that has just served; not for long, and not where it has been here for long.
    pub(super) fn keep(&self, ready: Ready) {
        if ready.since.elapsed() >= MOMENT {
            return;
        }
        let is_first = {
            let mut all = self.ready();
            all.push(ready);
            all.len() == 1
        };
        if is_first {
            let desk = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(MOMENT).await;
                let left = std::mem::take(&mut *desk.ready());
                drop(left);
            });
        }
    }

    /// How many one may try until one is alive.
    pub(super) fn most(&self) -> u32 {
        self.db.options().get_max_connections()
    }

    fn ready(&self) -> MutexGuard<'_, Vec<Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
