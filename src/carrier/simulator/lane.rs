//! The lane in which one delivery can be held back until the next has gone ahead.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

/// Says "the next one goes now" and gives what tells when it is done.
type Signal = oneshot::Sender<oneshot::Receiver<()>>;

/// At most one delivery is held at a time, so with every one to be reordered, pairs swap.
#[derive(Debug, Default)]
pub(super) struct Lane {
    held: Option<Signal>,
}

/// What a delivery has to do when its turn comes.
#[derive(Debug)]
pub(super) enum Turn {
    /// Wait for the next delivery.
    Hold(oneshot::Receiver<oneshot::Receiver<()>>),
    /// Go now. Dropping what is in it lets a held one follow.
    Go(
        #[expect(dead_code, reason = "only dropped, which is the signal")]
        Option<oneshot::Sender<()>>,
    ),
}

impl Lane {
    /// Takes a place in the lane.
    pub(super) fn turn(&mut self, reorder: bool) -> Turn {
        let held = self.held.take().filter(|signal| !signal.is_closed());
        match held {
            None if reorder => {
                let (signal, next) = oneshot::channel();
                self.held = Some(signal);
                Turn::Hold(next)
            }
            None => Turn::Go(None),
            Some(signal) => {
                let (done, is_done) = oneshot::channel();
                // Where it has just stopped waiting, there is nobody left to let go.
                let followed = signal.send(is_done).is_ok();
                Turn::Go(followed.then_some(done))
            }
        }
    }
}

impl Turn {
    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Hold(_))
    }

    /// Waits as long as this turn demands; what it gives is dropped once the delivery is over.
    pub(super) async fn come(self, hold: Duration) -> Self {
        if let Self::Hold(next) = self {
            if let Ok(Ok(is_done)) = timeout(hold, next).await {
                // An error means that the other was dropped unfinished: then it is over too.
                let _ = is_done.await;
            }
            return Self::Go(None);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn the_held_one_waits_until_the_next_is_over() {
        let mut lane = Lane::default();
        let held = lane.turn(true).come(LONG);
        tokio::pin!(held);
        assert!(timeout(Duration::ZERO, &mut held).await.is_err(), "none has come");

        let next = lane.turn(true);
        assert!(!next.is_held(), "only one is held at a time");
        assert!(timeout(Duration::ZERO, &mut held).await.is_err(), "the next is under way");

        drop(next);
        assert!(!held.await.is_held());
    }

    #[tokio::test]
    async fn one_that_has_stopped_waiting_is_forgotten() {
        let mut lane = Lane::default();
        lane.turn(true).come(Duration::ZERO).await;
        assert!(lane.turn(true).is_held());
    }
}
