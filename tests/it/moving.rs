//! MOVE: a person takes their conversations to a new phone.

use std::time::Duration;

use jiff::SignedDuration;
use maskline::{
    carrier::{Flowroute, simulator::Faults},
    outbox::worker,
    reconciler::Reconciler,
};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::{
    program::maskline,
    sending::soon,
    support::{Phone, TestApp, Wishes, code_in},
};

const CODE_FAILED: &str = "Sorry, that code does not work. Please check it with whoever gave \
                           it to you, or text START to get a new one.";
const MOVED: &str = "Maskline: This conversation is on this phone now; your number stays hidden. \
                     LEAVE ends it. Msg & data rates may apply. HELP for help, STOP to stop.";
const AWAY: &str = "Maskline: Your conversations have moved to your new phone and no longer reach \
                    this one. If that was not you, tell us at once.";

async fn hears(test: &TestApp, phone: &Phone<'_>, body: &str) -> String {
    phone.texts(body).await;
    test.deliver().await;
    phone.last()
}

/// Texts MOVE and reads the code from the answer.
async fn move_code(test: &TestApp, phone: &Phone<'_>) -> String {
    let answer = hears(test, phone, "MOVE").await;
    code_in(&answer).unwrap_or_else(|| panic!("no code in {answer:?}"))
}

#[tokio::test]
async fn a_conversation_moves_to_the_new_phone_with_what_was_on_its_way() {
    let test = TestApp::start().await;
    let (ann, old) = test.conversation().await;
    let new = test.phone("+12065550199");
    let answer = hears(&test, &old, "move").await;
    let code = code_in(&answer).unwrap();
    assert_eq!(
        answer,
        format!(
            "On your new phone, text MOVE {code} to +14155550100 within 15 minutes. \
             Never give this code to anybody."
        )
    );
    ann.texts("promised to the old phone").await;
    let before = old.inbox().len();
    new.texts(&format!("move {}", code.to_lowercase())).await;
    test.deliver().await;
    assert_eq!(new.inbox(), [MOVED, "promised to the old phone"]);
    assert_eq!(old.inbox()[before..], [AWAY]);

    ann.texts("which phone is this?").await;
    new.texts("the new one").await;
    test.deliver().await;
    assert_eq!(new.last(), "which phone is this?");
    assert_eq!((ann.last(), old.last()), ("the new one".into(), AWAY.into()));
    assert!(!ann.inbox().iter().any(|text| text.contains("phone now")), "she is told nothing");
    let answer = hears(&test, &old, "and me?").await;
    assert!(answer.starts_with("You are in no conversation here"), "{answer}");
    let moved = "select count(*) from audit_record where kind = 'moved'";
    assert_eq!(test.value::<i64>(moved).await, 1);
    let consent = "select count(*) from consent_event e join person p on p.id = e.person_id
                   where p.number = '+12065550199' and e.kind = 'granted' and e.rule = 'move_code'";
    assert_eq!(test.value::<i64>(consent).await, 1);
}

#[tokio::test]
async fn all_conversations_move_on_all_numbers_waiting_ones_too() {
    let test = TestApp::start().await;
    let (ann, old) = test.conversation().await;
    let code = old.on_the_other_number().starts().await;
    let new = test.phone("+12065550199");
    let key = move_code(&test, &old).await;
    new.texts(&format!("MOVE {key}")).await;
    let cara = test.phone("+12065550198");
    cara.texts(&format!("JOIN {code}")).await;
    cara.texts("from Cara").await;
    ann.texts("from Ann").await;
    test.deliver().await;
    let mut heard = new.inbox();
    heard.sort();
    let mut expected = [MOVED, MOVED, "from Ann", "from Cara"].map(str::to_owned).to_vec();
    expected.push(heard.iter().find(|text| text.starts_with("They have joined")).unwrap().clone());
    expected.sort();
    assert_eq!(heard, expected);
    assert_eq!(old.inbox().iter().filter(|text| *text == AWAY).count(), 1);
}

