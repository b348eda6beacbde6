//! The front door: a text message arrives as a webhook.
//!
//! One request, one transaction: the carrier's message id, the new state, the audit record and the
//! promised texts are committed together or not at all. Only then is the answer 200. Nothing here
//! speaks to the carrier.

mod desk;
mod gate;
mod line;
mod receive;

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{
        ConnectInfo, DefaultBodyLimit, FromRequest, Path, Request, State, rejection::PathRejection,
    },
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Map, Value};
use tokio::time::Instant;

pub(crate) use self::gate::caller;
pub use self::{
    line::Intake,
    receive::{receive, receive_late, receive_receipt},
};
use crate::{
    app::App,
    carrier::wire::{self, Webhook},
    http::Problem,
    ids::TextId,
    media,
};

/// The longest payload that is read: anything of 1 MiB or more is refused.
const LONGEST: usize = 1024 * 1024 - 1;

/// How long the database may take. The carrier is to have its answer within 5 seconds.
const PATIENCE: Duration = Duration::from_millis(4500);

/// The routes of the public listener: the carrier's webhooks, and the pictures that it fetches.
pub fn routes(app: App) -> Router {
    Router::new()
        .route("/api/message/{secret}", post(message))
        .route("/api/receipt/{secret}/{token}", post(receipt))
        .layer(DefaultBodyLimit::max(LONGEST))
        .layer(middleware::from_fn(timed))
        .with_state(Intake::new(app.clone()))
        .merge(media::routes(app))
}

/// Measures how long the carrier waits for its answer.
async fn timed(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::histogram!("maskline_webhook_seconds", "status" => status).record(began.elapsed());
    response
}

async fn message(
    State(intake): State<Intake>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let Ok(Path(secret)) = path else { return turn_away() };
    let payload = match open(intake.app(), peer, &secret, request).await {
        Ok(payload) => payload,
        Err(refusal) => return refusal,
    };
    match Webhook::read(&payload) {
        Webhook::Text(text) => answer(intake.receive(text)).await,
        Webhook::Receipt(receipt) => answer(receive_receipt(intake.app(), &receipt, None)).await,
        Webhook::Unreadable { body } => {
            answer(receive::receive_unreadable(intake.app(), body)).await
        }
    }
}

async fn receipt(
    State(intake): State<Intake>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let Ok(Path((secret, token))) = path else { return turn_away() };
    let payload = match open(intake.app(), peer, &secret, request).await {
        Ok(payload) => payload,
        Err(refusal) => return refusal,
    };
    let Ok(token) = token.parse::<TextId>() else {
        return Problem::mute(StatusCode::NOT_FOUND).into_response();
    };
    match Webhook::read(&payload) {
        Webhook::Receipt(receipt) => {
            answer(receive_receipt(intake.app(), &receipt, Some(token))).await
        }
        // A text at the door for receipts is still a text.
        Webhook::Text(text) => answer(intake.receive(text)).await,
        Webhook::Unreadable { body } => {
            answer(receive::receive_unreadable(intake.app(), body)).await
        }
    }
}

/// The answer to a stranger, and to whoever writes a path that is no text.
fn turn_away() -> Response {
    receive::count("refused_at_the_door", 1);
    Problem::mute(StatusCode::NOT_FOUND).into_response()
}

/// Looks who is at the door before a byte of the payload is read, and then reads it.
async fn open(
    app: &App,
    peer: SocketAddr,
    secret: &str,
    request: Request,
) -> Result<Map<String, Value>, Response> {
    if !gate::admits(app, peer, request.headers(), secret) {
        return Err(turn_away());
    }
    let body = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| Problem::mute(rejection.status()).into_response())?;
    wire::read_json(&body).ok_or_else(|| {
        receive::count("not_json", 1);
        Problem::new(StatusCode::BAD_REQUEST, "the payload is no JSON object").into_response()
    })
}

/// 200 once it is committed; 503 when it is not, so that the carrier comes again.
async fn answer(work: impl Future<Output = sqlx::Result<()>>) -> Response {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(error)) => {
            tracing::error!(%error, "a webhook could not be committed: answered 503");
            receive::count("unavailable", 1);
            Problem::mute(StatusCode::SERVICE_UNAVAILABLE).into_response()
        }
        Err(_) => {
            tracing::error!("the database took too long for a webhook: answered 503");
            receive::count("unavailable", 1);
            Problem::mute(StatusCode::SERVICE_UNAVAILABLE).into_response()
        }
    }
}
