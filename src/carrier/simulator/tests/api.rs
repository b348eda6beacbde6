//! The carrier's own API.

use jiff::Timestamp;
use reqwest::{Method, header};
use serde_json::{Value, json};

use super::{NUMBER, OTHER_NUMBER, PHONE, Stage, answer, message, phone, receipt_statuses};
use crate::clock::{Clock, ManualClock};

#[tokio::test]
async fn a_send_is_accepted_on_both_versions() {
    let stage = Stage::start().await;
    for version in ["v2.1", "v2.2"] {
        let (status, body) =
            stage.call(Method::POST, &format!("/{version}/messages"), &message("Hello")).await;

        assert_eq!(status, 202);
        let id = body["data"]["id"].as_str().unwrap();
        let hex = id.strip_prefix("mdr2-").unwrap();
        assert!(hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let link = format!("{}/{version}/messages/{id}", stage.simulator.url());
        assert_eq!(
            body,
            json!({ "data": { "id": id, "type": "message", "links": { "self": link } } })
        );
    }
    let accepted = stage.simulator.ledger().accepted;
    assert_eq!(accepted.len(), 2);
    assert_eq!((&accepted[0].from, &accepted[0].to), (&phone(NUMBER), &phone(PHONE)));
}

#[tokio::test]
async fn wrong_keys_are_401_everywhere_and_nothing_is_accepted() {
    let stage = Stage::start().await;
    for (method, path) in [
        (Method::POST, "/v2.2/messages"),
        (Method::GET, "/v2.2/messages?start_date=2020-01-01"),
        (Method::PUT, "/v2.2/messages/sms_callback"),
        (Method::GET, "/v2/numbers"),
    ] {
        let url = format!("{}{path}", stage.simulator.url());
        let bare = || {
            let request = stage.client.request(method.clone(), &url).json(&message("Hello"));
            request.header(header::CONTENT_TYPE, "application/json")
        };
        for request in
            [bare(), bare().basic_auth("simulated", Some("wrong")), bare().bearer_auth("x")]
        {
            let (status, body) = answer(request).await;
            assert_eq!(status, 401, "{path}");
            let error = &body["errors"][0];
            assert_eq!(error["status"], 401);
            assert_eq!(error["title"], "Unauthorized");
            assert_eq!(error["detail"], "Authentication failed.");
            assert!(error["id"].is_string());
        }
    }
    assert!(stage.simulator.ledger().accepted.is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_send_decides_the_status() {
    let stage = Stage::start().await;
    let with = |name: &str, value: Value| {
        let mut message = message("Hello");
        message["data"]["attributes"][name] = value;
        message
    };
    for (expected, body) in [
        (400, json!({})),
        (400, json!([])),
        (400, with("to", Value::Null)),
        (422, with("from", json!("+12065559999"))),
        (422, with("to", json!("206-555"))),
        (422, with("to", json!("123456"))),
        (422, with("to", json!("+1234567890123456"))),
        (422, with("body", json!(""))),
        (422, with("body", Value::Null)),
        (422, with("dlr_callback", json!("nowhere"))),
        (202, with("to", json!("12065550101"))),
        (202, with("from", json!("12065550100"))),
        (202, with("surprise", json!(1))),
    ] {
        let (status, answer) = stage.call(Method::POST, "/v2.2/messages", &body).await;
        assert_eq!(status, expected, "{body} {answer}");
    }
    let mut picture = with("media_urls", json!(["https://example.com/1.jpg"]));
    picture["data"]["attributes"]["body"] = Value::Null;
    assert_eq!(stage.call(Method::POST, "/v2.2/messages", &picture).await.0, 202);

    let typed = |media_type: &str, body: &'static str| {
        let request = stage.request(Method::POST, "/v2.2/messages");
        answer(request.header(header::CONTENT_TYPE, media_type).body(body))
    };
    assert_eq!(typed("application/json", "{").await.0, 400);
    assert_eq!(typed("text/plain", "{}").await.0, 415);
    assert_eq!(typed("application/vnd.api+json; charset=utf-8", "{").await.0, 400);
}

#[tokio::test]
async fn over_the_limit_is_429() {
    let stage = Stage::with(|settings| settings.sms_per_second = Some(0)).await;
    let (status, body) = stage.send("Hello").await;
    assert_eq!((status, &body["errors"][0]["title"]), (429, &json!("Too Many Requests")));
}

#[tokio::test]
async fn three_receipts_come_in_order_and_alternate_in_shape() {
    let mut stage = Stage::listening().await;
    let (_, sent) = stage.send("Hello").await;
    let hooks = stage.all_hooks().await;

    assert_eq!(receipt_statuses(&hooks), ["smsc submit", "message buffered", "delivered"]);
    assert!(hooks.iter().all(|hook| hook.path == "/dlr"));
    let first = &hooks[0].body["data"];
    assert_eq!(first["type"], "delivery_receipt");
    assert_eq!(first["id"], sent["data"]["id"]);
    assert_eq!(first["attributes"]["level"], 1);
    assert_eq!(first["attributes"]["status_code"], Value::Null);
    assert!(first["attributes"]["timestamp"].as_str().unwrap().ends_with("+00:00"));
    assert_eq!(
        hooks[1].body,
        json!({
            "type": "delivery_receipt",
            "id": sent["data"]["id"],
            "attributes": {
                "to": "12065550101", "from": "12065550100", "body": "Hello",
                "status": "message buffered", "status_code": 1003,
            },
        })
    );
    assert_eq!(hooks[2].body["data"]["attributes"]["level"], 2);
    let accepted = stage.simulator.ledger().accepted.remove(0);
    assert_eq!(accepted.status.as_deref(), Some("delivered"));

    stage.send("Again").await;
    let hooks = stage.all_hooks().await;
    assert!(hooks[0].body["data"].is_null(), "the next message begins with the other shape");
}

#[tokio::test]
async fn receipts_go_where_the_message_asks() {
    let mut stage = Stage::listening().await;
    let mut message = message("Hello");
    message["data"]["attributes"]["dlr_callback"] = json!(format!("{}/own", stage.receiver));
    stage.call(Method::POST, "/v2.2/messages", &message).await;
    let hooks = stage.all_hooks().await;
    assert_eq!(hooks.len(), 3);
    assert!(hooks.iter().all(|hook| hook.path == "/own"));
}

#[tokio::test]
async fn a_receipt_that_is_not_answered_200_is_sent_again() {
    let mut stage = Stage::listening().await;
    stage.answers([204]);
    stage.send("Hello").await;
    let mut submitted = 0;
    for _ in 0..4 {
        let hook = stage.hook().await;
        submitted += usize::from(receipt_statuses(&[hook]) == ["smsc submit"]);
    }
    assert_eq!(submitted, 2);
}

#[tokio::test]
async fn a_message_is_looked_up() {
    let mut stage = Stage::listening().await;
    let (_, sent) = stage.send("Hello").await;
    stage.all_hooks().await;
    let id = sent["data"]["id"].as_str().unwrap();

    let (status, found) = stage.get(&format!("/v2.2/messages/{id}")).await;

    assert_eq!(status, 200);
    let attributes = &found["data"]["attributes"];
    assert_eq!(attributes["direction"], "outbound");
    assert_eq!(attributes["to"], "12065550101");
    assert_eq!(attributes["status"], "delivered");
    assert_eq!(attributes["delivery_receipts"][2]["status"], "smsc submit");
    assert_eq!(stage.get("/v2.2/messages/mdr2-unknown").await.0, 404);
    assert_eq!(stage.get("/v2.2/nothing").await.0, 404);
    assert_eq!(stage.call(Method::PUT, "/v2.2/messages", &json!({})).await.0, 405);
}

#[tokio::test]
async fn the_list_has_both_directions_page_by_page() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let clock = ManualClock::at(start);
    let own = Clock::Manual(clock.clone());
    let stage = Stage::with(|settings| settings.clock = own).await.listen().await;
    for body in ["one", "two"] {
        stage.send(body).await;
        clock.advance(jiff::SignedDuration::from_mins(1));
    }
    stage.texts("three").await;
    stage.simulator.idle().await;

    let mut bodies = Vec::new();
    let mut next = Some("/v2.2/messages?limit=2&start_date=2026-01-01T00:00:00%2B00:00".to_owned());
    while let Some(path) = next {
        let (status, page) = stage.get(&path).await;
        assert_eq!(status, 200);
        for message in page["data"].as_array().unwrap() {
            let attributes = &message["attributes"];
            bodies.push((attributes["body"].clone(), attributes["direction"].clone()));
        }
        let link = page["links"]["next"].as_str();
        next = link.map(|link| link.strip_prefix(&stage.simulator.url()).unwrap().to_owned());
    }
    let expected = [("three", "inbound"), ("two", "outbound"), ("one", "outbound")];
    assert_eq!(bodies, expected.map(|(body, direction)| (json!(body), json!(direction))));

    let dates = "start_date=2026-01-01T00:00:30Z&end_date=2026-01-01T00:01:30Z";
    let (_, page) = stage.get(&format!("/v2.2/messages?{dates}")).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["data"][0]["attributes"]["timestamp"], "2026-01-01T00:01:00.00Z");
    assert_eq!(stage.get("/v2.2/messages").await.0, 400);
    assert_eq!(stage.get("/v2.2/messages?start_date=yesterday").await.0, 422);
}

