//! What both listeners share: the layers around every request, and the one form of an error.

use std::{any::Any, time::Duration};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tracing::{Span, field};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a whole request may take, its body included.
const PATIENCE: Duration = Duration::from_secs(30);

/// An error as RFC 9457 problem details. Client errors speak, server errors are mute.
#[derive(Debug, Serialize)]
pub struct Problem {
    status: u16,
    title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Problem {
    /// An error of the client, with what it can do about it.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::mute(status) }
    }

    /// An error that says no more than its status.
    pub fn mute(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { status: status.as_u16(), title, detail: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = HeaderValue::from_static("application/problem+json");
        (status, [(header::CONTENT_TYPE, kind)], Json(self)).into_response()
    }
}

/// Puts the layers around a listener's routes: request id, log line, time limit, no panic gets out.
///
/// The log line names the route as it is declared, never the path as it came: a webhook's path
/// holds a secret.
pub fn around(routes: Router) -> Router {
    routes
        .fallback(async || Problem::mute(StatusCode::NOT_FOUND))
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| {
            tracing::error!("a request handler panicked");
            Problem::mute(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, PATIENCE))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_failure(())
                .on_eos(())
                .on_body_chunk(())
                .on_response(|response: &Response, took: Duration, _: &Span| {
                    let status = response.status().as_u16();
                    tracing::debug!(status, ms = took.as_secs_f64() * 1e3, "answered");
                }),
        )
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

fn span(request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    // A caller may bring an id of its own; only a plain short one is believed.
    let plain =
        |id: &&str| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let id = id.filter(plain).map(field::display);
    tracing::info_span!("request", id, method = %request.method(), route)
}
