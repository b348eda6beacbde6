//! The demo's page: static files, a stream of what happens, and the buttons' routes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post, put},
};
use fast_qr::{QRBuilder, convert::svg::SvgBuilder};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tower_http::{csrf::CsrfLayer, set_header::SetResponseHeaderLayer};

use super::{files, snapshot, staff::Accounts};
use crate::{
    carrier::simulator::{Exchange, Faults, NewText, Simulator, TextRefused, Texted},
    code::Code,
    http::Problem,
    phone::PhoneNumber,
    vault::Vault,
};

/// What the page looks at.
#[derive(Clone)]
pub(super) struct Watched {
    pub(super) simulator: Arc<Simulator>,
    pub(super) db: PgPool,
    pub(super) vault: Vault,
    pub(super) brand: String,
    /// The webhook's secret, which the wire view shows only as `…`.
    pub(super) secret: String,
    pub(super) accounts: Arc<Accounts>,
    /// Set when the demo ends, so that open streams end too.
    pub(super) closing: CancellationToken,
}

/// How often the database is looked at for what the carrier does not know of, such as a text
/// that waits in the outbox.
const GLANCE: Duration = Duration::from_millis(200);

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The routes of the page's listener.
pub(super) fn routes(watched: Watched) -> Router {
    let always = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    Router::new()
        .route("/", get(file("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/demo.css", get(file("text/css; charset=utf-8", include_str!("page/demo.css"))))
        .merge(scripts())
        .merge(files::routes())
        .route("/state", get(state))
        .route("/events", get(events))
        .route("/qr/{number}/{code}", get(qr))
        .route("/texts", post(text))
        .route("/faults", put(set_faults))
        .route("/faults/reset", post(reset_faults))
        .route("/exchanges/{id}/replay", post(replay))
        .layer(CsrfLayer::new())
        .layer(middleware::from_fn(only_by_its_own_name))
        .layer(always(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(always(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(header::REFERRER_POLICY, "no-referrer"))
        .layer(always(header::CACHE_CONTROL, "no-store"))
        .with_state(watched)
}

/// The page's script, a module for each concern.
fn scripts() -> Router<Watched> {
    let scripts = [
        ("/base.js", include_str!("page/base.js")),
        ("/between.js", include_str!("page/between.js")),
        ("/console.js", include_str!("page/console.js")),
        ("/demo.js", include_str!("page/demo.js")),
        ("/phones.js", include_str!("page/phones.js")),
        ("/pictures.js", include_str!("page/pictures.js")),
        ("/scenes.js", include_str!("page/scenes.js")),
        ("/segments.js", include_str!("page/segments.js")),
        ("/staff.js", include_str!("page/staff.js")),
        ("/state.js", include_str!("page/state.js")),
        ("/weather.js", include_str!("page/weather.js")),
        ("/wire.js", include_str!("page/wire.js")),
    ];
    scripts.into_iter().fold(Router::new(), |routes, (path, script)| {
        routes.route(path, get(file("text/javascript; charset=utf-8", script)))
    })
}

fn file(
    kind: &'static str,
    content: &'static str,
) -> impl Fn() -> std::future::Ready<Response> + Clone {
    move || std::future::ready(([(header::CONTENT_TYPE, kind)], content).into_response())
}

/// Another site whose name resolves to this computer must not reach the page through a browser.
async fn only_by_its_own_name(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    if matches!(name, Some("127.0.0.1" | "localhost")) {
        next.run(request).await
    } else {
        Problem::mute(StatusCode::MISDIRECTED_REQUEST).into_response()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err calls")]
fn away(error: sqlx::Error) -> Problem {
    tracing::warn!(%error, "the demo's database does not answer");
    Problem::mute(StatusCode::SERVICE_UNAVAILABLE)
}

async fn state(State(watched): State<Watched>) -> Result<Json<snapshot::Snapshot>, Problem> {
    snapshot::take(&watched).await.map(Json).map_err(away)
}

async fn events(
    State(watched): State<Watched>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (to_page, from_here) = mpsc::channel(64);
    let closing = watched.closing.clone();
    tokio::spawn(tell(watched, to_page));
    let events = ReceiverStream::new(from_here).map(Ok).take_until(closing.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Tells one open page of each exchange, and of each change, until it is closed.
async fn tell(watched: Watched, page: mpsc::Sender<Event>) {
    let mut changes = watched.simulator.subscribe();
    let (mut last_exchange, mut last_snapshot) = (0, String::new());
    loop {
        let new = watched.simulator.exchanges().into_iter().filter(|one| one.id > last_exchange);
        for exchange in new.collect::<Vec<_>>() {
            last_exchange = exchange.id;
            if send(&page, "exchange", &shown(&exchange, &watched.secret)).await.is_none() {
                return;
            }
        }
        if let Ok(snapshot) = snapshot::take(&watched).await {
            let now = serde_json::to_string(&snapshot).unwrap_or_default();
            if now != last_snapshot && send(&page, "snapshot", &snapshot).await.is_none() {
                return;
            }
            last_snapshot = now;
        }
        // Whatever is told, everything is looked at again; what is told while that goes on counts.
        tokio::select! {
            told = changes.recv() => if matches!(told, Err(RecvError::Closed)) { return },
            () = tokio::time::sleep(GLANCE) => {}
            () = page.closed() => return,
        }
    }
}

async fn send(page: &mpsc::Sender<Event>, name: &str, what: &impl Serialize) -> Option<()> {
    let event = Event::default().event(name).json_data(what).ok()?;
    page.send(event).await.ok()
}

/// An exchange as the page shows it: without the secret, but with the whole URL for curl.
fn shown(exchange: &Exchange, secret: &str) -> Value {
    let hide = |value: &Value| -> Value {
        serde_json::from_str(&value.to_string().replace(secret, "…")).unwrap_or_default()
    };
    let path = url::Url::parse(&exchange.url).map(|url| match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    });
    json!({
        "id": exchange.id,
        "at": exchange.at,
        "direction": exchange.direction,
        "method": exchange.method,
        "url": exchange.url,
        "shown": path.unwrap_or_default().replace(secret, "…"),
        "request": hide(&exchange.request),
        "status": exchange.status,
        "response": hide(&exchange.response),
        "ms": exchange.ms,
        "error": exchange.error,
    })
}

/// A link that opens a phone's composer with the text that joins.
pub(super) fn sms_link(number: &PhoneNumber, code: &Code) -> String {
    format!("sms:{}?body=JOIN%20{code}", number.as_str())
}

/// The QR code of a link that texts JOIN and the code to a masked number.
async fn qr(Path((number, code)): Path<(PhoneNumber, String)>) -> Result<Response, Problem> {
    let code = code.strip_suffix(".svg").and_then(|code| code.parse::<Code>().ok());
    let code = code.ok_or_else(|| Problem::mute(StatusCode::NOT_FOUND))?;
    let drawn = QRBuilder::new(sms_link(&number, &code)).build();
    let drawn = drawn.map_err(|_| Problem::mute(StatusCode::NOT_FOUND))?;
    let kind = [(header::CONTENT_TYPE, "image/svg+xml")];
    Ok((kind, SvgBuilder::default().to_str(&drawn)).into_response())
}

async fn text(
    State(watched): State<Watched>,
    Json(text): Json<NewText>,
) -> Result<Json<Texted>, Problem> {
    let refused =
        |why: TextRefused| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why.to_string());
    watched.simulator.text(text).await.map(Json).map_err(refused)
}

async fn set_faults(
    State(watched): State<Watched>,
    Json(faults): Json<Faults>,
) -> Result<Json<Faults>, Problem> {
    let refused = |why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    watched.simulator.set_faults(faults).map_err(refused)?;
    Ok(Json(watched.simulator.faults()))
}

async fn reset_faults(state: State<Watched>) -> Result<Json<Faults>, Problem> {
    set_faults(state, Json(Faults::default())).await
}

/// Has the carrier's own control route do it: the page asks for nothing that curl could not.
async fn replay(
    State(watched): State<Watched>,
    Path(id): Path<u64>,
) -> Result<Json<Value>, Problem> {
    let url = format!("{}/simulator/exchanges/{id}/replay", watched.simulator.url());
    let answer = reqwest::Client::new().post(url).send().await;
    let answer = match answer.and_then(reqwest::Response::error_for_status) {
        Ok(answer) => answer.json().await,
        Err(error) => Err(error),
    };
    answer
        .map(Json)
        .map_err(|_| Problem::new(StatusCode::CONFLICT, "only a webhook can be replayed"))
}
