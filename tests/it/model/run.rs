//! One sequence: each step is taken by the model and by the system, and the two are compared.

use std::{collections::BTreeSet, fmt::Write};

use maskline::carrier::wire::InboundText;

use super::{
    compare::{Did, Names, differs, learn, reorder, show, state_differs},
    invariants::{broken, seated_wrong, unfolded, untold},
    ops::{Op, Text, name},
    system::{Seen, System},
    tally::Tally,
    word::Heard,
    world::{Outcome, Terms, Time, World},
};

/// One sequence under way.
pub struct Run<'a> {
    system: &'a mut System,
    tally: &'a mut Tally,
    world: World,
    names: Names,
    /// What the database held before the step.
    before: Seen,
    texts: Vec<InboundText>,
    /// What happened, in words.
    pub story: String,
}

impl<'a> Run<'a> {
    pub async fn begin(system: &'a mut System, tally: &'a mut Tally, terms: Terms) -> Self {
        system.begin().await;
        let numbers = system.numbers.iter().map(|number| number.as_str().to_owned()).collect();
        let names = Names { people: vec![None; system.phones.len()], numbers };
        let world = World::new(terms, system.near());
        let (before, texts, story) = (Seen::default(), Vec::new(), String::new());
        Self { system, tally, world, names, before, texts, story }
    }

