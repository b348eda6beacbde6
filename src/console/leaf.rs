//! Pages of what is long: a part of it, where it goes on, and how many there are.

use std::{fmt, ops::Range, str::FromStr};

use jiff::Timestamp;
use uuid::Uuid;

/// A place in a list that grows at its end: what stands there, whatever is added or removed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) at: Timestamp,
    pub(super) id: Uuid,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at, self.id)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, id) = text.split_once('_').ok_or(())?;
        Ok(Self { at: at.parse().map_err(drop)?, id: id.parse().map_err(drop)? })
    }
}

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Which of all stand on it.
    pub(super) range: Range<usize>,
    pub(super) all: usize,
    /// Where the page before begins; none on the first.
    pub(super) earlier: Option<Place>,
    /// Where the next begins; none on the last.
    pub(super) later: Option<Place>,
    /// Where the last begins.
    pub(super) last: Option<Place>,
}

impl Leaf {
    /// The page of so many that begins at this place, or with what stands there first now; without a place
    /// the first. The places are in their order.
    pub(super) fn of(places: &[Place], from: Option<Place>, size: usize) -> Self {
        Self::starting(places, from, size, |place, from| place < from)
    }

    /// The same of a list that has its newest in front.
    pub(super) fn of_newest(places: &[Place], from: Option<Place>, size: usize) -> Self {
        Self::starting(places, from, size, |place, from| place.at > from.at)
    }

    fn starting(
        places: &[Place],
        from: Option<Place>,
        size: usize,
        is_before: impl Fn(Place, Place) -> bool,
    ) -> Self {
        let all = places.len();
        let before = |from| places.partition_point(|place| is_before(*place, from));
        // Of those of the same time it is the very one, if it is there.
        let start = from.map_or(0, |from| {
            places.iter().position(|place| *place == from).unwrap_or_else(|| before(from))
        });
        // Behind the last, what stands last is shown.
        let start = if start < all { start } else { all.saturating_sub(size) };
        let end = all.min(start + size);
        let place = |at: usize| places.get(at).copied();
        Self {
            range: start..end,
            all,
            earlier: (start > 0).then(|| place(start.saturating_sub(size))).flatten(),
            later: place(end),
            last: place(all.saturating_sub(1) / size * size),
        }
    }

    /// Whether there is another page.
    pub(super) fn is_part(&self) -> bool {
        self.range.len() < self.all
    }

    /// Which of how many, in words.
    pub(super) fn said(&self, what: &str) -> String {
        use super::say::count;
        let number = |at: usize| count(&i64::try_from(at).unwrap_or(i64::MAX));
        let (first, last) = (number(self.range.start + 1), number(self.range.end));
        format!("{what} {first} to {last} of {}", number(self.all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(second: i64) -> Place {
        Place { at: Timestamp::from_second(second).unwrap(), id: Uuid::from_u128(7) }
    }

    #[test]
    fn pages_follow_one_another_and_leave_nothing_out() {
        let mut places: Vec<Place> = (0..10).map(place).collect();
        let first = Leaf::of(&places, None, 4);
        assert_eq!((first.range.clone(), first.earlier, first.later), (0..4, None, Some(place(4))));
        assert_eq!(first.said("Entries"), "Entries 1 to 4 of 10");
        let second = Leaf::of(&places, first.later, 4);
        assert_eq!(
            (second.range, second.earlier, second.later),
            (4..8, Some(place(0)), Some(place(8)))
        );
        assert_eq!(second.last, Some(place(8)));
        let third = Leaf::of(&places, second.later, 4);
        assert_eq!((third.range, third.earlier, third.later), (8..10, Some(place(4)), None));
        // What is added moves nothing, and what is removed leaves the place where it was.
        places.extend((10..12).map(place));
        assert_eq!(Leaf::of(&places, Some(place(4)), 4).range, 4..8);
        places.drain(0..2);
        assert_eq!(places[Leaf::of(&places, Some(place(4)), 4).range][0], place(4));
        places.drain(0..4);
        assert_eq!(Leaf::of(&places, Some(place(4)), 4).range, 0..4);
        assert_eq!(Leaf::of(&places, Some(place(40)), 4).range, 2..6);
        let none = Leaf::of(&[], Some(place(4)), 4);
        assert!(none.range.is_empty() && !none.is_part() && none.last.is_none());
        let one = Leaf::of(&places[..4], None, 4);
        assert!(!one.is_part() && one.last == Some(places[0]));
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let written = place(4).to_string();
        assert_eq!(written.parse(), Ok(place(4)));
        for wrong in ["", "_", "x_y", "1970-01-01T00:00:04Z", "4_4"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
