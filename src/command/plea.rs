//! A wish to be left alone, inside a longer text.
//!
//! Any reasonable way to say it counts as opting out (47 CFR 64.1200(a)(10)), but only a person can
//! tell "stop texting me" from "don't stop texting me". So this changes nothing for the one who
//! texts: it finds what somebody on the staff should read. The phrases stand in `pleas.txt`.

use std::{collections::HashMap, sync::LazyLock};

use super::normalise::folded;

/// How much of a text is remembered, in bytes: more than the longest phrase.
const MEMORY: usize = 128;

/// How much of a text is remembered that may say one thing and nothing else, in bytes.
const WHOLE: usize = 32;

/// Words that a text may add without saying more, in either language.
const COURTESY: &str = "ALREADY CA IL IMMEDIATELY IT JUST KINDLY MAINTENANT MERCI NOW OK OKAY \
                        PLAIT PLEASE S STP SVP TE THANK THANKS THAT THIS VOUS YOU";

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::read(include_str!("pleas.txt")));

/// Finds a phrase that may mean that its writer wants no more texts.
///
/// Returns the phrase as the list has it, not as it was written. Takes time linear in the body and
/// keeps a few hundred bytes of it.
pub fn plea(body: &str) -> Option<&'static str> {
    let mut ear = Ear::new();
    for c in folded(body) {
        let found = match c {
            // Short for "number".
            '#' if ear.heard.ends_with(" WRONG") => Some("wrong number"),
            c if c.is_alphanumeric() && !is_apostrophe(c) => {
                ear.letter(c);
                None
            }
            _ => ear.gap(),
        };
        if found.is_some() {
            return found;
        }
    }
    ear.gap().or_else(|| ear.end())
}

/// Whether a letter is an apostrophe on some keyboards. The usual ones are no letters.
fn is_apostrophe(c: char) -> bool {
    matches!(c, '\u{2B9}'..='\u{2BF}' | '\u{2C8}' | '\u{2CA}'..='\u{2CB}')
}

/// What listens to a text, word by word.
struct Ear {
    /// The last words, with a space before each.
    heard: String,
    /// Where the last word begins; at the end of what was heard between two words.
    word: usize,
    /// A phrase that counts unless the wrong word follows.
    pending: Option<&'static Phrase>,
    /// All words but those of courtesy, repetitions left out; none when that is too long.
    whole: Option<String>,
}

impl Ear {
    fn new() -> Self {
        let heard = String::with_capacity(2 * MEMORY);
        Self { heard, word: 0, pending: None, whole: Some(String::new()) }
    }

    fn letter(&mut self, c: char) {
        if self.word == self.heard.len() {
            self.heard.push(' ');
            self.word += 1;
        }
        // No phrase has any other letters.
        self.heard.push(if c.is_ascii() { c } else { '?' });
        if self.heard.len() >= 2 * MEMORY {
            self.heard.drain(..MEMORY);
            self.word = self.word.saturating_sub(MEMORY);
        }
    }

    /// Takes in the word that ended here, if one did, and says which phrase it completes.
    fn gap(&mut self) -> Option<&'static str> {
        if self.word == self.heard.len() {
            return None;
        }
        let plain = plain(&self.heard[self.word..]);
        if let Some(plain) = plain {
            self.heard.truncate(self.word);
            self.heard.push_str(plain);
        }
        let word = &self.heard[self.word..];
        if let Some(phrase) = self.pending.take()
            && !phrase.unless.iter().any(|next| next == word)
        {
            return Some(phrase.canonical);
        }
        self.whole = self.whole.take().and_then(|whole| longer(whole, word));
        let mut ending = PHRASES.by_last_word.get(word).into_iter().flatten();
        let phrase = ending.find(|phrase| self.heard.ends_with(&phrase.said));
        self.word = self.heard.len();
        match phrase {
            Some(phrase) if phrase.unless.is_empty() => Some(phrase.canonical),
            phrase => {
                self.pending = phrase;
                None
            }
        }
    }

    /// The phrase that counts now that no more words come.
    fn end(self) -> Option<&'static str> {
        let pending = self.pending.map(|phrase| phrase.canonical);
        pending.or_else(|| PHRASES.whole.get(&self.whole?).copied())
    }
}

/// What the whole text says with one more word.
fn longer(mut whole: String, word: &str) -> Option<String> {
    let is_courtesy = COURTESY.split(' ').any(|courtesy| courtesy == word);
    let is_repeated = whole.rsplit(' ').next() == Some(word);
    if !is_courtesy && !is_repeated {
        if !whole.is_empty() {
            whole.push(' ');
        }
        whole.push_str(word);
    }
    (whole.len() <= WHOLE).then_some(whole)
}

