//! Whatever is posted is read or refused, and what is kept of it the database can keep.

#![no_main]

use libfuzzer_sys::fuzz_target;
use maskline::{
    carrier::wire::{Webhook, read_json},
    command::{parse, plea},
};
use serde_json::{Map, Value, json};

fuzz_target!(|data: &[u8]| {
    if let Some(payload) = read_json(data) {
        let webhook = check(&payload);
        let written = serde_json::to_vec(&payload).expect("what was read can be written");
        let again = read_json(&written).expect("and read again");
        assert_eq!(Webhook::read(&again), webhook);
    }

    // The same bytes as somebody's words, in one shape or the other.
    let words = String::from_utf8_lossy(data);
    let flat = json!({"id": "1", "from": "12065550142", "to": 14_155_550_100_u64, "body": words});
    let shape = match data.len() % 2 {
        0 => flat,
        _ => json!({"data": {"id": "1", "type": "message", "attributes": flat}}),
    };
    let Value::Object(payload) = shape else { unreachable!() };
    let Webhook::Text(text) = check(&payload) else { panic!("a text is a text") };
    assert_eq!(text.body, words.replace('\0', "\u{FFFD}"));
    assert!(text.from.is_some() && text.to.is_some());
});

/// Reads a payload as the door does, and looks at what comes of it.
fn check(payload: &Map<String, Value>) -> Webhook {
    let webhook = Webhook::read(payload);
    match &webhook {
        Webhook::Text(text) => {
            can_be_kept(&text.carrier_id, 255);
            can_be_kept(&text.body, usize::MAX);
            for media in &text.media {
                can_be_kept(&media.url, usize::MAX);
                can_be_kept(media.file_name.as_deref().unwrap_or_default(), usize::MAX);
                can_be_kept(media.mime_type.as_deref().unwrap_or_default(), usize::MAX);
            }
            for number in text.from.iter().chain(&text.to) {
                assert_eq!(number.as_str().parse().as_ref(), Ok(number));
            }
            parse(&text.body);
            plea(&text.body);
        }
        Webhook::Receipt(receipt) => {
            can_be_kept(&receipt.carrier_id, 255);
            // 64 characters of four bytes at most.
            can_be_kept(&receipt.status, 256);
            can_be_kept(receipt.code.as_deref().unwrap_or_default(), 256);
        }
        Webhook::Unreadable { body } => {
            can_be_kept(body.as_deref().unwrap_or_default(), usize::MAX);
        }
    }
    webhook
}

/// PostgreSQL keeps no NUL, and an index no long id.
fn can_be_kept(text: &str, longest: usize) {
    assert!(!text.contains('\0') && text.len() <= longest, "{text:?}");
}
