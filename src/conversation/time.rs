//! What time does to a conversation. Pure; the rules are those of `docs/states.md`.

use jiff::{SignedDuration, Timestamp};

use super::{Conversation, EndReason, State, effect::Effect};
use crate::texts::Answer;

/// How long before an end by silence the participants are told.
pub const NOTICE: SignedDuration = SignedDuration::from_hours(1);

/// What must be done about a conversation when nobody has texted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Its participants are told that it is about to end.
    Warn,
    /// It ends.
    End(EndReason),
}

impl Conversation {
    /// Why this conversation is over although nobody has ended it yet, if it is.
    ///
    /// It never ends by silence without a notice an hour before, however long no sweeper ran.
    pub fn over(&self, now: Timestamp) -> Option<EndReason> {
        match self.state {
            State::Waiting { expires_at } => (expires_at <= now).then_some(EndReason::Expired),
            State::Active { ends_at, .. } if ends_at <= now => Some(EndReason::Longest),
            State::Active { .. } => {
                self.silent_at().filter(|at| *at <= now).map(|_| EndReason::Silence)
            }
        }
    }

    /// What is to be done about it now.
    pub fn due(&self, now: Timestamp) -> Due {
        match self.over(now) {
            Some(reason) => Due::End(reason),
            None if self.warn_at().is_some_and(|at| at <= now) => Due::Warn,
            None => Due::Nothing,
        }
    }

    /// When it must be looked at next, if nobody texts before.
    pub fn next_look(&self) -> Timestamp {
        match self.state {
            State::Waiting { expires_at } => expires_at,
            State::Active { ends_at, .. } => {
                [self.warn_at(), self.silent_at()].into_iter().flatten().fold(ends_at, Ord::min)
            }
        }
    }

    /// When it ends by silence: known once its participants have been told.
    fn silent_at(&self) -> Option<Timestamp> {
        let State::Active { last_talk_at, silence, warned_at: Some(warned_at), .. } = self.state
        else {
            return None;
        };
        let told = warned_at >= last_talk_at;
        told.then(|| after(last_talk_at, silence).max(after(warned_at, NOTICE)))
    }

    /// When its participants are to be told. Not at all where it ends by its age before a silence
    /// could end it: then EXTEND would not keep it.
    fn warn_at(&self) -> Option<Timestamp> {
        let State::Active { last_talk_at, silence, ends_at, .. } = self.state else { return None };
        let silent_at = after(last_talk_at, silence);
        (self.silent_at().is_none() && silent_at <= ends_at).then(|| after(silent_at, -NOTICE))
    }

    /// What time does to it now: the effects, in their order.
    pub fn pass(&self, now: Timestamp) -> Vec<Effect> {
        match self.due(now) {
            Due::Nothing => Vec::new(),
            Due::Warn => {
                let told =
                    self.participants.iter().map(|to| Effect::tell(to, self.id, Answer::EndsSoon));
                std::iter::once(Effect::Warn(self.id)).chain(told).collect()
            }
            Due::End(reason) => self.end_by_itself(reason),
        }
    }

    /// Ends it, and tells everybody in it where they had no notice.
    pub fn end_by_itself(&self, reason: EndReason) -> Vec<Effect> {
        let told = match reason {
            EndReason::Longest | EndReason::CarrierBlocked => &self.participants[..],
            _ => &[],
        };
        let told = told.iter().map(|to| Effect::tell(to, self.id, Answer::Ended));
        std::iter::once(Effect::End(self.id, reason)).chain(told).collect()
    }
}

/// A time so much later; the end of time at the latest.
pub fn after(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(time)
}
