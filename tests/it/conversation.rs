//! Start, join, talk, end: what the two people see.

use jiff::SignedDuration;

use crate::support::{OTHER_NUMBER, TestApp, code_in};

#[tokio::test]
async fn two_people_talk_and_neither_sees_the_others_number() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());

    let code = ann.starts().await;
    assert!(ann.last().contains("+14155550100"), "{}", ann.last());
    ben.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    ben.texts("Hi! Is the bicycle still there?").await;
    ann.texts("It is 🚲 come at 6").await;
    test.deliver().await;
    ann.texts("LEAVE").await;
    ben.texts("hello?").await;
    test.deliver().await;

    let talk = |inbox: Vec<String>| inbox[1..].to_vec();
    assert_eq!(
        talk(ann.inbox()),
        [
            "They have joined. What you text here now reaches them; your number stays hidden. LEAVE ends it.",
            "Hi! Is the bicycle still there?",
            "You have ended this conversation. Nothing more is passed on. Text START to open a new one.",
        ]
    );
    assert_eq!(
        talk(ben.inbox()),
        [
            "It is 🚲 come at 6",
            "This conversation has ended.",
            "Your conversation here is over, so this was not passed on. Text START to open a new one, or REOPEN to ask for the old one.",
        ]
    );
    for text in test.simulator.ledger().accepted {
        assert!(!text.body.contains("2065550142") && !text.body.contains("2065550187"));
        assert_eq!(text.from.as_str(), "+14155550100");
    }
}

#[tokio::test]
async fn words_reach_the_other_unchanged() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    for body in [
        "  two  spaces\tand a tab ",
        "line\nbreak",
        "“quotes” ‘n’ emoji 👩‍👩‍👧",
        "stop by at 6",
        "end of the day works",
        "?",
    ] {
        ann.texts(body).await;
        test.deliver().await;
        assert_eq!(ben.last(), body);
    }
}

#[tokio::test]
async fn a_code_is_forgiving_and_lets_one_person_in_once() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let code = ann.starts().await;
    ben.texts(&format!(" \"join {}\" ", code.to_lowercase().replace('-', " "))).await;
    test.deliver().await;
    assert!(ben.last().contains("Connected"), "{}", ben.last());

    let cara = test.phone("+12065550199");
    cara.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    assert!(cara.last().contains("code"), "{}", cara.last());
    ann.texts("only for Ben").await;
    test.deliver().await;
    assert_eq!(cara.inbox().len(), 1);
}

#[tokio::test]
async fn a_code_that_is_wrong_used_expired_or_ones_own_gets_the_same_answer() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let mut answers = Vec::new();

    ben.texts("JOIN K7QM-4XRT").await;
    test.deliver().await;
    answers.push(ben.last());

    let own = ann.starts().await;
    ann.texts(&format!("JOIN {own}")).await;
    test.deliver().await;
    answers.push(ann.last());

    test.advance(SignedDuration::from_hours(24));
    ben.texts(&format!("JOIN {own}")).await;
    test.deliver().await;
    answers.push(ben.last());

    let used = ann.starts().await;
    test.phone("+12065550199").texts(&format!("JOIN {used}")).await;
    ben.texts(&format!("JOIN {used}")).await;
    test.deliver().await;
    answers.push(ben.last());

    assert!(answers[0].contains("code"), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn start_within_a_conversation_names_a_number_that_is_free() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ben.texts("START").await;
    test.deliver().await;
    assert_eq!(
        ben.last(),
        "This number is not free for a new conversation of yours. Text START to +14155550101 instead."
    );
    ben.on_the_other_number().starts().await;
    ben.texts("START").await;
    test.deliver().await;
    assert!(ben.last().starts_with("You are already in a conversation here"), "{}", ben.last());
    ben.texts("still here").await;
    test.deliver().await;
    assert_eq!(ann.last(), "still here");
}

#[tokio::test]
async fn a_join_within_a_conversation_lands_on_a_number_that_is_free() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let cara = test.phone("+12065550199");
    let code = cara.starts().await;
    ben.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    let joined = test.simulator.phone(&ben.number).pop().unwrap();
    assert!(joined.body.contains("Connected"), "{}", joined.body);
    assert_eq!(joined.with.as_str(), OTHER_NUMBER);

    ben.texts("for Ann").await;
    ben.on_the_other_number().texts("for Cara").await;
    cara.texts("for Ben").await;
    test.deliver().await;
    assert_eq!((ann.last(), cara.last()), ("for Ann".to_owned(), "for Cara".to_owned()));
    let heard = test.simulator.phone(&ben.number).pop().unwrap();
    assert_eq!((heard.body.as_str(), heard.with.as_str()), ("for Ben", OTHER_NUMBER));
}

