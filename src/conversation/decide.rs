//! The judge: what one text does, given what is known when it comes in.
//!
//! Pure and total. The rules are those of `docs/states.md`.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Address, Conversation, EndReason, State,
    command::{Command, Rule},
};
use crate::{code::Code, ids::ConversationId, texts::Answer};

/// How long a code lets the second person in.
pub const CODE_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// All that a decision depends on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Who texted, and which masked number.
    pub sender: Address,
    /// Whether the sender has opted out.
    pub suppressed: bool,
    /// The sender's open conversations, on all masked numbers.
    pub open: Vec<Conversation>,
    /// The open conversation that the text's code names, whoever is in it.
    pub coded: Option<Conversation>,
    /// What a new conversation would be; none when no free code could be drawn.
    pub fresh: Option<Fresh>,
    /// When the sender last got each answer that is given only so often.
    pub given: HashMap<String, Timestamp>,
    /// Whether pictures came along.
    pub has_media: bool,
}

/// What a new conversation would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// Its id.
    pub id: ConversationId,
    /// Its code.
    pub code: Code,
}

/// What one text does: the rule that fired, and the effects in the order they are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The rule that fired.
    pub rule: Rule,
    /// The conversation that the text belongs to.
    pub conversation: Option<ConversationId>,
    /// What is done, in this order.
    pub effects: Vec<Effect>,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Opens a conversation, with the sender in its first seat.
    Open {
        /// Its id and code.
        fresh: Fresh,
        /// When the code stops working.
        expires_at: Timestamp,
    },
    /// Seats the sender in a waiting conversation, which becomes active.
    Join(ConversationId),
    /// Ends an open conversation.
    End(ConversationId, EndReason),
    /// Silences the sender everywhere and drops what is queued for them.
    Suppress,
    /// Lets the sender be texted again.
    Lift,
    /// Passes the sender's words on, unchanged.
    Relay {
        /// The conversation in which they were said.
        conversation: ConversationId,
        /// The other participant.
        to: Address,
    },
    /// Says something of Maskline's own.
    Say {
        /// To whom.
        to: Address,
        /// About which conversation.
        conversation: Option<ConversationId>,
        /// What.
        answer: Answer,
        /// Goes out although its recipient opted out.
        despite_optout: bool,
    },
}

/// Decides what a text does.
pub fn decide(facts: &Facts, command: &Command, now: Timestamp) -> Decision {
    let here = facts.here();
    let mut judge = Judge { facts, now, effects: Vec::new(), conversation: here.map(|c| c.id) };
    let rule = if facts.suppressed { judge.suppressed(command) } else { judge.command(command) };
    Decision { rule, conversation: judge.conversation, effects: judge.effects }
}

impl Facts {
    /// The sender's open conversation on the number that was texted. The schema allows one.
    fn here(&self) -> Option<&Conversation> {
        self.open.iter().find(|conversation| conversation.participants.contains(&self.sender))
    }
}

struct Judge<'a> {
    facts: &'a Facts,
    now: Timestamp,
    effects: Vec<Effect>,
    conversation: Option<ConversationId>,
}

impl<'a> Judge<'a> {
    /// Somebody who opted out: only what lifts the silence, and HELP, is heard.
    fn suppressed(&mut self, command: &Command) -> Rule {
        match command {
            Command::Start | Command::Unstop => {
                self.effects.push(Effect::Lift);
                self.say(Answer::OptedIn);
            }
            Command::Join(_) => {
                if let Some(conversation) = self.joinable() {
                    self.effects.push(Effect::Lift);
                    self.join(conversation);
                }
            }
            Command::Help => self.say(Answer::Help),
            _ => {}
        }
        command.rule()
    }

    fn command(&mut self, command: &Command) -> Rule {
        match command {
            Command::OptOut { bare_stop } => self.opt_out(*bare_stop),
            Command::EndCode(code) => {
                let Some(conversation) = self.own(code) else {
                    // Somebody else's code, or nobody's: it fails towards silence.
                    self.opt_out(false);
                    return Rule::OptOut;
                };
                self.leave(conversation);
            }
            Command::Help => self.say(Answer::Help),
            Command::Start => self.start(),
            Command::Join(_) => self.join_by_code(),
            Command::Leave => match self.facts.here() {
                Some(conversation) => self.leave(conversation),
                None => self.say(Answer::NothingToEnd),
            },
            Command::LeaveCode(code) => match self.own(code) {
                Some(conversation) => self.leave(conversation),
                None => self.say(Answer::NotYourCode),
            },
            Command::Unstop | Command::Talk => self.talk(true),
            Command::Empty => self.talk(false),
        }
        command.rule()
    }

