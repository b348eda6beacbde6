//! The time, asked once at the door; inside, `now` is data.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;

/// A time as PostgreSQL stores it (`timestamptz`, microseconds).
pub type SqlTimestamp = jiff_sqlx::Timestamp;

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The computer's own clock.
    System,
    /// A clock that stands still until somebody moves it.
    Manual(ManualClock),
}

impl Clock {
    /// The time, to the microsecond, which is what PostgreSQL keeps.
    pub fn now(&self) -> Timestamp {
        let microseconds = match self {
            Self::System => system().as_microsecond(),
            Self::Manual(clock) => clock.0.load(Ordering::SeqCst),
        };
        Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::MAX)
    }

    /// The time that stands in for the database's own, if it does not count here.
    ///
    /// What several processes must agree on goes by the database's clock, asked for in a statement
    /// that is sent anyway: `coalesce($1, clock_timestamp())`. A clock that stands still is for all.
    pub fn instead(&self) -> Option<SqlTimestamp> {
        match self {
            Self::System => None,
            Self::Manual(_) => Some(self.now().to_sqlx()),
        }
    }
}

/// A clock that stands still until somebody moves it; its clones move together.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that stands at this time.
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.as_microsecond())))
    }

    /// Moves the clock, forwards or back.
    pub fn advance(&self, by: SignedDuration) {
        let microseconds = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(microseconds, Ordering::SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the time is read")]
fn system() -> Timestamp {
    Timestamp::now()
}