#[tokio::test]
async fn a_code_moves_once_and_for_a_quarter_of_an_hour() {
    let test = TestApp::start().await;
    let (ann, old) = test.conversation().await;
    let (new, thief) = (test.phone("+12065550199"), test.phone("+12065550198"));
    let first = move_code(&test, &old).await;
    let second = move_code(&test, &old).await;
    assert_eq!(hears(&test, &new, &format!("MOVE {first}")).await, CODE_FAILED, "one at a time");
    test.advance(SignedDuration::from_mins(15));
    assert_eq!(hears(&test, &new, &format!("MOVE {second}")).await, CODE_FAILED);
    let code = move_code(&test, &old).await;
    assert_eq!(hears(&test, &old, &format!("MOVE {code}")).await, CODE_FAILED, "one's own");
    assert_eq!(hears(&test, &ann, &format!("MOVE {code}")).await, CODE_FAILED, "the other's");
    assert_eq!(hears(&test, &new, &format!("MOVE {code}")).await, MOVED);
    assert_eq!(hears(&test, &thief, &format!("MOVE {code}")).await, CODE_FAILED);
    assert_eq!(hears(&test, &old, &format!("MOVE {code}")).await, CODE_FAILED);
    let failures = "select count(*) from code_failure";
    assert_eq!(test.value::<i64>(failures).await, 6, "each counts as a guess");
}

#[tokio::test]
async fn many_phones_at_once_and_one_gets_it() {
    let test = TestApp::start().await;
    let (ann, old) = test.conversation().await;
    let code = move_code(&test, &old).await;
    let phones: Vec<_> = (10..18).map(|n| test.phone(&format!("+120655501{n}"))).collect();
    let text = format!("MOVE {code}");
    futures_util::future::join_all(phones.iter().map(|phone| phone.texts(&text))).await;
    test.deliver().await;
    assert_eq!(phones.iter().filter(|phone| phone.last() == MOVED).count(), 1);
    assert_eq!(phones.iter().filter(|phone| phone.last() == CODE_FAILED).count(), 7);
    ann.texts("who is it?").await;
    test.deliver().await;
    assert_eq!(phones.iter().filter(|phone| phone.last() == "who is it?").count(), 1);
}

#[tokio::test]
async fn move_codes_cannot_be_guessed() {
    let test = TestApp::start().await;
    let (_, old) = test.conversation().await;
    let code = move_code(&test, &old).await;
    let new = test.phone("+12065550199");
    for _ in 0..5 {
        new.texts("MOVE K7QM-4XRT").await;
    }
    new.texts(&format!("MOVE {code}")).await;
    test.deliver().await;
    assert_eq!(new.inbox(), [CODE_FAILED; 5]);
}

#[tokio::test]
async fn a_phone_that_is_busy_there_must_leave_first() {
    let test = TestApp::start().await;
    let (ann, old) = test.conversation().await;
    let new = test.phone("+12065550199");
    new.starts().await;
    let code = move_code(&test, &old).await;
    let before = old.inbox().len();
    let answer = hears(&test, &new, &format!("MOVE {code}")).await;
    assert!(answer.starts_with("This phone is in a conversation of its own"), "{answer}");
    assert_eq!(old.inbox().len(), before);
    assert_eq!(test.value::<i64>("select count(*) from code_failure").await, 0);
    new.texts("LEAVE").await;
    assert_eq!(hears(&test, &new, &format!("MOVE {code}")).await, MOVED);
    new.texts("here").await;
    test.deliver().await;
    assert_eq!(ann.last(), "here");
}

#[tokio::test]
async fn who_was_kept_apart_from_the_old_phone_is_kept_apart_from_the_new() {
    let test = TestApp::start().await;
    let (eve, old) = test.conversation().await;
    old.texts("BLOCK").await;
    let code = old.starts().await;
    let (cara, new) = (test.phone("+12065550198"), test.phone("+12065550199"));
    cara.texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    let code = move_code(&test, &old).await;
    assert_eq!(hears(&test, &new, &format!("MOVE {code}")).await, MOVED);
    let there = new.on_the_other_number();
    let code = there.starts().await;
    assert_eq!(hears(&test, &eve, &format!("JOIN {code}")).await, CODE_FAILED);
    there.texts("LEAVE").await;
    let code = eve.starts().await;
    assert_eq!(hears(&test, &there, &format!("JOIN {code}")).await, CODE_FAILED);

    // Nor does a move bring somebody to whom they shun.
    let (dan, shunned) = (test.phone("+12065550197"), test.phone("+12065550196"));
    let code = dan.starts().await;
    shunned.texts(&format!("JOIN {code}")).await;
    shunned.texts("REPORT").await;
    let code = dan.starts().await;
    cara.on_the_other_number().texts(&format!("JOIN {code}")).await;
    test.deliver().await;
    let code = move_code(&test, &cara.on_the_other_number()).await;
    assert_eq!(hears(&test, &shunned, &format!("MOVE {code}")).await, CODE_FAILED);
}

