//! Spans reach a collector, and hold nothing of a conversation.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

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

/// The trace and the name of each span, found by the shape of the protocol's encoding: field 1 holds
/// the trace, 2 the span, 4 its parent if it has one, 5 the name.
fn spans_in(mut bytes: &[u8]) -> Vec<([u8; 16], String)> {
    let mut found = Vec::new();
    while let Some((_, rest)) = bytes.split_first() {
        if let Some(span) = span_at(bytes) {
            found.push(span);
        }
        bytes = rest;
    }
    found
}

fn span_at(bytes: &[u8]) -> Option<([u8; 16], String)> {
    let trace = bytes.strip_prefix(&[0x0a, 16])?.first_chunk::<16>()?;
    let rest = bytes[18..].strip_prefix(&[0x12, 8])?.get(8..)?;
    let rest = rest.strip_prefix(&[0x22, 8]).map_or(Some(rest), |parent| parent.get(8..))?;
    let (length, name) = rest.strip_prefix(&[0x2a])?.split_first()?;
    let name = name.get(..usize::from(*length))?;
    Some((*trace, String::from_utf8(name.to_vec()).ok()?))
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
    for name in ["maskline", "request", "/api/message/{secret}", "dispatch", "deliver", "send"] {
        assert!(spans.contains(name), "{name}");
    }
    let traces = |name: &str| -> BTreeSet<[u8; 16]> {
        let spans = spans_in(&collected.lock().unwrap());
        spans.into_iter().filter(|(_, of)| of == name).map(|(trace, _)| trace).collect()
    };
    let (sent, asked) = (traces("send"), traces("request"));
    assert!(sent.len() >= 3, "START, JOIN and the words: {}", sent.len());
    assert!(
        sent.is_subset(&asked),
        "a text is sent in the trace of the webhook that called for it"
    );
    let url = site.database().app_url.as_str();
    for never in [&ANN[1..], &BEN[1..], &NUMBER[1..], "bicycle", SECRET, &codes[0], url] {
        assert!(!spans.contains(never), "{never} was told");
    }
}
