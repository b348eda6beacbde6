//! Where the texts that wait begin.

use jiff::{SignedDuration, Timestamp};

use super::limit::Kind;

/// By how much a text may come into sight later than one whose turn is after its own: whoever put it
/// there had not committed yet.
const MARGIN: SignedDuration = SignedDuration::from_secs(2);

/// Where in the order of turns the texts that wait begin, so that a look need not pass over all that
/// have left before them, whose rows stay for as long as somebody's transaction may see them.
///
/// A text may come to stand before it, given back by another worker or put in by a long transaction:
/// whoever keeps one looks without it now and then.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Front {
    sms: Option<Timestamp>,
    mms: Option<Timestamp>,
}

impl Front {
    /// From where on to look for texts of this kind; none for all of them.
    pub(super) fn of(&self, kind: Kind) -> Option<Timestamp> {
        match kind {
            Kind::Sms => self.sms,
            Kind::Mms => self.mms,
        }
    }

    /// Moves to the first text of this kind that a look found, or to the time of a look that found none.
    pub(super) fn advance(&mut self, kind: Kind, first: Timestamp) {
        let since = first.checked_sub(MARGIN).ok();
        match kind {
            Kind::Sms => self.sms = since,
            Kind::Mms => self.mms = since,
        }
    }
}
