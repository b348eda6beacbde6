//! The settings that say how long things last, and which number is chosen.

use jiff::SignedDuration;

use super::{parse, silence, sources::Sources};

/// How long things last. A conversation copies its own when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long a code lets the second person in.
    pub code_lifetime: SignedDuration,
    /// After how long a silence an active conversation ends.
    pub silence: SignedDuration,
    /// How long a conversation lasts at most.
    pub longest: SignedDuration,
    /// How long after its end a conversation can be opened again; zero: not at all.
    pub reopen_within: SignedDuration,
}

/// How long what staff ask for lasts in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleTimes {
    /// For how long it can be granted.
    pub request_lifetime: SignedDuration,
    /// For how long the file of an export can be downloaded.
    pub export_lifetime: SignedDuration,
}

/// How masked numbers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Whether a pair meets on its number again.
    pub choice: NumberChoice,
    /// How many people in open conversations one number carries.
    pub capacity: u32,
    /// How long a number is not chosen for a person after a conversation of theirs ended on it.
    pub cool_off: SignedDuration,
    /// How long a person who met somebody on a number meets nobody else on it; zero: no rule.
    pub keep_apart: SignedDuration,
}

/// Whether a pair that met before meets on its number again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberChoice {
    /// On the same number, where that is free.
    Sticky,
    /// Never on a number on which the two have met.
    Fresh,
}

/// What is done with a text of which nobody knows whether the carrier has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// It is shown to staff and not sent again: it may be missing, and never arrives twice.
    Park,
    /// It is sent once more: it may arrive twice.
    Resend,
}

/// What becomes of words that the webhook never brought and the carrier's list did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateInbound {
    /// They are passed on, with a note where they are late.
    Relay,
    /// They stand in the trail, and their sender is told.
    Record,
}

impl Times {
    pub(super) fn from(from: &mut Sources) -> Option<Self> {
        let code_lifetime = from.or("MASKLINE_CODE_LIFETIME", "24h", parse::span(1, 168));
        let silence = from.or("MASKLINE_SILENCE", "72h", silence);
        let longest = from.or("MASKLINE_LONGEST", "30d", parse::span(2, 87_840));
        let reopen_within = from.or("MASKLINE_REOPEN_WITHIN", "24h", parse::span(0, 720));
        Some(Self {
            code_lifetime: code_lifetime?,
            silence: silence?,
            longest: longest?,
            reopen_within: reopen_within?,
        })
    }
}

impl ConsoleTimes {
    pub(super) fn from(from: &mut Sources) -> Option<Self> {
        let request_lifetime = from.or("MASKLINE_REQUEST_LIFETIME", "7d", parse::span(1, 720));
        let export_lifetime = from.or("MASKLINE_EXPORT_LIFETIME", "7d", parse::span(1, 2160));
        Some(Self { request_lifetime: request_lifetime?, export_lifetime: export_lifetime? })
    }
}

impl PoolSettings {
    pub(super) fn from(from: &mut Sources) -> Option<Self> {
        let choice = from.or("MASKLINE_NUMBER_CHOICE", "sticky", parse::number_choice);
        let capacity = from.or("MASKLINE_NUMBER_CAPACITY", "1000", parse::count);
        let cool_off = from.or("MASKLINE_COOL_OFF", "1h", parse::span(0, 720));
        let keep_apart = from.or("MASKLINE_KEEP_APART", "0d", parse::span(0, 8784));
        Some(Self {
            choice: choice?,
            capacity: capacity?,
            cool_off: cool_off?,
            keep_apart: keep_apart?,
        })
    }
}
