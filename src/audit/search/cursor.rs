//! Where a search goes on.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::ids::RecordId;

/// Behind which record a search goes on. What happened after its first page stays out of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(super) at: Timestamp,
    pub(super) id: RecordId,
    pub(super) until: Timestamp,
}

impl Cursor {
    pub(super) fn place(self) -> (Timestamp, RecordId) {
        (self.at, self.id)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.at, self.id, self.until)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split('_');
            let (at, id, until) = (parts.next()?, parts.next()?, parts.next()?);
            let cursor =
                Self { at: at.parse().ok()?, id: id.parse().ok()?, until: until.parse().ok()? };
            parts.next().is_none().then_some(cursor)
        };
        read().ok_or("must be what an earlier page ended with, whole and unchanged")
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
