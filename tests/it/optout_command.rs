//! `maskline optout`: what staff are told does what the person's own text would do.

use serde_json::json;

use crate::{
    program::{maskline, maskline_reading},
    support::TestApp,
};

const ANN: &str = "+12065550142";
const BEN: &str = "+12065550187";

/// What is on record since there were so many records, without what was received or sent.
async fn records(test: &TestApp, before: usize) -> Vec<String> {
    let records = test.column(
        "select concat_ws(' ', kind, rule, detail) from audit_record
         where kind not in ('received', 'accepted', 'delivered', 'reported', 'staff')
         order by at, id",
    );
    records.await[before..].to_vec()
}

#[tokio::test]
async fn staff_can_silence_somebody_as_their_own_text_would() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let (before, heard) = (records(&test, 0).await.len(), ben.inbox().len());
    ann.texts("waits").await;

    let said = maskline(&test, &["optout", "add", BEN, "--evidence", "called, ticket 4711"]);
    assert_eq!(said.done(), "…87 is opted out; 1 conversation ended\n");
    assert_eq!(
        test.column("select body from outbox").await,
        ["This conversation has ended."],
        "what waited is gone at once"
    );
    test.deliver().await;
    assert_eq!(ben.inbox().len(), heard, "not even a confirmation");
    assert_eq!(ann.last(), "This conversation has ended.");
    let mut kept = records(&test, before).await;
    kept.sort();
    assert_eq!(
        kept,
        [
            "answered ended",
            "dropped opted_out",
            "ended staff_opt_out opted_out",
            "opted_out staff_opt_out",
            "relayed"
        ]
    );
    let ledger = "select concat_ws(' | ', kind, rule, channel, evidence) from consent_event
         order by seq offset 2";
    assert_eq!(
        test.column(ledger).await,
        ["revoked | staff_opt_out | staff | called, ticket 4711"]
    );

    let again = maskline(&test, &["optout", "add", BEN]).done();
    assert!(again.starts_with("…87 was opted out before, since "), "{again}");
    assert_eq!(test.column(ledger).await.len(), 1);

    ben.texts("START").await;
    test.deliver().await;
    assert!(ben.last().contains("Welcome back"), "{}", ben.last());
}

#[tokio::test]
async fn somebody_unknown_can_be_silenced_before_they_ever_text() {
    let test = TestApp::start().await;
    maskline(&test, &["optout", "add", BEN]).done();
    assert_eq!(test.places(&BEN[2..]).await, [""; 0]);
    let ben = test.ben();
    ben.texts("hello?").await;
    assert_eq!(test.deliver().await, 0);
    ben.texts("START").await;
    test.deliver().await;
    assert_eq!(ben.inbox().len(), 1);
}

#[tokio::test]
async fn a_list_is_taken_whole_or_every_bad_line_is_named() {
    let test = TestApp::start().await;
    let add = ["optout", "add", "-", "--channel", "import", "--evidence", "list of 3 March"];
    let bad = format!("{ANN}\n\n206-555-0187\n{BEN}\nben@example.com\n");
    let said = maskline_reading(&test, &add, &bad).failed();
    assert!(said.contains("lines 3, 5 of standard input"), "{said}");
    assert!(!said.contains("0187") && !said.contains("example"), "{said}");
    let masked = maskline_reading(&test, &add, &format!("{ANN}\n+14155550100\n")).failed();
    assert!(masked.contains("is one of your masked numbers"), "{masked}");
    assert!(maskline_reading(&test, &add, "").failed().contains("holds no number"));
    assert_eq!(test.value::<i64>("select count(*) from person").await, 0, "nothing was written");

    maskline(&test, &["optout", "add", ANN]).done();
    let many = (0..1100).map(|n| format!("+1303555{n:04}")).collect::<Vec<_>>().join("\r\n");
    let said = maskline_reading(&test, &add, &format!("{many}\n{ANN}\n{many}"));
    assert!(said.err.contains("500 of 1101 numbers\n1000 of 1101 numbers\n"), "{}", said.err);
    assert_eq!(said.done(), "1100 opted out, 1 were before; no conversation was open\n");
    let channels = "select channel || ' ' || count(*) from consent_event
         group by channel order by channel";
    assert_eq!(test.column(channels).await, ["import 1100", "staff 1"]);
}

