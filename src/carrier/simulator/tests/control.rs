//! `/simulator/` and what it shares with the Rust API.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    super::{Direction, Event, Settings, Simulator},
    NUMBER, PHONE, Stage, phone,
};

#[tokio::test]
async fn a_phone_texts_over_http() {
    let mut stage = Stage::listening().await;
    let text =
        json!({ "from": PHONE, "to": NUMBER, "body": "Hello", "id": "mdr2-x", "shape": "flat" });
    let (status, answer) = stage.call(Method::POST, "/simulator/texts", &text).await;
    assert_eq!((status, answer), (200, json!({ "id": "mdr2-x", "statuses": [200] })));
    assert_eq!(stage.hook().await.body["id"], "mdr2-x");

    for (expected, text) in [
        (422, json!({ "from": PHONE, "to": PHONE, "body": "x" })),
        (422, json!({ "from": "me", "to": NUMBER, "body": "x" })),
        (422, json!({ "from": PHONE, "to": NUMBER, "bodi": "x" })),
    ] {
        let (status, answer) = stage.call(Method::POST, "/simulator/texts", &text).await;
        assert_eq!(status, expected, "{text} {answer}");
    }
}

#[tokio::test]
async fn http_and_rust_show_the_same() {
    let stage = Stage::listening().await;
    stage.texts("Hello").await;
    stage.send("Hello yourself").await;
    stage.simulator.idle().await;

    let (_, ledger) = stage.get("/simulator/ledger").await;
    assert_eq!(ledger, json!(stage.simulator.ledger()));
    assert_eq!(ledger["inbound"][0]["from"], PHONE);
    assert_eq!(ledger["accepted"][0]["status"], "delivered");
    let (_, shown) = stage.get("/simulator/phones/+12065550101").await;
    assert_eq!(shown, json!(stage.simulator.phone(&phone(PHONE))));
    let directions = [&shown[0]["direction"], &shown[1]["direction"]];
    assert_eq!(directions, ["out", "in"]);
    assert_eq!(shown[1]["with"], NUMBER);
    let (_, exchanges) = stage.get("/simulator/exchanges").await;
    assert_eq!(exchanges, json!(stage.simulator.exchanges()));
    assert_eq!(stage.get("/simulator/phones/me").await.0, 422);
    assert_eq!(stage.get("/simulator/nothing").await.0, 404);
}

#[tokio::test]
async fn faults_are_set_shown_refused_and_reset() {
    let stage = Stage::start().await;
    let put = async |faults: Value| stage.call(Method::PUT, "/simulator/faults", &faults).await;
    let detail = |answer: &Value| answer["errors"][0]["detail"].as_str().unwrap().to_owned();

    assert_eq!(put(json!({ "seed": 9, "reorder": 0.25 })).await.0, 200);
    let (status, answer) = put(json!({ "dorp": 1 })).await;
    assert_eq!(status, 422);
    assert!(detail(&answer).contains("unknown field `dorp`"), "{answer}");
    let (status, answer) = put(json!({ "drop": 2 })).await;
    assert_eq!(status, 422);
    assert_eq!(detail(&answer), "drop must be a probability from 0 to 1, not 2");

    let (_, faults) = stage.get("/simulator/faults").await;
    assert_eq!((&faults["seed"], &faults["reorder"]), (&json!(9), &json!(0.25)), "as they were");
    stage.send("kept").await;
    assert_eq!(stage.call(Method::POST, "/simulator/reset", &Value::Null).await.0, 204);
    let (_, faults) = stage.get("/simulator/faults").await;
    assert_eq!(faults["reorder"], 0.0);
    assert_eq!(stage.simulator.ledger().accepted.len(), 1, "only the faults are reset");
}

#[tokio::test]
async fn exchanges_are_recorded_without_keys() {
    let stage = Stage::listening().await;
    stage.texts("Hello").await;
    stage.send("Hello yourself").await;
    stage.simulator.idle().await;

    let exchanges = stage.simulator.exchanges();
    let webhooks = exchanges.iter().filter(|one| one.direction == Direction::Webhook);
    assert_eq!(webhooks.count(), 4, "a text and three receipts");
    let send = exchanges.iter().find(|one| one.url.ends_with("/v2.2/messages")).unwrap();
    assert_eq!((send.direction, send.status), (Direction::Call, Some(202)));
    assert_eq!(send.request["data"]["attributes"]["body"], "Hello yourself");
    assert_eq!(send.response["data"]["type"], "message");
    assert!(!json!(exchanges).to_string().contains("Basic"));
    assert!(exchanges.is_sorted_by_key(|one| one.id));
}

#[tokio::test]
async fn a_webhook_is_replayed_byte_for_byte_and_a_call_is_not() {
    let mut stage = Stage::listening().await;
    stage.texts("Hello 👋").await;
    let first = stage.hook().await;
    let exchanges = stage.simulator.exchanges();
    let find = |direction| exchanges.iter().find(|one| one.direction == direction).unwrap().id;
    let replay = async |id: u64| {
        let path = format!("/simulator/exchanges/{id}/replay");
        stage.call(Method::POST, &path, &Value::Null).await
    };

    stage.answers([418]);
    assert_eq!(replay(find(Direction::Webhook)).await, (200, json!({ "status": 418 })));
    assert_eq!(replay(find(Direction::Call)).await.0, 409);
    assert_eq!(replay(999).await.0, 404);
    let again = stage.hook().await;
    assert_eq!((again.bytes, again.content_type), (first.bytes, first.content_type));
    assert!(stage.all_hooks().await.is_empty(), "a replay is not sent again");
}

#[tokio::test]
async fn watchers_are_told() {
    let stage = Stage::listening().await;
    let mut events = stage.simulator.subscribe();
    stage.texts("Hello").await;
    assert_eq!(events.recv().await.unwrap(), Event::Changed);
    let event = events.recv().await.unwrap();
    assert_eq!(json!(event)["type"], "exchange");
    assert_eq!(json!(event)["direction"], "webhook");
    assert_eq!(json!(Event::Changed), json!({ "type": "changed" }));
}

#[tokio::test]
async fn dropping_it_closes_the_port() {
    let stage = Stage::listening().await;
    stage.answers([500]);
    let mut events = stage.simulator.subscribe();
    stage.texts("Hello").await;
    let address = stage.simulator.url().replace("http://", "");
    drop(stage.simulator);
    // The channel closes when the last task has let go of what they share.
    let closed = async { while events.recv().await.is_ok() {} };
    timeout(Duration::from_secs(10), closed).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[test]
fn without_a_runtime_it_is_an_error() {
    assert!(Simulator::start(Settings::default()).is_err());
}
