//! Trust in the connections that are given back: each shows that it lives, and now and then one is
//! asked for all of them whether its server still takes writes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgConnection;
use tokio::{sync::watch, time::Instant};

use super::servers;

/// How long the answer of one connection stands for all.
const LASTS: Duration = Duration::from_millis(20);

/// What is known of a pool's server. Clones know the same.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    /// When a connection last showed that its server takes writes.
    asked: Arc<Mutex<Option<Instant>>>,
    /// Since when the pool's connections must have been made.
    turned: watch::Sender<Instant>,
}

impl Trust {
    /// Nobody has been asked yet.
    pub(super) fn new(turned: watch::Sender<Instant>) -> Self {
        Self { asked: Arc::default(), turned }
    }

    /// Whether a connection that is given back may be used again. When its server takes no writes
    /// any more, no other that was made before may be either.
    pub(super) async fn is_of_use(&self, conn: &mut PgConnection) -> bool {
        let now = Instant::now();
        if self.asked().is_some_and(|asked| now.duration_since(asked) < LASTS) {
            return servers::answers(conn).await;
        }
        let writable = servers::asked(conn).await;
        *self.asked() = matches!(writable, Ok(true)).then_some(now);
        if matches!(writable, Ok(false)) {
            self.turned.send_replace(now);
        }
        writable.unwrap_or(false)
    }

    fn asked(&self) -> MutexGuard<'_, Option<Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