#[tokio::test]
async fn what_staff_noted_staff_can_take_back_with_a_reason() {
    let test = TestApp::start().await;
    maskline(&test, &["optout", "add", BEN]).done();
    assert_eq!(maskline(&test, &["optout", "remove", BEN]).code, 2, "a reason is asked for");
    let remove = ["optout", "remove", BEN, "--reason", "wrong number, ticket 4712"];
    assert_eq!(maskline(&test, &remove).done(), "…87 may be texted again\n");
    assert_eq!(records(&test, 0).await, ["opted_out staff_opt_out", "opted_in staff_opt_in"]);
    let last = "select concat_ws(' | ', kind, channel, evidence, disclosure) from consent_event
         order by seq desc limit 1";
    assert_eq!(test.column(last).await, ["granted | staff | wrong number, ticket 4712"]);

    let who = "select concat_ws(' ', rule, split_part(detail, ': ', 2), body) from audit_record
         where kind = 'staff' and person_id = (select id from person) order by at, id";
    assert_eq!(
        test.column(who).await,
        ["optout_add no evidence given", "optout_remove for this reason wrong number, ticket 4712"]
    );

    for number in [BEN, ANN] {
        let said = maskline(&test, &["optout", "remove", number, "--reason", "again"]).failed();
        assert!(said.contains("is not opted out"), "{said}");
    }
    assert_eq!(test.value::<i64>("select count(*) from person").await, 1, "asking makes nobody");
}

#[tokio::test]
async fn who_opted_out_themselves_is_not_overruled_by_accident() {
    let test = TestApp::start().await;
    let ben = test.ben();
    maskline(&test, &["optout", "add", BEN]).done();
    // Their own word counts although staff were first.
    ben.texts("STOP IT").await;
    ben.texts("UNSUBSCRIBE").await;
    let remove = ["optout", "remove", BEN, "--reason", "asked by mail"];
    for input in ["", "yes\n"] {
        let said = maskline_reading(&test, &remove, input).failed();
        assert!(said.contains("texted an opt-out themselves on 2026-03-01 12:00 UTC"), "{said}");
        assert!(said.contains("give --yes"), "{said}");
        assert_eq!(test.value::<i64>("select count(*) from suppression").await, 1);
    }
    let said = maskline(&test, &[&remove[..], &["--yes"]].concat());
    assert!(said.err.contains("texted an opt-out themselves"), "{said:?}");
    assert_eq!(said.done(), "…87 may be texted again\n");
    assert_eq!(test.value::<i64>("select count(*) from suppression").await, 0);
}

#[tokio::test]
async fn whom_a_release_without_the_ledger_silenced_staff_can_bring_back() {
    let test = TestApp::start().await;
    let ben = test.ben();
    ben.texts("HELP").await;
    test.deliver().await;
    // As that release writes it while this one is brought in.
    test.run(
        "insert into suppression (person_id, rule, since)
         select id, 'opt_out', '2026-03-01T12:00:00Z' from person",
    )
    .await;
    let listed = maskline(&test, &["optout", "list", "--format", "json"]).json();
    assert_eq!((&listed[0]["rule"], &listed[0]["channel"]), (&json!("opt_out"), &json!(null)));
    let remove = ["optout", "remove", BEN, "--reason", "asked by mail"];
    let said = maskline(&test, &remove).failed();
    assert!(said.contains("texted an opt-out themselves on 2026-03-01 12:00 UTC"), "{said}");
    maskline(&test, &[&remove[..], &["--yes"]].concat()).done();
    assert_eq!(test.value::<i64>("select count(*) from suppression").await, 0);
    let last = "select concat_ws(' ', kind, channel) from consent_event order by seq desc limit 1";
    assert_eq!(test.column(last).await, ["granted staff"]);
    assert!(maskline(&test, &remove).failed().contains("is not opted out"));
}

