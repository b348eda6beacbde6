//! All that a decision depends on.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{Address, Conversation, EndReason, effect::Fresh};
use crate::{
    config::{LateInbound, PoolSettings, Times},
    ids::{ConversationId, PersonId},
    pool::Candidate,
};

/// So late a text may mean something else. A text message is often some minutes late: less than this
/// nobody need be told.
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// All that a decision depends on. What a command does not need is left empty.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Who texted, and which masked number.
    pub sender: Address,
    /// Whether the sender has opted out.
    pub suppressed: bool,
    /// Whether the carrier connects the sender and this number no more, since they texted it STOP.
    pub blocked_here: bool,
    /// The sender's open conversations, on all masked numbers.
    pub open: Vec<Conversation>,
    /// The open conversation that the text's code names, whoever is in it.
    pub coded: Option<Conversation>,
    /// The sender's last conversation on this number, if none is active there now.
    pub past: Option<Past>,
    /// Whose conversations the text's MOVE code moves.
    pub mover: Option<Mover>,
    /// People whom the sender has blocked, or who have blocked the sender.
    pub unwanted: HashSet<PersonId>,
    /// How many codes have failed within the last hour.
    pub failures: Failures,
    /// The masked numbers that may be used: the one that was texted, or all if that one may not;
    /// for a MOVE code all.
    pub numbers: Vec<Candidate>,
    /// What a new conversation would be; none when no free code could be drawn.
    pub fresh: Option<Fresh>,
    /// When the sender last got each answer that is given only so often.
    pub given: HashMap<String, Timestamp>,
    /// Whether pictures came along.
    pub has_media: bool,
    /// What is known of a text that only the carrier's list brought.
    pub late: Option<Late>,
    /// How long things last.
    pub times: Times,
    /// How masked numbers are chosen.
    pub pool: PoolSettings,
}

/// A conversation of two people that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Its id.
    pub id: ConversationId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why.
    pub reason: EndReason,
    /// The participant who is not the sender.
    pub other: Address,
    /// Who asked for it to be opened again.
    pub asked_by: Option<PersonId>,
    /// Whether the other could be texted, and is in no conversation on that number.
    pub other_is_free: bool,
    /// Whether both numbers are still in service.
    pub numbers_serve: bool,
}

/// A text that came late: the webhook never brought it, the carrier's list did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// When it was sent.
    pub sent_at: Timestamp,
    /// What becomes of words.
    pub words: LateInbound,
    /// Whether a text that the sender sent after it, to the same number, came before it.
    pub overtaken: bool,
    /// Whether the conversation here has come about since.
    pub before_here: bool,
    /// Whether the sender has said since whether they may be texted.
    pub outspoken: bool,
}

impl Late {
    /// Whether whoever gets the words must be told when they were sent.
    pub fn wants_note(&self, now: Timestamp) -> bool {
        self.overtaken || now.duration_since(self.sent_at) >= LATE
    }
}

/// Who got a MOVE code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mover {
    /// The person, on their old phone.
    pub person: PersonId,
    /// When the code stops working.
    pub expires_at: Timestamp,
    /// Their open conversations.
    pub open: Vec<Conversation>,
    /// People whom they have blocked, or who have blocked them.
    pub unwanted: HashSet<PersonId>,
}

/// How many codes have failed within the last hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// The sender's own.
    pub own: u32,
    /// Everybody's, counted up to the alarm.
    pub all: u32,
    /// So many of everybody's seem to be somebody guessing.
    pub alarm_at: u32,
}

impl Failures {
    /// Whether so many failed on the whole account that somebody seems to be guessing.
    pub fn is_alarm(self) -> bool {
        self.all >= self.alarm_at
    }

    /// The same after one more.
    #[must_use]
    pub fn and_one(self) -> Self {
        Self { own: self.own.saturating_add(1), all: self.all.saturating_add(1), ..self }
    }
}

impl Facts {
    /// The sender's open conversation on the number that was texted. The schema allows one.
    pub fn here(&self) -> Option<&Conversation> {
        self.open.iter().find(|conversation| conversation.participants.contains(&self.sender))
    }
}
