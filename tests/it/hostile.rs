//! Whatever is posted: the door never breaks, and each text that it took is on record once.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use maskline::carrier::wire::{Webhook, read_json};
use proptest::{
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde_json::{Value, json};

use crate::support::{NUMBER, OTHER_NUMBER, Phone, TestApp, flat, sample};

/// How many payloads are made up in each run.
const PAYLOADS: usize = 3000;
/// How many people post them, each connected to another at first.
const PEOPLE: usize = 40;
/// How many are under way at once.
const AT_ONCE: usize = 8;

const SAMPLES: [&str; 16] = [
    "inbound-sms-flat-v2",
    "inbound-sms-flat-mdr2",
    "inbound-sms-jsonapi",
    "inbound-sms-ucs2-tollfree",
    "inbound-mms-with-media",
    "inbound-mms-null-body",
    "dlr-level1",
    "dlr-level2",
    "dlr-unwrapped-submit",
    "dlr-unwrapped-buffered",
    "dlr-delivered",
    "dlr-failed-1110",
    "message-list-200",
    "send-accepted-202",
    "send-request",
    "error-400-opted-out",
];

/// Each command, spellings of it, and what only looks like it.
const WORDS: [&str; 64] = [
    "STOP",
    "stop ",
    "S.T.O.P",
    "ＳＴＯＰ",
    "“stop”",
    "STOPALL",
    "stop all",
    "UNSUBSCRIBE",
    "cancel",
    "END",
    "quit!",
    "revoke",
    "opt-out",
    "remove",
    "arrêt",
    "stop it",
    "please stop",
    "stop by at five",
    "stop texting me",
    "don't stop",
    "UNSTOP",
    "YES",
    "yess",
    "yes please",
    "HELP",
    "help?",
    "help me",
    "INFO",
    "aidé",
    "START",
    "start.",
    "start now",
    "restart",
    "NEW CHAT",
    "new\u{a0}\nchat",
    "new chats",
    "JOIN",
    "JOIN K7QM-4XRT",
    "join: k7om 4xrt",
    "JOIN K7QM",
    "JOIN K7QM-4XRT please",
    "join us at 22 30",
    "END K7QM-4XRT",
    "end date 2026",
    "end of the day works",
    "LEAVE",
    "(leave)",
    "LEAVE K7QM-4XRT",
    "leave it to me",
    "K7QM-4XRT",
    "",
    " \n\t",
    "\u{200b}\u{feff}",
    "\u{0}",
    "...",
    "🛑",
    "🛑 stop 🛑\u{fe0f}",
    "\u{202e}POTS",
    "s\u{301}top",
    "\u{fdfa}\u{fdfa}\u{fdfa}",
    "停止",
    "'; drop table person; --",
    "$1 %s {} \\",
    "=1+1",
];

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&WORDS[..]).prop_map(str::to_owned),
        prop::collection::vec(select(&WORDS[..]), 0..6).prop_map(|words| words.join(" ")),
        any::<String>(),
        "[\u{0}-\u{20}a-z\u{200b}\u{301}\u{fdfa}🛑]{0,80}",
        (select(&WORDS[..]), 1_usize..300).prop_map(|(word, times)| word.repeat(times)),
    ]
}

fn nested(depth: usize, wrap: fn(Value) -> Value) -> Value {
    (0..depth).fold(json!(1), |inner, _| wrap(inner))
}

/// A value that stands where another should.
fn hostile() -> impl Strategy<Value = Value> {
    prop_oneof![
        words().prop_map(Value::from),
        select(vec![
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1e308),
            json!(1.5),
            json!([]),
            json!({}),
            json!([[["12065550142"]]]),
            json!({"id": {"id": "x"}}),
            json!("x".repeat(300)),
            json!("0".repeat(5000)),
            json!("+12065550142\u{0}"),
            json!("１２０６５５５０１４２"),
            json!("message"),
            json!("delivery_receipt"),
            json!("media"),
            json!(NUMBER),
            json!("12065550187"),
        ]),
        (1_usize..200).prop_map(|depth| nested(depth, |inner| Value::from(vec![inner]))),
        (1_usize..200).prop_map(|depth| nested(depth, |inner| Value::from_iter([("a", inner)]))),
    ]
}