    /// Takes all steps; says what went wrong, if anything did.
    pub async fn all(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            // No two steps happen at one moment.
            self.pass(1);
            let _ = writeln!(self.story, "{:>8} s  {op}", self.world.now);
            self.step(op).await?;
            self.tally.steps += 1;
        }
        self.pass(1);
        // To send is what costs most.
        if ops.len().is_multiple_of(6) {
            self.deliver().await?;
        }
        let seen = self.system.see().await;
        fail(unfolded(self.system, &seen).await)?;
        fail(untold(self.system).await)?;
        let count = i64::try_from(self.texts.len()).unwrap();
        fail(broken(self.system, count).await)
    }

    fn pass(&mut self, seconds: Time) {
        self.world.now += seconds;
        self.system.pass(seconds);
    }

    async fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Text(text) => self.text(text, false).await,
            Op::Twice(text) => self.text(text, true).await,
            Op::Both(one, other) => self.both(one, other).await,
            Op::Again(back) => {
                if !self.texts.is_empty() {
                    let text = &self.texts[self.texts.len() - 1 - back % self.texts.len()];
                    if matches!(text.body.as_str(), "STOP" | "UNSTOP") {
                        return Ok(());
                    }
                    self.tally.meet("a duplicate");
                    self.system.receive(text).await?;
                }
                self.check(Vec::new()).await
            }
            Op::Wait(time) => {
                self.pass(*time);
                Ok(())
            }
            Op::Sweep => {
                let expected = self.world.sweep();
                self.system.sweep().await?;
                self.check(vec![(None, expected)]).await
            }
            Op::Deliver => self.deliver().await,
            Op::StaffOptOut(who) | Op::StaffOptIn(who) => {
                let out = matches!(op, Op::StaffOptOut(_));
                if !self.system.staff(*who, out).await {
                    return Ok(());
                }
                self.tally.meet(if out { "staff opt out" } else { "staff opt in" });
                let expected = if out {
                    self.world.staff_opt_out(*who)
                } else {
                    self.world.staff_opt_in(*who)
                };
                self.check(vec![(None, expected)]).await
            }
        }
    }

    fn heard(&mut self, text: &Text) -> (Heard, InboundText) {
        let heard = text.heard(&self.world, self.texts.len());
        let text = self.system.text(&heard);
        self.texts.push(text.clone());
        let _ = writeln!(self.story, "            {} says {:?}", name(heard.who), heard.body);
        (heard, text)
    }

    async fn text(&mut self, text: &Text, twice: bool) -> Result<(), String> {
        let (heard, text) = self.heard(text);
        let expected = hear(&mut self.world, &heard);
        if twice && !matches!(text.body.as_str(), "STOP" | "UNSTOP") {
            self.tally.meet("a text delivered twice at once");
            let (one, other) = tokio::join!(self.system.receive(&text), self.system.receive(&text));
            one.and(other)?;
        } else {
            self.system.receive(&text).await?;
        }
        self.check(vec![(Some(text.carrier_id), expected)]).await
    }

    /// Two texts at once: what comes of them must be what comes of them in either order.
    async fn both(&mut self, one: &Text, other: &Text) -> Result<(), String> {
        let ((one, one_text), (other, other_text)) = (self.heard(one), self.heard(other));
        let (first, second) =
            tokio::join!(self.system.receive(&one_text), self.system.receive(&other_text));
        first.and(second)?;
        self.tally.meet("two texts at once");
        let seen = self.see().await;
        let place = |id: &String| seen.trail.iter().position(|it| it.cause.as_ref() == Some(id));
        let texts = [(one_text.carrier_id, one), (other_text.carrier_id, other)];
        let [one, other] = texts;
        // As it looks, the one that was written down first came first.
        let (one, other) =
            if place(&one.0) <= place(&other.0) { (one, other) } else { (other, one) };
        let before = self.world.clone();
        let first = self.in_order(&seen, [&one, &other]);
        let judged = first.or_else(|why| {
            self.world = before;
            let second = self.in_order(&seen, [&other, &one]);
            second.map_err(|other| format!("in one order: {why}\nin the other: {other}"))
        });
        self.before = seen;
        judged
    }

    fn in_order(&mut self, seen: &Seen, texts: [&(String, Heard); 2]) -> Result<(), String> {
        let queued = self.world.queue.len();
        let expected = texts.map(|(id, heard)| (Some(id.clone()), hear(&mut self.world, heard)));
        self.judge(seen, expected.into(), Some(queued))
    }

    async fn see(&mut self) -> Seen {
        let seen = self.system.see().await;
        for (phone, id) in &seen.people {
            let place = self.system.phones.iter().position(|known| known.as_str() == phone);
            self.names.people[place.expect("somebody unknown")] = Some(*id);
        }
        seen
    }

    async fn check(&mut self, expected: Vec<(Option<String>, Outcome)>) -> Result<(), String> {
        let seen = self.see().await;
        let judged = self.judge(&seen, expected, None);
        self.before = seen;
        judged
    }

    /// Compares what is seen with what was expected of each text of this moment.
    /// `unordered` is where in the queue those begin that were promised by two texts at once.
    fn judge(
        &mut self,
        seen: &Seen,
        expected: Vec<(Option<String>, Outcome)>,
        unordered: Option<usize>,
    ) -> Result<(), String> {
        let mut known = 0;
        for (cause, outcome) in &expected {
            let did = Did::of(cause.as_deref(), &seen.trail, &self.names);
            known += did.sent.len();
            fail(differs(&self.world, outcome, &did, &self.names))?;
            learn(&mut self.world, outcome, &did);
            self.only_to_the_other(cause.as_deref(), seen)?;
        }
        let is_text = |kind: &str| matches!(kind, "relayed" | "answered");
        if seen.trail.iter().filter(|record| is_text(&record.kind)).count() != known {
            return Err(format!("texts that nothing calls for: {:#?}", seen.trail));
        }
        if let Some(since) = unordered {
            reorder(&mut self.world, since, seen, &self.names);
        }
        fail(state_differs(&mut self.world, seen, &self.names))?;
        fail(seated_wrong(seen))?;
        for (_, outcome) in expected {
            self.note(&outcome);
        }
        Ok(())
    }

    /// What was relayed went to the other in the sender's one conversation on that number.
    fn only_to_the_other(&self, cause: Option<&str>, seen: &Seen) -> Result<(), String> {
        let relayed = seen.trail.iter().filter(|record| record.kind == "relayed");
        for record in relayed.filter(|record| record.cause.as_deref() == cause) {
            let text = self.texts.iter().find(|text| Some(text.carrier_id.as_str()) == cause);
            let text = text.ok_or("words that nobody said were relayed")?;
            let (from, to) = (text.from.as_ref(), text.to.as_ref());
            let who = self.system.phones.iter().position(|phone| Some(phone) == from).unwrap();
            let seat = (self.names.people[who].unwrap(), to.unwrap().as_str().to_owned());
            let mut open = self.before.open.iter().chain(&seen.open);
            let goes = open.any(|open| {
                open.seats.contains(&seat)
                    && open.seats.iter().any(|it| {
                        *it != seat
                            && Some(it.0) == record.recipient
                            && Some(&it.1) == record.number.as_ref()
                    })
            });
            if !goes || record.body.as_ref() != Some(&text.body) {
                return Err(format!("words went astray: {record:?}"));
            }
        }
        Ok(())
    }

    fn note(&mut self, outcome: &Outcome) {
        if let Some(rule) = outcome.rule {
            self.tally.meet(&format!("rule {rule}"));
        }
        for promise in &outcome.sent {
            self.tally.meet(&match &promise.what {
                super::world::What::Words(_) => "words".to_owned(),
                super::world::What::Answer(name, _) => format!("answer {name}"),
            });
            let _ = writeln!(self.story, "            -> {}", show(promise));
        }
        for turn in &outcome.turns {
            self.tally.meet(&format!("turn {turn}"));
            let _ = writeln!(self.story, "            -> {turn}");
        }
    }

    async fn deliver(&mut self) -> Result<(), String> {
        let expected = self.world.deliver();
        let arrived = self.system.deliver().await;
        let lanes: BTreeSet<_> = arrived.keys().chain(expected.keys()).collect();
        for lane in lanes {
            // Two conversations are two lanes, and either may be quicker. In which order texts wait
            // is compared all along; that they leave in it is for other tests.
            let sorted = |texts: Option<&Vec<String>>| {
                let mut texts = texts.cloned().unwrap_or_default();
                texts.sort();
                texts
            };
            let (expected, arrived) = (sorted(expected.get(lane)), sorted(arrived.get(lane)));
            if expected != arrived {
                let (who, number) = (name(lane.0), lane.1);
                return Err(format!(
                    "to {who} by {number}: expected {expected:#?}, arrived {arrived:#?}"
                ));
            }
        }
        self.tally.delivered += arrived.values().map(Vec::len).sum::<usize>();
        let seen = self.see().await;
        let differs = state_differs(&mut self.world, &seen, &self.names);
        self.before = seen;
        fail(differs)
    }
}

/// Lets the model hear a text, and the carrier what it obeys itself.
fn hear(world: &mut World, heard: &Heard) -> Outcome {
    match heard.body.as_str() {
        "STOP" => {
            world.cut.insert((heard.who, heard.to));
        }
        "UNSTOP" => {
            world.cut.remove(&(heard.who, heard.to));
        }
        _ => {}
    }
    world.hear(heard)
}

fn fail(what: Option<String>) -> Result<(), String> {
    what.map_or(Ok(()), Err)
}
