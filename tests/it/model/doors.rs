//! The rules of coming in: START, JOIN, REOPEN; and of BLOCK, REPORT and MOVE.

use super::{
    rules::Hearing,
    world::{Code, Conversation, HOUR, Hint, Link, MINUTE, Number, Person, Promise, What},
};

impl Hearing<'_> {
    pub(super) fn start(&mut self) {
        match self.here() {
            Some(_) if self.active().is_some() => self.start_elsewhere("already_connected"),
            Some(waiting) => self.already_waiting(waiting),
            None if !self.may_use(self.to, None) => self.start_elsewhere("no_number"),
            None => {
                let seats = vec![(self.who, self.to, self.world.now)];
                let link = self.open(seats);
                self.turn("opened");
                let hints = vec![Hint::Code(self.world.links[link].code), Hint::Number(self.to)];
                self.say("started", hints);
            }
        }
    }

    fn start_elsewhere(&mut self, nowhere: &'static str) {
        match self.choose(None) {
            Some(number) => self.say("start_elsewhere", vec![Hint::Number(number)]),
            None => self.say(nowhere, Vec::new()),
        }
    }

    fn open(&mut self, seats: Vec<(Person, Number, i64)>) -> Link {
        let code = self.world.draw(false);
        let (now, terms) = (self.world.now, self.world.terms);
        self.world.links.push(Conversation {
            code,
            seats,
            code_until: now + terms.code_lifetime,
            last_talk: now,
            warned: None,
            longest_until: now + terms.longest,
            ended: None,
            reopen_asked_by: None,
        });
        let link = self.world.links.len() - 1;
        self.about = Some(link);
        link
    }

    /// After five wrong codes within an hour, or one while somebody is guessing on the account, a
    /// person hears nothing more.
    fn is_guessing(&self) -> bool {
        let recent = |at: i64| self.world.now - at < HOUR;
        let all = self.world.failures.iter().filter(|(_, at)| recent(*at));
        let own = all.clone().filter(|(who, _)| *who == self.who).count();
        own >= if all.count() >= self.world.terms.alarm { 1 } else { 5 }
    }

    fn fail(&mut self) {
        self.world.failures.push((self.who, self.world.now));
        self.turn("code_failed");
    }

    /// A code that is wrong, expired, used or one's own: always the same answer, and none at all to
    /// somebody who opted out.
    pub(super) fn join(&mut self, code: Option<Code>, from_silence: bool) {
        if self.is_guessing() {
            return;
        }
        let Some((link, starter)) = self.joinable(code) else {
            self.fail();
            if !from_silence {
                self.say("code_failed", Vec::new());
            }
            return;
        };
        if from_silence {
            self.lift();
        }
        let with = Some(starter.0);
        let through = if self.active().is_none() && self.may_use(self.to, with) {
            self.to
        } else if let Some(number) = self.choose(with) {
            number
        } else {
            return self.say("no_number", Vec::new());
        };
        if let Some(waiting) = self.here().filter(|_| self.active().is_none() && through == self.to)
        {
            self.world.end(waiting, "superseded", &mut self.outcome);
        }
        let now = self.world.now;
        self.world.links[link].seats.push((self.who, through, now));
        self.world.links[link].last_talk = now;
        self.turn("joined");
        let joiner = (self.who, through);
        self.world.tell(&mut self.outcome, joiner, Some(link), "joined", Vec::new());
        self.world.tell(&mut self.outcome, starter, Some(link), "they_joined", Vec::new());
    }

    fn joinable(&self, code: Option<Code>) -> Option<(Link, (Person, Number))> {
        let code = code?;
        let link = self.world.open().find(|link| self.world.links[*link].code == code)?;
        let conversation = &self.world.links[link];
        let starter = conversation.other(self.who)?;
        let works = !conversation.is_active()
            && self.world.over(link).is_none()
            && !self.world.are_apart(self.who, starter.0);
        works.then_some((link, starter))
    }

    pub(super) fn may_reopen(&self, past: Link) -> bool {
        let Some((ended, _)) = self.world.links[past].ended else { return false };
        self.world.now < ended + self.world.terms.reopen_within
    }

    /// One asks, the other agrees. Whoever asks hears the same, whatever the other thinks of it.
    pub(super) fn reopen(&mut self) {
        if let Some(here) = self.here() {
            return match self.active() {
                Some(_) => self.say("already_connected", Vec::new()),
                None => self.already_waiting(here),
            };
        }
        let past = self.world.past(self.who, self.to).filter(|past| self.may_reopen(*past));
        let found = past.and_then(|past| Some((past, self.world.links[past].other(self.who)?)));
        let Some((past, other)) = found else { return self.say("cannot_reopen", Vec::new()) };
        self.about = Some(past);
        let reason = self.world.links[past].ended.map(|(_, reason)| reason);
        if !matches!(reason, Some("left" | "silence" | "longest")) {
            return self.say("reopen_asked", Vec::new());
        }
        let welcome = !self.world.are_apart(self.who, other.0)
            && !self.world.suppressed.contains(&other.0)
            && !self.world.is_known_cut(other.0, other.1)
            && self.world.here(other.0, other.1).is_none();
        match self.world.links[past].reopen_asked_by {
            Some(asked) if asked == other.0 && welcome => return self.agree(other),
            Some(asked) if asked == other.0 => return self.say("cannot_reopen", Vec::new()),
            Some(_) => {}
            None => {
                self.world.links[past].reopen_asked_by = Some(self.who);
                self.turn("reopen_asked");
                if welcome {
                    let wish = "reopen_wish";
                    self.world.tell(&mut self.outcome, other, Some(past), wish, Vec::new());
                }
            }
        }
        self.say("reopen_asked", Vec::new());
    }

    fn agree(&mut self, other: (Person, Number)) {
        let now = self.world.now;
        let link = self.open(vec![(other.0, other.1, now), (self.who, self.to, now)]);
        self.turn("reopened");
        self.say("reopened", Vec::new());
        self.world.tell(&mut self.outcome, other, Some(link), "reopened", Vec::new());
    }

    /// Ends all that connects the two here, or who last met here, and keeps them apart.
    pub(super) fn block(&mut self, report: bool) {
        if self.part(report) {
            self.say(if report { "reported" } else { "blocked" }, Vec::new());
        } else {
            self.say("no_conversation", Vec::new());
        }
    }

    /// The same without an answer; false where there is nobody to part from.
    pub(super) fn part(&mut self, report: bool) -> bool {
        let met = self.active().or_else(|| self.world.past(self.who, self.to));
        let found = met.and_then(|met| Some((met, self.world.links[met].other(self.who)?.0)));
        let Some((met, other)) = found else { return false };
        for link in self.world.open_of(self.who) {
            if self.world.links[link].seat(other).is_some() {
                self.end(link, if report { "reported" } else { "blocked" });
            }
        }
        self.world.part(self.who, other);
        // Their words that wait still are not brought any more.
        let world = &mut *self.world;
        let links = &world.links;
        let sits = |link: Link| links[link].seat(other).is_some();
        world.queue.retain(|promise| {
            let is_words = matches!(promise.what, What::Words(_));
            !(promise.to == self.who && is_words && promise.about.is_some_and(sits))
        });
        self.about = Some(met);
        self.turn(if report { "person_reported" } else { "blocked" });
        true
    }

    pub(super) fn offer_move(&mut self) {
        if self.world.open_of(self.who).is_empty() {
            return self.say("no_conversation", Vec::new());
        }
        let code = self.world.draw(true);
        self.world.moves.insert(self.who, (code, self.world.now + 15 * MINUTE));
        self.turn("move_offered");
        self.say("move_code", vec![Hint::Code(code), Hint::Number(self.to)]);
    }

    pub(super) fn move_here(&mut self, code: Option<Code>) {
        if self.is_guessing() {
            return;
        }
        let Some((old, seats)) = code.and_then(|code| self.movable(code)) else {
            self.fail();
            return self.say("code_failed", Vec::new());
        };
        if seats.iter().any(|(_, number)| self.world.here(self.who, *number).is_some()) {
            return self.say("move_taken", Vec::new());
        }
        let cut = seats.iter().find(|(_, number)| self.world.is_known_cut(self.who, *number));
        if let Some((_, number)) = cut {
            return self.say("move_stopped", vec![Hint::Number(*number)]);
        }
        self.world.moves.remove(&old);
        // What was queued for the old phone goes to the new one, which first hears who we are.
        let is_moved = |about: Option<Link>| seats.iter().any(|(link, _)| about == Some(*link));
        let queue = std::mem::take(&mut self.world.queue);
        let (moved, stays): (Vec<_>, _) =
            queue.into_iter().partition(|it| it.to == old && is_moved(it.about));
        self.world.queue = stays;
        for (link, number) in &seats {
            for seat in &mut self.world.links[*link].seats {
                if seat.0 == old {
                    seat.0 = self.who;
                }
            }
            self.turn("moved");
            let here = (self.who, *number);
            self.world.tell(&mut self.outcome, here, Some(*link), "moved", Vec::new());
        }
        let unwanted: Vec<Person> =
            (0..self.world.near.len()).filter(|one| self.world.are_apart(old, *one)).collect();
        for person in unwanted.into_iter().filter(|person| *person != self.who) {
            self.world.part(self.who, person);
        }
        let (link, number) = seats[0];
        self.about = Some(link);
        self.world.tell(&mut self.outcome, (old, number), Some(link), "moved_away", Vec::new());
        let who = self.who;
        self.world.queue.extend(moved.into_iter().map(|promise| Promise { to: who, ..promise }));
    }

    /// The old phone and its open conversations, if the code works for the sender.
    fn movable(&self, code: Code) -> Option<(Person, Vec<(Link, Number)>)> {
        let (old, (_, until)) = self.world.moves.iter().find(|(_, (it, _))| *it == code)?;
        let links = self.world.open_of(*old);
        let mut people = links.iter().flat_map(|link| &self.world.links[*link].seats);
        let welcome =
            people.all(|(it, ..)| *it != self.who && !self.world.are_apart(*it, self.who));
        let live = links.iter().filter(|link| self.world.over(**link).is_none());
        let seats: Vec<_> =
            live.filter_map(|link| Some((*link, self.world.links[*link].seat(*old)?))).collect();
        let works = self.world.now < *until && *old != self.who && welcome && !seats.is_empty();
        works.then_some((*old, seats))
    }
}
