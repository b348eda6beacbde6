//! The words: what does a text ask for?
//!
//! The whole text is matched, never a word inside a sentence: people say "stop by at five" to each
//! other. The other way round, whoever writes an opt-out word in any spelling is heard.

mod normalise;
mod plea;
mod words;

pub use plea::plea;

pub use crate::conversation::command::{Command, Rule};

/// Reads a text as it came from the carrier.
///
/// Every body has an answer; most are talk. The body itself is not changed by this.
pub fn parse(body: &str) -> Command {
    if normalise::is_blank(body) {
        return Command::Empty;
    }
    let command = normalise::normalise(body).and_then(|text| whole(body, &text));
    command.unwrap_or_else(|| Command::Talk { plea: plea(body) })
}

/// What the whole text asks for, if it is a command.
fn whole(body: &str, text: &str) -> Option<Command> {
    if let Some(language) = words::opt_out(text) {
        let bare_stop = body.trim_ascii().eq_ignore_ascii_case("STOP");
        return Some(Command::OptOut { bare_stop, language });
    }
    words::bare(text).or_else(|| words::with_code(text))
}

#[cfg(test)]
mod tests;
