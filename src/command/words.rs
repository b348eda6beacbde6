//! The keywords, in their normal form.

use super::Command;
use crate::code::{self, Code};

/// The words that opt out. US rules (47 CFR 64.1200(a)(10)) name seven of them, END among them.
const OPT_OUT: [&str; 10] = [
    "STOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "CANCEL",
    "END",
    "QUIT",
    "REVOKE",
    "OPTOUT",
    "REMOVE",
    "ARRET",
];

/// Makes a command of a code.
type OfCode = fn(Code) -> Command;

/// The words that a code follows, and what they then ask for.
const WITH_CODE: [(&str, OfCode); 3] =
    [("JOIN", Command::Join), ("END", Command::EndCode), ("LEAVE", Command::LeaveCode)];

/// Whether the whole text is an opt-out word, however it is spaced: "S.T.O.P", "opt-out".
pub(super) fn is_opt_out(text: &str) -> bool {
    let letters = || text.chars().filter(|c| !code::is_separator(*c));
    OPT_OUT.iter().any(|word| letters().eq(word.chars()))
}

/// What the whole text asks for if it is a keyword other than an opt-out word.
pub(super) fn bare(text: &str) -> Option<Command> {
    match text {
        "UNSTOP" | "YES" => Some(Command::Unstop),
        "HELP" | "INFO" | "AIDE" => Some(Command::Help),
        "START" | "NEW CHAT" | "NEW-CHAT" | "NEWCHAT" => Some(Command::Start),
        "LEAVE" => Some(Command::Leave),
        _ => None,
    }
}

/// What the whole text asks for if it is a keyword and a code, with anything but letters and
/// digits between the two.
pub(super) fn with_code(text: &str) -> Option<Command> {
    let mark = |c: char| !c.is_alphanumeric();
    WITH_CODE.iter().find_map(|(word, command)| {
        let rest = text.strip_prefix(word).filter(|rest| rest.starts_with(mark))?;
        rest.trim_matches(mark).parse().ok().map(command)
    })
}
