//! The carrier's list is slow, broken, endless or lies: nothing is harmed, and it is tried again.

use std::time::Duration;

use jiff::SignedDuration;
use maskline::{
    carrier::ListError,
    reconciler::{Reconciler, RoundError},
};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

use super::received;
use crate::support::{NUMBER, TestApp, Wishes, flat};

/// An app whose carrier's list answers like this.
async fn listing(answer: impl wiremock::Respond + 'static) -> (TestApp, MockServer) {
    let carrier = MockServer::start().await;
    Mock::given(matchers::path("/v2.2/messages")).respond_with(answer).mount(&carrier).await;
    let wishes = Wishes { carrier_url: Some(carrier.uri()), ..Wishes::default() };
    let mut test = TestApp::wishing(wishes).await;
    test.leave_promises();
    (test, carrier)
}

async fn round(test: &TestApp) -> Result<bool, RoundError> {
    Reconciler::new(test.app.clone(), test.carrier.clone()).step().await
}

fn inbound(id: &str, body: &str) -> Value {
    json!({"type": "message", "id": id, "attributes": {"direction": "inbound", "body": body,
        "from": "12065550142", "to": "14155550100", "timestamp": "2026-03-01T12:00:00.00Z"}})
}

#[tokio::test]
async fn a_list_that_cannot_be_read_harms_nothing_and_is_tried_again() {
    let page = |body: &str| ResponseTemplate::new(200).set_body_string(body.to_owned());
    for (answer, said) in [
        (ResponseTemplate::new(500), "status 500"),
        (ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/"), "status 302"),
        (ResponseTemplate::new(401), "keys"),
        (page("<html>"), "no list"),
        (page("{}"), "no list"),
        (page("[]"), "no list"),
        (page(r#"{"data": {}}"#), "no list"),
        (page(&" ".repeat(5 * 1024 * 1024)), "too long"),
    ] {
        let (test, carrier) = listing(answer).await;
        let error = round(&test).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(!round(&test).await.unwrap(), "not at once");
        let ann = test.ann();
        assert_eq!(test.post(&flat("m1", &ann.number, NUMBER, "HELP")).await, 200);
        let watermark =
            "select to_char(watermark at time zone 'utc', 'HH24:MI') from reconciliation";
        assert_eq!(test.value::<String>(watermark).await, "12:00");

        carrier.reset().await;
        let good = json!({"data": [inbound("m2", "found")]});
        Mock::given(matchers::any())
            .respond_with(ResponseTemplate::new(200).set_body_json(good))
            .mount(&carrier)
            .await;
        test.advance(SignedDuration::from_hours(1));
        assert!(round(&test).await.unwrap());
        assert_eq!(received(&test, "found").await, 1);
        assert_eq!(test.value::<String>(watermark).await, "12:57");
    }
}

#[tokio::test]
async fn a_page_that_comes_again_ends_the_round() {
    let again = json!({"data": [inbound("m1", "hello")], "links": {"next": "more"}});
    let (test, carrier) = listing(ResponseTemplate::new(200).set_body_json(again)).await;
    test.advance(SignedDuration::from_mins(5));
    let error = round(&test).await.unwrap_err();
    assert!(matches!(error, RoundError::List(ListError::Endless)), "{error}");
    assert_eq!(carrier.received_requests().await.unwrap().len(), 2);
    assert_eq!(received(&test, "hello").await, 0, "half a list is no order");
}

#[tokio::test]
async fn pages_without_end_are_bounded() {
    let endless = |request: &Request| {
        let offset = request.url.query_pairs().find(|(name, _)| name == "offset").unwrap().1;
        let page =
            json!({"data": [inbound(&format!("m{offset}"), "a")], "links": {"next": "more"}});
        ResponseTemplate::new(200).set_body_json(page)
    };
    let (test, carrier) = listing(endless).await;
    let error = round(&test).await.unwrap_err();
    assert!(matches!(error, RoundError::List(ListError::TooMuch)), "{error}");
    let asked = carrier.received_requests().await.unwrap().len();
    assert!(asked <= 500, "{asked} pages");
}

#[tokio::test]
async fn no_link_leads_the_keys_elsewhere() {
    let stranger = MockServer::start().await;
    let next = format!("{}/v2.2/messages?offset=1", stranger.uri());
    let pages = move |request: &Request| {
        let is_first = request.url.query().unwrap().ends_with("offset=0");
        let page = if is_first {
            json!({"data": [inbound("m1", "one")], "links": {"next": next}})
        } else {
            json!({"data": [inbound("m2", "two")]})
        };
        ResponseTemplate::new(200).set_body_json(page)
    };
    let (test, carrier) = listing(pages).await;
    test.advance(SignedDuration::from_mins(5));
    round(&test).await.unwrap();
    assert_eq!((received(&test, "one").await, received(&test, "two").await), (1, 1));
    assert_eq!(stranger.received_requests().await.unwrap().len(), 0);
    assert_eq!(carrier.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_was_not_asked_for_and_what_cannot_be_read_is_left_out() {
    let old = |mut message: Value, at: &str| {
        message["attributes"]["timestamp"] = json!(at);
        message
    };
    let mut sideways = inbound("m5", "sideways");
    sideways["attributes"]["direction"] = json!(["inbound"]);
    let listed = json!({"data": [
        old(inbound("m1", "months ago"), "2025-11-01T12:00:00Z"),
        old(inbound("m2", "to come"), "2026-03-02T12:00:00Z"),
        old(inbound("m3", "whenever"), "yesterday"),
        inbound("", "nameless"),
        sideways, "no object", 7, null, {"id": {}},
        inbound("m4", "good"),
        inbound("m4", "good"),
        old(inbound("m6", "good without zone"), "2026-03-01T12:00:01"),
    ]});
    let (test, _carrier) = listing(ResponseTemplate::new(200).set_body_json(listed)).await;
    test.advance(SignedDuration::from_mins(5));
    assert!(round(&test).await.unwrap());
    let kept = "select body from audit_record where kind = 'received' order by at, id";
    assert_eq!(test.column(kept).await, ["good", "good without zone"]);
}

#[tokio::test]
async fn one_text_that_cannot_be_kept_is_not_in_the_others_way() {
    let listed = json!({"data": [inbound("good", "good"), inbound("bad", "bad")]});
    let (test, _carrier) = listing(ResponseTemplate::new(200).set_body_json(listed)).await;
    test.run("alter table carrier_message add constraint no_bad check (carrier_id <> 'bad')").await;
    test.advance(SignedDuration::from_mins(5));
    assert!(round(&test).await.unwrap());
    assert_eq!((received(&test, "bad").await, received(&test, "good").await), (0, 1));
    test.run("alter table carrier_message drop constraint no_bad").await;
    test.advance(SignedDuration::from_mins(1));
    assert!(round(&test).await.unwrap());
    assert_eq!((received(&test, "bad").await, received(&test, "good").await), (1, 1));
}

/// Answers with one text for a short time, and with this for a long one.
fn short_only(long: ResponseTemplate) -> impl Fn(&Request) -> ResponseTemplate {
    move |request: &Request| {
        let asked = |name: &str| -> jiff::Timestamp {
            let mut pairs = request.url.query_pairs();
            pairs.find(|(key, _)| key == name).unwrap().1.parse().unwrap()
        };
        let width = asked("end_date").duration_since(asked("start_date"));
        if width > SignedDuration::from_mins(10) {
            return long.clone();
        }
        ResponseTemplate::new(200).set_body_json(json!({"data": [inbound("m1", "found")]}))
    }
}

#[tokio::test]
async fn a_page_that_is_too_long_is_asked_for_in_shorter_parts() {
    let huge = ResponseTemplate::new(200).set_body_string(" ".repeat(5 * 1024 * 1024));
    let (test, _carrier) = listing(short_only(huge)).await;
    test.advance(SignedDuration::from_mins(5));
    assert!(round(&test).await.unwrap());
    assert_eq!(received(&test, "found").await, 1);
}

#[tokio::test]
async fn a_list_that_takes_too_long_is_asked_for_in_shorter_parts() {
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(5));
    let (test, _carrier) = listing(short_only(slow)).await;
    test.advance(SignedDuration::from_mins(5));
    let patience = Duration::from_secs(1);
    let round = Reconciler::new(test.app.clone(), test.carrier.clone()).with_patience(patience);
    assert!({ round }.step().await.unwrap());
    assert_eq!(received(&test, "found").await, 1);
}
