//! The words: what does a text ask for?
//!
//! The whole text is matched, never a word inside a sentence: people say "stop by at five" to each
//! other. The other way round, whoever writes an opt-out word in any spelling is heard.

mod normalise;
mod words;

pub use crate::conversation::command::{Command, Rule};

/// Reads a text as it came from the carrier.
///
/// Every body has an answer; most are talk. The body itself is not changed by this.
pub fn parse(body: &str) -> Command {
    if normalise::is_blank(body) {
        return Command::Empty;
    }
    let Some(text) = normalise::normalise(body) else {
        return Command::Talk;
    };
    if words::is_opt_out(&text) {
        return Command::OptOut { bare_stop: body.trim().eq_ignore_ascii_case("STOP") };
    }
    words::bare(&text).or_else(|| words::with_code(&text)).unwrap_or(Command::Talk)
}

#[cfg(test)]
mod tests;
