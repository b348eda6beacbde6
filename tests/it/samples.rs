//! Every payload that was captured from the carrier is read.

use std::collections::BTreeSet;

use maskline::{carrier::simulator::Faults, phone::PhoneNumber, pool};
use serde_json::{Value, json};

use crate::support::{TestApp, sample};

/// Texts as captured: the sender, the number that was texted, the words, and how many media.
const TEXTS: [(&str, &str, &str, &str, usize); 6] = [
    ("inbound-sms-flat-v2", "+18553569768", "+12066418000", "Hello there from Flowroute!", 0),
    ("inbound-sms-flat-mdr2", "+18015550101", "+18775550100", "bla bla bla", 0),
    ("inbound-sms-jsonapi", "+12065550101", "+12065550100", "Greetings on Friday evening!", 0),
    ("inbound-sms-ucs2-tollfree", "+12065550101", "+18885550100", "Join 7KQ2 👋", 0),
    ("inbound-mms-with-media", "+12065550101", "+12065550100", "stringified rsponse", 1),
    ("inbound-mms-null-body", "+12345678900", "+1234567890", "", 1),
];

/// Receipts as captured: the word that is kept, and how far the text has come by it.
const RECEIPTS: [(&str, &str, &str); 6] = [
    ("dlr-level1", "smsc submit", "sent"),
    ("dlr-level2", "message buffered 1003", "sent"),
    ("dlr-unwrapped-submit", "smsc submit", "sent"),
    ("dlr-unwrapped-buffered", "message buffered 1003", "sent"),
    ("dlr-delivered", "delivered", "delivered"),
    ("dlr-failed-1110", "failed 1110", "failed"),
];

/// Answers of the carrier's API. As webhooks they make no sense, and do no harm.
const ANSWERS: [&str; 10] = [
    "error-400-opted-out",
    "error-401",
    "error-403",
    "error-422-media-size",
    "error-429",
    "message-list-200",
    "number-list-200",
    "send-accepted-202",
    "send-ok-v2-200",
    "send-request",
];

#[test]
fn no_sample_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let read = TEXTS.iter().map(|text| text.0).chain(RECEIPTS.iter().map(|receipt| receipt.0));
    let read = read.chain(ANSWERS).map(|name| format!("{name}.json"));
    assert_eq!(files, read.collect());
}

#[tokio::test]
async fn every_captured_text_is_received() {
    let test = TestApp::start().await;
    for (name, from, to, body, media) in TEXTS {
        let to: PhoneNumber = to.parse().unwrap();
        let mut conn = test.db.acquire().await.unwrap();
        pool::add(&mut conn, &to, test.app.clock.now()).await.unwrap();
        drop(conn);
        let payload = sample(name);
        assert_eq!(test.post(&payload).await, 200, "{name}");
        assert_eq!(test.post(&payload).await, 200, "{name} again");

        let resource = payload.get("data").unwrap_or(&payload);
        let found: Value = test
            .value(&format!(
                "select json_agg(json_build_array(p.number, a.masked_number, a.body, a.rule,
                     coalesce(jsonb_array_length(a.media), 0)))
                 from audit_record a
                 join person p on p.id = a.person_id
                 where a.kind = 'received' and a.carrier_id = {}",
                resource["id"].to_string().replace('"', "'")
            ))
            .await;
        let rule = if body.is_empty() { "empty" } else { "talk" };
        assert_eq!(found, json!([[from, to.as_str(), body, rule, media]]), "{name}");
    }
    // The media are on record, without what opens them.
    let kept: Value = test
        .value("select media->0 from audit_record where media is not null order by at, id limit 1")
        .await;
    let mut media = sample("inbound-mms-with-media")["included"][0]["attributes"].clone();
    let url = media["url"].as_str().unwrap().split_once('?').unwrap().0.to_owned();
    media["url"] = json!(url);
    assert_eq!(kept, media);
    test.deliver().await;
}

#[tokio::test]
async fn every_included_medium_counts_however_it_is_linked() {
    let test = TestApp::start().await;
    let (_ann, ben) = test.conversation().await;
    let file = |name: &str| {
        let url = format!("https://media.example/{name}");
        json!({"type": "media", "id": name, "attributes": {"url": url, "file_size": "14832"}})
    };
    let picture = json!({
        "data": {
            "id": "three", "type": "message",
            "attributes": {"from": "12065550142", "to": "14155550100", "body": "look"},
            "relationships": {"media": {"data": [{"type": "media", "id": "another"}]}},
        },
        "included": [file("a"), {"type": "person"}, file("b"), {"type": "media"}, 7, file("c")],
    });
    assert_eq!(test.post(&picture).await, 200);
    test.deliver().await;
    assert_eq!(ben.last(), "look");
    // They lie nowhere that Maskline looks.
    assert_eq!(
        test.value::<i64>("select count(*) from media where refused = 'wrong_host'").await,
        3
    );
    let urls = test.column(
        "select medium->>'url' from audit_record, jsonb_array_elements(media) as medium
         where carrier_id = 'three' and kind = 'received'",
    );
    assert_eq!(urls.await, ["a", "b", "c"].map(|name| format!("https://media.example/{name}")));
}

#[tokio::test]
async fn every_captured_receipt_is_noted() {
    let test = TestApp::start().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    let (ann, _ben) = test.conversation().await;
    for (name, status, delivery) in RECEIPTS {
        ann.texts(&format!("about to be reported: {name}")).await;
        test.deliver().await;
        let sent = test.simulator.ledger().accepted.pop().unwrap();
        let mut payload = sample(name);
        let resource =
            if payload.get("data").is_some() { &mut payload["data"] } else { &mut payload };
        resource["id"] = json!(sent.id);
        assert_eq!(test.post(&payload).await, 200, "{name}");
        assert_eq!(test.post(&payload).await, 200, "{name} again");

        let noted = format!(
            "select json_build_array(delivery, status,
                 (select json_agg(kind || ' ' || detail) from audit_record a
                  where a.carrier_id = c.carrier_id and detail is not null))
             from carrier_message c where carrier_id = '{}'",
            sent.id
        );
        let kind = if delivery == "sent" { "reported" } else { delivery };
        let expected = json!([delivery, status, [format!("{kind} {status}")]]);
        assert_eq!(test.value::<Value>(&noted).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_receipt_for_an_unknown_text_changes_nothing() {
    let test = TestApp::start().await;
    test.conversation().await;
    let before = test.dump().await;
    let token = uuid::Uuid::nil();
    for (name, ..) in RECEIPTS {
        let payload = sample(name);
        assert_eq!(test.post(&payload).await, 200, "{name}");
        let named = test.url(&format!("/api/receipt/{{secret}}/{token}"));
        let answer = test.http.post(named).json(&payload).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
    }
    assert_eq!(test.dump().await, before);
}

#[tokio::test]
async fn an_answer_of_the_api_at_the_wrong_door_moves_nobody() {
    let test = TestApp::start().await;
    for name in ANSWERS {
        assert_eq!(test.post(&sample(name)).await, 200, "{name}");
    }
    let trail = test.trail().await;
    assert!(trail.iter().all(|kind| kind.starts_with("refused ")), "{trail:?}");
    assert_eq!((trail.len(), test.deliver().await), (ANSWERS.len(), 0));
}