#[tokio::test]
async fn move_in_nothing_gives_no_code() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let code = move_code(&test, &ben).await;
    ann.texts("LEAVE").await;
    let answer = hears(&test, &ben, "MOVE").await;
    assert!(answer.starts_with("You are in no conversation here"), "{answer}");
    // And the code of before moves nothing any more.
    let new = test.phone("+12065550199");
    assert_eq!(hears(&test, &new, &format!("MOVE {code}")).await, CODE_FAILED);
}

#[tokio::test]
async fn whom_the_old_phone_shuns_the_new_one_loses() {
    let test = TestApp::start().await;
    let (ann, old) = test.conversation().await;
    ann.texts("LEAVE").await;
    old.texts("BLOCK").await;
    // Ann meets the new phone on one number, and the old one meets Cara on the other.
    let new = test.phone("+12065550199");
    let code = new.starts().await;
    ann.on_the_other_number().texts(&format!("JOIN {code}")).await;
    let cara = test.phone("+12065550198");
    let elsewhere = old.on_the_other_number();
    let code = elsewhere.starts().await;
    cara.texts(&format!("JOIN {code}")).await;
    test.deliver().await;

    let code = move_code(&test, &elsewhere).await;
    assert_eq!(hears(&test, &new, &format!("MOVE {code}")).await, MOVED);
    assert_eq!(ann.last(), "This conversation has ended.");
    let reasons =
        test.column("select end_reason from conversation where end_reason = 'blocked'").await;
    assert_eq!(reasons.len(), 1);
}

#[tokio::test]
async fn nothing_moves_to_a_number_from_which_the_carrier_brings_the_new_phone_nothing() {
    let test = TestApp::start().await;
    let (ann, old) = test.conversation().await;
    let new = test.phone("+12065550199");
    // START does not lift what Flowroute made of STOP: the answer to it is refused.
    new.texts("STOP").await;
    new.texts("START").await;
    test.deliver().await;
    test.sweep().await;
    let text = format!("MOVE {}", move_code(&test, &old).await);
    let elsewhere = new.on_the_other_number();
    let answer = hears(&test, &elsewhere, &text).await;
    assert!(answer.contains("Text UNSTOP to +14155550100 first"), "{answer}");
    ann.texts("still on the old one").await;
    test.deliver().await;
    assert_eq!(old.last(), "still on the old one");
    new.texts("UNSTOP").await;
    assert_eq!(hears(&test, &elsewhere, &text).await, MOVED);
    ann.texts("on the new one").await;
    test.deliver().await;
    assert_eq!(new.last(), "on the new one");
}

/// Ann texts this; while it is under way to the old phone, that one's person moves to the new one,
/// and Ann texts another thing. Then the carrier answers.
async fn moves_under_way(test: &TestApp, answer: ResponseTemplate) {
    let (ann, old) = test.conversation().await;
    let new = test.phone("+12065550199");
    let code = move_code(test, &old).await;
    let slow = MockServer::start().await;
    let answer = answer.set_delay(Duration::from_millis(700));
    Mock::given(matchers::any()).respond_with(answer).mount(&slow).await;
    let mut elsewhere = test.app.settings.flowroute.clone();
    elsewhere.url = slow.uri().parse().unwrap();
    let (app, carrier) = (test.app.clone(), Flowroute::new(&elsewhere).unwrap());
    ann.texts("first").await;
    let sending = tokio::spawn(async move { worker::step(&app, &carrier).await });
    let claimed = async {
        while test.value::<i64>("select count(*) from outbox where state = 'sending'").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("a worker claims it", claimed).await;
    new.texts(&format!("MOVE {code}")).await;
    ann.texts("second").await;
    let under_way = "select count(*) from outbox where state = 'sending'";
    assert_eq!(test.value::<i64>(under_way).await, 1, "it was settled too soon");
    // What does not wait for it leaves; the rest keeps its order behind it.
    test.deliver().await;
    assert_eq!((new.inbox(), old.last()), (vec![MOVED.to_owned()], AWAY.to_owned()));
    sending.await.unwrap().unwrap();
    test.advance(SignedDuration::from_mins(1));
    test.deliver().await;
}

fn error(status: u16, code: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"errors": [{"status": status, "code": code,
        "title": "not today", "detail": "the carrier does not want it"}]}))
}

