//! What is in force: the ledger read from its beginning. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Channel, Entry, EventKind};
use crate::ids::MaskedNumberId;

/// What of a person's entries is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InForce {
    /// Whether they may not be texted.
    pub suppressed: bool,
    /// Whether they said so themselves, by text or at the carrier, and have not taken it back.
    pub own: bool,
    /// When they last said so.
    pub own_at: Option<Timestamp>,
    /// The masked numbers from which the carrier brings them nothing.
    pub blocked: BTreeSet<MaskedNumberId>,
}

/// Folds one person's entries, oldest first.
pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> InForce {
    entries.into_iter().fold(InForce::default(), |mut in_force, entry| {
        match (entry.kind, entry.masked_number) {
            (EventKind::Granted, _) => {
                in_force = InForce { blocked: in_force.blocked, ..InForce::default() };
            }
            (EventKind::Revoked, _) => {
                in_force.suppressed = true;
                if matches!(entry.channel, Channel::Text | Channel::Carrier) {
                    in_force.own = true;
                    in_force.own_at = Some(entry.at);
                }
            }
            (EventKind::CarrierBlocked, Some(number)) => {
                in_force.blocked.insert(number);
            }
            (EventKind::CarrierLifted, Some(number)) => {
                in_force.blocked.remove(&number);
            }
            // A flag decides nothing, and the schema lets no block be without its number.
            (EventKind::Flagged | EventKind::CarrierBlocked | EventKind::CarrierLifted, _) => {}
        }
        in_force
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: EventKind, channel: Channel) -> Entry {
        Entry { kind, masked_number: None, channel, at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_persons_own_word_stands_beside_that_of_staff_until_it_is_taken_back() {
        use EventKind::{Flagged, Granted, Revoked};
        let table: [(&[_], bool, bool); 7] = [
            (&[], false, false),
            (&[(Flagged, Channel::Text)], false, false),
            (&[(Revoked, Channel::Staff)], true, false),
            (&[(Revoked, Channel::Staff), (Revoked, Channel::Text)], true, true),
            (&[(Revoked, Channel::Text), (Revoked, Channel::Import)], true, true),
            (&[(Revoked, Channel::Text), (Granted, Channel::Staff)], false, false),
            (
                &[(Revoked, Channel::Text), (Granted, Channel::Text), (Revoked, Channel::Staff)],
                true,
                false,
            ),
        ];
        for (events, suppressed, own) in table {
            let entries: Vec<Entry> =
                events.iter().map(|(kind, channel)| entry(*kind, *channel)).collect();
            let found = fold(&entries);
            assert_eq!((found.suppressed, found.own), (suppressed, own), "{events:?}");
            assert_eq!(found.own_at.is_some(), own, "{events:?}");
        }
    }

    #[test]
    fn a_block_is_of_one_pair_and_no_start_lifts_it() {
        let (one, other) = (MaskedNumberId::new(), MaskedNumberId::new());
        let of =
            |kind, number| Entry { masked_number: Some(number), ..entry(kind, Channel::Carrier) };
        let mut entries = vec![
            of(EventKind::CarrierBlocked, one),
            of(EventKind::CarrierBlocked, other),
            entry(EventKind::Granted, Channel::Text),
        ];
        assert_eq!(fold(&entries).blocked, [one, other].into());
        entries.push(of(EventKind::CarrierLifted, one));
        assert_eq!(fold(&entries).blocked, [other].into());
        assert!(!fold(&entries).suppressed);
    }
}
