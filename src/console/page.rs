//! What all pages share: the frame around them, and what is answered when there is no page to show.

use askama::Template;
use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use tower_http::csrf::ProtectionError;

use super::{table, visitor::Visitor};
use crate::http::Problem;

/// The frame around a page.
pub(super) struct Frame {
    /// What the page is called.
    pub(super) title: String,
    /// Who looks at it.
    pub(super) name: String,
    pub(super) role: &'static str,
    /// Where they may go.
    pub(super) menu: Vec<Item>,
    /// What was just done, if the page comes after that.
    pub(super) done: Option<String>,
}

/// An entry of the navigation.
pub(super) struct Item {
    pub(super) path: &'static str,
    pub(super) word: &'static str,
    pub(super) is_here: bool,
}

impl Frame {
    /// The frame of the page of this name that stands at this entry of the navigation.
    pub(super) fn new(visitor: &Visitor, title: impl Into<String>, at: &str) -> Self {
        let may = |route: &table::Listed| route.may.admits(visitor.role());
        let items = table::listed().into_iter().filter(|route| route.menu.is_some() && may(route));
        let item = |route: table::Listed| {
            Some(Item { path: route.path, word: route.menu?, is_here: route.path == at })
        };
        let menu =
            if visitor.must_change() { Vec::new() } else { items.filter_map(item).collect() };
        Self {
            title: title.into(),
            name: visitor.name().to_owned(),
            role: visitor.role().as_str(),
            menu,
            done: None,
        }
    }

    /// Says on top of the page what was just done.
    pub(super) fn saying(self, done: Option<&str>) -> Self {
        Self { done: done.map(str::to_owned), ..self }
    }
}

/// Shows a page.
pub(super) fn show(page: &impl Template) -> Response {
    show_with(StatusCode::OK, page)
}

/// Shows a page with another status than OK.
pub(super) fn show_with(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that says one thing, and where to go from there.
#[derive(Template)]
#[template(path = "plain.html")]
struct Plain {
    title: &'static str,
    words: &'static str,
    link: (&'static str, &'static str),
}

/// What such a page says.
#[derive(Clone, Copy)]
pub(super) struct Said {
    title: &'static str,
    words: &'static str,
    link: (&'static str, &'static str),
}

const HOME: (&str, &str) = ("/", "Go to the overview");

/// Said where there is nothing.
const NOTHING: Said = Said {
    title: "There is nothing here",
    words: "The address leads nowhere, or what was here is gone. Nothing was changed.",
    link: HOME,
};
/// Said where the role does not reach.
const CLOSED: Said = Said {
    title: "This is not part of your role",
    words: "Your account may not open this page. If you need it for your work, ask whoever looks after the accounts of staff.",
    link: HOME,
};
/// Said to a form that comes from elsewhere.
pub(super) const FOREIGN: Said = Said {
    title: "This did not come from the console",
    words: "A form was sent here from another site, or by a browser that does not say where it came from. Nothing was changed. Open the console itself and try again there.",
    link: HOME,
};
/// Said to whoever was signed out meanwhile.
const OUT: Said = Said {
    title: "You are signed out",
    words: "Your session has ended, so what you sent was not done. Sign in and do it once more.",
    link: ("/sign-in", "Sign in"),
};
/// Said where a form or an address cannot be read.
const INCOMPLETE: Said = Said {
    title: "Something is missing",
    words: "What was sent is not what a page of the console sends. Nothing was changed. Go back, load the page anew and try once more.",
    link: HOME,
};
/// Said when the database does not answer.
const AWAY: Said = Said {
    title: "The database does not answer",
    words: "Nothing was changed, and nothing is lost. Try again in a minute; if it stays so, tell whoever operates Maskline.",
    link: HOME,
};
/// Said when something broke.
const BROKEN: Said = Said {
    title: "Something went wrong",
    words: "This is a fault of the program, not yours. Nothing was changed. Whoever operates Maskline finds more in its log.",
    link: HOME,
};

/// Shows a page that says one thing.
pub(super) fn plain(status: StatusCode, said: Said) -> Response {
    let Said { title, words, link } = said;
    show_with(status, &Plain { title, words, link })
}

/// What somebody is told whose role does not reach.
pub(super) fn not_allowed(visitor: &Visitor) -> Response {
    tracing::info!(role = %visitor.role(), "a page was refused");
    plain(StatusCode::FORBIDDEN, CLOSED)
}

/// What somebody is told whose form came too late.
pub(super) fn signed_out() -> Response {
    plain(StatusCode::UNAUTHORIZED, OUT)
}

/// What is answered where there is nothing: a page to people, a problem to programs.
pub(super) async fn not_found(headers: HeaderMap) -> Response {
    if wants_page(&headers) {
        plain(StatusCode::NOT_FOUND, NOTHING)
    } else {
        Problem::mute(StatusCode::NOT_FOUND).into_response()
    }
}

/// The same where there is something, and not by this method.
pub(super) async fn no_such_method(request: Request) -> Response {
    if wants_page(request.headers()) {
        plain(StatusCode::METHOD_NOT_ALLOWED, NOTHING)
    } else {
        Problem::mute(StatusCode::METHOD_NOT_ALLOWED).into_response()
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|value| value.contains("text/html"))
}

/// What is answered to a form of another site.
pub(super) fn from_elsewhere(_: ProtectionError) -> Response {
    plain(StatusCode::FORBIDDEN, FOREIGN)
}

/// Why there is no page to show.
#[derive(Debug)]
pub(super) enum Failed {
    /// There is no such thing.
    Nothing,
    /// The database could not be used.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self {
            Self::Nothing => plain(StatusCode::NOT_FOUND, NOTHING),
            Self::Database(
                error @ (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed),
            ) => {
                tracing::warn!(%error, "the console's database does not answer");
                plain(StatusCode::SERVICE_UNAVAILABLE, AWAY)
            }
            Self::Database(error) => {
                tracing::error!(%error, "a page of the console failed");
                plain(StatusCode::INTERNAL_SERVER_ERROR, BROKEN)
            }
        }
    }
}

/// What a form sent.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match Form::<T>::from_request(request, state).await {
            Ok(Form(sent)) => Ok(Self(sent)),
            Err(_) => Err(plain(StatusCode::BAD_REQUEST, INCOMPLETE)),
        }
    }
}

/// What stands behind the question mark of an address.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(_) => Err(plain(StatusCode::BAD_REQUEST, INCOMPLETE)),
        }
    }
}

/// What a page is.
pub(super) type Page = Result<Response, Failed>;
