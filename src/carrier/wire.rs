//! What Flowroute puts on the wire, read as liberally as it is written.
//!
//! Shapes and field types vary: two forms of a message, two of a receipt, integers for numbers,
//! `null` for absent, new fields without notice. So a payload is read field by field from JSON
//! values, and what cannot be read is absent, never an error. Facts are from Flowroute's messaging
//! documentation and from captured traffic.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::phone::PhoneNumber;

/// The longest id, in bytes, that is taken for one. The carrier's have 37; the index that makes
/// them unique takes no more than a few thousand.
const LONGEST_ID: usize = 255;

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
    /// When it was sent; known of one that the webhook never brought and the carrier's list did.
    pub sent_at: Option<Timestamp>,
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
    /// Neither, or without an id that tells a second delivery from a second text.
    Unreadable {
        /// What stands where the words would; they are kept.
        body: Option<String>,
    },
}

impl Webhook {
    /// Tells messages from receipts, and either shape of each, by their content.
    pub fn read(payload: &Map<String, Value>) -> Self {
        let data = payload.get("data").and_then(Value::as_object);
        let resource = data.filter(|data| data.contains_key("id")).unwrap_or(payload);
        let attributes = resource.get("attributes").and_then(Value::as_object).unwrap_or(resource);
        let Some(carrier_id) = id(resource.get("id")) else {
            return Self::Unreadable { body: text(attributes.get("body")) };
        };
        let kind = resource.get("type").and_then(Value::as_str);
        let addressed = attributes.contains_key("from") || attributes.contains_key("to");
        match (kind, text(attributes.get("status"))) {
            (Some("delivery_receipt"), status) => Self::receipt(carrier_id, attributes, status),
            (Some("message"), _) => Self::text(carrier_id, attributes, payload),
            (_, _) if addressed => Self::text(carrier_id, attributes, payload),
            (_, status @ Some(_)) => Self::receipt(carrier_id, attributes, status),
            (_, None) => Self::Unreadable { body: text(attributes.get("body")) },
        }
    }

    pub(super) fn receipt(
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
            sent_at: None,
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

/// The carrier's id of a message, if it can be told from any other.
pub(super) fn id(value: Option<&Value>) -> Option<String> {
    text(value).filter(|id| (1..=LONGEST_ID).contains(&id.len()))
}

/// A number of the account; none when it cannot be told which.
pub(super) fn account_number(item: &Value) -> Option<PhoneNumber> {
    let places = ["/attributes/value", "/id"];
    places.into_iter().find_map(|place| text(item.pointer(place))?.trim().parse().ok())
}

/// A text, or a whole number where a text should be; NUL becomes the replacement character. Other
/// numbers have lost digits on the way: two different ones may look the same.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.replace('\0', "\u{FFFD}")),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn body(json: &[u8]) -> Option<String> {
        let object = read_json(&[b"{\"body\":\"", json, b"\"}"].concat())?;
        Some(object["body"].as_str().unwrap().to_owned())
    }

    fn webhook(payload: &Value) -> Webhook {
        Webhook::read(payload.as_object().unwrap())
    }

