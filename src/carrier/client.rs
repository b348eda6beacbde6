//! Flowroute's client: a concrete struct with a base URL. Tests point it elsewhere.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Response, StatusCode, header, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::wire;
use crate::{config::FlowrouteSettings, phone::PhoneNumber};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole call may take.
const WHOLE: Duration = Duration::from_secs(15);
/// How long a connection is kept for the next call. Short, so that the carrier seldom closes one
/// just as it is used again, which would leave the outcome of a send unknown.
const IDLE: Duration = Duration::from_secs(20);
/// More than this of an answer is not read.
const ANSWER: usize = 64 * 1024;

/// Flowroute's messaging API, version 2.2.
#[derive(Debug, Clone)]
pub struct Flowroute {
    http: reqwest::Client,
    base: Url,
    access_key: SecretString,
    secret_key: SecretString,
}

/// A text to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The phone.
    pub to: PhoneNumber,
    /// The masked number.
    pub from: PhoneNumber,
    /// The words; empty for a bare picture.
    pub body: String,
    /// Where the carrier fetches its pictures. With any it is an MMS.
    pub media_urls: Vec<String>,
    /// Where the carrier reports on this one text.
    pub dlr_callback: String,
}

/// Why a text was not certainly accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Refused for good: the same text would be refused again.
    #[error("refused with status {status}{}", code.map(|code| format!(" and code {code}")).unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The carrier's own code, such as 1110 for a phone that opted out.
        code: Option<u32>,
    },
    /// Certainly not accepted; may be tried again.
    #[error("not accepted: {why}")]
    NotAccepted {
        /// What was wrong, for the log.
        why: String,
        /// How long the carrier asked to wait.
        retry_after: Option<SignedDuration>,
    },
    /// The answer was lost: the carrier may or may not have accepted.
    #[error("the answer was lost: {0}")]
    Unknown(String),
}

impl Flowroute {
    /// A client for this account.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(settings: &FlowrouteSettings) -> reqwest::Result<Self> {
        Self::with_timeout(settings, WHOLE)
    }

    /// A client for this account whose calls may take so long.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn with_timeout(settings: &FlowrouteSettings, whole: Duration) -> reqwest::Result<Self> {
        // The second of two clients in one process finds the provider in place.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder()
            .user_agent(concat!("maskline/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(whole)
            .pool_idle_timeout(IDLE)
            .redirect(Policy::none())
            .build()?;
        Ok(Self {
            http,
            base: settings.url.clone(),
            access_key: settings.access_key.clone(),
            secret_key: settings.secret_key.clone(),
        })
    }

    /// Sends a text and returns the carrier's id of it.
    ///
    /// # Errors
    /// What is known when the text was not certainly accepted.
    #[cfg_attr(feature = "otel", tracing::instrument(name = "send", skip_all))]
    pub async fn send(&self, text: &Outgoing) -> Result<String, SendError> {
        let began = Instant::now();
        let outcome = self.post(text).await;
        metrics::histogram!("maskline_send_seconds").record(began.elapsed());
        outcome
    }

    async fn post(&self, text: &Outgoing) -> Result<String, SendError> {
        let mut attributes = json!({
            "to": text.to,
            "from": text.from,
            "dlr_callback": text.dlr_callback,
        });
        if !text.body.is_empty() {
            attributes["body"] = json!(text.body);
        }
        if !text.media_urls.is_empty() {
            attributes["is_mms"] = json!(true);
            attributes["media_urls"] = json!(text.media_urls);
        }
        let request = json!({"data": {"type": "message", "attributes": attributes}});
        let response = self
            .request(reqwest::Method::POST, "v2.2/messages")
            .header(header::CONTENT_TYPE, "application/vnd.api+json")
            .body(request.to_string())
            .send()
            .await
            .map_err(lost)?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let answer = read(response, ANSWER).await;
        if status.is_success() {
            // Accepted, but an answer without an id leaves nothing to follow it by.
            return answer
                .ok()
                .and_then(|answer| wire::id(answer.pointer("/data/id")))
                .ok_or_else(|| SendError::Unknown(format!("status {status} without an id")));
        }
        Err(judge(status, retry_after, answer.ok().as_ref()))
    }

    /// A request to a path of the API, with the account's keys.
    pub(super) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/{path}", self.base.as_str().trim_end_matches('/'));
        self.http
            .request(method, url)
            .basic_auth(self.access_key.expose_secret(), Some(self.secret_key.expose_secret()))
    }
}

/// Tells what may be tried again from what was refused and from what nobody can know.
fn judge(
    status: StatusCode,
    retry_after: Option<SignedDuration>,
    answer: Option<&Value>,
) -> SendError {
    let has_errors = answer.is_some_and(|answer| answer.get("errors").is_some());
    let again = || SendError::NotAccepted { why: format!("status {status}"), retry_after };
    match status.as_u16() {
        400 | 402 | 406 | 409 | 410..=414 | 422 => {
            SendError::Refused { status: status.as_u16(), code: answer.and_then(code) }
        }
        // Keys, address or form are wrong: the operator can mend that, and the text waits for it.
        300..=499 => again(),
        // Of what a server says, only Flowroute's error document tells that it did not accept. Without
        // one it may come from something in between, which does not know.
        _ if has_errors => again(),
        _ => SendError::Unknown(format!("status {status}")),
    }
}

/// The carrier's own code: digits and a colon in front of an error's detail. Digits elsewhere in it
/// could be anything, a number too.
fn code(answer: &Value) -> Option<u32> {
    let errors = answer.get("errors")?.as_array()?;
    let code = |error: &Value| {
        let detail = error.get("detail")?.as_str()?;
        let (word, _) = detail.split_once(':')?;
        word.parse().ok().filter(|_| word.len() == 4)
    };
    errors.iter().find_map(code)
}

/// A call without an answer. Only one that never got a connection was certainly not accepted.
fn lost(error: reqwest::Error) -> SendError {
    let unconnected = error.is_connect() || error.is_builder();
    let why = plain(&error.without_url());
    if unconnected {
        SendError::NotAccepted { why, retry_after: None }
    } else {
        SendError::Unknown(why)
    }
}

/// An error with its causes. The URL is taken out before: it is no secret, but it says nothing.
pub(super) fn plain(error: &reqwest::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        said = format!("{said}: {deeper}");
        cause = deeper.source();
    }
    said
}

fn retry_after(response: &Response) -> Option<SignedDuration> {
    let seconds =
        response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(SignedDuration::from_secs(seconds))
}

/// Reads an answer of at most so many bytes; null when it is longer, or no JSON.
pub(super) async fn read(response: Response, most: usize) -> reqwest::Result<Value> {
    Ok(read_if_short(response, most).await?.unwrap_or(Value::Null))
}

/// Reads an answer; none when it is longer than so many bytes, null when it is no JSON.
pub(super) async fn read_if_short(
    mut response: Response,
    most: usize,
) -> reqwest::Result<Option<Value>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}
