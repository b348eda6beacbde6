//! Which of the carrier's messages are the texts of which nobody knew: by both numbers, the words and
//! the time. Pure.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::{carrier::Sent, outbox::Unsettled, phone::PhoneNumber};

/// How long before an attempt, by our clock, the carrier may have taken the text by its own.
pub(super) const BEFORE: SignedDuration = SignedDuration::from_mins(1);
/// How long after it. A call ends within seconds, but the carrier may be slow to write things down.
pub(super) const AFTER: SignedDuration = SignedDuration::from_mins(3);

/// What makes two texts look the same.
type Look<'a> = (&'a PhoneNumber, &'a PhoneNumber, &'a str);

/// Pairs texts with messages of the list, each with one at most: both in their order, so that of two
/// that look the same the first gets the first.
///
/// While a text is under way, none that looks the same is paired: the message may be its own, and its
/// answer is about to come. `messages` are those that are no text's yet, in the order of their times;
/// `texts` are in the order of their attempts.
pub(super) fn pair<'a>(
    texts: &'a [Unsettled],
    messages: &'a [Sent],
) -> Vec<(&'a Unsettled, &'a Sent)> {
    let under_way: HashSet<Look<'_>> =
        texts.iter().filter(|text| text.is_under_way).map(look).collect();
    let mut found: HashMap<Look<'_>, Vec<&Sent>> = HashMap::new();
    for message in messages.iter().rev() {
        if let (Some(to), Some(from)) = (&message.to, &message.from) {
            found.entry((to, from, message.body.trim_end())).or_default().push(message);
        }
    }
    let mut pairs = Vec::new();
    for text in texts.iter().filter(|text| !under_way.contains(&look(text))) {
        let Some(same) = found.get_mut(&look(text)) else { continue };
        // What was sent too early for this one is too early for all that follow.
        while same.last().is_some_and(|message| message.at < earliest(text)) {
            same.pop();
        }
        if same.last().is_some_and(|message| message.at.duration_since(text.tried_at) <= AFTER) {
            pairs.extend(same.pop().map(|message| (text, message)));
        }
    }
    pairs
}

fn look(text: &Unsettled) -> Look<'_> {
    (&text.to, &text.from, text.body.trim_end())
}

fn earliest(text: &Unsettled) -> Timestamp {
    text.tried_at.saturating_sub(BEFORE).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::TextId;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn number(last: u8) -> PhoneNumber {
        format!("+1206555010{last}").parse().unwrap()
    }

    fn text(to: u8, body: &str, tried: i64, is_under_way: bool) -> Unsettled {
        Unsettled {
            id: TextId::new(),
            attempt: 1,
            is_under_way,
            to: number(to),
            from: number(9),
            body: body.to_owned(),
            tried_at: at(tried),
        }
    }

    fn message(id: usize, to: u8, body: &str, sent: i64) -> Sent {
        Sent {
            carrier_id: id.to_string(),
            from: Some(number(9)),
            to: Some(number(to)),
            body: body.to_owned(),
            at: at(sent),
            receipts: Vec::new(),
        }
    }

    /// The pairs, as the places of both.
    fn places(texts: &[Unsettled], messages: &[Sent]) -> Vec<(usize, usize)> {
        let text = |id| texts.iter().position(|text| text.id == id).unwrap();
        let pairs = pair(texts, messages).into_iter();
        pairs.map(|(it, sent)| (text(it.id), sent.carrier_id.parse().unwrap())).collect()
    }

    #[test]
    fn a_text_is_found_by_numbers_words_and_time() {
        let texts = [text(1, "hi", 0, false)];
        for (other, found) in [
            (message(0, 1, "hi", 1), true),
            (message(0, 1, "hi \n", 1), true),
            (message(0, 1, " hi", 1), false),
            (message(0, 1, "Hi", 1), false),
            (message(0, 2, "hi", 1), false),
            (Sent { from: Some(number(8)), ..message(0, 1, "hi", 1) }, false),
            (Sent { to: None, ..message(0, 1, "hi", 1) }, false),
            (message(0, 1, "hi", -60), true),
            (message(0, 1, "hi", -61), false),
            (message(0, 1, "hi", 180), true),
            (message(0, 1, "hi", 181), false),
        ] {
            assert_eq!(
                places(&texts, std::slice::from_ref(&other)).len(),
                usize::from(found),
                "{other:?}"
            );
        }
    }

    #[test]
    fn two_that_look_the_same_need_two() {
        let texts = [text(1, "ok", 0, false), text(1, "ok", 20, false)];
        assert_eq!(places(&texts, &[message(0, 1, "ok", 1)]), [(0, 0)]);
        let both = [message(0, 1, "ok", 1), message(1, 1, "ok", 21)];
        assert_eq!(places(&texts, &both), [(0, 0), (1, 1)]);
    }

    #[test]
    fn what_is_under_way_may_be_what_the_list_shows() {
        let texts = [text(1, "ok", 0, false), text(1, "ok", 20, true), text(1, "no", 0, false)];
        let messages = [message(0, 1, "ok", 21), message(1, 1, "no", 1)];
        assert_eq!(places(&texts, &messages), [(2, 1)]);
    }

    proptest! {
        #[test]
        fn each_is_paired_once_rightly_in_order_and_nothing_is_left_that_fits(
            mut texts in prop::collection::vec((1_u8..3, "[ab]", 0_i64..600, prop::bool::weighted(0.1)), 0..12),
            mut messages in prop::collection::vec((1_u8..3, "[ab] ?", -100_i64..800), 0..12),
        ) {
            texts.sort_by_key(|text| text.2);
            messages.sort_by_key(|message| message.2);
            let texts: Vec<_> = texts.iter().map(|(to, body, at, way)| text(*to, body, *at, *way)).collect();
            let messages: Vec<_> = messages.iter().enumerate()
                .map(|(id, (to, body, at))| message(id, *to, body, *at)).collect();
            let found = places(&texts, &messages);

            let fits = |text: &Unsettled, message: &Sent| {
                let late = message.at.duration_since(text.tried_at);
                message.to.as_ref() == Some(&text.to) && message.body.trim() == text.body
                    && -BEFORE <= late && late <= AFTER
            };
            let same = |one: &Unsettled, other: &Unsettled| one.to == other.to && one.body == other.body;
            let waits = |text: &Unsettled| texts.iter().any(|other| other.is_under_way && same(text, other));
            for (text, message) in &found {
                prop_assert!(fits(&texts[*text], &messages[*message]));
                prop_assert!(!waits(&texts[*text]));
            }
            let (left, right): (Vec<_>, Vec<_>) = found.iter().copied().unzip();
            for side in [&left, &right] {
                let once: HashSet<_> = side.iter().collect();
                prop_assert_eq!(once.len(), side.len());
            }
            for (a, b) in &found {
                for (c, d) in &found {
                    prop_assert!(!(a < c && d < b && same(&texts[*a], &texts[*c])), "out of order");
                }
            }
            for (place, text) in texts.iter().enumerate() {
                let free = |id: usize| !right.contains(&id) && fits(text, &messages[id]);
                prop_assert!(left.contains(&place) || waits(text) || !(0..messages.len()).any(free));
            }
        }
    }
}
