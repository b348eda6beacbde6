//! A message as it stands in the carrier's list, read as liberally as a webhook.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::wire::{InboundText, Receipt, Webhook, text};
use crate::phone::PhoneNumber;

/// A message as the carrier's list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A phone sent it, at this time.
    Inbound(InboundText, Timestamp),
    /// The account sent it.
    Outbound(Sent),
}

/// A text that the account sent, as the carrier's list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The carrier's id of it.
    pub carrier_id: String,
    /// The masked number.
    pub from: Option<PhoneNumber>,
    /// The phone.
    pub to: Option<PhoneNumber>,
    /// The words.
    pub body: String,
    /// When the carrier took it.
    pub at: Timestamp,
    /// What the carrier reported on it, in its order.
    pub receipts: Vec<Receipt>,
}

impl Listed {
    /// The carrier's id of it.
    pub fn carrier_id(&self) -> &str {
        match self {
            Self::Inbound(text, _) => &text.carrier_id,
            Self::Outbound(sent) => &sent.carrier_id,
        }
    }

    /// When it was sent.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Inbound(_, at) => *at,
            Self::Outbound(sent) => sent.at,
        }
    }
}

/// Reads a message of the carrier's list; none when it lacks an id, a time or a direction. `page` is
/// where its media are.
pub(super) fn read(item: &Value, page: &Value) -> Option<Listed> {
    let attributes = item.get("attributes")?.as_object()?;
    let at = time(attributes.get("timestamp"))?;
    let is_inbound = attributes.get("direction")?.as_str()? == "inbound";
    let mut payload = Map::new();
    payload.insert(
        "data".into(),
        json!({"id": item.get("id"), "type": "message",
        "attributes": attributes}),
    );
    payload.insert("included".into(), Value::Array(own_media(item, page)));
    let Webhook::Text(found) = Webhook::read(&payload) else { return None };
    if is_inbound {
        return Some(Listed::Inbound(found, at));
    }
    let InboundText { carrier_id, from, to, body, .. } = found;
    let receipts = attributes.get("delivery_receipts").and_then(Value::as_array);
    let receipt = |receipt: &Value| {
        let receipt = receipt.as_object()?;
        let status = text(receipt.get("status"));
        match Webhook::receipt(carrier_id.clone(), receipt, status) {
            Webhook::Receipt(receipt) => Some(receipt),
            Webhook::Text(_) | Webhook::Unreadable { .. } => None,
        }
    };
    let receipts = receipts.into_iter().flatten().filter_map(receipt).collect();
    Some(Listed::Outbound(Sent { carrier_id, from, to, body, at, receipts }))
}

/// The media of one message among those of the whole page.
fn own_media(item: &Value, page: &Value) -> Vec<Value> {
    let links = item.pointer("/relationships/media/data").and_then(Value::as_array);
    let ids: Vec<String> =
        links.into_iter().flatten().filter_map(|link| text(link.get("id"))).collect();
    let included = page.get("included").and_then(Value::as_array).into_iter().flatten();
    let is_own = |item: &&Value| text(item.get("id")).is_some_and(|id| ids.contains(&id));
    included.filter(is_own).cloned().collect()
}

/// A time in ISO 8601; without an offset it is in UTC.
fn time(value: Option<&Value>) -> Option<Timestamp> {
    let text = value?.as_str()?;
    let plain = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    text.parse().ok().or_else(|| plain().map(|zoned| zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_own_media_and_no_others() {
        let media = |id: &str| json!({"type": "media", "id": id, "attributes": {"url": id}});
        let page = json!({"included": [media("m1-1"), media("m2-1"), {"type": "media"}, 7]});
        let item = json!({"type": "message", "id": "m1",
            "attributes": {"direction": "inbound", "body": null, "from": 12_065_550_142_i64,
                "to": "+14155550100", "timestamp": "2026-03-01T13:00:00.12+01:00"},
            "relationships": {"media": {"data": [{"type": "media", "id": "m1-1"}]}}});
        let Some(Listed::Inbound(text, at)) = read(&item, &page) else { panic!("{item}") };
        let urls: Vec<&str> = text.media.iter().map(|media| media.url.as_str()).collect();
        assert_eq!((text.body.as_str(), urls), ("", vec!["m1-1"]));
        assert_eq!(text.from, Some("+12065550142".parse().unwrap()));
        assert_eq!(at.to_string(), "2026-03-01T12:00:00.12Z");
    }

    #[test]
    fn what_was_sent_has_its_receipts() {
        let item = json!({"type": "message", "id": "m1", "attributes": {"direction": "outbound",
            "body": "hi", "from": "14155550100", "to": "12065550142", "timestamp": "2026-03-01 12:00:00",
            "delivery_receipts": [{"status": "failed", "status_code": 1110}, null,
                {"status": "smsc submit", "status_code": null}]}});
        let Some(Listed::Outbound(sent)) = read(&item, &Value::Null) else { panic!("{item}") };
        let words: Vec<_> =
            sent.receipts.iter().map(|it| (it.status.as_str(), it.code.as_deref())).collect();
        assert_eq!(words, [("failed", Some("1110")), ("smsc submit", None)]);
        assert!(sent.receipts.iter().all(|receipt| receipt.carrier_id == "m1"));
        assert_eq!(sent.at.to_string(), "2026-03-01T12:00:00Z");
    }
}
