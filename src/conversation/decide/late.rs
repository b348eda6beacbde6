//! A text that only the carrier's list brought: it is judged by when it was sent.

use jiff::Timestamp;

use super::Judge;
use crate::{config::LateInbound, conversation::command::Command};

impl Judge<'_> {
    /// Whether the sender has said since, by a text that was quicker, whether they may be texted.
    pub(super) fn is_outspoken(&self) -> bool {
        self.facts.late.is_some_and(|late| late.outspoken)
    }

    /// Whether this is an opt-out that counts no more: the sender has asked for texts since.
    pub(super) fn is_taken_back(&self, command: &Command) -> bool {
        let is_optout = match command {
            Command::OptOut { .. } => true,
            Command::EndCode(code) => self.own(code).is_none(),
            _ => false,
        };
        is_optout && self.is_outspoken()
    }

    /// When this was sent, if it is about the conversation here and that has come about since: the
    /// sender meant another, or none.
    pub(super) fn means_another(&self, command: &Command) -> Option<Timestamp> {
        let is_about_here =
            matches!(command, Command::Leave | Command::Extend | Command::Block | Command::Report);
        if is_about_here { self.sent_before_here() } else { None }
    }

    /// When these words were sent, if they are not passed on for being late.
    pub(super) fn comes_too_late(&self) -> Option<Timestamp> {
        let late = self.facts.late.filter(|late| late.words == LateInbound::Record);
        let recorded = late.filter(|_| self.active().is_some()).map(|late| late.sent_at);
        self.sent_before_here().or(recorded)
    }

    /// When these words were sent, if the other must be told.
    pub(super) fn noted_time(&self) -> Option<Timestamp> {
        self.facts.late.filter(|late| late.wants_note(self.now)).map(|late| late.sent_at)
    }

    fn sent_before_here(&self) -> Option<Timestamp> {
        let late = self.facts.late.filter(|late| late.before_here)?;
        self.here.map(|_| late.sent_at)
    }
}
