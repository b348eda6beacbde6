//! The rules of a text, as the product promises them: what each word does.

use super::{
    pool::Standing,
    word::{Heard, Word},
    world::{Code, HOUR, Hint, Link, MINUTE, Number, Outcome, Person, What, World},
};

/// One text being heard.
pub(super) struct Hearing<'a> {
    pub(super) world: &'a mut World,
    pub(super) heard: &'a Heard,
    pub(super) who: Person,
    pub(super) to: Number,
    /// The pool as it stood when the text came.
    pub(super) pool: Vec<Standing>,
    pub(super) outcome: Outcome,
    /// The conversation that answers are about.
    pub(super) about: Option<Link>,
}

impl World {
    /// Hears a text.
    pub fn hear(&mut self, heard: &Heard) -> Outcome {
        let (who, to) = (heard.who, heard.to);
        let pool = self.standing(who);
        let mut hearing =
            Hearing { world: self, heard, who, to, pool, outcome: Outcome::default(), about: None };
        hearing.end_what_is_over();
        hearing.about = hearing.here();
        let silent = hearing.world.suppressed.contains(&who) || hearing.world.is_known_cut(who, to);
        let rule = if silent { hearing.silenced() } else { hearing.word() };
        hearing.outcome.rule = Some(rule);
        hearing.outcome
    }
}

