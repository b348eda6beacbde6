//! What both listeners share: the layers around every request, and the one form of an error.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{ConnectInfo, MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
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

/// How long a caller may take for the head of a request, and lie idle between two.
const HEAD: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes, and so how much of one is kept in memory: anybody may
/// begin many at once.
const LONGEST_HEAD: usize = 32 * 1024;
/// How long a caller may take nothing of an answer that is there for them.
const DEAF: Duration = Duration::from_secs(30);
/// How long to wait when no connection can be taken, say for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// The most connections that one listener holds, and the most files that a process opens.
const MOST_CONNECTIONS: u64 = 4096;
const MOST_FILES: u64 = 3 * MOST_CONNECTIONS;

/// Lets this process open as many files and connections as the system allows it, within reason. It
/// begins with fewer, for the sake of old programs.
pub fn open_many() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        setrlimit(Resource::RLIMIT_NOFILE, most.min(MOST_FILES).max(now), most)
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

/// How many connections a listener holds at once. There are two, and they leave a third of what may be
/// open to the database, the carrier and the files: whoever opens connections for nothing keeps callers
/// waiting at that listener, and nobody else.
fn places() -> usize {
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    usize::try_from((files / 3).clamp(1, MOST_CONNECTIONS)).unwrap_or(1)
}

/// Answers on a listener until told to stop, then finishes the answers under way.
///
/// Served with hyper itself: whoever sends half a request's head and then nothing, or takes nothing of
/// an answer, is cut off, and can neither hold a socket for ever nor keep the process from draining.
/// Who comes when all places are taken waits until one is free.
pub async fn listen(listener: TcpListener, routes: Router, stop: CancellationToken) {
    listen_to(listener, routes, stop, DEAF).await;
}

/// The same, for callers who may be deaf for so long.
async fn listen_to(listener: TcpListener, routes: Router, stop: CancellationToken, deaf: Duration) {
    let routes = around(routes);
    let under_way = GracefulShutdown::new();
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
    let places = Arc::new(Semaphore::new(places()));
    let mut was_full = false;
    loop {
        let is_full = places.available_permits() == 0;
        if is_full && !was_full {
            tracing::warn!("as many connections are open as may be: the next must wait");
        }
        was_full = is_full;
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        stream.set_nodelay(true).ok();
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_write_timeout_pinned(Some(deaf));
        let service = TowerToHyperService::new(routes.clone().layer(Extension(ConnectInfo(peer))));
        let connection = under_way.watch(http1.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A caller that goes away is no error of ours.
            connection.await.ok();
            drop(place);
        });
    }
    drop(listener);
    under_way.shutdown().await;
}

/// Puts the layers around a listener's routes: request id, log line, time limit, no panic gets out.
///
/// The log line names the route as it is declared, never the path as it came: a webhook's path
/// holds a secret.
fn around(routes: Router) -> Router {
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use axum::routing::get;
    use tokio::{net::TcpStream, time::Instant};

    use super::*;

    #[tokio::test]
    async fn whoever_takes_nothing_of_an_answer_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(async || "x".repeat(100_000)));
        let patience = Duration::from_millis(300);
        tokio::spawn(listen_to(listener, routes, CancellationToken::new(), patience));
        let caller = TcpStream::connect(address).await.unwrap();
        let begun = Instant::now();
        // Asks again and again, and reads nothing.
        let cut_off = loop {
            match caller.try_write(b"GET / HTTP/1.1\r\nhost: us\r\n\r\n") {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tokio::time::sleep(patience / 10).await;
                }
                Err(error) => break error,
            }
            assert!(begun.elapsed() < Duration::from_secs(8), "it holds its place");
        };
        let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(kinds.contains(&cut_off.kind()), "{cut_off}");
        assert!(begun.elapsed() >= patience, "{:?}", begun.elapsed());
    }
}
