//! `/simulator/`: what a test or a person does to the simulated carrier and sees of it.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    exchanges::{Exchange, NoReplay},
    faults::Faults,
    ledger::{Ledger, PhoneText},
    problem::{Problem, read},
    shared::Shared,
    texts::{self, Texted},
    webhooks,
};
use crate::phone::PhoneNumber;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/texts", post(text))
        .route("/ledger", get(ledger))
        .route("/phones/{number}", get(phone))
        .route("/faults", get(faults).put(set_faults))
        .route("/exchanges", get(exchanges))
        .route("/exchanges/{id}/replay", post(replay))
        .route("/reset", post(reset))
        .fallback(async || Problem::not_found())
        .with_state(Arc::clone(shared))
}

async fn text(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Texted>, Problem> {
    let text = read(&headers, &body)?;
    let texted = texts::text(&shared, text).await;
    texted.map(Json).map_err(|error| Problem::invalid(error.to_string()))
}

async fn ledger(State(shared): State<Arc<Shared>>) -> Json<Ledger> {
    Json(shared.state().book.ledger())
}

async fn phone(
    State(shared): State<Arc<Shared>>,
    Path(number): Path<String>,
) -> Result<Json<Vec<PhoneText>>, Problem> {
    let number: PhoneNumber =
        number.parse().map_err(|_| Problem::invalid("The number must be in E.164."))?;
    Ok(Json(shared.state().book.phone(&number)))
}

async fn faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    Json(shared.state().dice.faults().clone())
}

async fn set_faults(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Faults>, Problem> {
    let faults: Faults = read(&headers, &body)?;
    faults.check().map_err(Problem::invalid)?;
    shared.state().dice.load(faults.clone());
    Ok(Json(faults))
}

async fn exchanges(State(shared): State<Arc<Shared>>) -> Json<Vec<Exchange>> {
    Json(shared.state().exchanges.all())
}

/// Posts a webhook again, once, whatever comes of it.
async fn replay(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found())?;
    let webhook = shared.state().exchanges.webhook(id).map_err(|why| match why {
        NoReplay::Unknown => Problem::not_found(),
        NoReplay::NotAWebhook => {
            Problem::new(StatusCode::CONFLICT, "Only a webhook can be replayed.")
        }
    })?;
    let _busy = shared.activity.begin();
    let status = webhooks::post(&shared, &webhook).await;
    Ok(Json(json!({ "status": status })))
}

async fn reset(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.state().dice.load(Faults::default());
    StatusCode::NO_CONTENT
}