#[tokio::test]
async fn a_join_that_can_land_nowhere_says_so_and_costs_no_guess() {
    let test = TestApp::start().await;
    let (_, ben) = test.conversation().await;
    ben.on_the_other_number().starts().await;
    let dan = test.phone("+12065550198");
    dan.texts(&format!("JOIN {}", code_in(&ben.last()).unwrap())).await;
    let code = test.phone("+12065550199").starts().await;
    ben.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    assert!(ben.last().starts_with("Sorry, none of our numbers is free"), "{}", ben.last());
    assert_eq!(test.value::<i64>("select count(*) from code_failure").await, 0);
}

#[tokio::test]
async fn starting_twice_shows_the_same_code_again() {
    let test = TestApp::start().await;
    let ann = test.ann();
    let code = ann.starts().await;
    ann.texts("start").await;
    test.deliver().await;
    assert_eq!(code_in(&ann.last()), Some(code));
}

#[tokio::test]
async fn talking_alone_gets_one_friendly_answer() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    ben.texts("hello?").await;
    ben.texts("anybody?").await;
    test.deliver().await;
    assert_eq!(ben.inbox().len(), 1);
    assert!(ben.last().contains("START"), "{}", ben.last());
    test.advance(SignedDuration::from_hours(1));
    ben.texts("now?").await;
    test.deliver().await;
    assert_eq!(ben.inbox().len(), 2);

    let code = ann.starts().await;
    ann.texts("hello?").await;
    test.deliver().await;
    assert_eq!(code_in(&ann.last()), Some(code));
}

#[tokio::test]
async fn help_is_given_once_an_hour() {
    let test = TestApp::start().await;
    let ann = test.ann();
    ann.texts("HELP").await;
    ann.texts("info").await;
    test.deliver().await;
    assert_eq!(ann.inbox().len(), 1);
    assert!(ann.last().contains("STOP"), "{}", ann.last());
    test.advance(SignedDuration::from_hours(1));
    ann.texts("aide").await;
    test.deliver().await;
    assert_eq!(ann.inbox().len(), 2);
}

#[tokio::test]
async fn leave_and_end_with_the_code_end_it_for_both() {
    let test = TestApp::start().await;
    for word in ["LEAVE", "leave {code}", "END {code}"] {
        let (ann, ben) = (test.ann(), test.ben());
        let code = ann.starts().await;
        ben.texts(&format!("JOIN {code}")).await;
        ben.texts(&word.replace("{code}", &code)).await;
        test.deliver().await;
        assert_eq!(ann.last(), "This conversation has ended.");
        assert!(ben.last().contains("START"), "{}", ben.last());
    }
    let suppressed: i64 = test.value("select count(*) from suppression").await;
    assert_eq!(suppressed, 0);
}

#[tokio::test]
async fn a_waiting_person_may_join_somebody_else() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let code = ann.starts().await;
    let own = ben.starts().await;
    ben.texts(&format!("JOIN {code}")).await;
    ben.texts("found you").await;
    test.deliver().await;
    assert_eq!(ann.last(), "found you");
    let cara = test.phone("+12065550199");
    cara.texts(&format!("JOIN {own}")).await;
    test.deliver().await;
    assert!(cara.last().contains("code"), "{}", cara.last());
}

#[tokio::test]
async fn the_two_may_text_different_masked_numbers() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben().on_the_other_number());
    let code = ann.starts().await;
    ben.texts(&format!("JOIN {code}")).await;
    ben.texts("from the other number").await;
    ann.texts("from the first").await;
    test.deliver().await;
    assert_eq!(ann.last(), "from the other number");
    assert_eq!(ben.last(), "from the first");
    let froms = test.simulator.ledger().accepted;
    assert!(
        froms.iter().all(|text| (text.to == ann.number) == (text.from.as_str() == "+14155550100"))
    );
}

#[tokio::test]
async fn twelve_people_race_for_one_code_and_one_gets_in() {
    let test = TestApp::start().await;
    let ann = test.ann();
    let code = ann.starts().await;
    let racers: Vec<_> = (10..22).map(|n| test.phone(&format!("+120655501{n}"))).collect();
    let join = format!("JOIN {code}");
    futures_util::future::join_all(racers.iter().map(|racer| racer.texts(&join))).await;
    test.deliver().await;

    let inside = racers.iter().filter(|racer| racer.last().contains("Connected")).count();
    let outside = racers.iter().filter(|racer| racer.last().contains("code")).count();
    assert_eq!((inside, outside), (1, 11));
    for racer in &racers {
        racer.texts("me?").await;
    }
    test.deliver().await;
    assert_eq!(ann.inbox().iter().filter(|body| *body == "me?").count(), 1);
}