#[tokio::test]
async fn numbers_come_in_pages_of_ten() {
    let numbers = (0..12).map(|last| phone(&format!("+120155501{last:02}"))).collect();
    let stage = Stage::with(|settings| settings.numbers = numbers).await;

    let (status, first) = stage.get("/v2/numbers").await;
    assert_eq!((status, first["data"].as_array().unwrap().len()), (200, 10));
    assert_eq!(first["data"][0]["id"], "12015550100");
    assert_eq!(first["data"][0]["attributes"]["value"], "12015550100");
    let next = first["links"]["next"].as_str().unwrap();
    let (_, last) = stage.get(next.strip_prefix(&stage.simulator.url()).unwrap()).await;
    assert_eq!(last["data"].as_array().unwrap().len(), 2);
    assert!(last["links"]["next"].is_null());
    assert_eq!(stage.get("/v2/numbers?limit=200").await.0, 200);
    assert_eq!(stage.get("/v2/numbers?limit=201").await.0, 422);
}

#[tokio::test]
async fn a_callback_must_be_a_url_and_one_of_four() {
    let stage = Stage::start().await;
    let put = async |name: &str, body: Value| {
        stage.call(Method::PUT, &format!("/v2.2/messages/{name}"), &body).await.0
    };
    let good = json!({ "data": { "attributes": { "callback_url": "https://example.com/x" } } });
    let bad = json!({ "data": { "attributes": { "callback_url": "x" } } });
    for name in ["sms_callback", "mms_callback", "sms_dlr_callback", "mms_dlr_callback"] {
        assert_eq!(put(name, good.clone()).await, 204);
        assert_eq!(put(name, bad.clone()).await, 422);
        assert_eq!(put(name, json!({})).await, 400);
    }
    assert_eq!(put("other_callback", good).await, 404);
}

#[tokio::test]
async fn a_toll_free_number_shows_as_one() {
    let stage = Stage::start().await;
    let text = json!({ "from": PHONE, "to": OTHER_NUMBER, "body": "Join 👋" });
    let texted = stage.simulator.text(serde_json::from_value(text).unwrap()).await.unwrap();
    let (_, found) = stage.get(&format!("/v2.2/messages/{}", texted.id)).await;
    let attributes = &found["data"]["attributes"];
    assert_eq!(attributes["message_type"], "toll-free");
    assert_eq!(attributes["message_encoding"], 8);
}
