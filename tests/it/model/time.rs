//! What happens when nobody texts: the sweeper, the worker, and staff.

use std::collections::BTreeMap;

use maskline::texts::{Answer, Excerpt};

use super::world::{Number, Outcome, Person, Promise, What, World};

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
        self.drop_crossed();
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

    /// Drops words whose recipient talks with somebody else on that number by now; their author is
    /// told.
    fn drop_crossed(&mut self) {
        let (crossed, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(|it| self.is_crossed(it));
        self.queue = kept;
        for Promise { to, body, about, .. } in crossed {
            let author = about.and_then(|link| self.links[link].other(to));
            let Some((who, number)) = author else { continue };
            let is_silent = self.suppressed.contains(&who) || self.is_known_cut(who, number);
            if is_silent || self.are_apart(who, to) {
                continue;
            }
            let told = Answer::NotDelivered { excerpt: Excerpt::of(&body) };
            let body = told.render(&"Maskline".parse().unwrap());
            let what = What::Answer("not_delivered", Vec::new());
            let (through, despite, until) = (number, false, None);
            self.queue.push(Promise { to: who, through, what, body, despite, until, about });
        }
    }

    fn is_crossed(&self, Promise { to, through, what, about, .. }: &Promise) -> bool {
        let is_silent = self.suppressed.contains(to) || self.is_known_cut(*to, *through);
        let now = self.here(*to, *through).filter(|now| Some(*now) != *about);
        let met = now.and_then(|now| self.links[now].other(*to));
        let was = about.and_then(|link| self.links[link].other(*to));
        matches!(what, What::Words(_))
            && !is_silent
            && met.is_some_and(|met| was.map(|was| was.0) != Some(met.0))
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
