//! Spans reach a collector, and hold nothing of a conversation.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use tokio::net::TcpListener;

use crate::{
    replicas::connect,
    service::{ANN, BEN, Site},
    support::{NUMBER, SECRET},
};

type Collected = Arc<Mutex<Vec<u8>>>;

/// A collector that keeps what it is sent.
async fn collector() -> (String, Collected) {
    let collected = Collected::default();
    let keep = async |State(collected): State<Collected>, body: Bytes| {
        collected.lock().unwrap().extend(body);
        StatusCode::OK
    };
    let routes = Router::new().route("/v1/traces", post(keep)).with_state(collected.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, routes).await });
    (url, collected)
}

#[tokio::test]
async fn spans_of_a_conversation_arrive_and_hold_nothing_of_it() {
    let (url, collected) = collector().await;
    let site = Site::new().await;
    let served = site.serve_with("serve", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    connect(&site).await;
    site.text(ANN, "the bicycle is purple").await;
    site.inbox(BEN, 2).await;
    let codes = site.column("select code from conversation").await;
    served.stop().await;

    // Whatever the encoding, texts stand in it as they are.
    let spans = String::from_utf8_lossy(&collected.lock().unwrap()).into_owned();
    for name in ["maskline", "request", "/api/message/{secret}", "dispatch", "send"] {
        assert!(spans.contains(name), "{name}");
    }
    let url = site.database_url();
    for never in [&ANN[1..], &BEN[1..], &NUMBER[1..], "bicycle", SECRET, &codes[0], url] {
        assert!(!spans.contains(never), "{never} was told");
    }
}
