//! What belongs to no conversation is found by the same filters: answers to HELP, opt-outs, what strangers
//! sent, what staff did.

use maskline::phone::PhoneNumber;
use serde_json::Value;

use super::{filled, searched};
use crate::{
    program::maskline,
    support::{Phone, TestApp},
};

/// Zoe, who is in no conversation, asks for help and opts out; a text comes from nobody and one on a number
/// that is none of ours; staff opt somebody out. Beside them Ann and Ben talk.
async fn told(test: &TestApp) -> Phone<'_> {
    test.conversation().await;
    test.deliver().await;
    let zoe = test.phone("+14155550133");
    zoe.texts("HELP").await;
    test.deliver().await;
    zoe.texts("please stop texting me").await;
    zoe.texts("STOP").await;
    test.deliver().await;
    let elsewhere = "+14155550199".parse::<PhoneNumber>().unwrap();
    let stray = crate::support::flat("stray", &zoe.number, elsewhere.as_str(), "who is this?");
    assert_eq!(test.post(&stray).await, 200);
    let reason = ["--evidence", "asked by letter about a bicycle", "--by", "Dana"];
    let add = ["optout", "add", "+14155550144"];
    maskline(test, &[&add[..], &reason].concat()).done();
    test.deliver().await;
    zoe
}

/// What is said to have happened of each row that belongs to no conversation, the oldest in front; the
/// reports on texts are put in a row by their kind, as they come in one moment.
fn alone(found: &Value) -> Vec<String> {
    let rows = found.as_array().unwrap().iter().filter(|row| row["conversation"].is_null());
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut words: Vec<String> =
        rows.map(|row| format!("{} {}", word(&row["kind"]), word(&row["rule"]))).collect();
    words.sort();
    words
}

#[tokio::test]
async fn each_filter_finds_what_belongs_to_no_conversation() {
    let test = TestApp::start().await;
    let zoe = told(&test).await;
    let her = test.person(&zoe.number).await.0.to_string();
    let carrier_id =
        "select carrier_id from audit_record where kind = 'received' and rule = 'help'";
    let answer = "select text_id::text from audit_record where kind = 'answered' and rule = 'help'";
    let sent = "select carrier_id from audit_record where kind = 'accepted' and text_id = (
        select text_id from audit_record where kind = 'answered' and rule = 'help')";
    let names = [
        ("ZOE", her),
        ("HELP", test.value(carrier_id).await),
        ("ANSWER", test.value(answer).await),
        ("SENT", test.value(sent).await),
        ("TALK", test.value("select id::text from conversation").await),
    ];
    let help = ["accepted -", "answered help", "received help"];
    let sent = ["accepted -", "answered help"];
    let flag = ["flagged -"];
    let table: &[(&str, &[&str])] = &[
        ("--kind refused", &["refused not_our_number"]),
        ("--kind opted_out", &["opted_out -", "opted_out staff_opt_out"]),
        ("--kind staff --rule optout_add", &["staff optout_add"]),
        ("--kind opted_out --person ZOE", &["opted_out -"]),
        ("--rule help", &["answered help", "received help"]),
        ("--rule help --direction inbound", &["received help"]),
        ("--rule help --number +14155550100", &["answered help", "received help"]),
        ("--rule help --number +14155550101", &[]),
        ("--rule help --person ZOE", &["answered help", "received help"]),
        ("--rule help --from 2026-03-02 --zone UTC", &[]),
        ("--rule help --until 2026-03-02 --zone UTC", &["answered help", "received help"]),
        ("--external HELP", &help),
        ("--external ANSWER", &sent),
        ("--external SENT", &sent),
        ("--external HELP --kind received", &["received help"]),
        ("--external HELP --conversation TALK", &[]),
        ("--flagged", &flag),
        ("--flagged --person ZOE", &flag),
        ("--person ZOE --keyword please", &["received talk"]),
        ("--conversation TALK", &[]),
        ("--state active", &[]),
        ("--with-media", &[]),
        ("--held", &[]),
        // The answer stands for what the carrier reported of it.
        ("--kind delivered --rule help", &["answered help"]),
    ];
    for (command, expected) in table {
        let found = searched(&test, &filled(command, &names)).json();
        let found: Vec<String> = alone(&found);
        assert_eq!(found, *expected, "{command}");
    }
}

