//! What the carrier does wrong on demand.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Method, header};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::{super::Event, Stage, message, receipt_statuses};

#[tokio::test]
async fn a_refused_throttled_or_failed_send_is_not_accepted() {
    let stage = Stage::start().await;
    for (fault, expected) in [("refuse", 422), ("throttle", 429), ("error", 503)] {
        stage.set_faults(json!({ (fault): 1 })).await;
        let (status, body) = stage.send("Hello").await;
        assert_eq!(
            (status, body["errors"][0]["status"].as_u64()),
            (expected, Some(expected.into()))
        );
    }
    assert!(stage.simulator.ledger().accepted.is_empty());
    assert!(stage.bodies_on_phone().is_empty());
}

#[tokio::test]
async fn retry_after_is_given_only_where_it_is_set() {
    let stage = Stage::start().await;
    for (faults, expected) in [
        (json!({ "throttle": 1 }), None),
        (json!({ "throttle": 1, "retry_after_s": 7 }), Some("7")),
    ] {
        stage.set_faults(faults).await;
        let request = stage.request(Method::POST, "/v2.2/messages").json(&message("Hello"));
        let response = request.send().await.unwrap();
        let header = response.headers().get(header::RETRY_AFTER);
        assert_eq!(header.map(|value| value.to_str().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_late_answer_is_late_and_the_text_is_accepted_at_once() {
    let stage = Stage::start().await;
    stage.set_faults(json!({ "late": 1, "late_ms": 50 })).await;
    let started = Instant::now();
    assert_eq!(stage.send("Hello").await.0, 202);
    assert!(started.elapsed() >= Duration::from_millis(50));

    // A caller that does not wait for the answer has sent all the same.
    stage.set_faults(json!({ "late": 1, "late_ms": 600_000 })).await;
    let mut events = stage.simulator.subscribe();
    let request = stage.request(Method::POST, "/v2.2/messages").json(&message("Unawaited"));
    let call = tokio::spawn(request.send());
    while events.recv().await.unwrap() != Event::Changed {}
    call.abort();
    assert_eq!(stage.bodies_on_phone(), ["Hello", "Unawaited"]);
}

#[tokio::test]
async fn a_caller_that_goes_away_is_recorded_all_the_same() {
    let stage = Stage::start().await;
    stage.set_faults(json!({ "late": 1, "late_ms": 50 })).await;
    let mut events = stage.simulator.subscribe();
    let request = stage.request(Method::POST, "/v2.2/messages").json(&message("Hello"));
    let call = tokio::spawn(request.send());
    while events.recv().await.unwrap() != Event::Changed {}
    call.abort();
    assert!(
        matches!(events.recv().await.unwrap(), Event::Exchange(call) if call.status == Some(202))
    );
}

#[tokio::test]
async fn a_dropped_answer_is_a_closed_connection_without_a_byte() {
    let mut stage = Stage::listening().await;
    stage.set_faults(json!({ "drop": 1 })).await;
    let body = message("Hello").to_string();
    let keys = BASE64_STANDARD.encode("simulated:simulated");
    let address = stage.simulator.url().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v2.2/messages HTTP/1.1\r\nHost: carrier\r\nAuthorization: Basic {keys}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();

    assert_eq!(String::from_utf8_lossy(&answer), "");
    assert_eq!(stage.simulator.ledger().accepted.len(), 1);
    assert_eq!(stage.bodies_on_phone(), ["Hello"]);
    let hooks = stage.all_hooks().await;
    assert_eq!(receipt_statuses(&hooks), ["smsc submit", "message buffered", "delivered"]);
    let exchanges = stage.simulator.exchanges();
    let call = exchanges
        .iter()
        .find(|exchange| exchange.method == "POST" && exchange.url.ends_with("/v2.2/messages"));
    assert!(call.is_some_and(|call| call.status.is_none() && call.error.is_some()));
}

#[tokio::test]
async fn a_duplicate_is_delivered_in_copies() {
    let mut stage = Stage::listening().await;
    stage.set_faults(json!({ "duplicate": 1, "copies": 3 })).await;
    stage.answers([200, 500, 200]);
    let mut statuses = stage.texts("Hello").await.statuses;
    statuses.sort_unstable();
    assert_eq!(statuses, [Some(200), Some(200), Some(500)]);
    let hooks = stage.all_hooks().await;
    assert_eq!(hooks.len(), 3, "one copy was acknowledged, so none is sent again");
    assert!(hooks.iter().all(|hook| hook.bytes == hooks[0].bytes));
}

#[tokio::test]
async fn a_reordered_text_comes_after_the_next() {
    let mut stage =
        Stage::with(|settings| settings.hold = Duration::from_mins(10)).await.listen().await;
    stage.set_faults(json!({ "reorder": 1 })).await;
    tokio::join!(stage.texts("one"), stage.texts("two"), stage.texts("three"), stage.texts("four"));
    let body = |hook: super::Hook| {
        let body = hook.body.pointer("/data/attributes/body").or(hook.body.get("body"));
        body.unwrap().as_str().unwrap().to_owned()
    };
    let order: Vec<String> = stage.all_hooks().await.into_iter().map(body).collect();
    let place = |body: &str| order.iter().position(|other| other == body).unwrap();
    assert!(place("two") < place("one"), "{order:?}");
    assert!(place("four") < place("three"), "{order:?}");
}

#[tokio::test]
async fn a_reordered_text_that_none_follows_comes_after_the_hold() {
    let mut stage = Stage::listening().await;
    stage.set_faults(json!({ "reorder": 1 })).await;
    assert_eq!(stage.texts("one").await.statuses, [Some(200)]);
    assert_eq!(stage.texts("two").await.statuses, [Some(200)]);
    assert_eq!(stage.all_hooks().await.len(), 2);
}

#[tokio::test]
async fn reordered_receipts_overtake_and_the_status_does_not_go_back() {
    let mut stage =
        Stage::with(|settings| settings.hold = Duration::from_mins(10)).await.listen().await;
    stage.set_faults(json!({ "reorder": 1, "seed": 3 })).await;
    stage.send("one").await;
    stage.send("two").await;
    let hooks = stage.all_hooks().await;
    assert_eq!(hooks.len(), 6);
    assert_ne!(receipt_statuses(&hooks)[0], "smsc submit");
    let accepted = stage.simulator.ledger().accepted;
    assert!(accepted.iter().all(|text| text.status.as_deref() == Some("delivered")));
}

#[tokio::test]
async fn lost_texts_never_come_but_the_list_knows() {
    let mut stage = Stage::listening().await;
    stage.set_faults(json!({ "lose_webhook": 1 })).await;
    stage.texts("Hello").await;
    assert!(stage.all_hooks().await.is_empty());
    let (_, listed) = stage.get("/v2.2/messages?start_date=2000-01-01").await;
    assert_eq!(listed["data"][0]["attributes"]["body"], "Hello");
    assert_eq!(listed["data"][0]["attributes"]["direction"], "inbound");
}

#[tokio::test]
async fn lost_receipts_are_not_posted_but_the_list_knows() {
    let mut stage = Stage::listening().await;
    stage.set_faults(json!({ "lose_receipt": 1 })).await;
    let (_, sent) = stage.send("Hello").await;
    assert!(stage.all_hooks().await.is_empty());
    assert_eq!(stage.simulator.ledger().accepted[0].status, None);
    let id = sent["data"]["id"].as_str().unwrap();
    let (_, found) = stage.get(&format!("/v2.2/messages/{id}")).await;
    assert_eq!(found["data"]["attributes"]["status"], "delivered");
}

#[tokio::test]
async fn a_failed_delivery_says_1110_and_stays_off_the_phone() {
    let mut stage = Stage::listening().await;
    stage.set_faults(json!({ "fail_delivery": 1 })).await;
    assert_eq!(stage.send("Hello").await.0, 202);
    let hooks = stage.all_hooks().await;
    assert_eq!(receipt_statuses(&hooks), ["smsc submit", "message buffered", "failed"]);
    assert_eq!(hooks[2].body["data"]["attributes"]["status_code"], "1110");
    assert!(stage.bodies_on_phone().is_empty());
    assert_eq!(stage.simulator.ledger().accepted[0].status.as_deref(), Some("failed"));
}

#[tokio::test]
async fn a_seed_repeats_what_happens() {
    let stage = Stage::start().await;
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        stage.set_faults(json!({ "seed": seed, "refuse": 0.5, "error": 0.3 })).await;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(stage.send("Hello").await.0);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}
