//! Judgement: what a conversation is, and what a text does to it.
//!
//! `decide` is pure: it sees the facts, the command and the time, and returns a value. `store`
//! loads the facts and applies what was decided.

pub mod command;
pub mod decide;
pub mod store;

use jiff::Timestamp;

use crate::{
    code::Code,
    ids::{ConversationId, PersonId},
    pool::MaskedNumber,
};

/// The link between two people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The code that let the second person in, or will; it names the conversation while it is open.
    pub code: Code,
    /// Where it stands.
    pub state: State,
    /// Who is in it: one while it waits, two while it is active.
    pub participants: Vec<Address>,
}

/// Where an open conversation stands. An ended one is never loaded: nothing can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// One participant, and a code that the other may text until then.
    Waiting {
        /// When the code stops working.
        expires_at: Timestamp,
    },
    /// Two participants; what one texts reaches the other.
    Active,
}

/// Where a person is reached: through one masked number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Who.
    pub person: PersonId,
    /// Through which number.
    pub through: MaskedNumber,
}

/// Why a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// A participant texted LEAVE or END with the code.
    Left,
    /// A participant opted out.
    OptedOut,
    /// Nobody joined before the code expired.
    Expired,
    /// The one who waited joined another conversation instead.
    Superseded,
}

impl EndReason {
    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::OptedOut => "opted_out",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
        }
    }
}

impl Conversation {
    /// The participant who is not this person, once somebody has joined.
    pub fn other(&self, person: PersonId) -> Option<&Address> {
        self.participants.iter().find(|participant| participant.person != person)
    }

    /// Whether this person is in it.
    pub fn has(&self, person: PersonId) -> bool {
        self.participants.iter().any(|participant| participant.person == person)
    }

    /// Whether it still waits, but its code works no more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Waiting { expires_at } if expires_at <= now)
    }
}
