//! Every text, as people see it, and at its longest.

use std::collections::HashSet;

use super::*;
use crate::{
    code::Code,
    phone::PhoneNumber,
    segments::{Encoding, Segments, segments, septets},
};

/// Words as somebody texts them, longer than an excerpt.
const LONG: &str = "See you at the corner by the old town hall at six, and bring the keys";

/// One of each answer. The match makes the compiler ask for a sample of every new variant.
fn samples(number: &str) -> Vec<Answer> {
    let code: Code = "K7QM4XRT".parse().unwrap();
    let number: PhoneNumber = number.parse().unwrap();
    let english = Language::English;
    let mut all = vec![Answer::Started { code: code.clone(), number: number.clone(), hours: 168 }];
    while let Some(last) = all.last() {
        let (code, number) = (code.clone(), number.clone());
        all.push(match last {
            Answer::Started { .. } => Answer::Joined,
            Answer::Joined => Answer::Reopened,
            Answer::Reopened => Answer::Moved,
            Answer::Moved => Answer::StartElsewhere { number },
            Answer::StartElsewhere { .. } => Answer::NoNumber,
            Answer::NoNumber => Answer::TheyJoined,
            Answer::TheyJoined => Answer::YouEnded,
            Answer::YouEnded => Answer::Ended,
            Answer::Ended => Answer::EndsSoon,
            Answer::EndsSoon => Answer::Extended { hours: 8784 },
            Answer::Extended { .. } => Answer::CannotExtend { hours: 8784 },
            Answer::CannotExtend { .. } => Answer::Over { may_reopen: true },
            Answer::Over { may_reopen: true } => Answer::Over { may_reopen: false },
            Answer::Over { may_reopen: false } => Answer::ReopenAsked { hours: 720 },
            Answer::ReopenAsked { .. } => Answer::ReopenWish,
            Answer::ReopenWish => Answer::CannotReopen,
            Answer::CannotReopen => Answer::CodeFailed,
            Answer::CodeFailed => Answer::AlreadyConnected,
            Answer::AlreadyConnected => Answer::AlreadyWaiting { code },
            Answer::AlreadyWaiting { .. } => Answer::Alone { code },
            Answer::Alone { .. } => Answer::Nobody,
            Answer::Nobody => Answer::NotYourCode,
            Answer::NotYourCode => Answer::NothingToEnd,
            Answer::NothingToEnd => Answer::NoConversation,
            Answer::NoConversation => Answer::Blocked,
            Answer::Blocked => Answer::Reported,
            Answer::Reported => Answer::MoveCode { code, number },
            Answer::MoveCode { .. } => Answer::MovedAway,
            Answer::MovedAway => Answer::MoveTaken,
            Answer::MoveTaken => Answer::MoveStopped { number },
            Answer::MoveStopped { .. } => Answer::OptedOut(english),
            Answer::OptedOut(Language::English) => Answer::OptedOut(Language::French),
            Answer::OptedOut(Language::French) => Answer::OptedIn,
            Answer::OptedIn => Answer::Help(english),
            Answer::Help(Language::English) => Answer::Help(Language::French),
            Answer::Help(Language::French) => Answer::NotAPicture,
            Answer::NotAPicture => Answer::PictureLost,
            Answer::PictureLost => Answer::NotDelivered { excerpt: Excerpt::of(LONG) },
            Answer::NotDelivered { excerpt: Some(_) } => Answer::NotDelivered { excerpt: None },
            Answer::NotDelivered { excerpt: None } => {
                Answer::MaybeNotDelivered { excerpt: Excerpt::of(LONG) }
            }
            Answer::MaybeNotDelivered { excerpt: Some(_) } => {
                Answer::MaybeNotDelivered { excerpt: None }
            }
            Answer::MaybeNotDelivered { excerpt: None } => Answer::TryLater,
            Answer::TryLater => {
                Answer::TooLate { sent_at: "2026-12-31T23:59:59Z".parse().unwrap() }
            }
            Answer::TooLate { .. } => break,
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
    // Two are said in two languages, and three in two ways.
    assert_eq!(names.len(), all.len() - 5);
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
}

#[test]
fn the_terms_are_told_to_whoever_comes_into_a_conversation() {
    let brand: Brand = "Maskline".parse().unwrap();
    for answer in samples("+14155550100").drain(..4) {
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
    assert_eq!(
        limited,
        [
            ("over", 0),
            ("over", 0),
            ("alone", 600),
            ("nobody", 600),
            ("help", 3600),
            ("help", 3600),
            ("too_late", 3600)
        ]
    );
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
    insta::assert_snapshot!(all.join("\n"), @r#"
    started: Maskline: Forward this: to reach me, text JOIN K7QM-4XRT to +14155550100 (valid 168 h). Msg & data rates may apply. HELP for help, STOP to stop.
    joined: Maskline: Connected. What you text reaches them; your number stays hidden. LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop.
    reopened: Maskline: Your conversation is open again; your number stays hidden. LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop.
    moved: Maskline: This conversation is on this phone now; your number stays hidden. LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop.
    start_elsewhere: This number is not free for a new conversation of yours. Text START to +14155550100 instead.
    no_number: Sorry, none of our numbers is free for you now. Text LEAVE in a conversation that you need no more, or try again later.
    they_joined: They have joined. What you text here now reaches them; your number stays hidden. LEAVE ends it.
    you_ended: You have ended this conversation. Nothing more is passed on. Text START to open a new one.
    ended: This conversation has ended.
    ends_soon: Nobody has texted here for long, so this conversation ends in 1 hour. Text EXTEND to keep it.
    extended: This conversation is kept. It ends when nobody has texted for 8784 h.
    cannot_extend: This conversation has lasted as long as it may and ends within 8784 h, whatever you text. START then opens a new one.
    over: Your conversation here is over, so this was not passed on. Text START to open a new one, or REOPEN to ask for the old one.
    over: Your conversation here is over, so this was not passed on. Text START to open a new one, or JOIN and the code you were given.
    reopen_asked: Your conversation opens again if the other person texts REOPEN too, within 720 h of its end. You will then get a text.
    reopen_wish: Maskline: The other person of your last conversation here asks to open it again. Text REOPEN to agree. HELP for help, STOP to stop.
    cannot_reopen: There is no conversation here that can be opened again. Text START to open a new one.
    code_failed: Sorry, that code does not work. Please check it with whoever gave it to you, or text START to get a new one.
    already_connected: You are already in a conversation here. Text LEAVE to end it; then you can START or JOIN another.
    already_waiting: Your code K7QM-4XRT is still waiting. The other person texts JOIN K7QM-4XRT to this number. LEAVE drops the code.
    alone: Nobody has joined yet, so this was not passed on. Ask them to text JOIN K7QM-4XRT to this number. LEAVE drops the code.
    nobody: You are in no conversation here, so this was not passed on. Text START to open one, or JOIN and the code you were given.
    not_your_code: That is not the code of your conversation, so nothing was ended. To end the one you are in, text LEAVE.
    nothing_to_end: You are in no conversation here, so there is nothing to end. Text START to open one.
    no_conversation: You are in no conversation here, so nothing was done. Text START to open one, or HELP for help.
    blocked: Done. You two are not connected any more, and never will be again on our numbers. They are not told who ended it.
    reported: Thank you, our staff will look at it. You two are not connected any more, and never will be again on our numbers.
    move_code: On your new phone, text MOVE K7QM-4XRT to +14155550100 within 15 minutes. Never give this code to anybody.
    moved_away: Maskline: Your conversations have moved to your new phone and no longer reach this one. If that was not you, tell us at once.
    move_taken: This phone is in a conversation of its own on one of the numbers. Text LEAVE there first, then MOVE and the code again.
    move_stopped: This phone texted STOP to +14155550100, which your conversations need. Text UNSTOP to +14155550100 first, then MOVE and the code here again.
    opted_out: Maskline: You are opted out and will get no more texts. To come back, text START.
    opted_out: Maskline: Vous ne recevrez plus de textos de notre part. Pour revenir, textez START.
    opted_in: Maskline: Welcome back, you get texts again. Text START to open a conversation, or JOIN and a code. HELP for help, STOP to stop.
    help: Maskline: Hidden numbers. START a chat, JOIN with code, LEAVE, BLOCK, REPORT, MOVE to a new phone. STOP ends all texts. Msg & data rates may apply.
    help: Maskline: Textos à numéro masqué. START ouvre, JOIN et un code entre, LEAVE quitte, ARRET met fin à tous les textos. Des frais peuvent s'appliquer.
    not_a_picture: Sorry, something you sent was not passed on: only words and pictures (JPEG, PNG, GIF or WebP) can be.
    picture_lost: Sorry, a picture of yours could not be passed on. Please send it again, or a smaller one.
    not_delivered: Your text "See you at the corner by the old town hall at six, an..." did not reach them.
    not_delivered: A text that you sent here did not reach them.
    maybe_not_delivered: Your text "See you at the corner by the old town hall at six, an..." may not have reached them: we cannot find out. If it matters, text it again.
    maybe_not_delivered: A text that you sent here may not have reached them: we cannot find out. If it matters, text it again.
    try_later: Sorry, we could not make a code just now. Please text it again in a few minutes.
    too_late: What you texted at 31 Dec 23:59 UTC reached us late, so nothing was done with it. If it still matters, please text it again.
    "#);
}
