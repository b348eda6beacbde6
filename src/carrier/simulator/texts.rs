//! A phone texts: STOP and UNSTOP are obeyed, and every text goes to the webhook.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Event,
    ledger::{Message, PhoneText, Way},
    problem::JSON_API,
    shared::{Shared, State, message_id},
    webhooks::{Webhook, deliver},
    wire,
};
use crate::phone::PhoneNumber;

/// What the carrier itself answers to STOP.
const UNSUBSCRIBED: &str = "You have been unsubscribed and will receive no more messages from \
                            this number. Reply UNSTOP to receive messages again.";

/// A text that a phone sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewText {
    /// The phone.
    pub from: PhoneNumber,
    /// One of the account's numbers.
    pub to: PhoneNumber,
    /// The words; may be missing where there is media.
    pub body: Option<String>,
    /// Pictures and the like, which make it an MMS.
    #[serde(default)]
    pub media: Vec<Media>,
    /// The carrier's id of it; made up unless given. A known one is only delivered again.
    pub id: Option<String>,
    /// The shape of the webhook; the two alternate unless given.
    pub shape: Option<Shape>,
}

/// A picture or the like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Where it can be fetched.
    pub url: String,
    /// Its file name.
    pub file_name: String,
    /// Its media type.
    pub mime_type: String,
    /// Its size in bytes.
    pub file_size: u64,
}

/// The shape of a text's webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// `{to, from, body, id}`.
    Flat,
    /// `{data: {id, type, attributes}}`.
    JsonApi,
}

/// What became of a phone's text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Texted {
    /// The carrier's id of it.
    pub id: String,
    /// The status of every copy in the first attempt, nothing where there was no answer. Empty
    /// where no webhook is registered, or where it was lost.
    pub statuses: Vec<Option<u16>>,
}

/// A text that no phone could send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextRefused {
    /// The account does not own the number.
    #[error("to must be one of the account's numbers")]
    NotOurNumber,
    /// There are neither words nor media.
    #[error("a text needs a body or media")]
    Nothing,
    /// The flat shape has no place for media.
    #[error("a text with media has only the jsonapi shape")]
    FlatMedia,
    /// An id was given that has no characters.
    #[error("id must not be empty")]
    EmptyId,
}

/// Takes a text from a phone and makes the first attempt at its webhook.
pub(super) async fn text(shared: &Arc<Shared>, text: NewText) -> Result<Texted, TextRefused> {
    check(&text, &shared.settings.numbers)?;
    let shape = text.shape;
    let message = message(shared, text);
    let id = message.id.clone();
    let prepared = {
        let mut state = shared.state();
        take(&mut state, &message);
        // Thrown even where there is no webhook, so that the sequence does not depend on it.
        let fate = state.dice.text();
        webhook(&mut state, &message, shape, &shared.url)
            .filter(|_| !fate.lose)
            .map(|webhook| (webhook, state.texts.turn(fate.webhook.reorder), fate.webhook))
    };
    shared.tell(Event::Changed);
    let statuses = match prepared {
        Some((webhook, turn, fate)) => {
            deliver(shared, webhook, fate, turn, shared.activity.begin()).await
        }
        None => Vec::new(),
    };
    Ok(Texted { id, statuses })
}

fn check(text: &NewText, numbers: &[PhoneNumber]) -> Result<(), TextRefused> {
    if !numbers.contains(&text.to) {
        return Err(TextRefused::NotOurNumber);
    }
    if text.body.is_none() && text.media.is_empty() {
        return Err(TextRefused::Nothing);
    }
    if !text.media.is_empty() && text.shape == Some(Shape::Flat) {
        return Err(TextRefused::FlatMedia);
    }
    if text.id.as_deref() == Some("") {
        return Err(TextRefused::EmptyId);
    }
    Ok(())
}

fn message(shared: &Shared, text: NewText) -> Message {
    Message {
        id: text.id.unwrap_or_else(message_id),
        way: Way::Out,
        from: text.from,
        to: text.to,
        body: text.body,
        is_mms: !text.media.is_empty(),
        media_urls: text.media.iter().map(|media| media.url.clone()).collect(),
        media: text.media,
        at: shared.settings.clock.now(),
        dlr_callback: None,
        unanswered: false,
        receipts: Vec::new(),
        sent: None,
    }
}

/// Writes the text down, shows it on its phone, and obeys STOP and UNSTOP.
fn take(state: &mut State, message: &Message) {
    if !state.book.write(message.clone()) {
        return;
    }
    state.book.show(message);
    let (phone, number) = (&message.from, &message.to);
    let word = message.body.as_deref().unwrap_or_default();
    if word.eq_ignore_ascii_case("UNSTOP") {
        state.book.unblock(phone, number);
    } else if word.eq_ignore_ascii_case("STOP") && state.book.block(phone, number) {
        let reply = PhoneText {
            id: message_id(),
            direction: Way::In,
            with: number.clone(),
            body: UNSUBSCRIBED.to_owned(),
            media_urls: Vec::new(),
            at: message.at,
        };
        state.book.put(phone, reply);
    }
}

fn webhook(
    state: &mut State,
    message: &Message,
    shape: Option<Shape>,
    base: &str,
) -> Option<Webhook> {
    let url = state.callbacks.text(message.is_mms)?.clone();
    let flat = match shape {
        Some(shape) => shape == Shape::Flat,
        None => !message.is_mms && state.alternation.flat_text(),
    };
    Some(if flat {
        Webhook::new(url, "application/json; charset=utf-8", &wire::flat(message))
    } else {
        let document = wire::json_api(message, &url, base);
        Webhook::new(url, JSON_API, &document)
    })
}
