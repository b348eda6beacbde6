//! Judgement: what a conversation is, and what a text, or time, does to it.
//!
//! `decide` is pure: it sees the facts, the command and the time, and returns a value. `time` says
//! what happens when nobody texts. `store` loads the facts and applies what was decided.

pub mod command;
pub mod decide;
pub mod effect;
pub mod facts;
pub mod store;
pub mod terms;
pub mod time;

use jiff::{SignedDuration, Timestamp};

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

/// Where an open conversation stands. Of an ended one only a [`facts::Past`] is ever loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// One participant, and a code that the other may text until then.
    Waiting {
        /// When the code stops working.
        expires_at: Timestamp,
    },
    /// Two participants; what one texts reaches the other.
    Active {
        /// When it was last talked in, joined or extended.
        last_talk_at: Timestamp,
        /// How long a silence it outlives.
        silence: SignedDuration,
        /// When the participants were told that it would end by silence.
        warned_at: Option<Timestamp>,
        /// When it ends at the latest.
        ends_at: Timestamp,
    },
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
    /// Nobody texted for long.
    Silence,
    /// It lasted as long as it may.
    Longest,
    /// A participant blocked the other.
    Blocked,
    /// A participant reported the other.
    Reported,
    /// The carrier connects a participant and their masked number no more.
    CarrierBlocked,
    /// A participant was forgotten.
    Erased,
}

impl EndReason {
    const ALL: [Self; 10] = [
        Self::Left,
        Self::OptedOut,
        Self::Expired,
        Self::Superseded,
        Self::Silence,
        Self::Longest,
        Self::Blocked,
        Self::Reported,
        Self::CarrierBlocked,
        Self::Erased,
    ];

    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::OptedOut => "opted_out",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Silence => "silence",
            Self::Longest => "longest",
            Self::Blocked => "blocked",
            Self::Reported => "reported",
            Self::CarrierBlocked => "carrier_blocked",
            Self::Erased => "erased",
        }
    }

    /// The reason that is stored under this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Whether the two may ask to go on: nobody had said that they want to hear no more.
    pub fn may_reopen(self) -> bool {
        matches!(self, Self::Left | Self::Silence | Self::Longest)
    }
}

impl Conversation {
    /// The participant who is not this person, once somebody has joined.
    pub fn other(&self, person: PersonId) -> Option<&Address> {
        self.participants.iter().find(|participant| participant.person != person)
    }

    /// Where this person is reached in it.
    pub fn seat(&self, person: PersonId) -> Option<&Address> {
        self.participants.iter().find(|participant| participant.person == person)
    }

    /// Whether this person is in it.
    pub fn has(&self, person: PersonId) -> bool {
        self.seat(person).is_some()
    }

    /// Whether two people are in it.
    pub fn is_active(&self) -> bool {
        matches!(self.state, State::Active { .. })
    }
}
