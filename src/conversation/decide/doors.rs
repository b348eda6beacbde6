//! How people come into a conversation: START, JOIN, REOPEN.

use super::Judge;
use crate::{
    conversation::{
        Address, Conversation, EndReason, State,
        effect::{Effect, Terms, noted_as},
        facts::Past,
        time::after,
    },
    ids::PersonId,
    pool::{self, MaskedNumber},
    texts::Answer,
};

/// How many codes a person may get wrong within an hour before they hear nothing more.
pub(in crate::conversation) const GUESSES: u32 = 5;
/// The same while somebody seems to be guessing on the whole account.
pub(in crate::conversation) const GUESSES_IN_ALARM: u32 = 1;

impl<'a> Judge<'a> {
    pub(super) fn start(&mut self) {
        match self.here {
            Some(Conversation { state: State::Active { .. }, .. }) => {
                self.start_elsewhere(Answer::AlreadyConnected);
            }
            Some(waiting) => self.say(Answer::AlreadyWaiting { code: waiting.code.clone() }),
            None if !self.may_use_this(None) => self.start_elsewhere(Answer::NoNumber),
            None => self.open_here(),
        }
    }

    /// Whether the sender has not been told yet that their last conversation here is over; and, if
    /// so, whether it may be opened again.
    pub(super) fn untold(&self) -> Option<bool> {
        let past = self.past.as_ref()?;
        let over = noted_as(&Answer::Over { may_reopen: false }, &self.facts.sender);
        let told = self.facts.given.get(&over).is_some_and(|at| *at >= past.ended_at);
        (!told).then(|| self.may_reopen(past))
    }

    /// Tells where START works for the sender, or that it works nowhere.
    fn start_elsewhere(&mut self, nowhere: Answer) {
        let answer = match self.elsewhere(None) {
            Some(number) => Answer::StartElsewhere { number: number.number.clone() },
            None => nowhere,
        };
        self.say(answer);
    }

    fn open_here(&mut self) {
        let Some(fresh) = self.facts.fresh.clone() else { return self.say(Answer::TryLater) };
        let starter = self.facts.sender.clone();
        self.conversation = Some(fresh.id);
        let answer = Answer::Started {
            code: fresh.code.clone(),
            number: starter.through.number.clone(),
            hours: self.facts.times.code_lifetime.as_hours(),
        };
        self.effects.push(Effect::Open { fresh, terms: self.terms(), starter });
        self.say(answer);
    }

    fn terms(&self) -> Terms {
        let times = &self.facts.times;
        Terms {
            expires_at: after(self.now, times.code_lifetime),
            silence: times.silence,
            ends_at: after(self.now, times.longest),
        }
    }

    /// Whether the sender may have a new conversation on the number that they texted.
    fn may_use_this(&self, with: Option<PersonId>) -> bool {
        let this = |number: &&pool::Candidate| number.number.id == self.facts.sender.through.id;
        let candidate = self.facts.numbers.iter().find(this);
        candidate.is_some_and(|number| pool::may_use(number, &self.facts.pool, with, self.now))
    }

