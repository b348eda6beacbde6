//! The carrier's JSON, as its samples show it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ledger::{Message, Way},
    receipts::Receipt,
};

/// A phone's text in the flat shape.
pub(super) fn flat(message: &Message) -> Value {
    json!({
        "id": message.id,
        "from": message.from.digits(),
        "to": message.to.digits(),
        "body": message.body,
    })
}

/// A phone's text in the JSON:API shape. SMS and MMS differ in more than the media.
pub(super) fn json_api(message: &Message, callback_url: &str, base: &str) -> Value {
    let mut resource = resource(message);
    let attributes = &mut resource["attributes"];
    if message.is_mms {
        attributes["status"] = json!("");
    } else {
        attributes["amount_nanodollars"] = json!(price(message).1.to_string());
        attributes["timestamp"] = json!(format!("{:.6}", message.at));
        attributes["message_callback_url"] = json!(callback_url);
        if let Some(attributes) = attributes.as_object_mut() {
            attributes.remove("delivery_receipts");
        }
    }
    let included: Vec<Value> = included(message, base).collect();
    if included.is_empty() {
        return json!({ "data": resource });
    }
    json!({ "data": resource, "included": included })
}

/// A message as the message list holds it.
pub(super) fn resource(message: &Message) -> Value {
    let ours = if message.way == Way::In { &message.from } else { &message.to };
    let receipts = message.receipts.iter().rev();
    let receipts: Vec<Value> =
        receipts.map(|(receipt, at)| listed_receipt(*receipt, *at)).collect();
    let mut resource = json!({
        "type": "message",
        "id": message.id,
        "attributes": {
            "amount_display": price(message).0,
            "amount_nanodollars": price(message).1,
            "body": message.body,
            "delivery_receipts": receipts,
            "direction": if message.way == Way::In { "outbound" } else { "inbound" },
            "from": message.from.digits(),
            "is_mms": message.is_mms,
            "message_encoding": encoding(message.body.as_deref()),
            "message_type": if is_toll_free(ours.digits()) { "toll-free" } else { "longcode" },
            "status": status(message),
            "timestamp": format!("{:.2}", message.at),
            "to": message.to.digits(),
        },
    });
    if !message.media.is_empty() {
        let ids = (1..=message.media.len()).map(|place| media_id(message, place));
        let links: Vec<Value> = ids.map(|id| json!({ "type": "media", "id": id })).collect();
        resource["relationships"] = json!({ "media": { "data": links } });
    }
    resource
}

/// The media that a resource's relationships point to.
pub(super) fn included(message: &Message, base: &str) -> impl Iterator<Item = Value> {
    message.media.iter().enumerate().map(move |(index, media)| {
        let id = media_id(message, index + 1);
        let link = format!("{base}/v2.2/media/{id}");
        json!({ "type": "media", "id": id, "attributes": media, "links": { "self": link } })
    })
}

/// A receipt in the documented shape.
pub(super) fn wrapped_receipt(
    message: &Message,
    receipt: Receipt,
    at: Timestamp,
    base: &str,
) -> Value {
    json!({
        "data": {
            "type": "delivery_receipt",
            "id": message.id,
            "attributes": {
                "body": message.body,
                "level": receipt.level(),
                "status": receipt.status(),
                "status_code": receipt.code(),
                "status_code_description": receipt.description(),
                "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            },
            "links": { "related": format!("{base}/v2.2/messages/{}", message.id) },
        }
    })
}

/// A receipt in the shape seen on the wire: no level, no time, and a code only where there is one.
pub(super) fn unwrapped_receipt(message: &Message, receipt: Receipt) -> Value {
    let mut attributes = json!({
        "to": message.to.digits(),
        "from": message.from.digits(),
        "body": message.body,
        "status": receipt.status(),
    });
    if !receipt.code().is_null() {
        attributes["status_code"] = receipt.code();
    }
    json!({ "type": "delivery_receipt", "id": message.id, "attributes": attributes })
}

/// One of the account's numbers.
pub(super) fn number(digits: &str, base: &str) -> Value {
    json!({
        "type": "number",
        "id": digits,
        "attributes": {
            "alias": null,
            "cnam_lookups_enabled": true,
            "number_type": if is_toll_free(digits) { "tollfree" } else { "standard" },
            "rate_center": "oradell",
            "state": "nj",
            "value": digits,
        },
        "links": { "self": format!("{base}/v2/numbers/{digits}") },
    })
}

fn listed_receipt(receipt: Receipt, at: Timestamp) -> Value {
    json!({
        "level": receipt.level(),
        "status": receipt.status(),
        "status_code": receipt.code(),
        "status_code_description": receipt.description(),
        "timestamp": format!("{at:.2}"),
    })
}

fn status(message: &Message) -> &'static str {
    match message.way {
        Way::Out if message.is_mms => "",
        Way::Out => "delivered",
        Way::In => message.receipts.last().map_or("", |(receipt, _)| receipt.status()),
    }
}

fn price(message: &Message) -> (&'static str, u32) {
    if message.is_mms { ("$0.0195", 19_500_000) } else { ("$0.0070", 7_000_000) }
}

/// 8 is UCS-2, which one character beyond ASCII is enough for.
fn encoding(body: Option<&str>) -> u8 {
    if body.is_none_or(str::is_ascii) { 0 } else { 8 }
}

fn is_toll_free(digits: &str) -> bool {
    let codes = ["1800", "1833", "1844", "1855", "1866", "1877", "1888"];
    digits.len() == 11 && codes.iter().any(|code| digits.starts_with(code))
}

fn media_id(message: &Message, place: usize) -> String {
    format!("{}-{place}", message.id)
}