    fn opt_out(&mut self, bare_stop: bool) {
        self.effects.push(Effect::Suppress);
        for conversation in &self.facts.open {
            self.end(conversation, EndReason::OptedOut);
        }
        // Flowroute answers an exact STOP itself, and refuses ours.
        if !bare_stop {
            self.answer(Answer::OptedOut, true);
        }
    }

    fn start(&mut self) {
        match self.facts.here() {
            Some(Conversation { state: State::Active, .. }) => {
                return self.say(Answer::AlreadyConnected);
            }
            Some(waiting) if !waiting.is_expired(self.now) => {
                return self.say(Answer::AlreadyWaiting { code: waiting.code.clone() });
            }
            Some(expired) => self.end(expired, EndReason::Expired),
            None => {}
        }
        let Some(fresh) = self.facts.fresh.clone() else { return self.say(Answer::TryLater) };
        let expires_at = self.now.saturating_add(CODE_LIFETIME).unwrap_or(Timestamp::MAX);
        let number = self.facts.sender.through.number.clone();
        self.conversation = Some(fresh.id);
        let answer = Answer::Started { code: fresh.code.clone(), number };
        self.effects.push(Effect::Open { fresh, expires_at });
        self.say(answer);
    }

    /// A code that is wrong, expired, used or one's own gets the same answer, and whoever is
    /// already connected gets one that does not depend on the code at all.
    fn join_by_code(&mut self) {
        if matches!(self.facts.here(), Some(Conversation { state: State::Active, .. })) {
            return self.say(Answer::AlreadyConnected);
        }
        match self.joinable() {
            Some(conversation) => self.join(conversation),
            None => self.say(Answer::CodeFailed),
        }
    }

    /// The conversation that the text's code opens to the sender.
    fn joinable(&self) -> Option<&'a Conversation> {
        let waits = |conversation: &&Conversation| {
            matches!(conversation.state, State::Waiting { .. })
                && !conversation.is_expired(self.now)
                && !conversation.has(self.facts.sender.person)
        };
        self.facts.coded.as_ref().filter(waits)
    }

    fn join(&mut self, conversation: &Conversation) {
        if let Some(waiting) = self.facts.here() {
            self.end(waiting, EndReason::Superseded);
        }
        self.effects.push(Effect::Join(conversation.id));
        self.conversation = Some(conversation.id);
        self.say(Answer::Joined);
        if let Some(starter) = conversation.other(self.facts.sender.person) {
            self.say_to(starter, conversation.id, Answer::TheyJoined);
        }
    }

    fn leave(&mut self, conversation: &Conversation) {
        self.conversation = Some(conversation.id);
        self.end(conversation, EndReason::Left);
        self.say(Answer::YouEnded);
    }

    /// Ends a conversation and tells the other side, neutrally.
    fn end(&mut self, conversation: &Conversation, reason: EndReason) {
        self.effects.push(Effect::End(conversation.id, reason));
        if let Some(other) = conversation.other(self.facts.sender.person) {
            self.say_to(other, conversation.id, Answer::Ended);
        }
    }

    fn talk(&mut self, has_words: bool) {
        match self.facts.here() {
            Some(expired) if expired.is_expired(self.now) => {
                self.end(expired, EndReason::Expired);
                self.conversation = None;
                self.say(Answer::Nobody);
            }
            Some(conversation) => match conversation.other(self.facts.sender.person) {
                Some(other) => self.relay(conversation, other, has_words),
                None => self.say(Answer::Alone { code: conversation.code.clone() }),
            },
            None => self.say(Answer::Nobody),
        }
    }

    fn relay(&mut self, conversation: &Conversation, to: &Address, has_words: bool) {
        if has_words {
            self.effects.push(Effect::Relay { conversation: conversation.id, to: to.clone() });
        }
        if self.facts.has_media {
            self.say(Answer::PicturesNotYet);
        }
    }

    /// The sender's own open conversation with this code, on whichever number.
    fn own(&self, code: &Code) -> Option<&'a Conversation> {
        self.facts.open.iter().find(|conversation| conversation.code == *code)
    }

    /// Answers the sender, unless this answer is given only so often and was given already.
    fn say(&mut self, answer: Answer) {
        let despite_optout = self.facts.suppressed && !self.effects.contains(&Effect::Lift);
        self.answer(answer, despite_optout);
    }

    fn answer(&mut self, answer: Answer, despite_optout: bool) {
        let again_at = self.facts.given.get(answer.name()).zip(answer.at_most_every());
        if again_at.is_some_and(|(last, every)| self.now.duration_since(*last).abs() < every) {
            return;
        }
        self.effects.push(Effect::Say {
            to: self.facts.sender.clone(),
            conversation: self.conversation,
            answer,
            despite_optout,
        });
    }

    fn say_to(&mut self, to: &Address, conversation: ConversationId, answer: Answer) {
        self.effects.push(Effect::Say {
            to: to.clone(),
            conversation: Some(conversation),
            answer,
            despite_optout: false,
        });
    }
}
