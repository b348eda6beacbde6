//! What staff must look at, and until when: the commands and the metrics.

use std::process::Command;

use jiff::SignedDuration;
use maskline::{
    ids::ConversationId,
    tasks::{self, Kind, Task},
};
use serde_json::json;

use crate::{program::maskline, support::TestApp};

/// A task about the conversation, raised so long before now, whatever the test's clock says.
async fn raise(test: &TestApp, kind: Kind, ago: &str) -> String {
    let id: ConversationId = test.value("select id from conversation").await;
    let task = Task { conversation: Some(id), ..Task::of(kind) };
    let mut conn = test.db.acquire().await.unwrap();
    assert!(tasks::raise(&mut conn, &task, test.app.clock.now()).await.unwrap());
    test.run(&format!(
        "update task set due_at = now() - (raised_at - due_at) - interval '{ago}'
         where kind = '{}'",
        kind.as_str()
    ))
    .await;
    test.value(&format!("select id::text from task where kind = '{}'", kind.as_str())).await
}

#[tokio::test]
async fn staff_see_first_what_is_overdue_and_close_it_with_an_outcome() {
    let test = TestApp::start().await;
    let (_, ben) = test.conversation().await;
    let soon = raise(&test, Kind::SoftOptOut, "1 day").await;
    let overdue = raise(&test, Kind::Report, "30 days").await;
    let between = raise(&test, Kind::Quarantine, "0 days").await;
    let conversation: String = test.value("select id::text from conversation").await;
    let records: i64 =
        test.value("select count(*) from audit_record where conversation_id is not null").await;

    let listed = maskline(&test, &["tasks", "list", "--format", "json"]).json();
    let kinds = |listed: &serde_json::Value| -> Vec<(String, bool)> {
        let tasks = listed.as_array().unwrap().iter();
        tasks
            .map(|task| (task["kind"].as_str().unwrap().into(), task["overdue"] == json!(true)))
            .collect()
    };
    let due_first = [("report", true), ("quarantine", false), ("soft_opt_out", false)];
    assert_eq!(kinds(&listed), due_first.map(|(kind, overdue)| (kind.to_owned(), overdue)));
    assert_eq!(listed[0]["transcript_records"], json!(records));
    assert_eq!(listed[0]["conversation"], json!(conversation));
    let table = maskline(&test, &["tasks", "list"]).done();
    assert!(table.lines().nth(1).unwrap().contains("OVERDUE"), "{table}");
    assert!(!table.contains(&ben.number.digits()[4..]), "{table}");

    let close = |id: &str| maskline(&test, &["tasks", "close", id, "--outcome", "called them"]);
    assert_eq!(close(&between).done(), "closed\n");
    test.run("update task set closed_at = closed_at - interval '1 hour'").await;
    assert_eq!(close(&overdue).done(), "closed\n");
    let again = maskline(&test, &["tasks", "close", &overdue, "--outcome", "other"]).failed();
    assert!(again.contains("closed already"), "{again}");
    assert!(close("019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94").failed().contains("no such task"));
    assert_eq!(close("4711").code, 2);
    let told = maskline(&test, &["tasks", "close", &soon, "--outcome", "called 206-555-0187"]);
    let told = told.failed();
    assert!(told.contains("--outcome holds what looks like a telephone number"), "{told}");
    assert!(!told.contains("0187"), "{told}");
    assert_eq!(maskline(&test, &["tasks", "close", &soon]).code, 2, "an outcome is asked for");

    let open = maskline(&test, &["tasks", "list", "--format", "json"]).json();
    assert_eq!(kinds(&open), [("soft_opt_out".into(), false)]);
    let all = maskline(&test, &["tasks", "list", "--all", "--format", "json"]).json();
    let closed_behind = ["soft_opt_out", "report", "quarantine"];
    assert_eq!(kinds(&all), closed_behind.map(|kind| (kind.to_owned(), false)));
    assert_eq!(all[1]["outcome"], "called them", "the first outcome stands");

    let done = format!("tasks close {soon} --by ann@desk --outcome asked");
    maskline(&test, &done.split(' ').collect::<Vec<_>>()).done();
    let me = Command::new("id").arg("-un").output().unwrap().stdout;
    let me = String::from_utf8(me).unwrap().trim().to_owned();
    let kept = "select concat_ws(' ', r.rule, r.detail) from audit_record r
         join conversation c on c.id = r.conversation_id where r.kind = 'staff' order by r.at, r.id";
    assert_eq!(
        test.column(kept).await,
        [
            format!("tasks_close by {me}: quarantine {between}: called them"),
            format!("tasks_close by {me}: report {overdue}: called them"),
            format!("tasks_close by ann@desk: soft_opt_out {soon}: asked"),
        ],
        "what was refused is not on record"
    );
}