/// The form in which the list has a word that is written in haste.
fn plain(word: &str) -> Option<&'static str> {
    Some(match word {
        "TXT" => "TEXT",
        "TXTS" | "TXTMSGS" => "TEXTS",
        "TXTING" | "TXTN" | "TXTIN" | "TEXTIN" | "TEXTN" | "TEXING" => "TEXTING",
        "MSG" | "MESAGE" | "MESSGE" => "MESSAGE",
        "MSGS" | "MESAGES" => "MESSAGES",
        "MSGING" | "MESSAGIN" | "MESSAGEING" => "MESSAGING",
        "PLS" | "PLZ" | "PLEAS" | "PLEASEE" => "PLEASE",
        "NUM" | "NBR" => "NUMBER",
        "US" => "ME",
        "UNSUBCRIBE" | "UNSUSCRIBE" | "UNSUBSRIBE" | "UNSUBSCIBE" | "UNSUB" => "UNSUBSCRIBE",
        "ARRETE" | "ARRETES" | "ARRETER" | "CESSE" | "CESSEZ" | "CESSER" => "ARRETEZ",
        long if long.len() > 4 && long.trim_end_matches('P') == "STO" => "STOP",
        _ => return None,
    })
}

/// A phrase that may stand anywhere in a text.
struct Phrase {
    canonical: &'static str,
    /// Its words as they are heard, with a space before each.
    said: String,
    /// The next words with which it means something else.
    unless: Vec<String>,
}

/// The list, in the order in which it is asked.
#[derive(Default)]
struct Phrases {
    by_last_word: HashMap<String, Vec<Phrase>>,
    whole: HashMap<String, &'static str>,
}

impl Phrases {
    /// Reads the list; its own head says how it is written.
    fn read(list: &'static str) -> Self {
        let mut phrases = Self::default();
        for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (line, unless) = line.split_once(" ! ").unwrap_or((line, ""));
            let unless = unless.split_whitespace().map(str::to_ascii_uppercase);
            let unless: Vec<String> = unless.collect();
            let whole = line.strip_prefix("= ");
            let canonical = whole.unwrap_or(line);
            for said in spellings(&canonical.to_ascii_uppercase()) {
                if whole.is_some() {
                    phrases.whole.insert(said, canonical);
                    continue;
                }
                let last_word = said.rsplit(' ').next().unwrap_or_default().to_owned();
                let said = format!(" {said}");
                let phrase = Phrase { canonical, said, unless: unless.clone() };
                phrases.by_last_word.entry(last_word).or_default().push(phrase);
            }
        }
        phrases
    }
}

