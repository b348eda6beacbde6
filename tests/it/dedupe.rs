//! A text is processed once, however often and however concurrently it is delivered.

use futures_util::future::join_all;
use jiff::SignedDuration;
use maskline::carrier::simulator::Faults;
use serde_json::json;

use crate::support::{NUMBER, TestApp, flat};

async fn records(test: &TestApp, id: &str) -> Vec<String> {
    test.column(&format!("select kind from audit_record where carrier_id = '{id}' order by id"))
        .await
}

#[tokio::test]
async fn fifty_concurrent_copies_relay_once() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let text = flat("fifty", &ann.number, NUMBER, "only once");
    let statuses = join_all((0..50).map(|_| test.post(&text))).await;
    assert_eq!(statuses, [200; 50]);
    test.deliver().await;
    assert_eq!(ben.inbox().iter().filter(|body| *body == "only once").count(), 1);
    assert_eq!(records(&test, "fifty").await, ["received", "relayed"]);
}

#[tokio::test]
async fn fifty_copies_of_a_first_start_open_one_conversation() {
    let test = TestApp::start().await;
    let ann = test.ann();
    let text = flat("first", &ann.number, NUMBER, "START");
    assert_eq!(join_all((0..50).map(|_| test.post(&text))).await, [200; 50]);
    test.deliver().await;
    assert_eq!(ann.inbox().len(), 1);
    let opened: i64 = test.value("select count(*) from conversation").await;
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn of_one_id_the_first_text_wins() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let cara = test.phone("+12065550199");
    let other_shape = json!({"data": {"id": "same", "type": "message", "attributes": {
        "from": ann.number.digits(), "to": NUMBER, "body": "in the other shape"}}});
    for text in [
        flat("same", &ann.number, NUMBER, "the first"),
        flat("same", &ann.number, NUMBER, "the second"),
        flat("same", &ben.number, NUMBER, "LEAVE"),
        flat("same", &cara.number, NUMBER, "START"),
        other_shape,
    ] {
        assert_eq!(test.post(&text).await, 200);
    }
    test.deliver().await;
    assert_eq!(ben.last(), "the first");
    assert_eq!((ben.inbox().len(), cara.inbox().len()), (2, 0));
    assert_eq!(records(&test, "same").await, ["received", "relayed"]);
    for never in ["the second", "in the other shape", "2065550199"] {
        assert_eq!(test.places(never).await, [""; 0], "{never}");
    }
}

#[tokio::test]
async fn a_copy_that_comes_days_later_is_still_a_copy() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let text = flat("late", &ann.number, NUMBER, "once");
    assert_eq!(test.post(&text).await, 200);
    test.deliver().await;
    for days in [3, 400] {
        test.advance(SignedDuration::from_hours(24 * days));
        assert_eq!(test.post(&text).await, 200);
        assert_eq!(test.deliver().await, 0);
    }
    assert_eq!(ben.inbox().iter().filter(|body| *body == "once").count(), 1);
    assert_eq!(records(&test, "late").await, ["received", "relayed"]);
}

#[tokio::test]
async fn a_refused_text_is_refused_once() {
    let test = TestApp::start().await;
    let text = flat("astray", &test.ann().number, "+14155550199", "hello?");
    assert_eq!(join_all((0..10).map(|_| test.post(&text))).await, [200; 10]);
    assert_eq!(test.trail().await, ["refused not_our_number"]);
}

#[tokio::test]
async fn a_carrier_that_delivers_everything_five_times_changes_nothing() {
    let talk = async |copies: usize| {
        let test = TestApp::start().await;
        test.faults(Faults { duplicate: 1.0, copies, ..Faults::default() });
        let (ann, ben) = test.conversation().await;
        let texted = ann.texts("one").await;
        assert_eq!(texted.statuses, vec![Some(200); copies]);
        ben.texts("two").await;
        ann.texts("LEAVE").await;
        test.deliver().await;
        let mut trail = test.trail().await;
        trail.sort();
        (ann.inbox(), ben.inbox(), trail)
    };
    assert_eq!(talk(5).await, talk(1).await);
}