impl Hearing<'_> {
    pub(super) fn here(&self) -> Option<Link> {
        self.world.here(self.who, self.to)
    }

    pub(super) fn active(&self) -> Option<Link> {
        self.here().filter(|here| self.world.links[*here].is_active())
    }

    pub(super) fn turn(&mut self, turn: &str) {
        self.outcome.turns.push(turn.to_owned());
    }

    /// Time may have ended conversations of the sender before any sweeper came by.
    fn end_what_is_over(&mut self) {
        for link in self.world.open_of(self.who) {
            let Some(reason) = self.world.over(link) else { continue };
            let told: Vec<_> = match reason {
                "longest" => self.world.links[link].seats.clone(),
                _ => Vec::new(),
            };
            self.world.end(link, reason, &mut self.outcome);
            for (person, number, _) in told {
                // Whoever texts on this very number hears of it by the answer.
                if (person, number) != (self.who, self.to) {
                    let to = (person, number);
                    self.world.tell(&mut self.outcome, to, Some(link), "ended", Vec::new());
                }
            }
        }
    }

    /// Only what lifts the silence, and HELP, is heard.
    fn silenced(&mut self) -> &'static str {
        let (who, to) = (self.who, self.to);
        let is_cut = self.world.is_known_cut(who, to);
        match &self.heard.word {
            Word::Unstop => {
                self.lift();
                self.connect();
                self.say("opted_in", Vec::new());
            }
            Word::Start | Word::Yes => {
                self.lift();
                if !is_cut {
                    self.say("opted_in", Vec::new());
                }
            }
            Word::Join(code) if !is_cut => self.join(*code, true),
            Word::Help { french } if !is_cut => self.help(*french),
            Word::OptOut { .. } | Word::EndCode(_) => {
                self.opt_out();
                return "opt_out";
            }
            Word::Block => drop(self.part(false)),
            Word::Report => drop(self.part(true)),
            _ => {}
        }
        self.heard.word.rule()
    }

    pub(super) fn lift(&mut self) {
        if self.world.suppressed.remove(&self.who) {
            self.turn("opted_in");
        }
    }

    /// UNSTOP: the carrier connects the pair again.
    fn connect(&mut self) {
        self.world.known_cut.remove(&(self.who, self.to));
        self.turn("carrier_lifted");
    }

    fn word(&mut self) -> &'static str {
        match self.heard.word.clone() {
            Word::OptOut { bare_stop, french } => {
                self.opt_out();
                // The carrier answers a bare STOP itself.
                if !bare_stop {
                    self.goodbye(french);
                }
            }
            Word::EndCode(code) => {
                let Some(link) = self.own(code) else {
                    self.opt_out();
                    self.goodbye(false);
                    return "opt_out";
                };
                self.leave(link);
            }
            Word::Help { french } => self.help(french),
            Word::Start => self.start(),
            Word::Join(code) => self.join(code, false),
            Word::Leave => match self.here() {
                Some(link) => self.leave(link),
                None => self.say("nothing_to_end", Vec::new()),
            },
            Word::LeaveCode(code) => match self.own(code) {
                Some(link) => self.leave(link),
                None => self.say("not_your_code", Vec::new()),
            },
            Word::Extend => self.extend(),
            Word::Reopen => self.reopen(),
            Word::Block => self.block(false),
            Word::Report => self.block(true),
            Word::Move => self.offer_move(),
            Word::MoveCode(code) => self.move_here(code),
            Word::Unstop => {
                self.connect();
                self.talk(true);
            }
            Word::Yes => self.talk(true),
            Word::Talk { plea } => {
                self.talk(true);
                if plea {
                    self.turn("flagged");
                }
            }
            Word::Empty => self.talk(false),
        }
        self.heard.word.rule()
    }

    /// The sender's own open conversation with this code, on whichever number.
    fn own(&self, code: Option<Code>) -> Option<Link> {
        let code = code?;
        self.world.open_of(self.who).into_iter().find(|it| self.world.links[*it].code == code)
    }

    fn opt_out(&mut self) {
        let who = self.who;
        self.outcome.sent.retain(|promise| promise.to != who);
        self.world.suppress(self.who, &mut self.outcome);
        for link in self.world.open_of(self.who) {
            self.end(link, "opted_out");
        }
    }

    fn goodbye(&mut self, french: bool) {
        let word = if french { "textez START" } else { "text START" };
        let what = What::Answer("opted_out", vec![Hint::Says(word)]);
        self.world.promise(&mut self.outcome, (self.who, self.to), self.about, what, true);
    }

    fn help(&mut self, french: bool) {
        let word = if french { "ARRET" } else { "STOP ends" };
        self.say("help", vec![Hint::Says(word)]);
    }

    fn leave(&mut self, link: Link) {
        self.about = Some(link);
        self.end(link, "left");
        self.say("you_ended", Vec::new());
    }

    /// Ends a conversation; the other side is told, neutrally.
    pub(super) fn end(&mut self, link: Link, reason: &'static str) {
        self.world.end(link, reason, &mut self.outcome);
        if let Some(other) = self.world.links[link].other(self.who) {
            self.world.tell(&mut self.outcome, other, Some(link), "ended", Vec::new());
        }
    }

    fn extend(&mut self) {
        let Some(here) = self.here() else { return self.say("no_conversation", Vec::new()) };
        if self.active().is_none() {
            return self.already_waiting(here);
        }
        let (now, silence) = (self.world.now, self.world.terms.silence);
        self.touch(here);
        self.turn("extended");
        if now + silence > self.world.links[here].longest_until {
            return self.say("cannot_extend", Vec::new());
        }
        self.say("extended", Vec::new());
    }

    pub(super) fn already_waiting(&mut self, here: Link) {
        let code = self.world.links[here].code;
        self.say("already_waiting", vec![Hint::Code(code)]);
    }

    fn touch(&mut self, link: Link) {
        let now = self.world.now;
        let link = &mut self.world.links[link];
        link.last_talk = now;
        link.warned = None;
    }

    fn talk(&mut self, has_words: bool) {
        let Some(here) = self.here() else { return self.talk_to_nobody() };
        let Some(other) = self.world.links[here].other(self.who) else {
            let code = self.world.links[here].code;
            return self.say("alone", vec![Hint::Code(code)]);
        };
        if has_words || self.heard.picture {
            self.touch(here);
            let words = What::Words(self.heard.body.clone());
            self.world.promise(&mut self.outcome, other, Some(here), words, false);
        }
    }

    /// After an end a text gets one answer that it is over; other texts for nobody one in a while.
    fn talk_to_nobody(&mut self) {
        let past = self.world.past(self.who, self.to);
        let over = past.and_then(|past| Some((past, self.world.links[past].ended?.0)));
        let told = self.world.told_over.get(&(self.who, self.to));
        match over.filter(|(_, ended)| told.is_none_or(|told| told < ended)) {
            Some((past, _)) => {
                let again = if self.may_reopen(past) {
                    Hint::Says("REOPEN")
                } else {
                    Hint::SaysNot("REOPEN")
                };
                self.say("over", vec![again]);
            }
            None => self.say("nobody", Vec::new()),
        }
    }

    /// Answers the sender, unless that was said a moment ago.
    pub(super) fn say(&mut self, name: &'static str, hints: Vec<Hint>) {
        let every = match name {
            "help" => Some(HOUR),
            "alone" | "nobody" => Some(10 * MINUTE),
            _ => None,
        };
        if name == "over" {
            self.world.told_over.insert((self.who, self.to), self.world.now);
        }
        if let Some(every) = every {
            let now = self.world.now;
            let last = self.world.given.get(&(self.who, name));
            if last.is_some_and(|last| now - last < every) {
                return;
            }
            self.world.given.insert((self.who, name), now);
        }
        let despite = self.world.suppressed.contains(&self.who);
        let what = What::Answer(name, hints);
        self.world.promise(&mut self.outcome, (self.who, self.to), self.about, what, despite);
    }
}
