//! What pages are made of besides themselves. It is part of the program.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// What keeps parts of pages up to date.
pub(super) async fn script() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("pages/console.js")).into_response()
}

/// How pages look.
pub(super) async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("pages/console.css")).into_response()
}
