//! The carrier answers a send as no carrier should: every text leaves once, and none is stuck.

use jiff::SignedDuration;
use maskline::outbox::worker;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::support::{NUMBER, TestApp, Wishes, flat};

/// Twelve people ask for help, three of them also talk to nobody; the carrier answers all alike.
async fn answered(answer: ResponseTemplate) -> (TestApp, MockServer) {
    let carrier = MockServer::start().await;
    Mock::given(matchers::any()).respond_with(answer).mount(&carrier).await;
    let wishes = Wishes { carrier_url: Some(carrier.uri()), ..Wishes::default() };
    let test = TestApp::wishing(wishes).await;
    for n in 0..12 {
        let phone = test.phone(&format!("+12065550{}", 110 + n)).number;
        assert_eq!(test.post(&flat(&format!("help{n}"), &phone, NUMBER, "HELP")).await, 200);
        if n < 3 {
            assert_eq!(test.post(&flat(&format!("talk{n}"), &phone, NUMBER, "hello")).await, 200);
        }
    }
    (test, carrier)
}

async fn work(test: &TestApp) {
    for _ in 0..5 {
        worker::step(&test.app, &test.carrier).await.unwrap();
        test.advance(SignedDuration::from_mins(10));
    }
}

#[tokio::test]
async fn an_id_that_is_given_twice_or_is_a_phones_text_holds_nobody_up() {
    for id in ["the same", "help3"] {
        let answer = ResponseTemplate::new(202).set_body_json(json!({"data": {"id": id}}));
        let (test, carrier) = answered(answer).await;
        work(&test).await;
        assert_eq!(test.value::<i64>("select count(*) from outbox").await, 0);
        assert_eq!(carrier.received_requests().await.unwrap().len(), 15);
        let receipt = json!({"id": id, "type": "delivery_receipt",
            "attributes": {"status": "failed", "status_code": 1110}});
        assert_eq!(test.post(&receipt).await, 200);
        let accepted = "select count(*) from audit_record where kind = 'accepted'";
        assert_eq!(test.value::<i64>(accepted).await, 15);
        assert_eq!(test.post(&flat("later", &test.ann().number, NUMBER, "HELP")).await, 200);
        work(&test).await;
    }
}

#[tokio::test]
async fn an_acceptance_with_a_huge_or_odd_answer_is_never_sent_again() {
    let huge = format!("{{\"data\": {{\"id\": \"{}\"}}}}", "x".repeat(10 * 1024 * 1024));
    for body in [huge.as_str(), "[]", "{\"data\": {\"id\": [1]}}", "{\"data\": {\"id\": 1.5}}"] {
        let answer = ResponseTemplate::new(202).set_body_string(body);
        let (mut test, carrier) = answered(answer).await;
        test.leave_promises();
        work(&test).await;
        assert_eq!(carrier.received_requests().await.unwrap().len(), 15);
        let states = test.column("select distinct state from outbox").await;
        assert_eq!(states, ["unknown"]);
    }
}

#[tokio::test]
async fn a_redirect_takes_neither_a_text_nor_the_keys_elsewhere() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = MockServer::start().await;
        let answer = ResponseTemplate::new(status)
            .insert_header("location", format!("{}/v2.2/messages", elsewhere.uri()));
        let (mut test, _carrier) = answered(answer).await;
        test.leave_promises();
        worker::step(&test.app, &test.carrier).await.unwrap();
        assert!(elsewhere.received_requests().await.unwrap().is_empty(), "{status}");
        assert_eq!(test.column("select distinct state from outbox").await, ["queued"]);
    }
}

#[tokio::test]
async fn where_tls_fails_the_carrier_has_certainly_not_accepted() {
    for answer in [&b"220 no TLS is spoken here\r\n"[..], b""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut caller, _) = listener.accept().await.unwrap();
                // It has said what it wants before it is answered, or the connection ends.
                caller.read_u8().await.ok();
                caller.write_all(answer).await.ok();
            }
        });
        let wishes = Wishes { carrier_url: Some(url), ..Wishes::default() };
        let mut test = TestApp::wishing(wishes).await;
        test.leave_promises();
        let help = flat("help", &test.ann().number, NUMBER, "HELP");
        assert_eq!(test.post(&help).await, 200);
        for attempt in 1..3 {
            worker::step(&test.app, &test.carrier).await.unwrap();
            let state = test.column("select state || ' ' || attempt from outbox").await;
            assert_eq!(state, [format!("queued {attempt}")]);
            test.advance(SignedDuration::from_secs(5));
        }
        let unknown = "select count(*) from audit_record where kind = 'unknown'";
        assert_eq!(test.value::<i64>(unknown).await, 0);
    }
}
