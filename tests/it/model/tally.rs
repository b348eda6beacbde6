//! How often each rule and each answer was met, so that the generator cannot go blind.

use std::collections::BTreeMap;

/// What was met.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub sequences: usize,
    pub steps: usize,
    pub delivered: usize,
    met: BTreeMap<String, usize>,
}

const RULES: [&str; 17] = [
    "opt_out",
    "unstop",
    "yes",
    "help",
    "start",
    "join",
    "end_code",
    "leave",
    "leave_code",
    "extend",
    "reopen",
    "block",
    "report",
    "move",
    "move_code",
    "talk",
    "empty",
];

/// All answers but `try_later`, which needs a source of chance that fails.
const ANSWERS: [&str; 32] = [
    "started",
    "start_elsewhere",
    "no_number",
    "joined",
    "they_joined",
    "you_ended",
    "ended",
    "ends_soon",
    "extended",
    "cannot_extend",
    "over",
    "reopen_asked",
    "reopen_wish",
    "reopened",
    "cannot_reopen",
    "code_failed",
    "already_connected",
    "already_waiting",
    "alone",
    "nobody",
    "not_your_code",
    "nothing_to_end",
    "no_conversation",
    "blocked",
    "reported",
    "move_code",
    "moved",
    "moved_away",
    "move_taken",
    "opted_out",
    "opted_in",
    "help",
];

const TURNS: [&str; 25] = [
    "opened",
    "joined",
    "reopened",
    "extended",
    "warned",
    "reopen_asked",
    "opted_out",
    "opted_in",
    "carrier_lifted",
    "flagged",
    "blocked",
    "person_reported",
    "code_failed",
    "move_offered",
    "moved",
    "ended left",
    "ended opted_out",
    "ended expired",
    "ended superseded",
    "ended silence",
    "ended longest",
    "ended blocked",
    "ended reported",
    "ended carrier_blocked",
    "opened",
];

impl Tally {
    pub fn meet(&mut self, what: &str) {
        match self.met.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.met.insert(what.to_owned(), 1);
            }
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.sequences += other.sequences;
        self.steps += other.steps;
        self.delivered += other.delivered;
        for (what, count) in &other.met {
            *self.met.entry(what.clone()).or_default() += count;
        }
    }

    /// What should have been met, and was not.
    pub fn missing(&self) -> Vec<String> {
        let rules = RULES.iter().map(|rule| format!("rule {rule}"));
        let answers = ANSWERS.iter().map(|answer| format!("answer {answer}"));
        let turns = TURNS.iter().map(|turn| format!("turn {turn}"));
        rules.chain(answers).chain(turns).filter(|what| !self.met.contains_key(what)).collect()
    }

    pub fn show(&self) -> String {
        let met = self.met.iter().map(|(what, count)| format!("  {count:>8}  {what}\n"));
        let (sequences, steps, delivered) = (self.sequences, self.steps, self.delivered);
        let head = format!("{sequences} sequences, {steps} steps, {delivered} texts delivered\n");
        std::iter::once(head).chain(met).collect()
    }
}