/// A phrase with each of its apostrophes left out, or a space.
fn spellings(phrase: &str) -> Vec<String> {
    match phrase.split_once('\'') {
        None => vec![phrase.to_owned()],
        Some((before, after)) => {
            let ends = spellings(after);
            let joined = ends.iter().map(|end| format!("{before}{end}"));
            let apart = ends.iter().map(|end| format!("{before} {end}"));
            joined.chain(apart).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wish_is_heard_in_every_spelling() {
        let table = [
            ("Please stop texting me", "stop texting"),
            ("STOP TEXTING ME!!!", "stop texting"),
            ("hey. stop.  texting\nme", "stop texting"),
            ("ｓｔｏｐ ｔｅｘｔｉｎｇ ｍｅ", "stop texting"),
            ("st\u{200b}op tex\u{ad}ting me", "stop texting"),
            ("pls stop txting me", "stop texting"),
            ("stopppp texting me", "stop texting"),
            ("🛑stop🛑texting🛑", "stop texting"),
            ("(stop-texting-us)", "stop texting"),
            ("I said this twice: Stop Messaging Me.", "stop messaging"),
            ("would you stop contacting my wife", "stop contacting"),
            ("stop sending me this", "stop sending"),
            ("stop these texts at once", "stop these texts"),
            ("Can you stop the msgs", "stop the messages"),
            ("quit texting my phone", "quit texting"),
            ("I'm asking you to cease contacting me", "cease contacting"),
            ("how do i stop getting these", "stop getting these"),
            ("stop calling me please, thank you", "stop calling me"),
            ("I told you to stop", "told you to stop"),
            ("don't text me", "don't text me"),
            ("don’t text me again, ever", "don't text me"),
            ("dont text me", "don't text me"),
            ("don t text me", "don't text me"),
            ("donʼt text me", "don't text me"),
            ("DON´T TXT ME", "don't text me"),
            ("don`t message me", "don't message me"),
            ("Do not text me.", "do not text me"),
            ("do not ever text me again", "do not ever text me"),
            ("Do not contact me before my lawyer", "do not contact me"),
            ("don't contact us again", "don't contact me"),
            ("never text me again", "never text me"),
            ("please don't send me any more of this", "don't send me any more"),
            ("I don't want to receive these", "don't want to receive"),
            ("i dont want your texts", "don't want your texts"),
            ("I no longer wish to receive this", "no longer wish to receive"),
            ("No more texts please", "no more texts"),
            ("no more messages, ok?", "no more messages"),
            ("just leave me alone", "leave me alone"),
            ("LEAVE US ALONE", "leave me alone"),
            ("sorry, wrong number", "wrong number"),
            ("You have the wrong number for Dave", "wrong number"),
            ("wrong num", "wrong number"),
            ("Wrong # dude", "wrong number"),
            ("you've got the wrong person", "got the wrong person"),
            ("take me off your list", "take me off"),
            ("take my number off of it", "take my number off"),
            ("Remove me from this", "remove me from"),
            ("remove my number", "remove my number"),
            ("lose my number", "lose my number"),
            ("delete my number please", "delete my number"),
            ("I want to be off your list", "off your list"),
            ("unsubscribe me", "unsubscribe"),
            ("how do I unsubcribe?", "unsubscribe"),
            ("opt me out", "opt me out"),
            ("I want to opt-out", "want to opt out"),
            ("I revoke my consent", "i revoke"),
            ("I never signed up", "never signed up"),
            ("this is harassment", "this is harassment"),
            ("Please stop", "stop"),
            ("stop, please", "stop"),
            ("stop it!", "stop"),
            ("STOP STOP STOP", "stop"),
            ("stoppppp", "stop"),
            ("ok, unsubscribe now", "unsubscribe"),
            ("remove me", "remove me"),
            ("please cancel", "cancel"),
            ("go away!", "go away"),
            ("Arrêtez de m'écrire", "arretez de m'ecrire"),
            ("arrête de m’écrire svp", "arretez de m'ecrire"),
            ("arretez de mecrire", "arretez de m'ecrire"),
            ("ARRÊTEZ DE ME TEXTER", "arretez de me texter"),
            ("cessez de me contacter", "arretez de me contacter"),
            ("Arrêtez s'il vous plaît", "arretez"),
            ("mauvais numéro", "mauvais numero"),
            ("Désolé, c'est un mauvais numero de téléphone", "mauvais numero de telephone"),
            ("vous avez un faux numéro monsieur", "faux numero"),
            ("vous vous trompez de numéro", "trompez de numero"),
            ("Ne m'écrivez plus", "ne m'ecrivez plus"),
            ("ne m ecris plus jamais", "ne m'ecris plus"),
            ("ne me textez plus", "ne me textez plus"),
            ("écris-moi plus", "ecris moi plus"),
            ("texte-moi pas", "texte moi pas"),
            ("désabonnez-moi", "desabonnez"),
            ("Je veux me désabonner", "desabonner"),
            ("je ne veux plus recevoir de textos", "ne veux plus recevoir"),
            ("enlevez mon numéro de là", "enlevez mon numero"),
            ("laissez-moi tranquille", "laissez moi tranquille"),
        ];
        for (body, phrase) in table {
            assert_eq!(plea(body), Some(phrase), "{body:?}");
        }
    }

    #[test]
    fn ordinary_talk_is_left_alone() {
        let table = [
            "",
            " ",
            "...",
            "hello",
            "stop by at five",
            "Please stop by the office",
            "stop at the next corner please",
            "can you stop here?",
            "the bus stop is closed",
            "I'm at the stop",
            "non-stop flight",
            "it stopped raining",
            "I couldn't stop laughing",
            "don't stop",
            "stop and go traffic",
            "pit stop then home",
            "who texted you?",
            "stopping texting-wise nowhere",
            "nonstop texting",
            "text me when you are here",
            "do not forget to text me",
            "don't forget to message me",
            "contact me tomorrow",
            "do not contact the landlord yet",
            "wrong house number",
            "I sent the wrong number of chairs",
            "wrong number plate on the car",
            "wrong turn, number 5 is on the left",
            "is this the wrong one? number 7?",
            "my number is on the door",
            "I have a new number",
            "can I remove the rack?",
            "remove the seat first",
            "take the second exit",
            "take it off the hook",
            "leave the key under the mat",
            "leave me a key",
            "leave it alone with the cat",
            "I am alone",
            "lose the coat, it is hot",
            "the list of numbers is long",
            "cancel my order",
            "can you cancel the second one",
            "the end of the street",
            "end of the day works",
            "quit smoking a year ago",
            "no more bread, sorry",
            "no more than five",
            "more texts to follow",
            "I want to hear from you",
            "I will send the texts of the contract",
            "yes please",
            "no thanks",
            "not interested in the red one",
            "block 4, second floor",
            "opt for the blue one",
            "subscribe to my channel",
            "I sign up tomorrow",
            "never mind",
            "go away for the weekend?",
            "enough sugar for two",
            "the arretez-vous sign",
            "je m'arrête au coin",
            "l'arrêt d'autobus",
            "écris-moi plus tard",
            "texte-moi plus souvent",
            "mauvais numéro de porte",
            "un mauvais numéro d'appartement",
            "je ne veux plus de frites",
            "il y a plus de monde",
            "laisse la clé sous le tapis",
            "mon numéro a changé",
            "envoyez plus de photos",
            "astop texting me",
            "stop textingme",
            "stopé texting",
            "stop a texting",
            "СТОП",
            "停止",
        ];
        for body in table {
            assert_eq!(plea(body), None, "{body:?}");
        }
    }

    /// The price of preferring to hear: somebody on the staff reads these for nothing.
    #[test]
    fn some_ordinary_talk_is_heard_too() {
        for body in [
            "don't stop texting me",
            "don't text me while I drive",
            "stop sending drivers to the back door",
            "the wrong # of chairs",
            "take me off at the bridge",
            "I didn't sign up for three flights of stairs",
            "I have no more texts in my plan",
            "tu ne m'écris plus",
            "ok cancel",
        ] {
            assert!(plea(body).is_some(), "{body:?}");
        }
    }

    #[test]
    fn every_phrase_of_the_list_is_heard_as_it_stands_and_with_words_around_it() {
        for line in include_str!("pleas.txt").lines().filter(|line| !line.starts_with('#')) {
            let phrase = line.split(" ! ").next().unwrap_or_default();
            let Some(whole) = phrase.strip_prefix("= ") else {
                for body in [phrase.to_owned(), format!("well, {phrase}. is it?")] {
                    assert_eq!(plea(&body).is_some(), !phrase.is_empty(), "{body:?}");
                }
                continue;
            };
            assert!(plea(&format!("please {whole}!")).is_some(), "{whole:?}");
        }
    }

    #[test]
    fn the_list_fits_the_memory_and_is_in_its_normal_form() {
        let phrases = PHRASES.by_last_word.values().flatten();
        for phrase in phrases {
            assert!(phrase.said.len() < MEMORY, "{}", phrase.said);
            for word in phrase.said.split(' ') {
                assert_eq!(plain(word), None, "{word} is never heard");
                assert!(word.bytes().all(|byte| byte.is_ascii_uppercase()), "{word}");
            }
        }
        for whole in PHRASES.whole.keys() {
            let kept = whole.split(' ').try_fold(String::new(), longer);
            assert_eq!(kept.as_deref(), Some(whole.as_str()), "{whole} is never heard");
        }
    }

    #[test]
    fn a_hostile_body_takes_no_long_time() {
        let bodies = [
            "a".repeat(200_000),
            "a ".repeat(100_000),
            "me ".repeat(66_000),
            "wrong number of ".repeat(12_000),
            "don t text ".repeat(18_000),
            "\u{301}".repeat(100_000),
            "\u{fdfa}".repeat(60_000),
            "é ".repeat(60_000),
        ];
        for body in bodies {
            assert_eq!(plea(&body), None);
            assert_eq!(plea(&format!("{body} leave me alone")), Some("leave me alone"));
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd(body: String) {
            plea(&body);
        }

        #[test]
        fn a_phrase_is_found_behind_any_number_of_words(words in "([a-z]{1,9}[ .,é'’]{1,2}){0,80}") {
            let body = format!("{words} do not contact me {words}");
            prop_assert!(plea(&body).is_some());
        }

        #[test]
        fn white_space_and_case_change_nothing(
            body in prop_oneof!["[ -~é’]{0,40}", "((stop|texting|wrong|number|of|me|please|don't)[ .]){0,6}"],
        ) {
            let found = plea(&body);
            prop_assert_eq!(plea(&format!("\u{a0}{body}\n.")), found);
            prop_assert_eq!(plea(&body.to_uppercase()), found);
        }
    }
}
