//! What Flowroute puts on the wire, read as liberally as it is written.
//!
//! Shapes and field types vary: two forms of a message, two of a receipt, integers for numbers,
//! `null` for absent, new fields without notice. So a payload is read field by field from JSON
//! values, and what cannot be read is absent, never an error. Facts are from Flowroute's messaging
//! documentation and from captured traffic.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::phone::PhoneNumber;

/// A text that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundText {
    /// The carrier's id of it.
    pub carrier_id: String,
    /// Who sent it; none when it is no number in E.164, such as a short code.
    pub from: Option<PhoneNumber>,
    /// The number that was texted.
    pub to: Option<PhoneNumber>,
    /// The words, without NUL, which PostgreSQL cannot keep. Empty for a bare picture.
    pub body: String,
    /// The pictures that came along.
    pub media: Vec<Media>,
}

/// A picture or another file that came along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Media {
    /// Where the carrier keeps it, for a few days.
    pub url: String,
    /// Its name.
    pub file_name: Option<String>,
    /// Its type, as the sender says.
    pub mime_type: Option<String>,
    /// Its size in bytes.
    pub file_size: Option<u64>,
}

/// What the carrier says became of a text that it accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The id that the send returned.
    pub carrier_id: String,
    /// The carrier's word, such as `delivered`.
    pub status: String,
    /// Its number for it, such as `1110`.
    pub code: Option<String>,
}

/// What a webhook brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Webhook {
    /// A text from a phone.
    Text(InboundText),
    /// Word of a text that we sent.
    Receipt(Receipt),
    /// Neither, or without the id that tells a second delivery from a second text.
    Unreadable,
}

impl Webhook {
    /// Tells messages from receipts, and either shape of each, by their content.
    pub fn read(payload: &Map<String, Value>) -> Self {
        let resource = payload.get("data").and_then(Value::as_object).unwrap_or(payload);
        let attributes = resource.get("attributes").and_then(Value::as_object).unwrap_or(resource);
        let Some(carrier_id) = text(resource.get("id")).filter(|id| !id.is_empty()) else {
            return Self::Unreadable;
        };
        let kind = resource.get("type").and_then(Value::as_str);
        let addressed = attributes.contains_key("from") || attributes.contains_key("to");
        match (kind, text(attributes.get("status"))) {
            (Some("delivery_receipt"), status) => Self::receipt(carrier_id, attributes, status),
            (Some("message"), _) => Self::text(carrier_id, attributes, payload),
            (_, _) if addressed => Self::text(carrier_id, attributes, payload),
            (_, status @ Some(_)) => Self::receipt(carrier_id, attributes, status),
            (_, None) => Self::Unreadable,
        }
    }

    fn receipt(
        carrier_id: String,
        attributes: &Map<String, Value>,
        status: Option<String>,
    ) -> Self {
        let code = text(attributes.get("status_code"));
        // The carrier's words are short; anything longer is not one of them.
        let short = |word: String| word.chars().take(64).collect();
        let status = status.map(short).unwrap_or_default();
        Self::Receipt(Receipt { carrier_id, status, code: code.map(short) })
    }

    fn text(
        carrier_id: String,
        attributes: &Map<String, Value>,
        payload: &Map<String, Value>,
    ) -> Self {
        let number =
            |name: &str| text(attributes.get(name)).and_then(|digits| digits.trim().parse().ok());
        Self::Text(InboundText {
            carrier_id,
            from: number("from"),
            to: number("to"),
            body: text(attributes.get("body")).unwrap_or_default(),
            media: media(payload),
        })
    }
}

/// Every `included` of type `media`: the linkage beside it is known to be broken at times.
fn media(payload: &Map<String, Value>) -> Vec<Media> {
    let included = payload.get("included").and_then(Value::as_array);
    let is_media = |item: &&Value| item.get("type").and_then(Value::as_str) == Some("media");
    let read = |item: &Value| {
        let attributes = item.get("attributes")?;
        Some(Media {
            url: text(attributes.get("url"))?,
            file_name: text(attributes.get("file_name")),
            mime_type: text(attributes.get("mime_type")),
            file_size: attributes.get("file_size").and_then(Value::as_u64),
        })
    };
    included.into_iter().flatten().filter(is_media).filter_map(read).collect()
}

/// A text, or a number where a text should be; NUL becomes the replacement character.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.replace('\0', "\u{FFFD}")),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads a payload's JSON; none when it is no JSON object.
///
/// A lone half of a surrogate pair is legal JSON, yet no text; it becomes the replacement
/// character, as do bytes that are no UTF-8. Better a blemish than a lost text.
pub fn read_json(bytes: &[u8]) -> Option<Map<String, Value>> {
    let json = String::from_utf8_lossy(bytes);
    let value = serde_json::from_str(&json).or_else(|_| serde_json::from_str(&mend(&json)));
    match value {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// Replaces the escapes of lone surrogates by that of U+FFFD.
fn mend(json: &str) -> String {
    let mut mended = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let taken = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => &escape[..12],
            (Some(0xD800..=0xDFFF), _) => {
                mended.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => &escape[..6],
            // Any other escape is the backslash and the character behind it.
            (None, _) => {
                let behind = escape[1..].chars().next().map_or(0, char::len_utf8);
                &escape[..=behind]
            }
        };
        mended.push_str(taken);
        rest = &escape[taken.len()..];
    }
    mended.push_str(rest);
    mended
}

/// The UTF-16 unit of a `\uXXXX` at the beginning.
fn unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}