/// A payload as the carrier would send it: a sample, or a text in either shape.
fn plausible() -> impl Strategy<Value = Value> {
    let from = prop_oneof![(0..PEOPLE).prop_map(person), Just("12065550199".to_owned())];
    let to = select(vec![NUMBER, NUMBER, OTHER_NUMBER, "14155550199"]);
    let text = (any::<u64>(), from, to, words()).prop_map(|(id, from, to, body)| {
        let id = format!("mdr2-{id:x}");
        json!({"id": id, "from": from, "to": to, "body": body})
    });
    let text = text.boxed();
    let wrapped = text.clone().prop_map(|mut text| {
        let id = text["id"].take();
        json!({"data": {"id": id, "type": "message", "attributes": text}, "included": [
            {"type": "media", "attributes": {"url": "https://media.example/1", "file_size": 7}}]})
    });
    prop_oneof![1 => select(&SAMPLES[..]).prop_map(sample), 2 => text, 2 => wrapped]
}

/// Every place in a payload, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let inside: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in inside {
        let at = format!("{at}/{name}");
        places(value, &at, found);
        found.push(at);
    }
}

/// A plausible payload in which up to two values stand where others should.
fn mutated() -> impl Strategy<Value = Value> {
    let changes = prop::collection::vec((any::<Index>(), hostile()), 0..=2);
    (plausible(), changes).prop_map(|(mut payload, changes)| {
        for (place, value) in changes {
            let mut all = Vec::new();
            places(&payload, "", &mut all);
            if !all.is_empty() {
                *payload.pointer_mut(&all[place.index(all.len())]).unwrap() = value;
            }
        }
        payload
    })
}

/// What is put between two bytes of a payload.
fn splinter() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        select(vec![
            &b"\0"[..],
            br"\u0000",
            br"\ud800",
            br"\udc00\ud800",
            br"\ud83d\ude00",
            br"\u",
            b"\xff\xfe",
            b"\xed\xa0\x80",
            b"\"",
            b"\\",
            b"{}",
            b",",
            b"1e999",
            b"\"id\":\"a\",\"id\":\"b\",",
            b"\xef\xbb\xbf",
        ])
        .prop_map(<[u8]>::to_vec),
        (1_usize..300).prop_map(|depth| "[".repeat(depth).into()),
        (1_usize..500).prop_map(|digits| "9".repeat(digits).into()),
    ]
}

/// The bytes of a payload, whole for the most part.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let whole = mutated().prop_map(|payload| payload.to_string().into_bytes()).boxed();
    let spoilt = (whole.clone(), prop::collection::vec((any::<Index>(), splinter()), 1..3));
    let spoilt = spoilt.prop_map(|(mut bytes, splinters)| {
        for (place, splinter) in splinters {
            let at = place.index(bytes.len() + 1);
            bytes.splice(at..at, splinter);
        }
        bytes
    });
    let cut = (whole.clone(), any::<Index>()).prop_map(|(mut bytes, place)| {
        bytes.truncate(place.index(bytes.len() + 1));
        bytes
    });
    prop_oneof![6 => whole, 4 => spoilt, 1 => cut]
}

/// The number of somebody.
fn person(n: usize) -> String {
    format!("+1206556{n:04}")
}

/// The ids of the texts that were taken, with how many records say what became of each.
async fn outcomes(test: &TestApp) -> BTreeMap<String, i64> {
    let found: Value = test
        .value(
            "select coalesce(json_object_agg(c.carrier_id, (select count(*) from audit_record a
                 where a.carrier_id = c.carrier_id and a.kind in ('received', 'refused'))), '{}')
             from carrier_message c where direction = 'inbound'",
        )
        .await;
    serde_json::from_value(found).unwrap()
}

/// Opens a conversation, whose code is read from the database: nothing need be delivered first.
async fn connect(test: &TestApp, phone: &Phone<'_>, other: &Phone<'_>) {
    other.texts("START").await;
    let code: String = test
        .value(&format!(
            "select code from conversation c join participant on conversation_id = c.id
             join person p on p.id = person_id where number = '{}'",
            other.number.as_str()
        ))
        .await;
    phone.texts(&format!("JOIN {code}")).await;
}

