//! What belongs to no conversation leaves by the same filters: every record of a time, once, proven and
//! counted, in each form.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Out, export, rows, talk, verified};
use crate::{
    program::maskline,
    seal::{seal, sign, signing},
    support::{Phone, TestApp},
};

/// All there ever was.
const ALL: [&str; 4] = ["--from", "2000-01-01", "--zone", "UTC"];

/// Ann and Ben talk. Zoe, who is in no conversation, asks for help and opts out; a text goes to a number that
/// is none of ours; staff opt somebody out and say why. All of it is sealed.
async fn told(test: &TestApp) -> Phone<'_> {
    talk(test).await;
    let zoe = test.phone("+14155550133");
    for words in ["HELP", "is the kayak still there?", "STOP"] {
        zoe.texts(words).await;
        test.deliver().await;
    }
    let stray = crate::support::flat("stray", &zoe.number, "+14155550199", "who is this?");
    assert_eq!(test.post(&stray).await, 200);
    let evidence = ["--evidence", "a letter about a tandem", "--by", "Dana"];
    maskline(test, &[&["optout", "add", "+14155550144"][..], &evidence].concat()).done();
    test.deliver().await;
    test.run(OVERNIGHT).await;
    seal(test).await;
    zoe
}

/// Texts whose promise is of one day, and what the carrier reported of them of the next: one of no
/// conversation, one of a conversation that goes on, one of a conversation that does not.
const OVERNIGHT: &str = "
    insert into audit_record (id, at, kind, rule, conversation_id, text_id)
    values (md5('1')::uuid, '2026-02-10T23:00Z', 'answered', 'help', null, md5('a')::uuid),
        (md5('2')::uuid, '2026-02-11T01:00Z', 'delivered', null, null, md5('a')::uuid),
        (md5('3')::uuid, '2026-02-10T23:00Z', 'relayed', null, md5('on')::uuid, md5('b')::uuid),
        (md5('4')::uuid, '2026-02-11T01:00Z', 'delivered', null, null, md5('b')::uuid),
        (md5('5')::uuid, '2026-02-11T02:00Z', 'received', 'talk', md5('on')::uuid, null),
        (md5('6')::uuid, '2026-02-10T23:00Z', 'relayed', null, md5('off')::uuid, md5('c')::uuid),
        (md5('7')::uuid, '2026-02-11T01:00Z', 'reported', null, null, md5('c')::uuid),
        (md5('8')::uuid, '2026-02-11T01:00Z', 'failed', null, null, md5('never')::uuid)";

/// The leaves of an export of lines, in their order.
fn leaves(out: &Out) -> Vec<i64> {
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["leaf"].as_i64().unwrap();
    let mut leaves: Vec<i64> = out.read("records.jsonl").lines().map(line).collect();
    leaves.sort_unstable();
    leaves
}

#[tokio::test]
async fn an_export_of_all_times_holds_every_record_once() {
    let test = signing().await;
    told(&test).await;
    let size = sign(&test).await.size;
    let out = Out::new();
    let said = export(&test, &out, "jsonl", &ALL).done();
    let expected: Vec<i64> = (0..size.cast_signed()).collect();
    assert_eq!(leaves(&out), expected);
    let manifest = out.manifest();
    assert_eq!((manifest.records, manifest.proven), (size, size));
    let alone = "select count(*) from audit_record r join audit_leaf using (at, id)
        where conversation_id is null and not exists (
            select from audit_record p
            where p.text_id = r.text_id and p.conversation_id is not null)";
    let alone: i64 = test.value(alone).await;
    assert_eq!(i64::try_from(manifest.of_no_conversation).unwrap(), alone);
    assert_eq!(manifest.conversations, 3);
    let counted = format!("{size} records of 3 conversations, {alone} of them of none,");
    assert!(said.starts_with(&counted), "{said}");
    let said = verified(&test, &out, &[]).done();
    assert!(said.contains(&format!("intact: {counted} in 3 files")), "{said}");
}

