//! RSMF 2.0, against the structure that its makers publish: the mail, its one attachment, and the JSON
//! in that, each field of which is checked as their schema has it.

use std::{
    collections::BTreeSet,
    io::{Cursor, Read},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use zip::ZipArchive;

use super::{NASTY, Out, export, talk, verified};
use crate::seal::{seal, sign, signing};

/// A mail: its head, unfolded, and its parts, each with a head of its own.
struct Mail {
    head: Vec<(String, String)>,
    parts: Vec<(Vec<(String, String)>, String)>,
}

fn head(text: &str) -> Vec<(String, String)> {
    let unfolded = text.replace("\r\n ", " ");
    let line = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), value.to_owned())
    };
    unfolded.split("\r\n").filter(|it| !it.is_empty()).map(line).collect()
}

fn value<'a>(head: &'a [(String, String)], name: &str) -> &'a str {
    let found: Vec<_> = head.iter().filter(|(it, _)| it == name).collect();
    assert_eq!(found.len(), 1, "{name}: {head:?}");
    &found[0].1
}

impl Mail {
    fn read(text: &str) -> Self {
        assert!(text.is_ascii() && !text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 78), "{text}");
        let (top, body) = text.split_once("\r\n\r\n").unwrap();
        let head = head(top);
        let kind = value(&head, "Content-Type");
        let boundary =
            kind.strip_prefix("multipart/mixed; boundary=\"").unwrap().trim_end_matches('"');
        let body = body.strip_suffix(&format!("--{boundary}--\r\n")).unwrap();
        let between = format!("--{boundary}\r\n");
        let parts = body.split(&between).skip(1).map(|part| {
            let (top, body) = part.split_once("\r\n\r\n").unwrap();
            (self::head(top), body.to_owned())
        });
        let parts = parts.collect();
        Self { head, parts }
    }

    /// The JSON in the one attachment, which is alone in its archive.
    fn manifest(&self) -> Value {
        let attached: Vec<_> = self
            .parts
            .iter()
            .filter(|(head, _)| head.iter().any(|(name, _)| name == "Content-Disposition"))
            .collect();
        let [(head, base64)] = attached[..] else { panic!("{} attachments", attached.len()) };
        assert_eq!(value(head, "Content-Disposition"), "attachment; filename=\"rsmf.zip\"");
        assert_eq!(value(head, "Content-Transfer-Encoding"), "base64");
        let bytes = BASE64_STANDARD.decode(base64.replace("\r\n", "")).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.file_names().collect::<Vec<_>>(), ["rsmf_manifest.json"]);
        let mut text = String::new();
        archive.by_name("rsmf_manifest.json").unwrap().read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// What a file says, seen to be as it must be.
pub(super) fn read(text: &str) -> Value {
    let mail = Mail::read(text);
    let manifest = mail.manifest();
    fits_the_published_structure(&manifest);
    let count = manifest["events"].as_array().unwrap().len().to_string();
    assert_eq!(value(&mail.head, "X-RSMF-EventCount"), count);
    manifest
}

/// What a field of an object must be.
enum Is<'a> {
    Text,
    Some,
    Time,
    Truth,
    OneOf(&'a [&'a str]),
    List(&'a dyn Fn(&Value)),
}

/// Sees that an object has these fields, those that must be there (`!`) and no others.
fn fits(object: &Value, fields: &[(&str, Is<'_>)]) {
    let object = object.as_object().unwrap();
    for (name, _) in fields.iter().filter(|(name, _)| name.ends_with('!')) {
        assert!(object.contains_key(name.trim_end_matches('!')), "{name} in {object:?}");
    }
    for (name, value) in object {
        let (_, is) = fields
            .iter()
            .find(|(field, _)| field.trim_end_matches('!') == name)
            .unwrap_or_else(|| panic!("{name} is no field of it: {object:?}"));
        let good = match is {
            Is::Text => value.is_string(),
            Is::Some => value.as_str().is_some_and(|text| !text.is_empty()),
            Is::Time => value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()),
            Is::Truth => value.is_boolean(),
            Is::OneOf(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Is::List(each) => {
                value.as_array().unwrap().iter().for_each(each);
                true
            }
        };
        assert!(good, "{name} is {value}");
    }
}

/// Sees that this is as `rsmf_schema_2_0_0.json` has it, and that each id leads somewhere.
fn fits_the_published_structure(manifest: &Value) {
    let custom = |it: &Value| fits(it, &[("name!", Is::Some), ("value!", Is::Some)]);
    let id = |it: &Value| assert!(it.as_str().is_some_and(|id| !id.is_empty()), "{it}");
    let participant = |it: &Value| {
        let fields = [
            ("id!", Is::Some),
            ("display", Is::Text),
            ("account_id", Is::Text),
            ("custom", Is::List(&custom)),
        ];
        fits(it, &fields);
    };
    let conversation = |it: &Value| {
        fits(
            it,
            &[
                ("id!", Is::Some),
                ("display", Is::Text),
                ("platform!", Is::Some),
                ("type", Is::OneOf(&["direct", "channel"])),
                ("participants!", Is::List(&id)),
                ("custom", Is::List(&custom)),
            ],
        );
    };
    let receipt = |it: &Value| {
        let actions = Is::OneOf(&["read", "delivered"]);
        fits(it, &[("participant!", Is::Some), ("timestamp", Is::Time), ("action", actions)]);
    };
    let kinds = ["message", "disclaimer", "join", "leave", "history", "unknown"];
    let event = |it: &Value| {
        fits(
            it,
            &[
                ("id", Is::Text),
                ("type!", Is::OneOf(&kinds)),
                ("parent", Is::Text),
                ("body", Is::Text),
                ("participant", Is::Text),
                ("conversation", Is::Text),
                ("timestamp", Is::Time),
                ("deleted", Is::Truth),
                ("direction", Is::OneOf(&["incoming", "outgoing"])),
                ("read_receipts", Is::List(&receipt)),
                ("custom", Is::List(&custom)),
            ],
        );
    };
    fits(
        manifest,
        &[
            ("version!", Is::OneOf(&["2.0.0"])),
            ("participants!", Is::List(&participant)),
            ("conversations!", Is::List(&conversation)),
            ("events!", Is::List(&event)),
            ("eventcollectionid", Is::Some),
        ],
    );
    let ids = |list: &Value| -> BTreeSet<String> {
        let list = list.as_array().unwrap();
        let ids: BTreeSet<_> =
            list.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), list.len(), "no id stands twice");
        ids
    };
    let people = ids(&manifest["participants"]);
    let conversations = ids(&manifest["conversations"]);
    ids(&manifest["events"]);
    for conversation in manifest["conversations"].as_array().unwrap() {
        for person in conversation["participants"].as_array().unwrap() {
            assert!(people.contains(person.as_str().unwrap()), "{person}");
        }
    }
    for event in manifest["events"].as_array().unwrap() {
        assert!(conversations.contains(event["conversation"].as_str().unwrap()));
        let receipts = event["read_receipts"].as_array().into_iter().flatten();
        let named = receipts.map(|it| &it["participant"]).chain(event.get("participant"));
        for person in named {
            assert!(people.contains(person.as_str().unwrap()), "{event}");
        }
    }
}

