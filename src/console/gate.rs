//! Who may pass: every request is asked for its session and its role before its page is begun.

use axum::{
    extract::{OriginalUri, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    page,
    staff::session::{self, Token},
    table::May,
    visitor::{Visitor, caller},
};
use crate::app::App;

/// The name of the cookie. Its prefix has browsers refuse it unless it is Secure, for this host
/// alone, and for all paths.
pub(super) const COOKIE: &str = "__Host-maskline";

/// The header that pages ask with when they keep themselves up to date.
const LIVE: &str = "x-live";

/// Lets a request through to its page if whoever sent it may.
pub(super) async fn gate(
    State((app, may)): State<(App, May)>,
    mut request: Request,
    next: Next,
) -> Response {
    if matches!(may, May::Anybody) {
        return next.run(request).await;
    }
    // A page that keeps itself up to date is no sign that somebody is there.
    let is_active = !request.headers().contains_key(LIVE);
    let session = match token(request.headers()) {
        None => None,
        Some(token) => {
            let see = async {
                let mut conn = app.db.acquire().await?;
                session::see(&mut conn, &token, is_active, app.clock.now()).await
            };
            match see.await {
                Ok(session) => session,
                Err(error) => return page::Failed::from(error).into_response(),
            }
        }
    };
    let Some(session) = session else { return sign_in_first(&request) };
    if session.must_change && !matches!(may, May::Newcomer) {
        return Redirect::to("/password").into_response();
    }
    let visitor = Visitor::new(session, caller(&app, request.extensions(), request.headers()));
    if !may.admits(visitor.role()) {
        return page::not_allowed(&visitor);
    }
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

/// Sends somebody to the page for signing in, and back afterwards. What a form sent is not kept.
fn sign_in_first(request: &Request) -> Response {
    if request.method() != Method::GET {
        return page::signed_out();
    }
    let wanted = request.extensions().get::<OriginalUri>().map_or(request.uri(), |uri| &uri.0);
    let wanted = wanted.path_and_query().map_or("/", |wanted| wanted.as_str());
    if wanted == "/" {
        return Redirect::to("/sign-in").into_response();
    }
    let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    Redirect::to(&format!("/sign-in?next={next}")).into_response()
}

/// The token that a browser sent.
pub(super) fn token(headers: &HeaderMap) -> Option<Token> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|value| value.split(';')).filter_map(|one| one.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE).and_then(|(_, value)| Token::read(value.trim()))
}

/// What changes something is sent by a page of this console. Browsers say from where a form came; a
/// request that does not say is none of theirs.
pub(super) async fn by_a_page_of_ours(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let says =
        ["sec-fetch-site", "origin"].iter().any(|name| request.headers().contains_key(*name));
    if reads || says {
        return next.run(request).await;
    }
    page::plain(StatusCode::FORBIDDEN, page::FOREIGN)
}
