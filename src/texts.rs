//! Everything that Maskline itself says, in one place, ready to be translated.
//!
//! Each text fits one segment, whatever the brand and the number: a second one would cost the
//! operator, and may arrive before the first.

use std::{fmt, str::FromStr};

use jiff::SignedDuration;

use crate::{code::Code, phone::PhoneNumber, segments};

/// The longest brand, in characters.
const LONGEST_BRAND: usize = 20;

/// The name under which an operator texts, so that people know who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand(String);

/// What was given cannot be a brand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotABrand {
    /// It is empty or too long.
    #[error("a brand has 1 to {LONGEST_BRAND} characters")]
    Length,
    /// It begins or ends with a space.
    #[error("a brand neither begins nor ends with a space")]
    Space,
    /// A character is not in the basic set, so that every text would cost twice as much or more.
    #[error("{0:?} is not in the basic GSM-7 set: use plain letters, digits and punctuation")]
    Character(char),
}

impl Brand {
    /// The brand as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Brand {
    type Err = NotABrand;

    fn from_str(text: &str) -> Result<Self, NotABrand> {
        // Line breaks are in the set, but would let a brand look like a text of its own.
        let odd = |c: &char| c.is_control() || !segments::is_basic(*c);
        if !(1..=LONGEST_BRAND).contains(&text.chars().count()) {
            Err(NotABrand::Length)
        } else if let Some(c) = text.chars().find(odd) {
            Err(NotABrand::Character(c))
        } else if text.starts_with(' ') || text.ends_with(' ') {
            Err(NotABrand::Space)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What Maskline itself says to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To the starter: the code, in words that can be forwarded as they are.
    Started {
        /// The code of the new conversation.
        code: Code,
        /// The masked number to which it must be texted.
        number: PhoneNumber,
    },
    /// To the joiner: connected, and on what terms.
    Joined,
    /// To the starter: the other one is there.
    TheyJoined,
    /// To whoever ended a conversation, waiting or active.
    YouEnded,
    /// To the other side, and neutral: it does not tell who ended it, or how.
    Ended,
    /// To a code that is wrong, expired, used or one's own: a different answer would help to guess.
    CodeFailed,
    /// To START or JOIN in the middle of a conversation.
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
    /// The one confirmation of an opt out.
    OptedOut,
    /// The one confirmation of coming back.
    OptedIn,
    /// Who this is, the commands, and how to stop.
    Help,
    /// A picture was not passed on.
    PicturesNotYet,
    /// No code could be drawn.
    TryLater,
}

impl Answer {
    /// The text, in GSM-7 and at most 160 septets.
    pub fn render(&self, brand: &Brand) -> String {
        match self {
            Self::Started { code, number } => format!(
                "{brand}: Forward this: to reach me, text JOIN {code} to {} (valid 24 h). \
                 Msg & data rates may apply. HELP for help, STOP to stop.",
                number.as_str(),
            ),
            Self::Joined => format!(
                "{brand}: Connected. What you text reaches them; your number stays hidden. \
                 LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop."
            ),
            Self::TheyJoined => {
                "They have joined. What you text here now reaches them; your number \
                 stays hidden. LEAVE ends it."
                    .into()
            }
            Self::YouEnded => "You have ended this conversation. Nothing more is passed on. \
                 Text START to open a new one."
                .into(),
            Self::Ended => "This conversation has ended.".into(),
            Self::CodeFailed => {
                "Sorry, that code does not work. Please check it with whoever gave \
                 it to you, or text START to get a new one."
                    .into()
            }
            Self::AlreadyConnected => "You are already in a conversation here. Text LEAVE to end \
                 it; then you can START or JOIN another."
                .into(),
            Self::AlreadyWaiting { code } => format!(
                "Your code {code} is still waiting. The other person texts JOIN {code} to this \
                 number. LEAVE drops the code."
            ),
            Self::Alone { code } => format!(
                "Nobody has joined yet, so this was not passed on. Ask them to text JOIN {code} \
                 to this number. LEAVE drops the code."
            ),
            Self::Nobody => "You are in no conversation here, so this was not passed on. \
                 Text START to open one, or JOIN and the code you were given."
                .into(),
            Self::NotYourCode => {
                "That is not the code of your conversation, so nothing was ended. \
                 To end the one you are in, text LEAVE."
                    .into()
            }
            Self::NothingToEnd => "You are in no conversation here, so there is nothing to end. \
                 Text START to open one."
                .into(),
            Self::OptedOut => format!(
                "{brand}: You are opted out and will get no more texts. To come back, text START."
            ),
            Self::OptedIn => format!(
                "{brand}: Welcome back, you get texts again. Text START to open a conversation, \
                 or JOIN and a code. HELP for help, STOP to stop."
            ),
            Self::Help => format!(
                "{brand}: Texts with hidden numbers. START opens a chat, JOIN and a code enters \
                 one, LEAVE ends it, STOP ends all texts. Msg & data rates may apply."
            ),
            Self::PicturesNotYet => "Sorry, pictures cannot be passed on yet, so yours was not. \
                 Please use words."
                .into(),
            Self::TryLater => "Sorry, we could not make a code just now. \
                 Please text START again in a few minutes."
                .into(),
        }
    }

    /// The name in the trail. It is stored for years: never change one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Joined => "joined",
            Self::TheyJoined => "they_joined",
            Self::YouEnded => "you_ended",
            Self::Ended => "ended",
            Self::CodeFailed => "code_failed",
            Self::AlreadyConnected => "already_connected",
            Self::AlreadyWaiting { .. } => "already_waiting",
            Self::Alone { .. } => "alone",
            Self::Nobody => "nobody",
            Self::NotYourCode => "not_your_code",
            Self::NothingToEnd => "nothing_to_end",
            Self::OptedOut => "opted_out",
            Self::OptedIn => "opted_in",
            Self::Help => "help",
            Self::PicturesNotYet => "pictures_not_yet",
            Self::TryLater => "try_later",
        }
    }

    /// How much time must pass before the same person is told this again, if any.
    pub fn at_most_every(&self) -> Option<SignedDuration> {
        match self {
            Self::Help => Some(SignedDuration::from_hours(1)),
            Self::Alone { .. } | Self::Nobody => Some(SignedDuration::from_mins(10)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