    #[test]
    fn lone_halves_of_a_pair_are_mended_and_pairs_are_not() {
        let table: [(&[u8], &str); 12] = [
            (br"\ud83d\ude00", "😀"),
            (br"\ud83d", "\u{fffd}"),
            (br"\uDE00", "\u{fffd}"),
            (br"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (br"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (br"\ud83d\ude00\ude00", "😀\u{fffd}"),
            (br"\ud83d\u0041", "\u{fffd}A"),
            (br"\ud83d\n", "\u{fffd}\n"),
            (br"\\ud83d \ud83d", "\\ud83d \u{fffd}"),
            (br#"\"\ud83d\""#, "\"\u{fffd}\""),
            ("é\\ud83dé".as_bytes(), "é\u{fffd}é"),
            (b"\xe9 \\u00e9", "\u{fffd} é"),
        ];
        for (written, read) in table {
            let shown = String::from_utf8_lossy(written);
            assert_eq!(body(written).as_deref(), Some(read), "{shown}");
        }
        for not in [br"\ud83".as_slice(), br"\ud83d\", br"\ud83d\x", br"\", b"\0"] {
            assert_eq!(body(not), None, "{}", String::from_utf8_lossy(not));
        }
    }

    #[test]
    fn only_an_object_is_a_payload() {
        for not in ["", " ", "[]", "\"a\"", "1", "null", "{}{}", "{", "{\"a\":1,}", "\u{feff}{}"] {
            assert_eq!(read_json(not.as_bytes()), None, "{not}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read_json(deep.as_bytes()), None);
        assert_eq!(read_json(b" {} \n"), Some(Map::new()));
    }

    #[test]
    fn texts_and_receipts_are_told_apart_in_either_shape() {
        let is_text = |payload| matches!(webhook(&payload), Webhook::Text(_));
        let is_receipt = |payload| matches!(webhook(&payload), Webhook::Receipt(_));
        let is_neither = |payload| matches!(webhook(&payload), Webhook::Unreadable { .. });
        assert!(is_text(json!({"id": "1", "to": "1"})));
        assert!(is_text(json!({"id": "1", "from": "1", "status": "delivered"})));
        assert!(is_text(json!({"id": "1", "type": "message"})));
        assert!(is_text(json!({"data": {"id": 1, "attributes": {"from": 1}}})));
        assert!(is_text(json!({"data": {"id": "1", "type": "message", "attributes": null}})));
        assert!(is_receipt(json!({"id": "1", "type": "delivery_receipt"})));
        assert!(is_receipt(json!({"id": "1", "status": "failed"})));
        assert!(is_receipt(
            json!({"id": "1", "type": "delivery_receipt", "attributes": {"to": "1", "from": "2"}})
        ));
        assert!(is_receipt(json!({"data": {"id": "1", "attributes": {"status": "delivered"}}})));
        assert!(is_neither(json!({})));
        assert!(is_neither(json!({"id": "1"})));
        assert!(is_neither(json!({"from": "1", "to": "2"})));
        assert!(is_neither(json!({"id": "", "from": "1"})));
        assert!(is_neither(json!({"id": ["1"], "from": "1"})));
        assert!(is_neither(json!({"id": "1", "data": {"from": "1"}})));
        assert!(is_neither(json!({"id": "x".repeat(256), "from": "1"})));
        assert!(is_text(json!({"id": "x".repeat(255), "from": "1"})));
        assert!(is_text(json!({"data": {}, "id": "1", "from": "1"})));
        assert!(is_neither(json!({"id": 123_456_789_012_345_678_901.0, "from": "1"})));
    }

    #[test]
    fn a_receipts_word_is_kept_short() {
        let long = "é".repeat(1000);
        let payload = json!({"id": "1", "status": long, "status_code": 1003});
        let Webhook::Receipt(receipt) = webhook(&payload) else { panic!("{payload}") };
        assert_eq!((receipt.status.chars().count(), receipt.code.as_deref()), (64, Some("1003")));
    }

    /// Any JSON value, with strings that are hard to write.
    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["\\PC*", "[\\\\\"ud8f0-9a-f\u{0}\n\u{10000}é]*"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same JSON with every character beyond ASCII as an escape.
    fn escaped(json: &str) -> String {
        let mut units = [0; 2];
        let mut escaped = String::new();
        for c in json.chars() {
            if c.is_ascii() {
                escaped.push(c);
            } else {
                escaped
                    .extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
        escaped
    }

    proptest! {
        #[test]
        fn no_payload_panics(bytes: Vec<u8>) {
            drop(read_json(&bytes).map(|object| Webhook::read(&object)));
        }

        #[test]
        fn no_object_panics_and_no_nul_gets_through(object in value()) {
            let keyed = |key: &str| json!({"id": "1", "type": key, "attributes": object,
                "included": [{"type": "media", "attributes": {"url": object}}, object]});
            prop_assert!(matches!(webhook(&keyed("delivery_receipt")), Webhook::Receipt(_)));
            let Webhook::Text(text) = webhook(&keyed("message")) else { panic!("no text") };
            let nul = |media: &Media| media.url.contains('\0');
            prop_assert!(!text.body.contains('\0') && !text.media.iter().any(nul));
            if let Some(object) = object.as_object() {
                drop(Webhook::read(object));
            }
        }

        #[test]
        fn whatever_is_within_quotes_is_mended_without_panic(json in "(\\\\|u|d8|dc|[0-9a-f]|\\PC)*") {
            drop(body(json.as_bytes()));
        }

        #[test]
        fn a_valid_object_keeps_its_meaning(value in value()) {
            let object = json!({"value": value});
            let plain = object.to_string();
            for json in [plain.clone(), escaped(&plain)] {
                prop_assert_eq!(read_json(json.as_bytes()).map(Value::Object), Some(object.clone()));
                // Mending is for what is broken; it leaves alone what is not.
                prop_assert_eq!(&mend(&json), &json);
            }
        }

        #[test]
        fn beside_a_lone_half_everything_else_keeps_its_meaning(value in value()) {
            let json = format!(r#"{{"lone":"\ud83d","value":{}}}"#, escaped(&value.to_string()));
            let read = read_json(json.as_bytes()).map(Value::Object);
            prop_assert_eq!(read, Some(json!({"lone": "\u{fffd}", "value": value})));
        }
    }
}
