//! What can be wrong with a trail, in words that name the record.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::note::NoteError;

/// What a record is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Its time, in microseconds since 1970.
    pub at: i64,
    /// Its id.
    pub id: Uuid,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_microsecond(self.at) {
            Ok(at) => write!(f, "{} of {at}", self.id),
            Err(_) => write!(f, "{} of no possible time", self.id),
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The leaf of the record, or the first that it can be.
    pub index: Option<u64>,
    /// The last that it can be, where it is not certain which it is.
    pub last: Option<u64>,
    /// The record.
    pub who: Option<Who>,
    /// The partition that it lies in, or would.
    pub partition: Option<String>,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The record is not what was sealed.
    #[error("was changed after it was sealed")]
    Edited,
    /// The leaf has no record.
    #[error("was removed; its leaf is still there")]
    Missing,
    /// There is no leaf at this place.
    #[error("has no leaf any more: the leaf was removed")]
    LeafMissing,
    /// Leaves do not stand as they were sealed.
    #[error("does not stand at its place: the order of the leaves was changed")]
    OutOfOrder,
    /// A root does not fit, and every record fits its leaf.
    #[error("was changed, moved, added or removed together with its leaf: {0} has another root")]
    Replaced(String),
    /// A record that is older than what is sealed, and was never sealed itself.
    #[error("was slipped in: it is older than what is sealed, and was never sealed")]
    Added,
    /// A checkpoint has more records than there are leaves.
    #[error("and what came after it was cut off: {0} still counts it")]
    Cut(String),
    /// The manifest of a removed month speaks of other records than the leaves.
    #[error("the records that were removed with the month {0} are not those of its manifest")]
    OtherRemoved(String),
    /// A checkpoint of the trail's own stands behind more records than it counts.
    #[error(
        "{0} does not stand behind the last record that it counts: it was moved, and proves nothing there"
    )]
    Misplaced(String),
    /// A checkpoint that cannot be believed.
    #[error("{0} cannot be believed: {1}")]
    Note(String, NoteError),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.index, self.last) {
            (Some(first), Some(last)) if first < last => {
                write!(f, "one of the records {first} to {last}")?;
            }
            (Some(index), _) => write!(f, "record {index}")?,
            (None, _) if self.who.is_some() => f.write_str("record")?,
            (None, _) => {}
        }
        if let Some(who) = &self.who {
            let is_certain = self.last.is_none_or(|last| Some(last) == self.index);
            write!(f, " ({}{who}", if is_certain { "" } else { "the first is " })?;
            if let Some(partition) = &self.partition {
                write!(f, ", in {partition}")?;
            }
            f.write_str(")")?;
        }
        let gap = if self.index.is_some() || self.who.is_some() { " " } else { "" };
        write!(f, "{gap}{}", self.wrong)
    }
}
