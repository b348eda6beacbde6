//! What stands in the database, and what never does.

use serde_json::json;

use crate::support::{NUMBER, SECRET, TestApp, flat};

#[tokio::test]
async fn the_callback_url_and_its_secret_are_kept_nowhere() {
    let test = TestApp::start().await;
    let (ann, _ben) = test.conversation().await;
    let callback = test.url("/api/message/{secret}");
    let wrapped = |id: &str, to: &str, body: Option<&str>| {
        json!({
            "data": {"id": id, "type": "message", "attributes": {
                "from": ann.number.digits(), "to": to, "body": body,
                "message_callback_url": callback, "timestamp": "2026-03-01T12:00:00.1Z"}},
            "included": [{"type": "media", "message_callback_url": callback, "attributes": {
                "url": "https://media.example/1", "message_callback_url": callback}}],
        })
    };
    for payload in [
        wrapped("1", NUMBER, Some("echoed")),
        wrapped("2", NUMBER, None),
        wrapped("3", "+14155550199", Some("not ours")),
        json!({"message_callback_url": callback}),
        json!({"id": "4", "type": "delivery_receipt", "attributes": {"status": "delivered",
            "message_callback_url": callback}}),
    ] {
        assert_eq!(test.post(&payload).await, 200);
    }
    assert_eq!(test.places(NUMBER).await.len(), 15, "the search finds what is there");
    let kept = |test: &TestApp| test.public.to_string();
    for never in [SECRET, "message_callback_url", "/api/message", &kept(&test)] {
        assert_eq!(test.places(never).await, [""; 0], "{never}");
    }
    test.deliver().await;
    for never in [SECRET, "message_callback_url", "/api/receipt", &kept(&test)] {
        assert_eq!(test.places(never).await, [""; 0], "{never}");
    }
}

#[tokio::test]
async fn a_real_number_stands_nowhere_in_the_clear() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("hello").await;
    ben.on_the_other_number().texts("hello?").await;
    test.post(&flat("to-a-stranger", &ann.number, "+14155550199", "x")).await;
    for phone in [&ann, &ben] {
        assert_eq!(test.places(&phone.number.digits()[1..]).await, [""; 0]);
    }
    test.deliver().await;
    ben.texts("unsubscribe").await;
    ann.texts("HELP").await;
    test.deliver().await;
    for phone in [&ann, &ben] {
        assert_eq!(test.places(&phone.number.digits()[1..]).await, [""; 0]);
    }
}
