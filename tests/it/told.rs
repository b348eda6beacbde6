//! Whoever's words finally failed is told once, in plain words, which ones.

use jiff::SignedDuration;
use maskline::carrier::simulator::Faults;
use serde_json::{Value, json};

use crate::support::{Phone, TestApp};

/// What the phone was told of words that failed.
fn told(phone: &Phone<'_>) -> Vec<String> {
    let about = |text: &String| text.contains("reach them") || text.contains("reached them");
    phone.inbox().into_iter().filter(about).collect()
}

async fn receipt(test: &TestApp, body: &str, code: Value) {
    let texts = test.simulator.ledger().accepted;
    let sent = texts.into_iter().rfind(|text| text.body == body).unwrap();
    let receipt = json!({"type": "delivery_receipt", "id": sent.id,
        "attributes": {"status": "failed", "status_code": code}});
    assert_eq!(test.post(&receipt).await, 200);
    test.deliver().await;
}

#[tokio::test]
async fn whoever_s_words_are_refused_is_told_which_ones() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { refuse: 1.0, ..Faults::default() });
    ann.texts("Meet me “there” 🙂 at six").await;
    maskline::outbox::worker::step(&test.app, &test.carrier).await.unwrap();
    test.faults(Faults::default());
    test.deliver().await;
    assert_eq!(told(&ann), ["Your text \"Meet me \"there\" at six\" did not reach them."]);
    assert_eq!(told(&ben), [""; 0]);
    let record = "select a.rule || ' ' || (a.detail = r.text_id::text) from audit_record a
         join audit_record r on r.kind = 'relayed' where a.kind = 'answered' and a.rule like '%delivered'";
    assert_eq!(test.column(record).await, ["not_delivered true"]);
}

#[tokio::test]
async fn whoever_s_words_were_tried_to_the_end_is_told() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    test.faults(Faults { error: 1.0, ..Faults::default() });
    ann.texts("hello").await;
    let gave_up = "select exists (select from audit_record where detail = 'gave_up')";
    while !test.value::<bool>(gave_up).await {
        test.deliver().await;
        test.advance(SignedDuration::from_mins(10));
    }
    test.faults(Faults::default());
    test.deliver().await;
    test.advance(SignedDuration::from_mins(10));
    test.deliver().await;
    assert_eq!(told(&ann), ["Your text \"hello\" did not reach them."]);
}

#[tokio::test]
async fn a_failed_receipt_is_told_once_however_often_it_comes() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    ann.texts("hello").await;
    test.deliver().await;
    for _ in 0..3 {
        receipt(&test, "hello", json!(1003)).await;
    }
    assert_eq!(told(&ann), ["Your text \"hello\" did not reach them."]);
    receipt(&test, &ann.last(), Value::Null).await;
    assert_eq!(told(&ann).len(), 1, "nobody is told of what tells them");
}

#[tokio::test]
async fn that_a_phone_texted_stop_is_not_told() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    ann.texts("hello").await;
    test.deliver().await;
    receipt(&test, "hello", json!(1110)).await;
    assert_eq!(told(&ann), [""; 0]);
}

#[tokio::test]
async fn whoever_may_not_be_texted_or_is_parted_is_not_told() {
    for word in ["UNSUBSCRIBE", "BLOCK"] {
        for who in [0, 1] {
            let test = TestApp::start().await;
            let (ann, ben) = test.conversation().await;
            test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
            ann.texts("hello").await;
            test.deliver().await;
            [&ann, &ben][who].texts(word).await;
            test.deliver().await;
            receipt(&test, "hello", Value::Null).await;
            // Ben's opt-out is his own affair: Ann's words failed all the same.
            let is_told = word == "UNSUBSCRIBE" && who == 1;
            assert_eq!(!told(&ann).is_empty(), is_told, "{word} from {who}");
        }
    }
}

#[tokio::test]
async fn whoever_has_another_phone_by_now_is_told_there() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    ann.texts("hello").await;
    ann.texts("MOVE").await;
    test.deliver().await;
    let code = crate::support::code_in(&ann.last()).unwrap();
    let new = test.phone("+12065550199");
    new.texts(&format!("MOVE {code}")).await;
    test.deliver().await;
    receipt(&test, "hello", Value::Null).await;
    assert_eq!((told(&ann).len(), told(&new).len()), (0, 1));
}
