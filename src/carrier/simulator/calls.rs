//! Recording the calls of the API.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

use super::{
    exchanges::{Direction, Exchange},
    problem::Problem,
    shared::Shared,
    webhooks::milliseconds_since,
};

/// The largest request that is read.
const LARGEST: usize = 1 << 20;

/// Marks an answer that must never be written: the connection is closed instead.
#[derive(Clone, Copy)]
pub(super) struct Unanswered;

/// Records a call and its answer. Headers are left out: one of them holds the secret key.
pub(super) async fn record(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let at = shared.settings.clock.now();
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let method = head.method.to_string();
    let url = format!("{}{}", shared.url, head.uri);
    let Ok(request) = to_bytes(body, LARGEST).await else {
        return Problem::malformed("The request could not be read.").into_response();
    };
    let response = next.run(Request::from_parts(head, Body::from(request.clone()))).await;

    let (head, body) = response.into_parts();
    let unanswered = head.extensions.get::<Unanswered>().is_some();
    // It is in memory already.
    let answer = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let exchange = Exchange {
        id: 0,
        at,
        direction: Direction::Call,
        method,
        url,
        request,
        status: (!unanswered).then(|| head.status.as_u16()),
        response: answer.clone(),
        ms: milliseconds_since(started),
        error: unanswered.then(|| "the connection was closed without an answer".to_owned()),
    };
    shared.record(exchange, None);
    Response::from_parts(head, Body::from(answer))
}
