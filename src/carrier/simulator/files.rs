//! The files that phones sent, as the carrier gives them out: to whoever has the URL.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;

use super::{Media, shared::Shared};

/// The largest file that a phone may send through the control routes, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// How much of a streamed file goes at once, in bytes.
const PIECE: usize = 64 * 1024;

/// A file that a phone sent, and how the carrier gives it out.
#[derive(Debug, Clone)]
pub struct File {
    /// Its type, as the phone says.
    pub mime_type: String,
    /// What is in it.
    pub bytes: Bytes,
    /// What happens to whoever fetches it.
    pub fate: FileFate,
}

/// What happens to whoever fetches a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFate {
    /// They get it.
    Given,
    /// They get it piece by piece, and hear nothing of its size.
    Streamed,
    /// They are sent elsewhere.
    Redirect(String),
    /// They get this status and nothing else.
    Status(u16),
    /// They wait for ever.
    Silence,
}

/// The files, by the last part of their URL, with how often each was asked for.
#[derive(Debug, Default)]
pub(super) struct Files(HashMap<String, (File, u64)>);

impl Files {
    /// Keeps a file under a name, in place of what was there.
    pub(super) fn keep(&mut self, name: String, file: File) {
        self.0.insert(name, (file, 0));
    }

    /// How often this was asked for since it was kept.
    pub(super) fn asked(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |(_, asked)| *asked)
    }
}

/// Where files are fetched. They ask for no password: their names cannot be guessed.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new().route("/{name}", get(give)).with_state(Arc::clone(shared))
}

/// Where a page leaves files.
pub(super) fn upload(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/", post(take))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Arc::clone(shared))
}

async fn give(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    let file = shared.state().files.0.get_mut(&name).map(|(file, asked)| {
        *asked += 1;
        file.clone()
    });
    let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
    match file.fate {
        FileFate::Given => ([(header::CONTENT_TYPE, file.mime_type)], file.bytes).into_response(),
        FileFate::Streamed => {
            let piece = |at| file.bytes.slice(at..file.bytes.len().min(at + PIECE));
            let pieces: Vec<_> = (0..file.bytes.len()).step_by(PIECE).map(piece).collect();
            let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
            ([(header::CONTENT_TYPE, file.mime_type)], Body::from_stream(pieces)).into_response()
        }
        FileFate::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        FileFate::Status(status) => {
            StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT).into_response()
        }
        FileFate::Silence => std::future::pending().await,
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, bytes: Bytes) -> Json<Media> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let mime_type = kind.unwrap_or("application/octet-stream").to_owned();
    Json(host(&shared, File { mime_type, bytes, fate: FileFate::Given }))
}

/// Keeps a file, and describes it as a webhook does.
pub(super) fn host(shared: &Shared, file: File) -> Media {
    let name = format!("{:032x}", rand::random::<u128>());
    let media = Media {
        url: format!("{}/files/{name}?Signature=simulated", shared.url),
        file_name: name.clone(),
        mime_type: file.mime_type.clone(),
        file_size: file.bytes.len() as u64,
    };
    shared.state().files.keep(name, file);
    media
}
