//! Who opts out is left alone, at once and everywhere, until they say otherwise.

use jiff::SignedDuration;
use maskline::carrier::simulator::Faults;

use crate::support::{Phone, TestApp};

const ENDED: &str = "This conversation has ended.";
const BYE: &str =
    "Maskline: You are opted out and will get no more texts. To come back, text START.";
const BYE_IN_FRENCH: &str =
    "Maskline: Vous ne recevrez plus de textos de notre part. Pour revenir, textez START.";
const BACK: &str = "Maskline: Welcome back, you get texts again. Text START to open a conversation, \
                    or JOIN and a code. HELP for help, STOP to stop.";

/// What the carrier accepted for this phone from the beginning on.
fn sent_to(test: &TestApp, phone: &Phone<'_>) -> Vec<String> {
    let accepted = test.simulator.ledger().accepted.into_iter();
    accepted.filter(|text| text.to == phone.number).map(|text| text.body).collect()
}

async fn suppressed(test: &TestApp) -> i64 {
    test.value("select count(*) from suppression").await
}

async fn open_conversations(test: &TestApp) -> i64 {
    test.value("select count(*) from conversation where state <> 'ended'").await
}

/// Silences a person as something other than their own text would.
async fn suppress(test: &TestApp, phone: &Phone<'_>) {
    test.run(&format!(
        "insert into suppression (person_id, rule, since)
         select id, 'by hand', now() from person where tag = {}",
        test.tag(&phone.number)
    ))
    .await;
    let done: i64 = test.value("select count(*) from suppression where rule = 'by hand'").await;
    assert_eq!(done, 1);
}

#[tokio::test]
async fn after_stop_nothing_more_is_sent() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = sent_to(&test, &ben).len();

    ann.texts("one").await;
    ann.texts("two").await;
    ben.texts("STOP").await;
    ann.texts("are you there?").await;
    test.deliver().await;

    assert_eq!(sent_to(&test, &ben).len(), before, "not even a confirmation");
    let heard = ann.inbox();
    assert_eq!(heard[heard.len() - 2], ENDED);
    assert!(heard[heard.len() - 1].starts_with("Your conversation here is over"), "{heard:?}");
    assert!(!heard.contains(&"STOP".to_owned()), "{heard:?}");
    assert_eq!(open_conversations(&test).await, 0);
    let dropped: Vec<String> = test
        .column(
            "select r.kind || ' ' || d.body || ' ' || r.detail
             from audit_record r
             join audit_record d on d.text_id = r.text_id and d.kind = 'relayed'
             where r.kind = 'dropped'
             order by d.body",
        )
        .await;
    assert_eq!(dropped, ["dropped one opted_out", "dropped two opted_out"]);
    let turns = test.trail().await.into_iter().filter(|line| line.contains("opt"));
    assert_eq!(
        turns.collect::<Vec<_>>(),
        ["received opt_out", "opted_out"],
        "the word and its effect are on record"
    );
    let reason: String = test.value("select end_reason from conversation").await;
    assert_eq!(reason, "opted_out");
}

#[tokio::test]
async fn every_other_word_is_confirmed_once_and_never_relayed() {
    let test = TestApp::start().await;
    for word in [
        "UNSUBSCRIBE",
        "end",
        "Stop.",
        "s.t.o.p",
        "opt out",
        "STOP ALL",
        "“Arrêt”",
        "quit",
        "CANCEL",
    ] {
        let (ann, ben) = test.conversation().await;
        let before = sent_to(&test, &ben).len();
        ben.texts(word).await;
        ben.texts(word).await;
        ann.texts("are you there?").await;
        test.deliver().await;
        let bye = if word.contains("Arr") { BYE_IN_FRENCH } else { BYE };
        assert_eq!(sent_to(&test, &ben)[before..], [bye], "{word}");
        assert!(ann.inbox().contains(&ENDED.to_owned()), "{word}");
        assert!(!ann.inbox().iter().any(|text| text == word), "{word}");
        assert_eq!(suppressed(&test).await, 1, "{word}");
        ben.texts("START").await;
        test.deliver().await;
    }
}

#[tokio::test]
async fn the_other_hears_the_same_whether_one_left_or_opted_out() {
    let test = TestApp::start().await;
    let mut heard = Vec::new();
    for word in ["LEAVE", "END"] {
        let (ann, ben) = test.conversation().await;
        let before = ann.inbox().len();
        ben.texts(word).await;
        test.deliver().await;
        heard.push(ann.inbox()[before..].to_vec());
    }
    assert_eq!(heard, [[ENDED], [ENDED]]);
}

#[tokio::test]
async fn end_with_a_code_that_is_not_ones_own_fails_towards_silence() {
    let test = TestApp::start().await;
    let cara = test.phone("+12065550199");
    let foreign = cara.on_the_other_number().starts().await;
    for code in [foreign.as_str(), "K7QM-4XRT"] {
        let (ann, ben) = test.conversation().await;
        ben.texts(&format!("END {code}")).await;
        test.deliver().await;
        assert_eq!(ben.last(), BYE);
        assert_eq!(ann.last(), ENDED);
        assert_eq!(suppressed(&test).await, 1);
        ben.texts("START").await;
        test.deliver().await;
    }
    assert_eq!(open_conversations(&test).await, 1, "the stranger's conversation still waits");
    let rules = test
        .column("select rule from audit_record where kind = 'received' and body like 'END %'")
        .await;
    assert_eq!(rules, ["opt_out", "opt_out"]);
}

