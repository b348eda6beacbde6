//! What people do about each other and about their phones: BLOCK, REPORT, MOVE.

use jiff::SignedDuration;

use super::Judge;
use crate::{
    conversation::{Address, EndReason, effect::Effect, facts::Mover, time::after},
    pool::MaskedNumber,
    texts::Answer,
};

/// How long a MOVE code works.
pub(in crate::conversation) const MOVE_LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// Whether a word that parts two people met any.
pub(super) enum Parted {
    /// The sender and whom they meet or last met here.
    Two,
    /// The sender meets nobody here, and never did.
    Nobody,
}

impl Judge<'_> {
    /// Ends the conversation here and keeps the two apart for ever; where there is none, keeps apart
    /// from whom the sender last met here. What connects the two on other numbers ends, too.
    pub(super) fn block(&mut self, report: bool) {
        match self.part(report) {
            Parted::Nobody => self.say(Answer::NoConversation),
            Parted::Two if report => self.say(Answer::Reported),
            Parted::Two => self.say(Answer::Blocked),
        }
    }

    /// The same without a word to the sender.
    pub(super) fn part(&mut self, report: bool) -> Parted {
        let person = self.facts.sender.person;
        let reason = if report { EndReason::Reported } else { EndReason::Blocked };
        let met = match self.active() {
            Some(here) => here.other(person).map(|other| (here.id, other.person)),
            None => self.past.as_ref().map(|past| (past.id, past.other.person)),
        };
        let Some((id, other)) = met else { return Parted::Nobody };
        for conversation in self.open().filter(|conversation| conversation.has(other)) {
            self.end(conversation, reason);
        }
        self.conversation = Some(id);
        self.effects.push(Effect::Block { person, other, report: report.then_some(id) });
        Parted::Two
    }

    /// Gives the sender a code that takes their conversations to another phone.
    pub(super) fn offer_move(&mut self) {
        if self.open().next().is_none() {
            return self.say(Answer::NoConversation);
        }
        let Some(fresh) = &self.facts.fresh else { return self.say(Answer::TryLater) };
        let code = fresh.code.clone();
        let person = self.facts.sender.person;
        let expires_at = after(self.now, MOVE_LIFETIME);
        let number = self.facts.sender.through.number.clone();
        self.effects.push(Effect::OfferMove { person, code: code.clone(), expires_at });
        self.say(Answer::MoveCode { code, number });
    }

    /// Takes the conversations of whoever got the code to the sender's phone.
    pub(super) fn move_here(&mut self) {
        if self.is_guessing() {
            return;
        }
        let sender = self.facts.sender.person;
        let Some(mover) = self.facts.mover.as_ref().filter(|mover| self.may_move(mover)) else {
            self.count_failure();
            return self.say(Answer::CodeFailed);
        };
        let seats: Vec<_> = mover
            .open
            .iter()
            .filter(|conversation| conversation.over(self.now).is_none())
            .filter_map(|conversation| Some((conversation, conversation.seat(mover.person)?)))
            .collect();
        let taken = |through| {
            let seat = Address { person: sender, through };
            self.open().any(|conversation| conversation.participants.contains(&seat))
        };
        if seats.iter().any(|(_, seat)| taken(seat.through.clone())) {
            return self.say(Answer::MoveTaken);
        }
        // The carrier would bring this phone nothing from there, and nobody would hear of it.
        let blocked = |through: &MaskedNumber| {
            let it = self.facts.numbers.iter().find(|candidate| candidate.number == *through);
            it.is_some_and(|candidate| candidate.carrier_blocked)
        };
        if let Some((_, seat)) = seats.iter().find(|(_, seat)| blocked(&seat.through)) {
            return self.say(Answer::MoveStopped { number: seat.through.number.clone() });
        }
        // Whom the old phone must not meet, the new one must not be connected to either.
        let shunned = self.open().filter(|conversation| {
            conversation.other(sender).is_some_and(|other| mover.unwanted.contains(&other.person))
        });
        for conversation in shunned {
            self.end(conversation, EndReason::Blocked);
        }
        let conversations = seats.iter().map(|(conversation, _)| conversation.id).collect();
        self.effects.push(Effect::Move { from: mover.person, to: sender, conversations });
        for (conversation, seat) in &seats {
            let here = Address { person: sender, through: seat.through.clone() };
            self.effects.push(Effect::tell(&here, conversation.id, Answer::Moved));
        }
        if let Some((conversation, seat)) = seats.first() {
            self.conversation = Some(conversation.id);
            self.effects.push(Effect::tell(seat, conversation.id, Answer::MovedAway));
        }
    }

    /// Whether the code works, and the sender meets nobody through it whom they must not meet.
    fn may_move(&self, mover: &Mover) -> bool {
        let sender = self.facts.sender.person;
        let mut people = mover.open.iter().flat_map(|conversation| &conversation.participants);
        mover.expires_at > self.now
            && mover.person != sender
            && mover.open.iter().any(|conversation| conversation.over(self.now).is_none())
            && people
                .all(|other| other.person != sender && !self.facts.unwanted.contains(&other.person))
    }
}
