//! What every room may reach: the database, the settings, the time, chance.

use std::sync::{Arc, atomic::AtomicI64};

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    code::Randomness,
    config::Settings,
    vault::{Pen, Vault},
};

/// What every room may reach. Clones share everything.
#[derive(Debug, Clone)]
pub struct App {
    /// The database.
    pub db: PgPool,
    /// The settings, read once at the start.
    pub settings: Arc<Settings>,
    /// What words are written and sealed with.
    pub pen: Arc<Pen>,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where codes come from.
    pub randomness: Arc<Randomness>,
    /// Rung after a commit that promised a text, so that the worker need not wait for its poll.
    pub wake: Arc<Notify>,
    /// When the carrier last accepted a text of this process, in microseconds.
    pub last_accepted: Arc<AtomicI64>,
    /// Rung after a commit that kept pictures to be fetched.
    pub pictures: Arc<Notify>,
    /// Set when the process is to stop: nothing new is begun.
    pub draining: CancellationToken,
}

impl App {
    /// Puts the parts together.
    pub fn new(
        db: PgPool,
        settings: Settings,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
    ) -> Self {
        Self {
            db,
            pen: Arc::new(Pen { brand: settings.brand.clone(), vault }),
            settings: Arc::new(settings),
            clock,
            randomness: Arc::new(randomness),
            wake: Arc::default(),
            last_accepted: Arc::new(AtomicI64::new(i64::MIN)),
            pictures: Arc::default(),
            draining: CancellationToken::new(),
        }
    }
}
