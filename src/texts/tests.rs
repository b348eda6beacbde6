//! Every text, as people see it, and at its longest.

use std::collections::HashSet;

use super::*;
use crate::segments::{Encoding, Segments, segments, septets};

/// One of each answer. The match makes the compiler ask for a sample of every new variant.
fn samples(number: &str) -> Vec<Answer> {
    let code: Code = "K7QM4XRT".parse().unwrap();
    let number: PhoneNumber = number.parse().unwrap();
    let mut all = vec![Answer::Started { code: code.clone(), number }];
    while let Some(last) = all.last() {
        let code = code.clone();
        all.push(match last {
            Answer::Started { .. } => Answer::Joined,
            Answer::Joined => Answer::TheyJoined,
            Answer::TheyJoined => Answer::YouEnded,
            Answer::YouEnded => Answer::Ended,
            Answer::Ended => Answer::CodeFailed,
            Answer::CodeFailed => Answer::AlreadyConnected,
            Answer::AlreadyConnected => Answer::AlreadyWaiting { code },
            Answer::AlreadyWaiting { .. } => Answer::Alone { code },
            Answer::Alone { .. } => Answer::Nobody,
            Answer::Nobody => Answer::NotYourCode,
            Answer::NotYourCode => Answer::NothingToEnd,
            Answer::NothingToEnd => Answer::OptedOut,
            Answer::OptedOut => Answer::OptedIn,
            Answer::OptedIn => Answer::Help,
            Answer::Help => Answer::PicturesNotYet,
            Answer::PicturesNotYet => Answer::TryLater,
            Answer::TryLater => break,
        });
    }
    all
}

#[test]
fn every_text_fits_one_segment_at_its_longest() {
    let brand: Brand = "Twenty characters ok".parse().unwrap();
    assert_eq!(brand.as_str().len(), 20);
    for answer in samples("+123456789012345") {
        let text = answer.render(&brand);
        let length = septets(&text);
        assert!(length.is_some_and(|length| length <= 160), "{length:?}: {text}");
        assert_eq!(segments(&text), Segments { encoding: Encoding::Gsm7, count: 1 });
        assert!(!text.contains("  ") && !text.contains('\n'), "{text}");
    }
}

#[test]
fn names_are_snake_case_and_differ() {
    let all = samples("+14155550100");
    let names: HashSet<&str> = all.iter().map(Answer::name).collect();
    assert_eq!(names.len(), all.len());
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
}

#[test]
fn the_terms_are_told_to_starter_and_joiner() {
    let brand: Brand = "Maskline".parse().unwrap();
    for answer in samples("+14155550100").drain(..2) {
        let text = answer.render(&brand);
        for term in ["Maskline", "Msg & data rates may apply", "HELP", "STOP"] {
            assert!(text.contains(term), "{term}: {text}");
        }
    }
}

#[test]
fn some_answers_are_not_repeated_at_once() {
    let limited: Vec<_> = samples("+14155550100")
        .iter()
        .filter_map(|answer| Some((answer.name(), answer.at_most_every()?.as_secs())))
        .collect();
    assert_eq!(limited, [("alone", 600), ("nobody", 600), ("help", 3600)]);
}

#[test]
fn a_brand_is_short_and_plain() {
    for fine in
        ["M", "Maskline", "Café Zürich & Co.", "Twenty characters ok", "ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ"]
    {
        assert_eq!(fine.parse::<Brand>().map(|brand| brand.to_string()), Ok(fine.to_owned()));
    }
    let table = [
        ("", NotABrand::Length),
        ("Twenty-one characters", NotABrand::Length),
        (" Maskline", NotABrand::Space),
        ("Maskline ", NotABrand::Space),
        (" ", NotABrand::Space),
        ("Mask\nline", NotABrand::Character('\n')),
        ("Mask’line", NotABrand::Character('’')),
        ("[Maskline]", NotABrand::Character('[')),
        ("€", NotABrand::Character('€')),
        ("Maskline 🙂", NotABrand::Character('🙂')),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Brand>(), Err(error), "{text:?}");
    }
    assert_eq!(
        NotABrand::Character('’').to_string(),
        "'’' is not in the basic GSM-7 set: use plain letters, digits and punctuation"
    );
}

#[test]
fn what_people_read() {
    let brand: Brand = "Maskline".parse().unwrap();
    let all: Vec<String> = samples("+14155550100")
        .iter()
        .map(|answer| format!("{}: {}", answer.name(), answer.render(&brand)))
        .collect();
    insta::assert_snapshot!(all.join("\n"), @r"
    started: Maskline: Forward this: to reach me, text JOIN K7QM-4XRT to +14155550100 (valid 24 h). Msg & data rates may apply. HELP for help, STOP to stop.
    joined: Maskline: Connected. What you text reaches them; your number stays hidden. LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop.
    they_joined: They have joined. What you text here now reaches them; your number stays hidden. LEAVE ends it.
    you_ended: You have ended this conversation. Nothing more is passed on. Text START to open a new one.
    ended: This conversation has ended.
    code_failed: Sorry, that code does not work. Please check it with whoever gave it to you, or text START to get a new one.
    already_connected: You are already in a conversation here. Text LEAVE to end it; then you can START or JOIN another.
    already_waiting: Your code K7QM-4XRT is still waiting. The other person texts JOIN K7QM-4XRT to this number. LEAVE drops the code.
    alone: Nobody has joined yet, so this was not passed on. Ask them to text JOIN K7QM-4XRT to this number. LEAVE drops the code.
    nobody: You are in no conversation here, so this was not passed on. Text START to open one, or JOIN and the code you were given.
    not_your_code: That is not the code of your conversation, so nothing was ended. To end the one you are in, text LEAVE.
    nothing_to_end: You are in no conversation here, so there is nothing to end. Text START to open one.
    opted_out: Maskline: You are opted out and will get no more texts. To come back, text START.
    opted_in: Maskline: Welcome back, you get texts again. Text START to open a conversation, or JOIN and a code. HELP for help, STOP to stop.
    help: Maskline: Texts with hidden numbers. START opens a chat, JOIN and a code enters one, LEAVE ends it, STOP ends all texts. Msg & data rates may apply.
    pictures_not_yet: Sorry, pictures cannot be passed on yet, so yours was not. Please use words.
    try_later: Sorry, we could not make a code just now. Please text START again in a few minutes.
    ");
}
