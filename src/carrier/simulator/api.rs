//! The carrier's API: its routes, and who may use them.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::ExposeSecret;

use super::{Settings, calls, lookups, problem::Problem, send, shared::Shared};

/// The version under which the API was called, which its links repeat.
#[derive(Clone, Copy)]
pub(super) struct Version(pub(super) &'static str);

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .nest("/v2.1", messages("v2.1"))
        .nest("/v2.2", messages("v2.2"))
        .route("/v2/numbers", get(lookups::numbers))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(shared), authenticate))
        .layer(from_fn_with_state(Arc::clone(shared), calls::record))
        .with_state(Arc::clone(shared))
}

fn messages(version: &'static str) -> Router<Arc<Shared>> {
    Router::new()
        .route("/messages", get(lookups::messages).post(send::send))
        .route("/messages/{name}", get(lookups::message).put(lookups::set_callback))
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(Version(version)))
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here.")
}

async fn authenticate(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !is_the_account(request.headers(), &shared.settings) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "Authentication failed."));
    }
    Ok(next.run(request).await)
}

fn is_the_account(headers: &HeaderMap, settings: &Settings) -> bool {
    let keys = || {
        let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = header.split_once(' ')?;
        let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
        scheme.eq_ignore_ascii_case("Basic").then(|| String::from_utf8(decoded).ok())?
    };
    let right = format!("{}:{}", settings.access_key, settings.secret_key.expose_secret());
    keys() == Some(right)
}
