//! The console: what staff see of all this in a browser, on the private listener.
//!
//! Pages are made here; they need no script to work, no build step and nothing from elsewhere. One table names
//! every route and who may use it; the router, the table in the handbook and the test of every role
//! against every route are made from it. Whoever reads words or numbers is on record before they are
//! answered.

mod access;
mod account;
mod assets;
mod conversation;
pub mod exports;
mod gate;
mod holds;
mod home;
mod integrity;
mod leaf;
mod numbers;
mod page;
mod people;
mod request;
mod retention;
mod reveal;
mod say;
mod search;
mod sign_in;
pub mod staff;
mod subject;
mod table;
mod tasks;
mod transcript;
mod verification;
mod visitor;
mod words;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    middleware,
};
use tower_http::{csrf::CsrfLayer, set_header::SetResponseHeaderLayer};

pub use self::table::{Listed, May, listed};
use crate::app::App;

/// Nothing but our own style, script and pictures within the page; forms go nowhere else; nobody may
/// frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The console's routes. Whatever else is asked for on this listener is answered as not found.
pub fn routes(app: App) -> Router {
    let always = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    let mut routes = Router::new();
    for route in table::table() {
        let guard = (app.clone(), route.may);
        let guarded = route.handler.layer(middleware::from_fn_with_state(guard, gate::gate));
        routes = routes.route(route.path, guarded);
    }
    routes
        .method_not_allowed_fallback(page::no_such_method)
        .layer(middleware::from_fn(gate::by_a_page_of_ours))
        .layer(CsrfLayer::new().with_rejection_response(page::from_elsewhere))
        .layer(always(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(always(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(header::X_FRAME_OPTIONS, "DENY"))
        .layer(always(header::REFERRER_POLICY, "same-origin"))
        .layer(always(header::CACHE_CONTROL, "no-store"))
        .layer(always(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(always(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .with_state(app)
}
