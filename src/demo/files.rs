//! The pictures of the page: left with the carrier to be sent, and fetched to be shown.
//!
//! The page loads nothing from elsewhere, so what lies at the carrier or at Maskline comes through
//! here. A picture that arrived is fetched as the carrier fetches it: by its URL and nothing else.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{page::Watched, samples};
use crate::{
    carrier::simulator::{File, FileFate, Media},
    http::Problem,
};

/// The largest file that is taken, in bytes: a little more than Maskline passes on.
const LARGEST: usize = 16 * 1024 * 1024;
/// What is shown. What else a phone sent may be a page with scripts.
const SHOWN: [&str; 4] = ["image/gif", "image/jpeg", "image/png", "image/webp"];

pub(super) fn routes() -> Router<Watched> {
    Router::new()
        .route("/files", post(take))
        .layer(DefaultBodyLimit::max(LARGEST))
        .route("/samples/{name}", post(take_sample))
        .route("/files/{name}", get(show_file))
        .route("/pictures/{text}/{place}", get(show_picture))
}

async fn take(State(watched): State<Watched>, headers: HeaderMap, bytes: Bytes) -> Json<Media> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let mime_type = kind.unwrap_or("application/octet-stream").to_owned();
    Json(watched.simulator.host(File { mime_type, bytes, fate: FileFate::Given }))
}

async fn take_sample(
    State(watched): State<Watched>,
    Path(name): Path<String>,
) -> Result<Json<Media>, Problem> {
    let (mime_type, bytes) = samples::sample(&name).ok_or_else(nothing)?;
    let (mime_type, bytes) = (mime_type.to_owned(), bytes.into());
    Ok(Json(watched.simulator.host(File { mime_type, bytes, fate: FileFate::Given })))
}

/// A file that was left with the carrier.
async fn show_file(
    State(watched): State<Watched>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    // A name with anything else in it could lead elsewhere.
    if !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(nothing());
    }
    fetch(&format!("{}/files/{name}", watched.simulator.url())).await
}

/// A picture of a text on one of the phones; the first has place 0.
async fn show_picture(
    State(watched): State<Watched>,
    Path((text, place)): Path<(String, usize)>,
) -> Result<Response, Problem> {
    let urls = super::phones().into_iter().find_map(|(_, number)| {
        let texts = watched.simulator.phone(&number);
        texts.into_iter().find(|one| one.id == text).map(|one| one.media_urls)
    });
    fetch(urls.unwrap_or_default().get(place).ok_or_else(nothing)?).await
}

async fn fetch(url: &str) -> Result<Response, Problem> {
    let away = |_| Problem::mute(StatusCode::BAD_GATEWAY);
    let answer = reqwest::get(url).await.map_err(away)?;
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = SHOWN.into_iter().find(|shown| Some(*shown) == kind);
    match kind.filter(|_| answer.status() == StatusCode::OK) {
        Some(kind) => {
            let bytes = answer.bytes().await.map_err(away)?;
            Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
        }
        None => Err(nothing()),
    }
}

fn nothing() -> Problem {
    Problem::mute(StatusCode::NOT_FOUND)
}