#[tokio::test]
async fn days_one_after_the_other_hold_every_record_once() {
    let test = signing().await;
    told(&test).await;
    let size = sign(&test).await.size.to_string();
    let mut all = Vec::new();
    for (from, until) in
        [("2000-01-01", "2026-02-11"), ("2026-02-11", "2026-02-12"), ("2026-02-12", "2100-01-01")]
    {
        let out = Out::new();
        let times = ["--zone", "UTC", "--from", from, "--until", until, "--checkpoint", &size];
        export(&test, &out, "jsonl", &times).done();
        verified(&test, &out, &[]).done();
        if until == "2026-02-12" {
            let texts = out.read("records.jsonl");
            let on = "select md5('on')::uuid::text";
            let with_its_text = format!("\"conversation\":\"{}\"", test.value::<String>(on).await);
            assert_eq!(texts.matches(&with_its_text).count(), 2, "{texts}");
            assert_eq!(texts.matches("\"conversation\":null").count(), 3, "{texts}");
        }
        all.extend(leaves(&out));
    }
    all.sort_unstable();
    let expected: Vec<i64> = (0..size.parse().unwrap()).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn a_person_who_is_in_no_conversation_is_handed_over_with_their_words() {
    let test = signing().await;
    let zoe = told(&test).await;
    let her = test.person(&zoe.number).await.0.to_string();
    let out = Out::new();
    export(&test, &out, "csv", &["--person", &her]).done();
    let text = out.read("records.csv");
    let rows = rows(&text);
    let of = |kind: &str| rows.iter().filter(|row| &row[4] == kind).count();
    assert_eq!((of("received"), of("opted_out")), (3, 1), "{text}");
    assert!(of("answered") >= 2 && of("delivered") == of("answered"), "{text}");
    assert!(rows.iter().all(|row| row[3].is_empty()), "no conversation: {text}");
    assert!(text.contains("is the kayak still there?") && !text.contains("bicycle"), "{text}");
    let others =
        |row: &csv::StringRecord| [&row[6], &row[7]].iter().all(|it| it.is_empty() || **it == her);
    assert!(rows.iter().all(others), "{text}");
    assert!(!text.contains(&zoe.number.digits()[1..]), "{text}");
    let (number, page) = (Out::new(), Out::new());
    export(&test, &number, "csv", &["--rule", "help", "--direction", "inbound"]).done();
    assert_eq!(super::rows(&number.read("records.csv")).len(), 1, "what fits and no more");
    export(&test, &page, "html", &["--person", &her]).done();
    let page = page.read("transcript-0001.html");
    let title = format!("<h2>In no conversation: person {her}</h2>");
    assert!(page.contains(&title) && page.contains("is the kayak still there?"), "{page}");
    assert_eq!(page.matches("<h2>").count(), 1);
}

#[tokio::test]
async fn what_staff_wrote_about_what_they_did_is_not_handed_out() {
    let test = signing().await;
    told(&test).await;
    for format in ["csv", "html", "jsonl"] {
        let out = Out::new();
        let said = export(&test, &out, format, &["--kind", "staff"]).done();
        assert!(said.contains("What staff wrote about 1 of their deeds"), "{said}");
        let excluded = rows(&out.read("excluded.csv"));
        assert_eq!(excluded.len(), 1);
        assert_eq!((&excluded[0][3], &excluded[0][4]), ("", "withheld"));
        assert_eq!(out.manifest().excluded.withheld, 1);
        let all: String =
            out.files().iter().map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
        assert!(!all.contains("tandem"), "{all}");
        assert!(all.contains("by Dana: on this evidence"), "as the access log says it: {all}");
    }
}

#[tokio::test]
async fn what_is_written_again_is_the_same() {
    let test = signing().await;
    told(&test).await;
    let size = sign(&test).await.size.to_string();
    for format in ["csv", "html", "jsonl", "rsmf"] {
        let (first, again) = (Out::new(), Out::new());
        for out in [&first, &again] {
            export(&test, out, format, &[&ALL[..], &["--checkpoint", &size]].concat()).done();
            seal(&test).await;
            verified(&test, out, &[]).done();
        }
        assert_eq!(first.files(), again.files(), "{format}");
    }
}

#[tokio::test]
async fn each_of_them_has_a_channel_for_legal_programs() {
    let test = signing().await;
    let zoe = told(&test).await;
    let her = test.person(&zoe.number).await.0.to_string();
    let out = Out::new();
    export(&test, &out, "rsmf", &ALL).done();
    let (mut events, mut channels) = (String::new(), BTreeSet::new());
    for (name, bytes) in out.files().iter().filter(|(name, _)| name.contains(".rsmf")) {
        let manifest = super::rsmf::read(&String::from_utf8_lossy(bytes));
        let conversation = &manifest["conversations"][0];
        let id = conversation["id"].as_str().unwrap();
        assert!(name.contains(id), "{name}");
        if conversation["type"] == "channel" {
            channels.insert(id.to_owned());
        }
        for event in manifest["events"].as_array().unwrap() {
            let is_deed = event["custom"].to_string().contains("\"staff\"");
            assert!(!is_deed || event["participant"].is_null(), "{event}");
            events.push_str(&event.to_string());
        }
    }
    assert!(channels.contains(&format!("person-{her}")), "{channels:?}");
    assert!(channels.contains("staff") && channels.contains("rest"), "{channels:?}");
    for leaf in 0..out.manifest().records {
        let own = format!("{{\"name\":\"Record\",\"value\":\"{leaf}\"}}");
        let told = events.contains(&own) || events.contains(&format!("(record {leaf})"));
        assert!(told, "{leaf}: {events}");
    }
    assert!(events.contains("is the kayak still there?") && !events.contains("tandem"));
}
