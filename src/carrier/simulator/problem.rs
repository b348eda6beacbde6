//! The carrier's error document, and the reading of request bodies.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, error::Category, json};

/// The media type of JSON:API.
pub(super) const JSON_API: &str = "application/vnd.api+json";

/// A refusal, which becomes an error document.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<u32>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// The same, where JSON of another structure is taken for no JSON.
    pub(super) fn into_malformed(self) -> Self {
        match self.status {
            StatusCode::UNPROCESSABLE_ENTITY => Self { status: StatusCode::BAD_REQUEST, ..self },
            _ => self,
        }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "The requested resource was not found.")
    }

    pub(super) fn too_many(retry_after: Option<u32>) -> Self {
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests") }
    }

    pub(super) fn opted_out() -> Self {
        Self::malformed("1110: Message accepted by the SMSC but the phone rejected the message")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let title = self.status.canonical_reason().unwrap_or_default();
        let document = json!({
            "errors": [{
                "id": id,
                "status": self.status.as_u16(),
                "title": title,
                "detail": self.detail,
            }]
        });
        let mut response = document_response(self.status, &document);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A JSON:API document.
pub(super) fn document_response(status: StatusCode, document: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON_API)], document.to_string()).into_response()
}

/// Reads a JSON body: 415 for another media type, 400 for what is no JSON, 422 for other JSON.
pub(super) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Problem> {
    check_media_type(headers)?;
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Problem::invalid(error.to_string()),
        Category::Io | Category::Syntax | Category::Eof => Problem::malformed(error.to_string()),
    })
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON_API) || essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The content type must be application/vnd.api+json or application/json.",
    ))
}