#[tokio::test]
async fn whatever_is_posted_is_answered_and_each_text_is_on_record_once() {
    let test = TestApp::start().await;
    for n in (0..PEOPLE).step_by(2) {
        connect(&test, &test.phone(&person(n)), &test.phone(&person(n + 1))).await;
    }
    let mut expected = outcomes(&test).await;
    let mut runner = TestRunner::default();
    let payloads = bytes();
    let payloads: Vec<Vec<u8>> =
        (0..PAYLOADS).map(|_| payloads.new_tree(&mut runner).unwrap().current()).collect();

    // Now and then the carrier delivers twice.
    let twice = payloads.iter().step_by(10);
    let posts = payloads.iter().chain(twice).map(|bytes| {
        let post = test.post_bytes(bytes.clone());
        async move { (bytes, post.await) }
    });
    let mut posts = stream::iter(posts).buffer_unordered(AT_ONCE);
    let mut unreadable = 0;
    while let Some((bytes, status)) = posts.next().await {
        let shown = String::from_utf8_lossy(bytes);
        let Some(payload) = read_json(bytes) else {
            assert_eq!(status, 400, "{shown}");
            continue;
        };
        assert_eq!(status, 200, "{shown}");
        match Webhook::read(&payload) {
            Webhook::Text(text) => drop(expected.insert(text.carrier_id, 1)),
            Webhook::Receipt(_) => {}
            Webhook::Unreadable { .. } => unreadable += 1,
        }
    }
    drop(posts);

    assert_eq!(outcomes(&test).await, expected);
    assert!(expected.len() > PAYLOADS / 4, "few of the payloads were texts: {}", expected.len());
    let kept: i64 =
        test.value("select count(*) from audit_record where rule = 'payload_unreadable'").await;
    assert_eq!(kept, unreadable);
    // What was promised because of it can be sent.
    let sent = test.deliver().await;
    assert!(sent > PAYLOADS / 50, "few of the texts led to another: {sent}");
}

#[tokio::test]
async fn what_is_too_long_is_refused_whatever_it_is() {
    let test = TestApp::start().await;
    let before = test.dump().await;
    let mib = 1024 * 1024;
    let text = |body: String| flat("long", &test.ann().number, NUMBER, &body).to_string();
    for bytes in [text("x".repeat(mib)), "[".repeat(mib), "\0".repeat(mib), "9".repeat(2 * mib)] {
        assert_eq!(test.post_bytes(bytes.into()).await, 413);
    }
    assert_eq!(test.dump().await, before);
}

/// Brings a phone to one of the places where a text can find it.
async fn prepare(test: &TestApp, phone: &Phone<'_>, place: usize, other: &Phone<'_>) {
    match place {
        0 => {}
        1 => drop(phone.texts("START").await),
        2 => connect(test, phone, other).await,
        _ => drop(phone.texts("STOP").await),
    }
}

#[tokio::test]
async fn every_word_has_one_outcome_wherever_it_finds_its_sender() {
    let test = TestApp::start().await;
    let cases = (0..4).flat_map(|place| (0..WORDS.len()).map(move |n| (place, n)));
    let posts = cases.map(|(place, n)| {
        let first = 2 * (place * WORDS.len() + n);
        let (phone, other) = (test.phone(&person(first)), test.phone(&person(first + 1)));
        let (test, body) = (&test, WORDS[n]);
        async move {
            prepare(test, &phone, place, &other).await;
            let text = flat(&format!("word-{place}-{n}"), &phone.number, NUMBER, body);
            assert_eq!(test.post(&text).await, 200, "{body:?} in place {place}");
        }
    });
    stream::iter(posts).buffer_unordered(AT_ONCE).collect::<()>().await;

    let outcomes = outcomes(&test).await;
    assert!(outcomes.len() >= 4 * WORDS.len());
    assert!(outcomes.values().all(|records| *records == 1), "{outcomes:?}");
    let left: i64 = test
        .value("select count(*) from audit_record where kind = 'received' and rule is null")
        .await;
    assert_eq!(left, 0);
    test.deliver().await;
}
