//! Calling the product's webhooks: copies, order, and sending again what was not answered 200.

use std::sync::Arc;

use axum::{body::Bytes, http::header};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    activity::Busy,
    exchanges::{Direction, Exchange},
    faults::WebhookFate,
    lane::Turn,
    shared::Shared,
};

/// How often a webhook that was not answered 200 is sent again.
const RESENDS: usize = 4;

/// The URLs that the account registered.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    pub(super) sms: Option<String>,
    pub(super) mms: Option<String>,
    pub(super) sms_dlr: Option<String>,
    pub(super) mms_dlr: Option<String>,
}

/// Which of two shapes is next.
#[derive(Debug, Default)]
pub(super) struct Alternation {
    texts: usize,
    sends: usize,
}

/// A webhook, to the byte, so that sending it again changes nothing.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    url: String,
    content_type: &'static str,
    body: Bytes,
}

impl Callbacks {
    /// Where a text from a phone goes.
    pub(super) fn text(&self, is_mms: bool) -> Option<&String> {
        self.mms.as_ref().filter(|_| is_mms).or(self.sms.as_ref())
    }

    /// Where a receipt goes that was not asked to go elsewhere.
    pub(super) fn receipt(&self, is_mms: bool) -> Option<&String> {
        self.mms_dlr.as_ref().filter(|_| is_mms).or(self.sms_dlr.as_ref())
    }
}

impl Alternation {
    /// Whether the next text is flat: the first is.
    pub(super) fn flat_text(&mut self) -> bool {
        self.texts += 1;
        !self.texts.is_multiple_of(2)
    }

    /// Whether the next message's first receipt is wrapped: the first message's is.
    pub(super) fn wrapped_first(&mut self) -> bool {
        self.sends += 1;
        !self.sends.is_multiple_of(2)
    }
}

impl Webhook {
    pub(super) fn new(url: String, content_type: &'static str, document: &Value) -> Self {
        Self { url, content_type, body: Bytes::from(document.to_string()) }
    }
}

/// Makes the first attempt, in its turn, and leaves it to be sent again if it must be.
///
/// Gives the status of each copy, nothing where there was no answer.
pub(super) async fn deliver(
    shared: &Arc<Shared>,
    webhook: Webhook,
    fate: WebhookFate,
    turn: Turn,
    busy: Busy,
) -> Vec<Option<u16>> {
    let turn = turn.come(shared.settings.hold).await;
    let copies = (0..fate.copies).map(|_| post(shared, &webhook));
    let statuses = join_all(copies).await;
    drop(turn);
    if !statuses.contains(&Some(200)) {
        shared.spawn(resend(Arc::clone(shared), webhook));
    }
    drop(busy);
    statuses
}

async fn resend(shared: Arc<Shared>, webhook: Webhook) {
    for _ in 0..RESENDS {
        sleep(shared.settings.resend_after).await;
        let _busy = shared.activity.begin();
        if post(&shared, &webhook).await == Some(200) {
            return;
        }
    }
}

/// Posts a webhook once and records it; gives the status, if there was an answer.
pub(super) async fn post(shared: &Shared, webhook: &Webhook) -> Option<u16> {
    let at = shared.settings.clock.now();
    let started = Instant::now();
    let request =
        shared.client.post(&webhook.url).header(header::CONTENT_TYPE, webhook.content_type);
    let (status, response, error) = match request.body(webhook.body.clone()).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            // The carrier goes by the status alone.
            let body = answer.bytes().await.unwrap_or_default();
            (Some(status), body, None)
        }
        Err(error) => (None, Bytes::new(), Some(explain(&error.without_url()))),
    };
    let exchange = Exchange {
        id: 0,
        at,
        direction: Direction::Webhook,
        method: "POST".to_owned(),
        url: webhook.url.clone(),
        request: webhook.body.clone(),
        status,
        response,
        ms: milliseconds_since(started),
        error,
    };
    shared.record(exchange, Some(webhook.clone()));
    status
}

pub(super) fn milliseconds_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// An error and what caused it, on one line.
fn explain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