#[tokio::test]
async fn the_files_are_as_the_published_structure_has_them() {
    let test = signing().await;
    let (ann, ben, conversation) = talk(&test).await;
    test.advance(SignedDuration::from_hours(24));
    ann.texts("still there?").await;
    test.deliver().await;
    ben.texts("LEAVE").await;
    test.deliver().await;
    seal(&test).await;
    let out = Out::new();
    export(&test, &out, "rsmf", &["--conversation", &conversation]).done();
    verified(&test, &out, &[]).done();
    let names: Vec<String> = out.manifest().files.into_iter().map(|file| file.name).collect();
    let days = ["2026-03-01", "2026-03-02"].map(|day| format!("{day}/{conversation}.rsmf"));
    let more = ["excluded.csv", "proofs.jsonl"].map(str::to_owned);
    assert_eq!(names, [&days[..], &more].concat());

    let mut events = Vec::new();
    for day in &days {
        let mail = Mail::read(&out.read(day));
        assert_eq!(value(&mail.head, "X-RSMF-Version"), "2.0.0");
        assert_eq!(value(&mail.head, "X-RSMF-EventCollectionID"), conversation);
        assert_eq!(value(&mail.head, "MIME-Version"), "1.0");
        let manifest = mail.manifest();
        fits_the_published_structure(&manifest);
        let count = manifest["events"].as_array().unwrap().len().to_string();
        assert_eq!(value(&mail.head, "X-RSMF-EventCount"), count);
        let conversation = &manifest["conversations"][0];
        assert_eq!(
            (&conversation["platform"], &conversation["type"]),
            (&"sms".into(), &"direct".into())
        );
        for event in manifest["events"].as_array().unwrap() {
            assert!(event["timestamp"].as_str().unwrap().starts_with(&day[..10]), "{event}");
        }
        events.extend(manifest["events"].as_array().unwrap().clone());
        let all = manifest.to_string();
        for phone in [&ann, &ben] {
            assert!(!all.contains(&phone.number.digits()[1..]));
        }
    }
    let (her, his) = (test.person(&ann.number).await.0, test.person(&ben.number).await.0);
    let said = |body: &str| {
        let found: Vec<_> = events.iter().filter(|event| event["body"] == body).collect();
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        found[0].clone()
    };
    let bicycle = said("The bicycle, \"blue\"");
    assert_eq!(bicycle["type"], "message");
    assert_eq!(bicycle["participant"], her.to_string());
    assert_eq!(bicycle["direction"], "incoming");
    let receipts = &bicycle["read_receipts"];
    assert_eq!(
        (&receipts[0]["participant"], &receipts[0]["action"]),
        (&his.to_string().into(), &"delivered".into())
    );
    assert_eq!(said(NASTY)["participant"], his.to_string(), "as it was texted, script and all");
    let kinds: BTreeSet<&str> =
        events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.is_superset(&["join", "leave", "message"].into()), "{kinds:?}");

    // No record is lost: each stands in an event, or with the one that it tells of.
    let text: String = events.iter().map(ToString::to_string).collect();
    let records: i64 = i64::try_from(out.manifest().records).unwrap();
    let leaves = "select index::text from audit_leaf l join audit_record r using (at, id)
        where r.conversation_id is not null or r.text_id is not null";
    let leaves = test.column(leaves).await;
    assert_eq!(i64::try_from(leaves.len()).unwrap(), records);
    for leaf in leaves {
        let own = format!("{{\"name\":\"Record\",\"value\":\"{leaf}\"}}");
        assert!(
            text.contains(&own) || text.contains(&format!("(record {leaf})")),
            "{leaf}: {text}"
        );
    }
}

#[tokio::test]
async fn a_file_is_the_same_when_it_is_made_again() {
    let test = signing().await;
    talk(&test).await;
    let size = sign(&test).await.size.to_string();
    for format in ["rsmf", "html"] {
        let (first, again) = (Out::new(), Out::new());
        for out in [&first, &again] {
            export(&test, out, format, &["--checkpoint", &size]).done();
            seal(&test).await;
        }
        assert_eq!(first.files().len(), 5);
        assert_eq!(first.files(), again.files());
    }
}
