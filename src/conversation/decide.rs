//! The judge: what one text does, given what is known when it comes in.
//!
//! Pure and total. The rules are those of `docs/states.md`.

mod doors;
mod late;
mod people;
mod staff;

use jiff::Timestamp;

pub use self::staff::{erase, opt_out};
use super::{
    Address, Conversation, EndReason, State,
    command::{Command, Rule},
    effect::{Decision, Effect, noted_as},
    facts::{Facts, Past},
    time::after,
};
use crate::{
    code::Code,
    ids::ConversationId,
    texts::{Answer, Language},
};

/// Decides what a text does.
pub fn decide(facts: &Facts, command: &Command, now: Timestamp) -> Decision {
    let mut judge = Judge {
        facts,
        now,
        effects: Vec::new(),
        conversation: None,
        here: None,
        past: facts.past.clone(),
    };
    judge.look();
    let rule = if judge.is_taken_back(command) {
        command.rule()
    } else if facts.suppressed || facts.blocked_here {
        judge.silenced(command)
    } else {
        judge.command(command)
    };
    Decision { rule, conversation: judge.conversation, effects: judge.effects }
}

struct Judge<'a> {
    facts: &'a Facts,
    now: Timestamp,
    effects: Vec<Effect>,
    /// The conversation that the text belongs to.
    conversation: Option<ConversationId>,
    /// The sender's conversation on the number that was texted, if time has not ended it.
    here: Option<&'a Conversation>,
    /// The sender's last conversation on this number, if none is active here.
    past: Option<Past>,
}

impl<'a> Judge<'a> {
    /// Ends what time has ended before any sweeper came by, and sees what is left here.
    fn look(&mut self) {
        let here = self.facts.here();
        for conversation in &self.facts.open {
            let Some(reason) = conversation.over(self.now) else { continue };
            // Whoever texts on this very number hears of it by the answer.
            let told = conversation.end_by_itself(reason).into_iter();
            let sender = Some(&self.facts.sender);
            self.effects.extend(told.filter(|effect| effect.recipient() != sender));
            let other = conversation.other(self.facts.sender.person);
            if let Some(other) = other.filter(|_| here == Some(conversation)) {
                self.past = Some(Past {
                    id: conversation.id,
                    ended_at: self.now,
                    reason,
                    other: other.clone(),
                    asked_by: None,
                    other_is_free: true,
                    numbers_serve: true,
                });
            }
        }
        self.here = here.filter(|conversation| conversation.over(self.now).is_none());
        self.conversation = self.here.map(|conversation| conversation.id);
    }

