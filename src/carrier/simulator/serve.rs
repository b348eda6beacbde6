//! The listener. It can close a connection without a byte of answer, which `axum::serve` cannot.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::Response};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::sleep,
};
use tower::ServiceExt;

use super::{api, calls::Unanswered, control, files, shared::Shared};

/// How long to wait after a failed accept: it fails again at once while files are short.
const BREATH: Duration = Duration::from_millis(50);

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = api::router(&shared)
        .nest("/files", files::router(&shared))
        .nest("/simulator", control::router(&shared))
        .nest("/simulator/files", files::upload(&shared));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                shared.spawn(connection(stream, router.clone(), Arc::clone(&shared)));
            }
            Err(error) => {
                tracing::warn!(%error, "the simulated carrier could not accept a connection");
                sleep(BREATH).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(request, router.clone(), Arc::clone(&shared)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the simulated carrier ended early");
    }
}

/// Answers a request; an error makes the server close the connection and write nothing.
async fn answer(
    request: Request<Incoming>,
    router: Router,
    shared: Arc<Shared>,
) -> io::Result<Response> {
    // In a task of its own: a caller that goes away before a late answer must not undo the call.
    let (give, given) = oneshot::channel();
    shared.spawn(async move {
        let Ok(response) = router.oneshot(request.map(Body::new)).await;
        // The caller may be gone.
        let _ = give.send(response);
    });
    let response = given.await.map_err(io::Error::other)?;
    if response.extensions().get::<Unanswered>().is_some() {
        return Err(io::Error::other("closed without an answer, as was demanded"));
    }
    Ok(response)
}
