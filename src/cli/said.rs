//! Long work says how far it is, where somebody looks on.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use tokio::time::Instant;

/// How often.
const EVERY: Duration = Duration::from_secs(2);

/// When it was said last.
pub(super) struct Said {
    last: Instant,
    is_watched: bool,
}

impl Said {
    /// Begins to work.
    pub(super) fn new() -> Self {
        Self { last: Instant::now(), is_watched: stderr().is_terminal() }
    }

    /// Says how far it is, if that was not said lately.
    pub(super) fn at_times(&mut self, what: impl FnOnce() -> String) {
        if let Some(line) = self.due(Instant::now(), what) {
            eprintln!("{line}");
        }
    }

    /// The line that is due now.
    fn due(&mut self, now: Instant, what: impl FnOnce() -> String) -> Option<String> {
        let is_due = self.is_watched && now.duration_since(self.last) >= EVERY;
        is_due.then(|| {
            self.last = now;
            what()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_by_the_time_and_not_by_how_much_was_done() {
        let begun = Instant::now();
        let mut said = Said { last: begun, is_watched: true };
        let lines: Vec<String> = (1..=60)
            .filter_map(|tenth| {
                let now = begun + Duration::from_millis(100) * tenth;
                said.due(now, || format!("{} of 100003 records", 1667 * tenth))
            })
            .collect();
        assert_eq!(
            lines,
            ["33340 of 100003 records", "66680 of 100003 records", "100020 of 100003 records"]
        );
        said.is_watched = false;
        let late = begun + Duration::from_mins(1);
        assert_eq!(said.due(late, || "for nobody".to_owned()), None);
    }
}