#[tokio::test]
async fn a_conversation_can_be_kept_longer_or_for_less_and_the_sweeper_looks_at_once() {
    let test = TestApp::start().await;
    let (_, ben) = test.conversation().await;
    let id: String = test.value("select id::text from conversation").await;
    test.run("update conversation set next_look_at = '2099-01-01', warned_at = now()").await;
    let listed = || maskline(&test, &["conversations", "list", "--format", "json"]).json();
    let before = listed();
    assert_eq!(before[0]["state"], "active");
    assert_eq!(before[0]["people"].as_array().unwrap().len(), 2);
    assert_eq!(before[0]["masked_numbers"], json!(["+14155550100", "+14155550100"]));
    assert_eq!(before[0]["ends_by_silence_at"], "2026-03-04T12:00:00Z");

    let keep = |arguments: &[&str]| {
        maskline(&test, &[&["conversations", "keep", &id][..], arguments].concat())
    };
    assert_eq!(keep(&["--silence", "24h", "--by", "ann"]).done(), "kept: silence 24h\n");
    let after = listed();
    assert_eq!(after[0]["ends_by_silence_at"], "2026-03-02T12:00:00Z");
    assert_eq!(after[0]["ends_at"], before[0]["ends_at"], "the rest stays");
    let look = "select (abs(extract(epoch from now() - next_look_at)) < 60 and warned_at is null)
         ::text from conversation";
    assert_eq!(test.column(look).await, ["true"]);
    keep(&["--silence", "7d", "--until", "2099-12-31T18:00:00Z"]).done();
    assert_eq!(listed()[0]["ends_at"], "2099-12-31T18:00:00Z");
    test.run("update conversation set last_talk_at = '2026-03-01T13:00:00Z'").await;
    assert_eq!(listed()[0]["ends_by_silence_at"], "2026-03-08T13:00:00Z");
    let kept = "select kind || ' ' || detail from audit_record
         where kind = 'kept' and conversation_id = (select id from conversation) order by at, id";
    assert_eq!(
        test.column(kept).await,
        ["kept silence 24h", "kept silence 168h, until 2099-12-31T18:00:00Z"]
    );

    let who = "select concat_ws(' ', rule, detail) from audit_record
         where kind = 'staff' and conversation_id = (select id from conversation) order by at, id";
    assert_eq!(test.column(who).await[0], "conversations_keep by ann: silence 24h");

    for wrong in [
        &[][..],
        &["--silence", "24h", "--by", "206-555-0187"],
        &["--silence", "1h"],
        &["--silence", "150m"],
        &["--silence", ""],
        &["--until", "tomorrow"],
    ] {
        assert_eq!(keep(wrong).code, 2, "{wrong:?}");
    }
    assert!(keep(&["--until", "2020-01-01T00:00:00Z"]).failed().contains("in the past"));
    let table = maskline(&test, &["conversations", "list"]).done();
    assert_eq!(table.lines().count(), 2);
    assert!(!table.contains(&ben.number.digits()[4..]), "{table}");

    ben.texts("LEAVE").await;
    test.deliver().await;
    assert!(keep(&["--silence", "24h"]).failed().contains("no such open conversation"));
    assert_eq!(test.column(kept).await.len(), 2, "what was refused is not on record");
    assert_eq!(listed(), json!([]));
}

#[tokio::test]
async fn a_waiting_conversation_ends_with_its_code() {
    let test = TestApp::start().await;
    test.ann().starts().await;
    test.advance(SignedDuration::from_hours(1));
    let listed = maskline(&test, &["conversations", "list", "--format", "json"]).json();
    assert_eq!(listed[0]["state"], "waiting");
    assert_eq!(listed[0]["ends_by_silence_at"], "2026-03-02T12:00:00Z");
}
