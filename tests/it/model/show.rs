//! A sequence in words.

use std::fmt;

use super::{
    ops::{Op, Says, Text, Which, name},
    world::{HOUR, MINUTE},
};

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text}"),
            Self::Both(one, other) => write!(f, "{one}, and at once {other}"),
            Self::Twice(text) => write!(f, "{text}, delivered twice at once"),
            Self::Again(back) => write!(f, "the text {back} before the last comes again"),
            Self::Wait(time) => write!(f, "{} h {} min pass", time / HOUR, time % HOUR / MINUTE),
            Self::Sweep => write!(f, "the sweeper comes by"),
            Self::Deliver => write!(f, "what is queued is sent"),
            Self::StaffOptOut(who) => write!(f, "staff opt {} out", name(*who)),
            Self::StaffOptIn(who) => write!(f, "staff opt {} in", name(*who)),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seat {
            None => write!(f, "{} texts number {}: ", name(self.who), self.to)?,
            Some(seat) => write!(f, "who sits in place {seat} texts: ")?,
        }
        match &self.says {
            Says::Plain(word) => write!(f, "{word:?}"),
            Says::Talk => write!(f, "words"),
            Says::Plea => write!(f, "a plea"),
            Says::Picture => write!(f, "a picture"),
            Says::PictureAndWords => write!(f, "a picture and words"),
            Says::Coded(word, Which::Link(back)) => write!(f, "{word} and code {back} ago"),
            Says::Coded(word, Which::Move(back)) => write!(f, "{word} and MOVE code {back} ago"),
            Says::Coded(word, Which::Unknown) => write!(f, "{word} and an unknown code"),
        }
    }
}
