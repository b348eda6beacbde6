//! The book: every message in order, what each phone shows, and which pairs are blocked.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{receipts::Receipt, texts::Media};
use crate::phone::PhoneNumber;

/// Which way a text went, as its phone sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The phone received it.
    In,
    /// The phone sent it.
    Out,
}

/// Everything that the carrier took on, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// What the account sent.
    pub accepted: Vec<Accepted>,
    /// What phones sent.
    pub inbound: Vec<Received>,
}

/// A text that the carrier accepted for a phone, told or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The id that the answer gave, or would have given.
    pub id: String,
    /// The account's number.
    pub from: PhoneNumber,
    /// The phone.
    pub to: PhoneNumber,
    /// The words; empty where there is only media.
    pub body: String,
    /// The URLs of its media, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// When it was accepted.
    pub at: Timestamp,
    /// The furthest status that a receipt was sent for.
    pub status: Option<String>,
    /// Where its receipts were asked to go.
    pub dlr_callback: Option<String>,
    /// The connection was closed instead of an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
}

/// A text that a phone sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The id that the webhook carries.
    pub id: String,
    /// The phone.
    pub from: PhoneNumber,
    /// The account's number.
    pub to: PhoneNumber,
    /// The words; empty where there is only media.
    pub body: String,
    /// The URLs of its media, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// When it was sent.
    pub at: Timestamp,
}

/// A text as a phone shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhoneText {
    /// The carrier's id of it.
    pub id: String,
    /// Which way it went.
    pub direction: Way,
    /// The other number.
    pub with: PhoneNumber,
    /// The words; empty where there is only media.
    pub body: String,
    /// The URLs of its media, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// When it was sent.
    pub at: Timestamp,
}

/// A message in the book.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: String,
    /// `Out` for a phone's own text, `In` for one that was accepted for it.
    pub(super) way: Way,
    pub(super) from: PhoneNumber,
    pub(super) to: PhoneNumber,
    pub(super) body: Option<String>,
    pub(super) is_mms: bool,
    /// Of a phone's text, as its webhook describes it.
    pub(super) media: Vec<Media>,
    pub(super) media_urls: Vec<String>,
    pub(super) at: Timestamp,
    pub(super) dlr_callback: Option<String>,
    /// Of one that was accepted: its answer was never given.
    pub(super) unanswered: bool,
    /// What became of it so far, posted or not.
    pub(super) receipts: Vec<(Receipt, Timestamp)>,
    /// The furthest receipt that was posted.
    pub(super) sent: Option<Receipt>,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    messages: Vec<Message>,
    places: HashMap<String, usize>,
    phones: HashMap<PhoneNumber, Vec<PhoneText>>,
    /// Pairs of phone and number.
    blocked: HashSet<(PhoneNumber, PhoneNumber)>,
}

impl Book {
    /// Writes a message down, unless its id is known already; says whether it was new.
    pub(super) fn write(&mut self, message: Message) -> bool {
        if self.places.contains_key(&message.id) {
            return false;
        }
        self.places.insert(message.id.clone(), self.messages.len());
        self.messages.push(message);
        true
    }

    pub(super) fn find(&self, id: &str) -> Option<&Message> {
        self.messages.get(*self.places.get(id)?)
    }

    /// All messages, in the order in which they came.
    pub(super) fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.iter()
    }

    /// Notes what became of a text.
    pub(super) fn happened(&mut self, id: &str, receipt: Receipt, at: Timestamp) {
        if let Some(message) = self.find_mut(id) {
            message.receipts.push((receipt, at));
        }
    }

    /// Notes that a receipt was posted. One that was held back does not undo a later one.
    pub(super) fn posted(&mut self, id: &str, receipt: Receipt) {
        if let Some(message) = self.find_mut(id) {
            message.sent = message.sent.max(Some(receipt));
        }
    }

    fn find_mut(&mut self, id: &str) -> Option<&mut Message> {
        self.messages.get_mut(*self.places.get(id)?)
    }

    /// Puts a message on its phone.
    pub(super) fn show(&mut self, message: &Message) {
        let (phone, with) = match message.way {
            Way::Out => (&message.from, &message.to),
            Way::In => (&message.to, &message.from),
        };
        let text = PhoneText {
            id: message.id.clone(),
            direction: message.way,
            with: with.clone(),
            body: message.body.clone().unwrap_or_default(),
            media_urls: message.media_urls.clone(),
            at: message.at,
        };
        self.put(phone, text);
    }

    /// Puts a text on a phone.
    pub(super) fn put(&mut self, phone: &PhoneNumber, text: PhoneText) {
        self.phones.entry(phone.clone()).or_default().push(text);
    }

    pub(super) fn phone(&self, number: &PhoneNumber) -> Vec<PhoneText> {
        self.phones.get(number).cloned().unwrap_or_default()
    }

    /// Blocks a pair; says whether it was open.
    pub(super) fn block(&mut self, phone: &PhoneNumber, number: &PhoneNumber) -> bool {
        self.blocked.insert((phone.clone(), number.clone()))
    }

    pub(super) fn unblock(&mut self, phone: &PhoneNumber, number: &PhoneNumber) {
        self.blocked.remove(&(phone.clone(), number.clone()));
    }

    pub(super) fn is_blocked(&self, phone: &PhoneNumber, number: &PhoneNumber) -> bool {
        self.blocked.contains(&(phone.clone(), number.clone()))
    }

    pub(super) fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for message in &self.messages {
            match message.way {
                Way::In => ledger.accepted.push(accepted(message)),
                Way::Out => ledger.inbound.push(received(message)),
            }
        }
        ledger
    }
}

fn accepted(message: &Message) -> Accepted {
    Accepted {
        id: message.id.clone(),
        from: message.from.clone(),
        to: message.to.clone(),
        body: message.body.clone().unwrap_or_default(),
        media_urls: message.media_urls.clone(),
        at: message.at,
        status: message.sent.map(|receipt| receipt.status().to_owned()),
        dlr_callback: message.dlr_callback.clone(),
        unanswered: message.unanswered,
    }
}

fn received(message: &Message) -> Received {
    Received {
        id: message.id.clone(),
        from: message.from.clone(),
        to: message.to.clone(),
        body: message.body.clone().unwrap_or_default(),
        media_urls: message.media_urls.clone(),
        at: message.at,
    }
}
