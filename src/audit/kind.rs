//! What a record says happened.

use std::str::FromStr;

/// Makes the kinds, each with the word that stands on record for it. Words are kept for years: never
/// change one.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal,)*) => {
        /// What a record says happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The word that stands on record for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// A text came in and was handled by the rule that is named.
    Received = "received",
    /// A text came in that nobody could be answered for; the rule says why.
    Refused = "refused",
    /// A text was promised to the other participant.
    Relayed = "relayed",
    /// The pictures of a relayed text were made ready or refused; the media say which.
    Pictures = "pictures",
    /// A text of Maskline's own was promised.
    Answered = "answered",
    /// A conversation was opened, with a code.
    Opened = "opened",
    /// Its code let the second person in.
    Joined = "joined",
    /// It ended; the detail says why.
    Ended = "ended",
    /// Its participants were told that it is about to end.
    Warned = "warned",
    /// A participant kept it from ending.
    Extended = "extended",
    /// A participant of an ended one wants it opened again.
    ReopenAsked = "reopen_asked",
    /// It was opened again, as a new one; the detail is the old one's id.
    Reopened = "reopened",
    /// A person got a code for their new phone.
    MoveOffered = "move_offered",
    /// A conversation was taken from one phone, the person, to another, the recipient.
    Moved = "moved",
    /// A person never meets another, the recipient, again.
    Blocked = "blocked",
    /// The same, and staff are to look at the conversation.
    PersonReported = "person_reported",
    /// A code did not work.
    CodeFailed = "code_failed",
    /// Words may be a wish to be left alone; the detail says which.
    Flagged = "flagged",
    /// The carrier connects a person and a masked number no more.
    CarrierBlocked = "carrier_blocked",
    /// The carrier connects a person and a masked number again.
    CarrierLifted = "carrier_lifted",
    /// Staff changed when it ends by itself; the detail says to what.
    Kept = "kept",
    /// Staff did what the rule names; the detail says who, and what came of it.
    Staff = "staff",
    /// A person was forgotten; the detail says what there was of them.
    Erased = "erased",
    /// A person may no longer be texted.
    OptedOut = "opted_out",
    /// A person may be texted again.
    OptedIn = "opted_in",
    /// A promised text was dropped: its recipient may not or cannot be texted, or it was too late.
    Dropped = "dropped",
    /// The carrier accepted a text.
    Accepted = "accepted",
    /// A text finally failed; the detail says why.
    Failed = "failed",
    /// The carrier's answer was lost; it may or may not have accepted.
    Unknown = "unknown",
    /// Nobody knows whether the carrier has it, and it is sent once more.
    Resent = "resent",
    /// Nobody knows whether the carrier has it, and it is not sent again.
    Parked = "parked",
    /// Its lane went on without a text that the carrier did not accept for long.
    Passed = "passed",
    /// The carrier had accepted a text before, under another id.
    AcceptedTwice = "accepted_twice",
    /// The carrier reported on an accepted text; the detail is its word.
    Reported = "reported",
    /// The carrier reported that a text reached the phone.
    Delivered = "delivered",
}

/// Which way a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a phone to Maskline.
    Inbound,
    /// From Maskline to a phone.
    Outbound,
}

impl Direction {
    /// The records of texts that go this way. What became of a text is told by others.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Inbound => &[Kind::Received, Kind::Refused],
            Self::Outbound => &[Kind::Relayed, Kind::Answered],
        }
    }
}

impl FromStr for Direction {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "inbound" => Ok(Self::Inbound),
            "outbound" => Ok(Self::Outbound),
            _ => Err("must be inbound or outbound"),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("must be one of {}", all.join(", "))
        })
    }
}