    /// Another number that is free for the sender.
    fn elsewhere(&self, with: Option<PersonId>) -> Option<&'a MaskedNumber> {
        pool::choose(&self.facts.numbers, &self.facts.pool, with, self.now)
    }

    /// A code that is wrong, expired, used or one's own gets the same answer, from the same steps.
    pub(super) fn join_by_code(&mut self) {
        if self.is_guessing() {
            return;
        }
        if let Some((conversation, starter)) = self.joinable() {
            self.join(conversation, starter);
        } else {
            self.count_failure();
            self.say(Answer::CodeFailed);
        }
    }

    /// The same for somebody who opted out: only a code that works is heard.
    pub(super) fn join_from_silence(&mut self) {
        if self.is_guessing() {
            return;
        }
        match self.joinable() {
            Some((conversation, starter)) => {
                self.effects.push(Effect::Lift(self.facts.sender.person));
                self.join(conversation, starter);
            }
            None => self.count_failure(),
        }
    }

    /// Whether the sender got so many codes wrong that not even a right one is taken.
    pub(super) fn is_guessing(&self) -> bool {
        let failures = self.facts.failures;
        failures.own >= if failures.is_alarm() { GUESSES_IN_ALARM } else { GUESSES }
    }

    /// Counts a code that did not work, and calls staff once there are too many.
    pub(super) fn count_failure(&mut self) {
        self.effects.push(Effect::CountFailure(self.facts.sender.person));
        if self.facts.failures.and_one().is_alarm() {
            self.effects.push(Effect::AlarmGuesses);
        }
    }

    /// The conversation that the text's code opens to the sender, and who waits there.
    fn joinable(&self) -> Option<(&'a Conversation, &'a Address)> {
        let sender = self.facts.sender.person;
        let coded = self.facts.coded.as_ref().filter(|coded| {
            !coded.is_active() && coded.over(self.now).is_none() && !coded.has(sender)
        })?;
        let starter = coded.other(sender)?;
        (!self.facts.unwanted.contains(&starter.person)).then_some((coded, starter))
    }

    /// Seats the sender on the number that they texted, or on another that is free for them.
    fn join(&mut self, conversation: &'a Conversation, starter: &'a Address) {
        let with = Some(starter.person);
        let through = if self.active().is_none() && self.may_use_this(with) {
            self.facts.sender.through.clone()
        } else if let Some(number) = self.elsewhere(with) {
            number.clone()
        } else {
            return self.say(Answer::NoNumber);
        };
        let joiner = Address { person: self.facts.sender.person, through };
        if let Some(waiting) = self.here.filter(|_| joiner == self.facts.sender) {
            self.end(waiting, EndReason::Superseded);
        }
        self.effects.push(Effect::Join(conversation.id, joiner.clone()));
        self.conversation = Some(conversation.id);
        self.effects.push(Effect::tell(&joiner, conversation.id, Answer::Joined));
        self.effects.push(Effect::tell(starter, conversation.id, Answer::TheyJoined));
    }

    /// Whether the two may ask to go on, as far as the sender may know.
    pub(super) fn may_reopen(&self, past: &Past) -> bool {
        let until = after(past.ended_at, self.facts.times.reopen_within);
        past.numbers_serve && self.now < until
    }

    /// One asks, the other agrees, both with the same word. Whoever asks hears the same whether the
    /// other can, will or must not be asked: whether they left, opted out or blocked the sender, too.
    pub(super) fn reopen(&mut self) {
        match self.here {
            Some(here) if here.is_active() => return self.say(Answer::AlreadyConnected),
            Some(here) => return self.say(Answer::AlreadyWaiting { code: here.code.clone() }),
            None => {}
        }
        let Some(past) = self.past.take().filter(|past| self.may_reopen(past)) else {
            return self.say(Answer::CannotReopen);
        };
        self.conversation = Some(past.id);
        let hours = self.facts.times.reopen_within.as_hours();
        if !past.reason.may_reopen() {
            return self.say(Answer::ReopenAsked { hours });
        }
        let welcome = past.other_is_free && !self.facts.unwanted.contains(&past.other.person);
        if past.asked_by == Some(past.other.person) {
            return self.agree(past, welcome);
        }
        if past.asked_by.is_none() {
            self.effects.push(Effect::AskToReopen(past.id, self.facts.sender.person));
            if welcome {
                self.effects.push(Effect::tell(&past.other, past.id, Answer::ReopenWish));
            }
        }
        self.say(Answer::ReopenAsked { hours });
    }

    fn agree(&mut self, past: Past, welcome: bool) {
        if !welcome {
            return self.say(Answer::CannotReopen);
        }
        let Some(fresh) = self.facts.fresh.clone() else { return self.say(Answer::TryLater) };
        let (id, sender) = (fresh.id, self.facts.sender.clone());
        self.conversation = Some(id);
        let told = [&sender, &past.other].map(|to| Effect::tell(to, id, Answer::Reopened));
        let seats = [past.other, sender];
        self.effects.push(Effect::Reopen { fresh, terms: self.terms(), of: past.id, seats });
        self.effects.extend(told);
    }
}