    /// The sender's conversation here, if two are in it.
    fn active(&self) -> Option<&'a Conversation> {
        self.here.filter(|conversation| conversation.is_active())
    }

    /// The sender's open conversations.
    fn open(&self) -> impl Iterator<Item = &'a Conversation> + use<'a> {
        let now = self.now;
        self.facts.open.iter().filter(move |conversation| conversation.over(now).is_none())
    }

    /// Somebody who opted out, or whom the carrier lets us text no more from this number: only what
    /// lifts the silence, and HELP, is heard.
    fn silenced(&mut self, command: &Command) -> Rule {
        let toll_free = self.facts.sender.through.number.is_toll_free();
        match command {
            // Toll-free networks take START for UNSTOP.
            Command::Unstop => self.come_back(true),
            Command::Start => self.come_back(toll_free),
            Command::Yes => self.come_back(false),
            Command::Join(_) if !self.facts.blocked_here && !self.is_outspoken() => {
                self.join_from_silence();
            }
            Command::Help { language } if !self.facts.blocked_here => {
                self.say(Answer::Help(*language));
            }
            Command::OptOut { .. } | Command::EndCode(_) => {
                self.silence();
                return Rule::OptOut;
            }
            // Who is harassed says STOP first. It is heard, and not answered.
            Command::Block => drop(self.part(false)),
            Command::Report => drop(self.part(true)),
            _ => {}
        }
        command.rule()
    }

    /// Lifts the silence as far as this word does; an answer only goes where it can arrive.
    fn come_back(&mut self, at_the_carrier: bool) {
        let person = self.facts.sender.person;
        let stays_silent = self.facts.suppressed && self.is_outspoken();
        if self.facts.suppressed && !stays_silent {
            self.effects.push(Effect::Lift(person));
        }
        if at_the_carrier {
            self.effects.push(Effect::CarrierLift(self.facts.sender.clone()));
        }
        if !stays_silent && (at_the_carrier || !self.facts.blocked_here) {
            self.say(Answer::OptedIn);
        }
    }

    fn command(&mut self, command: &Command) -> Rule {
        if let Some(sent_at) = self.means_another(command) {
            self.say(Answer::TooLate { sent_at });
            return command.rule();
        }
        match command {
            Command::OptOut { bare_stop, language } => {
                self.silence();
                // Flowroute answers an exact STOP itself, and refuses ours.
                if !bare_stop {
                    self.answer(Answer::OptedOut(*language), true);
                }
            }
            Command::EndCode(code) => {
                let Some(conversation) = self.own(code) else {
                    // Somebody else's code, or nobody's: it fails towards silence.
                    self.silence();
                    self.answer(Answer::OptedOut(Language::English), true);
                    return Rule::OptOut;
                };
                self.leave(conversation);
            }
            Command::Help { language } => self.say(Answer::Help(*language)),
            Command::Start => self.start(),
            Command::Join(_) => self.join_by_code(),
            Command::Leave => match self.here {
                Some(conversation) => self.leave(conversation),
                None => self.say(Answer::NothingToEnd),
            },
            Command::LeaveCode(code) => match self.own(code) {
                Some(conversation) => self.leave(conversation),
                None => self.say(Answer::NotYourCode),
            },
            Command::Extend => self.extend(),
            Command::Reopen => self.reopen(),
            Command::Block => self.block(false),
            Command::Report => self.block(true),
            Command::Move => self.offer_move(),
            Command::MoveCode(_) => self.move_here(),
            Command::Unstop => {
                // Even where nothing is known of a block: the carrier's word of it may be late.
                self.effects.push(Effect::CarrierLift(self.facts.sender.clone()));
                self.talk(true);
            }
            Command::Yes => self.talk(true),
            Command::Talk { plea } => {
                self.talk(true);
                if let Some(plea) = plea {
                    let (person, conversation) = (self.facts.sender.person, self.conversation);
                    self.effects.push(Effect::Flag { person, conversation, plea });
                }
            }
            Command::Empty => self.talk(false),
        }
        command.rule()
    }

    /// Silences the sender, ends their conversations and tells the others, neutrally.
    fn silence(&mut self) {
        let person = self.facts.sender.person;
        // Not even of what time has ended elsewhere are they told.
        self.effects.retain(|effect| effect.recipient().is_none_or(|to| to.person != person));
        self.effects.push(Effect::Suppress(person));
        for conversation in self.open() {
            self.end(conversation, EndReason::OptedOut);
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
            self.effects.push(Effect::tell(other, conversation.id, Answer::Ended));
        }
    }

    fn extend(&mut self) {
        match self.here {
            Some(Conversation { id, state: State::Active { silence, ends_at, .. }, .. }) => {
                // It lives as long as it may either way: who asks for that must not lose it to silence.
                self.effects.push(Effect::Extend(*id));
                if after(self.now, *silence) > *ends_at {
                    let left = ends_at.duration_since(self.now);
                    let hours = (left.as_secs() + 3599) / 3600;
                    return self.say(Answer::CannotExtend { hours });
                }
                self.say(Answer::Extended { hours: silence.as_hours() });
            }
            Some(waiting) => self.say(Answer::AlreadyWaiting { code: waiting.code.clone() }),
            None => self.say(Answer::NoConversation),
        }
    }

    fn talk(&mut self, has_words: bool) {
        if let Some(sent_at) = self.comes_too_late() {
            return self.say(Answer::TooLate { sent_at });
        }
        match self.here {
            Some(conversation) => match conversation.other(self.facts.sender.person) {
                Some(other) => self.relay(conversation, other, has_words),
                None => self.say(Answer::Alone { code: conversation.code.clone() }),
            },
            None => match self.untold() {
                Some(may_reopen) => self.say(Answer::Over { may_reopen }),
                None => self.say(Answer::Nobody),
            },
        }
    }

    fn relay(&mut self, conversation: &Conversation, to: &Address, has_words: bool) {
        let pictures = self.facts.has_media;
        if has_words || pictures {
            let sent_at = self.noted_time();
            let (conversation, to) = (conversation.id, to.clone());
            self.effects.push(Effect::Relay { conversation, to, sent_at, pictures });
        }
    }

    /// The sender's own open conversation with this code, on whichever number.
    fn own(&self, code: &Code) -> Option<&'a Conversation> {
        self.open().find(|conversation| conversation.code == *code)
    }

    /// Answers the sender, unless this answer is given only so often and was given already.
    fn say(&mut self, answer: Answer) {
        let lifted = self.effects.iter().any(|effect| matches!(effect, Effect::Lift(_)));
        self.answer(answer, self.facts.suppressed && !lifted);
    }

    fn answer(&mut self, answer: Answer, despite_optout: bool) {
        let noted_as = noted_as(&answer, &self.facts.sender);
        let again_at = self.facts.given.get(&noted_as).zip(answer.at_most_every());
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
}
