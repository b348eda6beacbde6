//! The answers themselves.

use jiff::{SignedDuration, Timestamp};

use super::{Excerpt, Language};
use crate::{code::Code, phone::PhoneNumber};

/// What Maskline itself says to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To the starter: the code, in words that can be forwarded as they are.
    Started {
        /// The code of the new conversation.
        code: Code,
        /// The masked number to which it must be texted.
        number: PhoneNumber,
        /// For how many hours it works.
        hours: i64,
    },
    /// To START on a number that is not free for this person: where to text it instead.
    StartElsewhere {
        /// A number that is free for them.
        number: PhoneNumber,
    },
    /// To START or JOIN when no number is free for this person.
    NoNumber,
    /// To the joiner: connected, and on what terms.
    Joined,
    /// To the starter: the other one is there.
    TheyJoined,
    /// To whoever ended a conversation, waiting or active.
    YouEnded,
    /// To the other side, and neutral: it does not tell who ended it, or how.
    Ended,
    /// To both, an hour before a conversation ends by silence.
    EndsSoon,
    /// To EXTEND.
    Extended {
        /// After how many hours of silence it ends now.
        hours: i64,
    },
    /// To EXTEND when a conversation ends by its age before a silence could end it.
    CannotExtend {
        /// Within how many hours it ends.
        hours: i64,
    },
    /// To the first text after the end.
    Over {
        /// Whether it can be opened again.
        may_reopen: bool,
    },
    /// To REOPEN, from the one who asks. The same whether or not the other will ever agree.
    ReopenAsked {
        /// For how many hours the other can agree, counted from the end.
        hours: i64,
    },
    /// To the other: the first asks to open it again.
    ReopenWish,
    /// To both: it is open again, and on what terms.
    Reopened,
    /// To REOPEN where nothing can be opened again.
    CannotReopen,
    /// To a code that is wrong, expired, used or one's own: a different answer would help to guess.
    CodeFailed,
    /// To START in the middle of a conversation when no other number is free, and to REOPEN.
    AlreadyConnected,
    /// To START from somebody whose code still waits.
    AlreadyWaiting {
        /// The code that waits.
        code: Code,
    },
    /// To talk before anybody has joined.
    Alone {
        /// The code that waits.
        code: Code,
    },
    /// To talk outside any conversation.
    Nobody,
    /// To LEAVE with a code that is not of one's open conversation.
    NotYourCode,
    /// To LEAVE outside any conversation.
    NothingToEnd,
    /// To EXTEND, BLOCK, REPORT and MOVE outside any conversation.
    NoConversation,
    /// To BLOCK.
    Blocked,
    /// To REPORT.
    Reported,
    /// To MOVE, on the old phone.
    MoveCode {
        /// The code that must be texted from the new phone.
        code: Code,
        /// The masked number to which it must be texted.
        number: PhoneNumber,
    },
    /// To the new phone: it is in the conversation now, and on what terms.
    Moved,
    /// To the old phone: it no longer is.
    MovedAway,
    /// To a new phone that is in a conversation on one of the numbers itself.
    MoveTaken,
    /// To a new phone that texted STOP to one of the numbers, which the carrier remembers.
    MoveStopped {
        /// That number.
        number: PhoneNumber,
    },
    /// The one confirmation of an opt out.
    OptedOut(Language),
    /// The one confirmation of coming back.
    OptedIn,
    /// Who this is, the commands, and how to stop.
    Help(Language),
    /// To whoever's words failed for good: once for each text.
    NotDelivered {
        /// Which ones.
        excerpt: Option<Excerpt>,
    },
    /// To whoever's words may be lost: once for each text.
    MaybeNotDelivered {
        /// Which ones.
        excerpt: Option<Excerpt>,
    },
    /// To whoever sent what is no picture: it was not passed on.
    NotAPicture,
    /// To whoever sent a picture that could not be had, or not be made to fit.
    PictureLost,
    /// No code could be drawn.
    TryLater,
    /// To words that only the carrier's list brought, where they can no longer be passed on.
    TooLate {
        /// When they were sent.
        sent_at: Timestamp,
    },
}

impl Answer {
    /// The name in the trail. It is stored for years: never change one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::StartElsewhere { .. } => "start_elsewhere",
            Self::NoNumber => "no_number",
            Self::Joined => "joined",
            Self::TheyJoined => "they_joined",
            Self::YouEnded => "you_ended",
            Self::Ended => "ended",
            Self::EndsSoon => "ends_soon",
            Self::Extended { .. } => "extended",
            Self::CannotExtend { .. } => "cannot_extend",
            Self::Over { .. } => "over",
            Self::ReopenAsked { .. } => "reopen_asked",
            Self::ReopenWish => "reopen_wish",
            Self::Reopened => "reopened",
            Self::CannotReopen => "cannot_reopen",
            Self::CodeFailed => "code_failed",
            Self::AlreadyConnected => "already_connected",
            Self::AlreadyWaiting { .. } => "already_waiting",
            Self::Alone { .. } => "alone",
            Self::Nobody => "nobody",
            Self::NotYourCode => "not_your_code",
            Self::NothingToEnd => "nothing_to_end",
            Self::NoConversation => "no_conversation",
            Self::Blocked => "blocked",
            Self::Reported => "reported",
            Self::MoveCode { .. } => "move_code",
            Self::Moved => "moved",
            Self::MovedAway => "moved_away",
            Self::MoveTaken => "move_taken",
            Self::MoveStopped { .. } => "move_stopped",
            Self::OptedOut(_) => "opted_out",
            Self::OptedIn => "opted_in",
            Self::Help(_) => "help",
            Self::NotDelivered { .. } => "not_delivered",
            Self::MaybeNotDelivered { .. } => "maybe_not_delivered",
            Self::NotAPicture => "not_a_picture",
            Self::PictureLost => "picture_lost",
            Self::TryLater => "try_later",
            Self::TooLate { .. } => "too_late",
        }
    }

    /// Whether it goes before all that is not: who asks for help or for silence is answered first.
    pub fn is_urgent(&self) -> bool {
        matches!(self, Self::Help(_) | Self::OptedOut(_))
    }

    /// Whether it is never sent again once nobody knows if it was sent: a second confirmation of an
    /// opt-out is one too many, and a code in two texts looks like two codes.
    pub fn is_said_once(&self) -> bool {
        matches!(
            self,
            Self::OptedOut(_)
                | Self::Started { .. }
                | Self::AlreadyWaiting { .. }
                | Self::Alone { .. }
                | Self::MoveCode { .. }
        )
    }

    /// After how long it is of no use to its recipient, and is not sent any more. US rules want the
    /// confirmation of an opt out within 5 minutes (47 CFR 64.1200(a)(12)).
    pub fn of_no_use_after(&self) -> Option<SignedDuration> {
        match self {
            Self::OptedOut(_) => Some(SignedDuration::from_mins(5)),
            Self::MoveCode { .. } => Some(SignedDuration::from_mins(15)),
            _ => None,
        }
    }

    /// How much time must pass before the same person is told this again, if any. Zero for what is
    /// noted, but held back for another reason: `Over` is said once for each end.
    pub fn at_most_every(&self) -> Option<SignedDuration> {
        match self {
            Self::Help(_) | Self::TooLate { .. } => Some(SignedDuration::from_hours(1)),
            Self::Alone { .. } | Self::Nobody => Some(SignedDuration::from_mins(10)),
            Self::Over { .. } => Some(SignedDuration::ZERO),
            _ => None,
        }
    }
}