#[tokio::test]
async fn it_is_said_that_the_carrier_still_blocks() {
    let test = TestApp::start().await;
    let ben = test.ben();
    ben.texts("STOP").await;
    ben.texts("START").await;
    test.deliver().await;
    maskline(&test, &["optout", "add", BEN]).done();
    let said = maskline(&test, &["optout", "remove", BEN, "--reason", "asked by mail"]).done();
    assert!(said.contains("still blocks them on 1 of your numbers"), "{said}");
}

#[tokio::test]
async fn the_list_shows_who_since_when_and_why_and_never_a_number() {
    let test = TestApp::start().await;
    assert_eq!(maskline(&test, &["optout", "list"]).done().lines().count(), 1);
    let texted = test.ben().texts("quit").await;
    test.deliver().await;
    maskline(&test, &["optout", "add", ANN, "--evidence", "ticket 4711"]).done();

    let listed = maskline(&test, &["optout", "list", "--format", "json"]).json();
    assert_eq!(listed[0]["last_two_digits"], "87");
    assert_eq!(listed[0]["since"], "2026-03-01T12:00:00Z");
    assert_eq!(listed[0]["evidence"], json!(texted.id));
    let staff = (&listed[1]["rule"], &listed[1]["channel"], &listed[1]["evidence"]);
    assert_eq!(staff, (&json!("staff_opt_out"), &json!("staff"), &json!("ticket 4711")));

    let table = maskline(&test, &["optout", "list", "--by", "ann"]).done();
    let seen = "select detail from audit_record where rule = 'optout_list' order by at desc, id desc limit 1";
    assert_eq!(test.column(seen).await, ["by ann: listed 2 opt-outs"]);
    assert_eq!(table.lines().count(), 3);
    assert!(table.contains("…87") && table.contains("2026-03-01 12:00 UTC"), "{table}");
    let person: String = test.value("select id::text from person where number like '%42'").await;
    assert!(table.contains(&person[28..]), "{table}");
    for digits in [&ANN[2..], &BEN[2..], &ANN[5..], &BEN[5..]] {
        assert!(!table.contains(digits) && !listed.to_string().contains(digits), "{digits}");
    }
}

#[tokio::test]
async fn who_is_known_by_an_id_alone_can_be_silenced() {
    let test = TestApp::start().await;
    let (_, ben) = test.conversation().await;
    let id = test.person(&ben.number).await.0.to_string();
    assert!(maskline(&test, &["optout", "add", &id]).done().starts_with("…87 is opted out"));
    maskline(&test, &["optout", "remove", &id, "--reason", "a mistake"]).done();
    test.deliver().await;
    let nobody = "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94";
    let said = maskline(&test, &["optout", "add", nobody]).failed();
    assert!(said.contains("there is no person with that id"), "{said}");
}

#[tokio::test]
async fn a_number_is_neither_shown_again_nor_kept_elsewhere() {
    let test = TestApp::start().await;
    for wrong in ["206-555-0187", "(206) 555 0187", "+1206555018x7"] {
        let said = maskline(&test, &["optout", "add", wrong]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("not a telephone number in E.164"), "{said:?}");
        assert!(!said.err.contains(wrong) && !said.err.contains("0187"), "{said:?}");
    }
    for told in [BEN, "call from (206) 555-0187", "555 0187"] {
        let said = maskline(&test, &["optout", "add", BEN, "--evidence", told]).failed();
        assert!(said.contains("--evidence holds the number itself"), "{said}");
        let said = maskline(&test, &["optout", "remove", BEN, "--reason", told]).failed();
        assert!(said.contains("--reason holds the number itself"), "{said}");
    }
    assert_eq!(test.value::<i64>("select count(*) from person").await, 0);
    let said = maskline(&test, &["optout", "add", BEN, "--evidence", "two\nlines"]);
    assert_eq!(said.code, 2, "{said:?}");
}
