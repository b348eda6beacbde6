//! The keywords, in their normal form.

use super::Command;
use crate::{
    code::{self, Code},
    texts::Language,
};

/// The words that opt out. US rules (47 CFR 64.1200(a)(10)) name seven of them, END among them.
const OPT_OUT: [&str; 9] =
    ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "REMOVE"];

/// The French word that opts out, in Canada.
const OPT_OUT_IN_FRENCH: &str = "ARRET";

/// Makes a command of a code.
type OfCode = fn(Code) -> Command;

/// The words that a code follows, and what they then ask for.
const WITH_CODE: [(&str, OfCode); 5] = [
    ("JOIN", Command::Join),
    ("END", Command::EndCode),
    ("LEAVE", Command::LeaveCode),
    ("MOVE", Command::MoveCode),
    // Whatever the code, it is a wish to hear no more.
    ("STOP", |_| Command::OptOut { bare_stop: false, language: Language::English }),
];

/// The language of an opt-out word, if the whole text is one, however it is spaced: "S.T.O.P",
/// "opt-out".
pub(super) fn opt_out(text: &str) -> Option<Language> {
    let is = |word: &str| text.chars().filter(|c| !code::is_separator(*c)).eq(word.chars());
    if OPT_OUT.into_iter().any(is) {
        Some(Language::English)
    } else {
        is(OPT_OUT_IN_FRENCH).then_some(Language::French)
    }
}

/// What the whole text asks for if it is a keyword other than an opt-out word.
pub(super) fn bare(text: &str) -> Option<Command> {
    match text {
        "UNSTOP" => Some(Command::Unstop),
        "YES" => Some(Command::Yes),
        "HELP" | "INFO" => Some(Command::Help { language: Language::English }),
        "AIDE" => Some(Command::Help { language: Language::French }),
        "START" | "NEW CHAT" | "NEW-CHAT" | "NEWCHAT" => Some(Command::Start),
        "LEAVE" => Some(Command::Leave),
        "EXTEND" => Some(Command::Extend),
        "REOPEN" => Some(Command::Reopen),
        "BLOCK" => Some(Command::Block),
        "REPORT" => Some(Command::Report),
        "MOVE" => Some(Command::Move),
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