#[tokio::test]
async fn what_the_carrier_did_not_take_for_the_old_phone_goes_to_the_new_one_in_order() {
    let not_taken = [
        error(429, &Value::Null),
        error(503, &Value::Null),
        error(422, &Value::Null),
        // The old phone texted STOP to the number; the new one did not.
        error(400, &json!("1110")),
    ];
    for answer in not_taken {
        let test = TestApp::start().await;
        moves_under_way(&test, answer.clone()).await;
        let (old, new) = (test.ben(), test.phone("+12065550199"));
        assert_eq!(new.inbox(), [MOVED, "first", "second"], "{answer:?}");
        assert!(!old.inbox().iter().any(|text| text == "first"), "{answer:?}");
        let to = test.column(
            "select p.number from audit_record r join audit_record e on e.text_id = r.text_id
             join person p on p.id = e.recipient_id
             where r.body = 'first' and r.kind = 'relayed' and e.kind = 'accepted'",
        );
        assert_eq!(to.await, ["+12065550199"], "{answer:?}");
    }
}

#[tokio::test]
async fn what_the_old_phone_got_is_recorded_as_its_own_and_lets_the_new_lane_go_on() {
    let test = TestApp::start().await;
    let taken = json!({"data": {"id": "mdr2-0123456789abcdef0123456789abcdef",
        "type": "message", "links": {"self": ""}}});
    moves_under_way(&test, ResponseTemplate::new(202).set_body_json(taken)).await;
    let new = test.phone("+12065550199");
    assert_eq!(new.inbox(), [MOVED, "second"]);
    let to = test.column(
        "select p.number || ' ' || (m.recipient_id = p.id) from audit_record r
         join audit_record e on e.text_id = r.text_id and e.kind = 'accepted'
         join carrier_message m on m.text_id = r.text_id
         join person p on p.id = e.recipient_id
         where r.body = 'first' and r.kind = 'relayed'",
    );
    assert_eq!(to.await, ["+12065550187 true"]);
}

#[tokio::test]
async fn an_unknown_text_is_sent_again_to_the_new_phone_unless_that_one_opted_out() {
    for (choice, stops) in [("resend", false), ("resend", true), ("park", false)] {
        let settings = [("MASKLINE_UNKNOWN", choice)];
        let wishes = Wishes { settings: &settings, ..Wishes::default() };
        let test = TestApp::wishing(wishes).await;
        let (ann, old) = test.conversation().await;
        let new = test.phone("+12065550199");
        let code = move_code(&test, &old).await;
        test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
        ann.texts("first").await;
        test.deliver().await;
        test.faults(Faults::default());
        ann.texts("second").await;
        new.texts(&format!("MOVE {code}")).await;
        if stops {
            new.texts("UNSUBSCRIBE").await;
        }
        test.deliver().await;
        test.advance(SignedDuration::from_mins(5));
        test.deliver().await;
        if choice == "park" {
            let id = test.column("select id::text from outbox").await;
            assert_eq!(new.last(), "second", "it waits no longer");
            maskline(&test, &["outbox", "resend", &id[0]]).done();
            test.run("update outbox set due_at = queued_at where state = 'queued'").await;
            test.deliver().await;
        }
        let heard: Vec<String> =
            new.inbox().into_iter().filter(|text| text == "first" || text == "second").collect();
        let expected: &[&str] = match (choice, stops) {
            (_, true) => &[],
            ("park", _) => &["second", "first"],
            _ => &["first", "second"],
        };
        assert_eq!(heard, expected, "{choice}, {stops}");
        assert_eq!(old.inbox().iter().filter(|text| *text == "first").count(), 1, "the lost one");
    }
}

#[tokio::test]
async fn the_carriers_list_settles_what_went_to_the_old_phone() {
    let test = TestApp::start().await;
    let reconciler = || Reconciler::new(test.app.clone(), test.carrier.clone());
    reconciler().step().await.unwrap();
    let (ann, old) = test.conversation().await;
    let new = test.phone("+12065550199");
    let code = move_code(&test, &old).await;
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
    ann.texts("first").await;
    test.deliver().await;
    test.faults(Faults::default());
    new.texts(&format!("MOVE {code}")).await;
    test.deliver().await;
    test.advance(SignedDuration::from_secs(60));
    reconciler().step().await.unwrap();
    assert_eq!(test.value::<i64>("select count(*) from outbox").await, 0);
    assert_eq!((new.inbox(), old.last()), (vec![MOVED.to_owned()], AWAY.to_owned()));
}
