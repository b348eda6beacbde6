//! The rules of the pool: on which number a person may have a conversation.

use super::{
    rules::Hearing,
    world::{Number, Person, Time, World},
};

/// How a number stands for one person.
#[derive(Clone, Debug)]
pub struct Standing {
    load: usize,
    cut: bool,
    near: bool,
    taken: bool,
    last_ended: Option<Time>,
    /// Whom the person met there, and when they were last connected.
    met: Vec<(Person, Time)>,
}

impl World {
    pub(super) fn standing(&self, person: Person) -> Vec<Standing> {
        (0..self.terms.numbers).map(|number| self.standing_on(person, number)).collect()
    }

    fn standing_on(&self, person: Person, number: Number) -> Standing {
        let open = self.open().flat_map(|link| &self.links[link].seats);
        let mine = self.links.iter().filter(|link| link.seat(person) == Some(number));
        let ends = mine.clone().filter_map(|link| Some(link.ended?.0));
        let met = mine.filter_map(|link| {
            Some((link.other(person)?.0, link.ended.map_or(self.now, |(at, _)| at)))
        });
        Standing {
            load: open.filter(|seat| seat.1 == number).count(),
            cut: self.is_known_cut(person, number),
            near: self.near[person][number],
            taken: self.here(person, number).is_some(),
            last_ended: ends.max(),
            met: met.collect(),
        }
    }
}

impl Hearing<'_> {
    /// Whether a new conversation, with this person if that is known, may stand on a number that was
    /// asked for.
    pub(super) fn may_use(&self, number: Number, with: Option<Person>) -> bool {
        let (terms, number) = (&self.world.terms, &self.pool[number]);
        let knows_another = number
            .met
            .iter()
            .any(|(who, last)| Some(*who) != with && self.world.now - last < terms.keep_apart);
        let met_here = number.met.iter().any(|(who, _)| Some(*who) == with);
        let is_full = number.load >= terms.capacity;
        let is_stale = terms.never_the_same && met_here;
        !(is_full || number.cut || knows_another || is_stale)
    }

    /// Another number: where the two met before, near by, little used, the oldest.
    pub(super) fn choose(&self, with: Option<Person>) -> Option<Number> {
        let cooling = |number: &Standing| {
            number.last_ended.is_some_and(|at| self.world.now - at < self.world.terms.cool_off)
        };
        (0..self.pool.len())
            .filter(|number| !self.pool[*number].taken && !cooling(&self.pool[*number]))
            .filter(|number| self.may_use(*number, with))
            .min_by_key(|number| {
                let it = &self.pool[*number];
                let met = it.met.iter().any(|(who, _)| Some(*who) == with);
                (!met, !it.near, it.load, *number)
            })
    }
}
