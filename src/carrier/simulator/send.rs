//! `POST /v2.2/messages`: the account sends a text.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};
use url::Url;

use super::{
    Event,
    api::Version,
    calls::Unanswered,
    faults::SendFate,
    ledger::{Message, Way},
    problem::{Problem, document_response, read},
    receipts::{self, Plan},
    shared::{Shared, message_id},
};
use crate::phone::PhoneNumber;

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "type")]
    kind: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    to: String,
    from: String,
    body: Option<String>,
    is_mms: Option<bool>,
    media_urls: Option<Vec<String>>,
    dlr_callback: Option<String>,
}

pub(super) async fn send(
    State(shared): State<Arc<Shared>>,
    Extension(Version(version)): Extension<Version>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    // What is no JSON is 400, and so is JSON of another structure.
    let envelope: Envelope = read(&headers, &body).map_err(Problem::into_malformed)?;
    let message = check(&shared, envelope.data)?;
    let id = message.id.clone();

    let fate = draw(&shared)?;
    let (late, unanswered) = (fate.late, fate.drop);
    let verdict = judge(&shared, message, fate);
    if let Some(late) = late {
        sleep(late).await;
    }
    verdict?;
    if unanswered {
        return Ok((Extension(Unanswered), StatusCode::ACCEPTED).into_response());
    }
    let link = format!("{}/{version}/messages/{id}", shared.url);
    let document = json!({ "data": { "type": "message", "id": id, "links": { "self": link } } });
    Ok(document_response(StatusCode::ACCEPTED, &document))
}

/// Makes a message of what was sent, if its values are right.
fn check(shared: &Shared, data: Data) -> Result<Message, Problem> {
    if data.kind != "message" {
        return Err(Problem::invalid("The type must be \"message\"."));
    }
    let Attributes { to, from, body, is_mms, media_urls, dlr_callback } = data.attributes;
    let number = |name: &str, text: String| {
        let wrong = |_| Problem::invalid(format!("{name} must be an E.164 number."));
        text.parse::<PhoneNumber>().map_err(wrong)
    };
    let (from, to) = (number("from", from)?, number("to", to)?);
    if !shared.settings.numbers.contains(&from) {
        return Err(Problem::invalid("from must be one of the account's numbers."));
    }
    let media_urls = media_urls.unwrap_or_default();
    if media_urls.is_empty() && body.as_deref().is_none_or(str::is_empty) {
        return Err(Problem::invalid("body must not be empty unless there is media."));
    }
    if !media_urls.iter().chain(&dlr_callback).all(|url| is_web_url(url)) {
        return Err(Problem::invalid("media_urls and dlr_callback must be HTTP URLs."));
    }
    Ok(Message {
        id: message_id(),
        way: Way::In,
        from,
        to,
        body,
        is_mms: is_mms.unwrap_or_default() || !media_urls.is_empty(),
        media: Vec::new(),
        media_urls,
        at: shared.settings.clock.now(),
        dlr_callback,
        unanswered: false,
        receipts: Vec::new(),
        sent: None,
    })
}

pub(super) fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Lets a send past the rate limit and throws the dice for it.
fn draw(shared: &Shared) -> Result<SendFate, Problem> {
    let mut state = shared.state();
    if !state.limit.admit(Instant::now()) {
        // Not thrown for: when the limit strikes depends on time, and the sequence must not.
        return Err(Problem::too_many(state.dice.faults().retry_after_s));
    }
    Ok(state.dice.send())
}

/// Accepts a message, or does what its fate demands.
fn judge(shared: &Arc<Shared>, message: Message, fate: SendFate) -> Result<(), Problem> {
    let mut state = shared.state();
    if fate.throttle {
        return Err(Problem::too_many(state.dice.faults().retry_after_s));
    }
    if fate.error {
        let detail = "The service is temporarily unavailable.";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    }
    if fate.refuse {
        return Err(Problem::invalid("The message was refused."));
    }
    if state.book.is_blocked(&message.to, &message.from) {
        return Err(Problem::opted_out());
    }
    state.book.write(Message { unanswered: fate.drop, ..message.clone() });
    if !fate.fail {
        state.book.show(&message);
    }
    let url = message.dlr_callback.as_ref().or(state.callbacks.receipt(message.is_mms)).cloned();
    let wrapped_first = state.alternation.wrapped_first();
    drop(state);
    shared.tell(Event::Changed);
    let plan = Plan { message, fail: fate.fail, fates: fate.receipts, url, wrapped_first };
    let busy = shared.activity.begin();
    shared.spawn(receipts::run(Arc::clone(shared), plan, busy));
    Ok(())
}
