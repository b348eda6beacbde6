//! What is under way, counted, so that a test can wait until nothing is.

use tokio::sync::watch;

/// The count of deliveries under way.
#[derive(Debug)]
pub(super) struct Activity(watch::Sender<usize>);

/// One delivery under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(watch::Sender<usize>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn begin(&self) -> Busy {
        self.0.send_modify(|count| *count += 1);
        Busy(self.0.clone())
    }

    pub(super) async fn idle(&self) {
        // The only error is a closed channel, and then nothing is under way either.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
