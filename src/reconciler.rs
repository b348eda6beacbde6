//! The round: asks the carrier for what nobody told us.
//!
//! Each minute one process reads the carrier's list of messages. Texts that the webhook never brought
//! come through the same door as all others; sends of which nobody knew whether the carrier has them
//! are settled. The webhook needs none of it: without the list it goes on as it is.

mod matching;
mod sends;
mod texts;
mod turn;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use self::turn::Turn;
use crate::{
    app::App,
    carrier::{Flowroute, ListError, Listed},
    database::in_time,
};

/// How often it is looked whether it is time for a round.
const TICK: Duration = Duration::from_secs(5);
/// How long the carrier may take for one list.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the database may take to give or end a turn, and for all that one list brings. What is
/// taken in by then stays so.
const GLANCE: Duration = Duration::from_secs(10);
const TAKING: Duration = Duration::from_mins(2);
/// How long the webhook has for a text: the carrier tries it for two minutes.
const GRACE: SignedDuration = SignedDuration::from_mins(3);
/// The longest time that is listed at once; more than a round needs that follows on another.
const WIDEST: SignedDuration = SignedDuration::from_mins(30);
/// The shortest: what is too much even then is too much.
const NARROWEST: SignedDuration = SignedDuration::from_secs(2);

/// So few messages in a list that a longer time can be listed at once.
const FEW: usize = 2000;

/// Why a round came to no end.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The list could not be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The database could not be used.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Reads the carrier's list, in its turn.
#[derive(Debug)]
pub struct Reconciler {
    app: App,
    carrier: Flowroute,
    /// How long the carrier may take for one list.
    patience: Duration,
    /// How long a time is listed at once: less where there is much in it.
    width: SignedDuration,
    /// Whether the last round failed, which is said once.
    failing: bool,
}

impl Reconciler {
    /// Makes one for this account.
    pub fn new(app: App, carrier: Flowroute) -> Self {
        Self { app, carrier, patience: PATIENCE, width: WIDEST, failing: false }
    }

    /// The same, with so much time for one list.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Goes its rounds until the app is draining.
    pub async fn run(mut self) {
        while !self.app.draining.is_cancelled() {
            self.tick().await;
            tokio::select! {
                () = self.app.draining.cancelled() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Goes a round if it is time for one, and says how it went.
    async fn tick(&mut self) {
        let outcome = match self.step().await {
            Ok(false) => return,
            Ok(true) => "done",
            Err(RoundError::List(_)) => "list_failed",
            Err(RoundError::Database(_)) => "database_failed",
        };
        metrics::counter!("maskline_reconciler_runs_total", "outcome" => outcome).increment(1);
    }

    /// Goes a round; false when it is not time for one, or somebody else's turn.
    ///
    /// # Errors
    /// What kept it from its end. Whatever it had taken in by then stays so.
    pub async fn step(&mut self) -> Result<bool, RoundError> {
        let went = self.go().await;
        match &went {
            Err(error) if !self.failing => {
                tracing::warn!(%error, "the carrier's list was not read to its end; trying again each minute");
            }
            Err(error) => tracing::debug!(%error, "the carrier's list was not read to its end"),
            Ok(true) if self.failing => tracing::info!("the carrier's list is read again"),
            Ok(_) => {}
        }
        self.failing = went.is_err() || (self.failing && matches!(went, Ok(false)));
        went
    }

    async fn go(&mut self) -> Result<bool, RoundError> {
        let taken = in_time(GLANCE, turn::take(&self.app)).await?;
        let Some(mut turn) = taken else { return Ok(false) };
        let went = self.round(&mut turn).await;
        in_time(GLANCE, turn::end(&self.app, &turn)).await?;
        went.map(|()| true)
    }

    /// Lists one time after the other, up to now. What lies below the watermark is in the database
    /// before it moves.
    async fn round(&mut self, turn: &mut Turn) -> Result<(), RoundError> {
        let (now, mut from) = (turn.now, turn.from);
        while from < now {
            let to = now.min(from.saturating_add(self.width).unwrap_or(now));
            let listed = match self.list(from, to).await {
                Err(ListError::TooMuch) if self.width > NARROWEST => {
                    self.width = (self.width / 4).max(NARROWEST);
                    continue;
                }
                listed => listed?,
            };
            let Some(listed) = listed else { return Ok(()) };
            let is_short = listed.len() < FEW;
            let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
            for message in listed {
                match message {
                    Listed::Inbound(text, at) => inbound.push((text, at)),
                    Listed::Outbound(sent) => outbound.push(sent),
                }
            }
            let mature = now.saturating_sub(GRACE).unwrap_or(Timestamp::MIN);
            inbound.retain(|(_, at)| *at < mature);
            let app = &self.app;
            let taking = async {
                texts::take_in(app, &inbound).await?;
                sends::settle(app, &outbound, (from, to)).await?;
                turn::go_on(app, turn, to.min(mature)).await
            };
            if !in_time(TAKING, taking).await? {
                // It took so long that somebody else goes on from the watermark.
                return Ok(());
            }
            if is_short {
                self.width = (self.width * 2).min(WIDEST);
            }
            from = to;
        }
        Ok(())
    }

    /// Reads one list; none when the app is to stop.
    async fn list(&self, from: Timestamp, to: Timestamp) -> Result<Option<Vec<Listed>>, ListError> {
        tokio::select! {
            listed = timeout(self.patience, self.carrier.messages(from, to)) => match listed {
                Ok(listed) => listed.map(Some),
                // The carrier answers, or its client would have given up before.
                Err(_) => Err(ListError::TooMuch),
            },
            () = self.app.draining.cancelled() => Ok(None),
        }
    }
}
