//! The rate limit: so many texts in any second.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The times of the texts that were let in during the last second.
#[derive(Debug)]
pub(super) struct Limit {
    per_second: Option<u32>,
    recent: VecDeque<Instant>,
}

impl Limit {
    pub(super) fn new(per_second: Option<u32>) -> Self {
        Self { per_second, recent: VecDeque::new() }
    }

    /// Whether one more may pass now; one that may is counted.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let Some(most) = self.per_second else { return true };
        while self.recent.front().is_some_and(|&then| now - then >= Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        let room = self.recent.len() < usize::try_from(most).unwrap_or(usize::MAX);
        if room {
            self.recent.push_back(now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_in_so_many_a_second_and_more_a_second_later() {
        let mut limit = Limit::new(Some(2));
        let start = Instant::now();
        let admitted = [0, 100, 200, 999, 1000, 1050, 1100]
            .map(|ms| limit.admit(start + Duration::from_millis(ms)));
        assert_eq!(admitted, [true, true, false, false, true, false, true]);
    }
}
