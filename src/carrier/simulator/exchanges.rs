//! The record of every webhook and every API call: the last thousand of them.

use std::collections::VecDeque;

use axum::body::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::webhooks::Webhook;

/// How many exchanges are kept.
const KEPT: usize = 1_000;

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The carrier called the product.
    Webhook,
    /// The product called the carrier.
    Call,
}

/// One HTTP request and what became of it. Its bodies are kept as they came, and read where they are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange<B = Value> {
    /// Counts up from 1.
    pub id: u64,
    /// When it began.
    pub at: Timestamp,
    /// Who called whom.
    pub direction: Direction,
    /// The HTTP method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The request's body: JSON, else a string, else null.
    pub request: B,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// The answer's body: JSON, else a string, else null.
    pub response: B,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// Why there was no answer.
    pub error: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<(Exchange<Bytes>, Option<Webhook>)>,
    last: u64,
}

/// Why a webhook cannot be replayed.
#[derive(Debug)]
pub(super) enum NoReplay {
    Unknown,
    NotAWebhook,
}

impl Log {
    /// Keeps an exchange under the next id, which it returns.
    pub(super) fn push(&mut self, exchange: Exchange<Bytes>, webhook: Option<Webhook>) -> u64 {
        self.last += 1;
        self.entries.push_back((Exchange { id: self.last, ..exchange }, webhook));
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
        self.last
    }

    pub(super) fn all(&self) -> Vec<Exchange> {
        self.entries.iter().map(|(exchange, _)| exchange.shown()).collect()
    }

    pub(super) fn webhook(&self, id: u64) -> Result<Webhook, NoReplay> {
        let entry = self.entries.iter().find(|(exchange, _)| exchange.id == id);
        let (_, webhook) = entry.ok_or(NoReplay::Unknown)?;
        webhook.clone().ok_or(NoReplay::NotAWebhook)
    }
}

impl Exchange<Bytes> {
    /// The same with its bodies read.
    pub(super) fn shown(&self) -> Exchange {
        Exchange {
            id: self.id,
            at: self.at,
            direction: self.direction,
            method: self.method.clone(),
            url: self.url.clone(),
            request: shown(&self.request),
            status: self.status,
            response: shown(&self.response),
            ms: self.ms,
            error: self.error.clone(),
        }
    }
}

/// A body as it is shown: JSON, else a string, else null.
fn shown(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> Exchange<Bytes> {
        Exchange {
            id: 0,
            at: Timestamp::UNIX_EPOCH,
            direction: Direction::Call,
            method: "GET".to_owned(),
            url: String::new(),
            request: Bytes::new(),
            status: None,
            response: Bytes::new(),
            ms: 0,
            error: None,
        }
    }

    #[test]
    fn only_the_last_thousand_are_kept() {
        let mut log = Log::default();
        for _ in 0..1_003 {
            log.push(exchange(), None);
        }
        let kept: Vec<u64> = log.all().iter().map(|exchange| exchange.id).collect();
        assert_eq!(kept, (4..=1_003).collect::<Vec<_>>());
    }
}
