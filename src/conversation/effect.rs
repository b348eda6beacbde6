//! What a decision does: values that can be printed, compared and applied.

use jiff::{SignedDuration, Timestamp};

use super::{Address, EndReason, command::Rule};
use crate::{
    code::Code,
    ids::{ConversationId, PersonId},
    texts::Answer,
};

/// What a new conversation would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// Its id.
    pub id: ConversationId,
    /// Its code.
    pub code: Code,
}

/// How long a new conversation lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// When its code stops working.
    pub expires_at: Timestamp,
    /// How long a silence it outlives.
    pub silence: SignedDuration,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
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
    /// Opens a conversation, with its starter in the first seat.
    Open {
        /// Its id and code.
        fresh: Fresh,
        /// How long it lasts.
        terms: Terms,
        /// Who opens it, through which number.
        starter: Address,
    },
    /// Seats somebody in a waiting conversation, which becomes active.
    Join(ConversationId, Address),
    /// Opens a conversation between two people whose last one has ended.
    Reopen {
        /// Its id and code.
        fresh: Fresh,
        /// How long it lasts.
        terms: Terms,
        /// The one that ended.
        of: ConversationId,
        /// Who asked, and who agreed.
        seats: [Address; 2],
    },
    /// Ends an open conversation.
    End(ConversationId, EndReason),
    /// Notes that its participants were told that it is about to end.
    Warn(ConversationId),
    /// Begins its silence anew.
    Extend(ConversationId),
    /// Notes that this person wants an ended conversation opened again.
    AskToReopen(ConversationId, PersonId),
    /// Silences a person everywhere and drops what is queued for them.
    Suppress(PersonId),
    /// Lets a person be texted again.
    Lift(PersonId),
    /// The carrier connects this pair again, at the person's word.
    CarrierLift(Address),
    /// Words that may be a wish to be left alone: staff look at it.
    Flag {
        /// Whose words.
        person: PersonId,
        /// In which conversation.
        conversation: Option<ConversationId>,
        /// Which words.
        plea: &'static str,
    },
    /// Keeps two people from ever meeting again.
    Block {
        /// Who asked for it.
        person: PersonId,
        /// The other.
        other: PersonId,
        /// The conversation that staff are to look at, if it was reported.
        report: Option<ConversationId>,
    },
    /// Counts a code that did not work.
    CountFailure(PersonId),
    /// So many codes did not work that somebody seems to be guessing: staff are called.
    AlarmGuesses,
    /// Gives a person a code for their new phone.
    OfferMove {
        /// Whose conversations it moves.
        person: PersonId,
        /// The code.
        code: Code,
        /// When it stops working.
        expires_at: Timestamp,
    },
    /// Takes all open conversations from one phone to another.
    Move {
        /// The old phone.
        from: PersonId,
        /// The new one.
        to: PersonId,
        /// What is moved.
        conversations: Vec<ConversationId>,
    },
    /// Passes the sender's words on, unchanged, and the pictures that came along.
    Relay {
        /// The conversation in which they were said.
        conversation: ConversationId,
        /// The other participant.
        to: Address,
        /// When they were sent, if the other is told in a note.
        sent_at: Option<Timestamp>,
        /// Whether pictures came along.
        pictures: bool,
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

/// Under which name it is noted that somebody was given an answer that is given only so often.
pub fn noted_as(answer: &Answer, to: &Address) -> String {
    match answer {
        // What is over is over on one number.
        Answer::Over { .. } => format!("{} {}", answer.name(), to.through.id),
        _ => answer.name().to_owned(),
    }
}

impl Effect {
    /// Says something to a participant of a conversation.
    pub fn tell(to: &Address, conversation: ConversationId, answer: Answer) -> Self {
        Self::Say {
            to: to.clone(),
            conversation: Some(conversation),
            answer,
            despite_optout: false,
        }
    }

    /// The conversation that it ends, if it ends one.
    pub fn ends(&self) -> Option<ConversationId> {
        match self {
            Self::End(id, _) => Some(*id),
            _ => None,
        }
    }

    /// Whom it texts, if it texts anybody.
    pub fn recipient(&self) -> Option<&Address> {
        match self {
            Self::Relay { to, .. } | Self::Say { to, .. } => Some(to),
            _ => None,
        }
    }
}