#[tokio::test]
async fn end_with_the_own_code_ends_and_no_more() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let code = ann.starts().await;
    ben.texts(&format!("JOIN {code}")).await;
    ann.texts(&format!("END {code}")).await;
    test.deliver().await;
    assert!(ann.last().starts_with("You have ended"), "{}", ann.last());
    assert_eq!(ben.last(), ENDED);
    assert_eq!(suppressed(&test).await, 0);
    ann.starts().await;
}

#[tokio::test]
async fn an_opt_out_holds_on_every_masked_number() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let elsewhere = ben.on_the_other_number();
    let code = elsewhere.starts().await;
    let cara = test.phone("+12065550199").on_the_other_number();
    cara.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    let before = sent_to(&test, &ben).len();

    cara.texts("on its way when the word comes").await;
    ben.texts("REVOKE").await;
    cara.texts("hello?").await;
    elsewhere.texts("I am still here").await;
    test.deliver().await;

    assert_eq!(sent_to(&test, &ben)[before..], [BYE]);
    assert_eq!(ann.last(), ENDED);
    assert_eq!(cara.inbox()[1], ENDED);
    assert!(!cara.inbox().iter().any(|text| text.contains("still here")));
    assert_eq!(open_conversations(&test).await, 0);
}

#[tokio::test]
async fn start_unstop_and_yes_lift_the_silence_with_one_confirmation() {
    let test = TestApp::start().await;
    let ben = test.ben();
    for word in ["START", "unstop", "Yes!"] {
        ben.texts("UNSUBSCRIBE").await;
        test.deliver().await;
        let before = sent_to(&test, &ben).len();
        ben.texts(word).await;
        test.deliver().await;
        assert_eq!(sent_to(&test, &ben)[before..], [BACK], "{word}");
        assert_eq!(suppressed(&test).await, 0);
        assert_eq!(open_conversations(&test).await, 0, "{word} opens nothing yet");
    }
    ben.starts().await;
}

#[tokio::test]
async fn unstop_undoes_a_bare_stop_at_the_carrier_too() {
    let test = TestApp::start().await;
    let (_, ben) = test.conversation().await;
    ben.texts("stop").await;
    ben.texts("UNSTOP").await;
    test.deliver().await;
    assert_eq!(ben.last(), BACK);
}

#[tokio::test]
async fn a_valid_join_lifts_and_joins_and_a_wrong_one_is_silent() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let code = ann.starts().await;
    ben.texts("UNSUBSCRIBE").await;
    test.deliver().await;
    let before = sent_to(&test, &ben).len();

    ben.texts("JOIN K7QM-4XRT").await;
    test.deliver().await;
    assert_eq!(sent_to(&test, &ben).len(), before);
    assert_eq!(suppressed(&test).await, 1);

    ben.texts(&format!("join {code}")).await;
    ben.texts("back again").await;
    test.deliver().await;
    assert_eq!(sent_to(&test, &ben).len(), before + 1, "one confirmation");
    assert!(ben.last().contains("Connected"), "{}", ben.last());
    assert_eq!(ann.last(), "back again");
    assert_eq!(suppressed(&test).await, 0);
}

#[tokio::test]
async fn who_opted_out_gets_help_and_nothing_else() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let code = ann.starts().await;
    ben.texts("UNSUBSCRIBE").await;
    test.deliver().await;
    let (before, heard) = (sent_to(&test, &ben).len(), ann.inbox().len());

    let unheard =
        ["hello?", "LEAVE", "LEAVE K7QM-4XRT", "STOP IT", "END", &format!("END {code}"), " "];
    for body in unheard {
        ben.texts(body).await;
    }
    test.deliver().await;
    assert_eq!(sent_to(&test, &ben).len(), before);
    assert_eq!(ann.inbox().len(), heard);
    let received: Vec<String> = test
        .column("select body from audit_record where kind = 'received' order by at, id offset 2")
        .await;
    assert_eq!(received, unheard, "all of it is on record");

    ben.texts("HELP").await;
    ben.texts("HELP").await;
    test.deliver().await;
    assert_eq!(sent_to(&test, &ben).len(), before + 1);
    assert!(ben.last().contains("STOP ends all texts"), "{}", ben.last());
    assert_eq!(suppressed(&test).await, 1);
}

#[tokio::test]
async fn suppression_is_asked_again_when_a_text_leaves_the_outbox() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = sent_to(&test, &ben).len();
    ann.texts("promised before").await;
    suppress(&test, &ben).await;
    ann.texts("promised after").await;
    ben.texts("I am not heard").await;
    test.deliver().await;

    assert_eq!(sent_to(&test, &ben).len(), before);
    assert_ne!(ann.last(), "I am not heard");
    let dropped =
        test.column("select detail from audit_record where kind = 'dropped' order by at, id").await;
    assert_eq!(dropped, ["opted_out", "opted_out"]);
    assert!(!test.trail().await.contains(&"failed".to_owned()));
}

#[tokio::test]
async fn a_text_that_waits_to_be_tried_again_is_dropped_too() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = sent_to(&test, &ben).len();
    test.faults(Faults { throttle: 1.0, ..Faults::default() });
    ann.texts("the carrier is busy").await;
    test.deliver().await;
    ben.texts("QUIT").await;
    test.faults(Faults::default());
    test.advance(SignedDuration::from_mins(1));
    test.deliver().await;
    assert_eq!(sent_to(&test, &ben)[before..], [BYE]);
}