#[tokio::test]
async fn what_a_hold_covers_outside_of_conversations_is_found() {
    let test = TestApp::start().await;
    let zoe = told(&test).await;
    let her = test.person(&zoe.number).await.0.to_string();
    let held = |more: &[&str]| alone(&searched(&test, &[&["--held"][..], more].concat()).json());
    let add = |what: &[&str]| {
        let add = ["holds", "add", "--matter", "a case"];
        maskline(&test, &[&add[..], what].concat()).done();
    };
    add(&["--person", &her]);
    let hers = alone(&searched(&test, &["--person", &her]).json());
    assert!(hers.len() > 6 && hers.contains(&"received help".to_owned()), "{hers:?}");
    assert_eq!(held(&[]), hers);
    assert_eq!(held(&["--kind", "opted_out"]), ["opted_out -"]);
    // All that there is: what nobody did, too.
    add(&["--all"]);
    assert_eq!(held(&["--kind", "refused"]), ["refused not_our_number"]);
    assert_eq!(held(&["--kind", "opted_out"]), ["opted_out -", "opted_out staff_opt_out"]);
}

#[tokio::test]
async fn the_columns_of_a_conversation_stay_empty() {
    let test = TestApp::start().await;
    let zoe = told(&test).await;
    let (her, _) = test.person(&zoe.number).await;
    let found = searched(&test, &["--rule", "help", "--direction", "inbound"]).json();
    let id: String = test
        .value("select id::text from audit_record where kind = 'received' and rule = 'help'")
        .await;
    let row = &found[0];
    assert_eq!(row["record"], id);
    assert!(row["conversation"].is_null() && row["state"].is_null(), "{row}");
    assert_eq!((&row["records"], &row["first"]), (&1.into(), &row["last"]));
    assert_eq!(row["people"], serde_json::json!([her]));
    assert_eq!(row["masked_numbers"], serde_json::json!([crate::support::NUMBER]));

    let table = maskline(&test, &["audit", "search", "--rule", "help"]).done();
    let line = table.lines().find(|line| line.contains("received help")).unwrap();
    assert!(line.starts_with(&" ".repeat(38)), "no conversation: {line}");
    assert!(line.contains(&her.to_string()[28..]), "{line}");
    let digits = &zoe.number.digits()[1..];
    assert!(!table.contains(digits) && !found.to_string().contains(digits));
}

#[tokio::test]
async fn what_staff_wrote_is_not_looked_through() {
    let test = TestApp::start().await;
    told(&test).await;
    let of = "select person_id::text from audit_record where rule = 'optout_add'";
    let whom: String = test.value(of).await;
    let deeds = ["--person", &whom, "--kind", "staff"];
    assert_eq!(alone(&searched(&test, &deeds).json()), ["staff optout_add"]);
    let sealed = "select body_sealed is not null from audit_record where rule = 'optout_add'";
    assert!(test.value::<bool>(sealed).await, "there are words");
    let words = [&deeds[..], &["--keyword", "bicycle"]].concat();
    assert_eq!(searched(&test, &words).json(), serde_json::json!([]));
}

/// A text of a conversation and one of none, each with its promise on one day and what the carrier reported
/// on the next.
const OVERNIGHT: &str = "
    insert into audit_record (id, at, kind, rule, conversation_id, text_id)
    values (md5('1')::uuid, '2026-02-10T23:00Z', 'answered', 'help', null, md5('a')::uuid),
        (md5('2')::uuid, '2026-02-11T01:00Z', 'delivered', null, null, md5('a')::uuid),
        (md5('3')::uuid, '2026-02-10T23:00Z', 'relayed', null, md5('c')::uuid, md5('b')::uuid),
        (md5('4')::uuid, '2026-02-11T01:00Z', 'delivered', null, null, md5('b')::uuid),
        (md5('5')::uuid, '2026-02-11T02:00Z', 'reported', null, null, md5('nothing')::uuid)";

#[tokio::test]
async fn what_the_carrier_reported_is_found_by_itself_only_where_its_text_is_not() {
    let test = TestApp::start().await;
    test.run(OVERNIGHT).await;
    let found = |from: &'static str, until: &'static str, more: &'static [&'static str]| {
        let times = ["--zone", "UTC", "--from", from, "--until", until];
        searched(&test, &[&times[..], more].concat()).json()
    };
    let both = found("2026-02-10", "2026-02-12", &[]);
    assert_eq!(alone(&both), ["answered help", "reported -"]);
    assert_eq!(both.as_array().unwrap().len(), 3, "and the conversation");
    let first = found("2026-02-10", "2026-02-11", &[]);
    assert_eq!((alone(&first).len(), first.as_array().unwrap().len()), (1, 2));
    let second = found("2026-02-11", "2026-02-12", &[]);
    assert_eq!(alone(&second), ["delivered -", "delivered -", "reported -"]);
    assert_eq!(
        alone(&found("2026-02-10", "2026-02-12", &["--kind", "delivered"])),
        ["answered help"]
    );
}
