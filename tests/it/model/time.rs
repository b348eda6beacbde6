//! What happens when nobody texts: the sweeper, the worker, and staff.

use std::collections::BTreeMap;

use super::world::{Number, Outcome, Person, World};

impl World {
    /// Warns and ends what is due, and ends what the carrier connects no more.
    pub fn sweep(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        for link in self.open().collect::<Vec<_>>() {
            let seats = self.links[link].seats.clone();
            if let Some(reason) = self.over(link) {
                self.end(link, reason, &mut outcome);
                if reason == "longest" {
                    for (who, number, _) in seats {
                        self.tell(&mut outcome, (who, number), Some(link), "ended", Vec::new());
                    }
                }
            } else if self.is_to_be_warned(link) {
                self.links[link].warned = Some(self.now);
                outcome.turns.push("warned".to_owned());
                for (who, number, _) in seats {
                    self.tell(&mut outcome, (who, number), Some(link), "ends_soon", Vec::new());
                }
            }
        }
        for link in self.open().collect::<Vec<_>>() {
            let seats = self.links[link].seats.clone();
            let is_cut = |(who, number, _): &(Person, Number, _)| {
                self.known_cut.get(&(*who, *number)) == Some(&false)
            };
            if seats.iter().any(is_cut) {
                self.end(link, "carrier_blocked", &mut outcome);
                for (who, number, _) in seats {
                    self.tell(&mut outcome, (who, number), Some(link), "ended", Vec::new());
                }
            }
        }
        for settled in self.known_cut.values_mut() {
            *settled = true;
        }
        outcome
    }

    /// Sends what is queued; what arrives, by phone and number, in its order.
    pub fn deliver(&mut self) -> BTreeMap<(Person, Number), Vec<String>> {
        let mut arrived: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for promise in std::mem::take(&mut self.queue) {
            let lane = (promise.to, promise.through);
            let silenced = self.suppressed.contains(&promise.to) && !promise.despite;
            let late = promise.until.is_some_and(|until| until <= self.now);
            if silenced || late || self.known_cut.contains_key(&lane) {
                continue;
            }
            if self.cut.contains(&lane) {
                self.known_cut.insert(lane, false);
                continue;
            }
            arrived.entry(lane).or_default().push(promise.body);
        }
        arrived
    }

    /// Staff note that a person opted out by other means.
    pub fn staff_opt_out(&mut self, person: Person) -> Outcome {
        let mut outcome = Outcome::default();
        self.suppress(person, &mut outcome);
        for link in self.open_of(person) {
            self.end(link, "opted_out", &mut outcome);
            if let Some(other) = self.links[link].other(person) {
                self.tell(&mut outcome, other, Some(link), "ended", Vec::new());
            }
        }
        outcome
    }

    /// Staff note that a person may be texted again.
    pub fn staff_opt_in(&mut self, person: Person) -> Outcome {
        self.suppressed.remove(&person);
        Outcome { turns: vec!["opted_in".to_owned()], ..Outcome::default() }
    }
}
