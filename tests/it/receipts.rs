//! Receipts and the answer to a send, in every order in which they can come.

use std::sync::Arc;

use axum::{Json, Router, http::StatusCode, routing::post};
use maskline::outbox::worker;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};

use crate::{
    sending::soon,
    support::{TestApp, Wishes},
};

/// What comes in about one text.
const EVENTS: [&str; 5] = ["answer", "message buffered", "delivered", "delivered", "failed"];

/// A carrier that answers each send when it is told to, and shows what was sent.
async fn carrier() -> (String, mpsc::UnboundedReceiver<Value>, Arc<Notify>) {
    let (shown, sent) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let answer = async move |Json(text): Json<Value>| {
        let id = text["data"]["attributes"]["dlr_callback"].as_str().unwrap().to_owned();
        shown.send(text).unwrap();
        opened.notified().await;
        (StatusCode::ACCEPTED, Json(json!({"data": {"id": id, "type": "message"}})))
    };
    // Flowroute's own content type is not JSON's.
    let read = post(async move |body: axum::body::Bytes| {
        answer(Json(serde_json::from_slice(&body).unwrap())).await
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v2.2/messages", read);
    tokio::spawn(async { axum::serve(listener, routes).await });
    (url, sent, gate)
}

/// All orders of these.
fn orders(of: &[&'static str]) -> Vec<Vec<&'static str>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for place in 0..of.len() {
        let mut rest = of.to_vec();
        let first = rest.remove(place);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first);
            order
        }));
    }
    all.sort();
    all.dedup();
    all
}

#[tokio::test]
async fn in_every_order_a_text_is_accepted_once_and_keeps_its_first_end() {
    let (url, mut sent, gate) = carrier().await;
    let test = TestApp::wishing(Wishes { carrier_url: Some(url), ..Wishes::default() }).await;
    let orders = orders(&EVENTS);
    assert_eq!(orders.len(), 60);
    for (number, order) in orders.iter().enumerate() {
        test.phone(&format!("+1206555{:04}", 1000 + number)).texts("HELP").await;
        let (app, client) = (test.app.clone(), test.carrier.clone());
        let mut sending = Some(tokio::spawn(async move { worker::step(&app, &client).await }));
        let text = soon("the text is sent", sent.recv()).await.unwrap();
        let url = text["data"]["attributes"]["dlr_callback"].as_str().unwrap().to_owned();
        for event in order {
            if *event == "answer" {
                gate.notify_one();
                assert_eq!(sending.take().unwrap().await.unwrap().unwrap(), 1);
            } else {
                let receipt = json!({"type": "delivery_receipt", "id": url,
                    "attributes": {"status": event}});
                let post = test.http.post(&url).body(receipt.to_string()).send();
                assert_eq!(post.await.unwrap().status(), 200);
            }
        }
        let id = url.rsplit('/').next().unwrap();
        let kept = format!("select delivery from carrier_message where text_id = '{id}'");
        let first = order.iter().find(|event| ["delivered", "failed"].contains(event));
        assert_eq!(test.column(&kept).await, [*first.unwrap()], "{order:?}");
        let record = |kind| {
            format!("select count(*) from audit_record where text_id = '{id}' and kind {kind}")
        };
        assert_eq!(test.value::<i64>(&record("= 'accepted'")).await, 1, "{order:?}");
        let ends = record("in ('delivered', 'failed')");
        assert_eq!(test.value::<i64>(&ends).await, 1, "{order:?}");
        let others = record("in ('accepted_twice', 'unknown', 'dropped')");
        assert_eq!(test.value::<i64>(&others).await, 0, "{order:?}");
    }
    assert_eq!(test.value::<i64>("select count(*) from outbox").await, 0);
}
