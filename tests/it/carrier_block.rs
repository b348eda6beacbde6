//! A phone that texted STOP to one of our numbers gets nothing from it, whatever we know of it.

use std::time::Duration;

use jiff::SignedDuration;
use maskline::{carrier::simulator::Faults, outbox::worker};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::{
    program::maskline,
    sending::soon,
    support::{Phone, TestApp, Wishes},
};

/// Ann and Ben in a conversation, of whose numbers the carrier blocks Ben's, and we do not know.
async fn stopped(test: &TestApp) -> (Phone<'_>, Phone<'_>) {
    let (ann, ben) = (test.ann(), test.ben());
    let code = ann.starts().await;
    ben.texts("STOP").await;
    ben.texts("START").await;
    ben.texts(&format!("JOIN {code}")).await;
    (ann, ben)
}

async fn dropped(test: &TestApp) -> Vec<String> {
    test.column("select detail from audit_record where kind = 'dropped' order by at, id").await
}

async fn blocks(test: &TestApp) -> Vec<String> {
    test.column(
        "select p.number || ' ' || m.number || ' ' || b.settled
         from carrier_block b
         join person p on p.id = b.person_id
         join masked_number m on m.id = b.masked_number_id",
    )
    .await
}

async fn receipt(test: &TestApp, id: &str, status: &str, code: Value) {
    let receipt = json!({"id": id, "type": "delivery_receipt",
        "attributes": {"status": status, "status_code": code}});
    assert_eq!(test.post(&receipt).await, 200);
}

/// The carrier's id of the last text it accepted, none of whose receipts came.
async fn unreported(test: &TestApp, phone: &Phone<'_>) -> String {
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    phone.texts("HELP").await;
    test.deliver().await;
    test.faults(Faults::default());
    test.simulator.ledger().accepted.pop().unwrap().id
}

#[tokio::test]
async fn a_refusal_blocks_the_pair_drops_what_waits_and_calls_staff() {
    let test = TestApp::start().await;
    let (ann, ben) = stopped(&test).await;
    ann.texts("waits behind it").await;
    test.deliver().await;
    ann.texts("comes later").await;
    test.deliver().await;

    let pair = format!("{} +14155550100 false", ben.number.as_str());
    assert_eq!(blocks(&test).await, [pair]);
    assert_eq!(dropped(&test).await, ["carrier_blocked"; 2], "both texts of the conversation");
    let asked =
        test.simulator.ledger().accepted.iter().filter(|text| text.to == ben.number).count();
    assert_eq!(asked, 0);
    let failed = test.column("select detail from audit_record where kind = 'failed'").await;
    let once_for_each_lane = ["refused with status 400 and code 1110"; 2];
    assert_eq!(failed, once_for_each_lane, "the answer to START and the one to JOIN");
    let ledger = test
        .column(
            "select concat_ws(' ', e.rule, e.channel, a.kind)
             from consent_event e
             join audit_record a on a.text_id::text = e.evidence and a.kind = 'failed'
             where e.kind = 'carrier_blocked'",
        )
        .await;
    assert_eq!(ledger, ["refused_1110 carrier failed"]);
    let tasks = test
        .column(
            "select concat_ws(' ', t.kind, p.number, m.number, t.due_at - t.raised_at)
             from task t
             join person p on p.id = t.person_id
             join masked_number m on m.id = t.masked_number_id",
        )
        .await;
    assert_eq!(
        tasks,
        [format!("carrier_block {} +14155550100 12 days", ben.number.as_str())],
        "staff are called once"
    );
    assert_eq!(test.value::<i64>("select count(*) from suppression").await, 0);
}

#[tokio::test]
async fn the_other_numbers_still_reach_the_phone() {
    let test = TestApp::start().await;
    let (_, ben) = stopped(&test).await;
    let other = ben.on_the_other_number();
    other.texts("HELP").await;
    ben.texts("UNSUBSCRIBE").await;
    other.texts("UNSTOP").await;
    test.deliver().await;
    assert!(ben.inbox().iter().any(|text| text.contains("Welcome back")), "{:?}", ben.inbox());
    assert_eq!(blocks(&test).await.len(), 1, "UNSTOP there lifts nothing here");
}

#[tokio::test]
async fn not_even_the_confirmation_of_an_opt_out_is_tried_on_a_blocked_pair() {
    let test = TestApp::start().await;
    let (_, ben) = stopped(&test).await;
    test.deliver().await;
    let promised = "select count(*) from audit_record where kind = 'answered' and rule in ('opted_out', 'help')";
    let before: i64 = test.value(promised).await;
    let failed = "select count(*) from audit_record where kind = 'failed'";
    let asked: i64 = test.value(failed).await;
    ben.texts("UNSUBSCRIBE").await;
    ben.texts("HELP").await;
    test.deliver().await;
    assert_eq!(test.value::<i64>(failed).await, asked, "the carrier is asked no further time");
    assert_eq!(test.value::<i64>(promised).await, before, "nothing is promised that cannot arrive");
}

#[tokio::test]
async fn only_unstop_from_that_phone_to_that_number_lifts_the_block() {
    let test = TestApp::start().await;
    let (ann, ben) = stopped(&test).await;
    test.deliver().await;
    for word in ["START", "YES", "“UNSTOP”", "HELP"] {
        ben.texts(word).await;
        test.deliver().await;
        assert_eq!(blocks(&test).await.len(), 1, "{word}");
    }
    test.advance(SignedDuration::from_secs(1));
    ben.texts("unstop").await;
    assert_eq!(blocks(&test).await, [""; 0]);
    ann.texts("there you are").await;
    test.deliver().await;
    assert_eq!(ben.last(), "there you are");

    // It can begin anew, and staff are called anew once they have closed the first call.
    test.advance(SignedDuration::from_secs(1));
    test.run("update task set closed_at = now(), outcome = 'looked'").await;
    ben.texts("STOP").await;
    ben.texts("START").await;
    test.deliver().await;
    assert_eq!(blocks(&test).await.len(), 1);
    assert_eq!(test.value::<i64>("select count(*) from task where closed_at is null").await, 1);
}

#[tokio::test]
async fn a_failed_receipt_with_that_code_means_the_same() {
    for code in [json!("1110"), json!(1110)] {
        let test = TestApp::start().await;
        let (ann, ben) = test.conversation().await;
        let id = unreported(&test, &ben).await;
        ann.texts("waits").await;
        for _ in 0..2 {
            receipt(&test, &id, "failed", code.clone()).await;
        }
        assert_eq!(blocks(&test).await.len(), 1);
        assert_eq!(dropped(&test).await, ["carrier_blocked"]);
        let tasks = test.column("select kind || ' ' || carrier_id from task").await;
        assert_eq!(tasks, [format!("carrier_block {id}")]);
        let ledger = "select rule || ' ' || evidence from consent_event
             where kind = 'carrier_blocked'";
        assert_eq!(test.column(ledger).await, [format!("failed_1110 {id}")]);
        assert_eq!(test.value::<i64>("select count(*) from send_failure").await, 0);
    }
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_answer_blocks_too() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
    ann.texts("is its answer lost?").await;
    test.deliver().await;
    let sent = test.simulator.ledger().accepted.pop().unwrap();
    let failed = json!({"type": "delivery_receipt", "id": sent.id,
        "attributes": {"status": "failed", "status_code": 1110}});
    let url = sent.dlr_callback.unwrap();
    let post = test.http.post(url).body(failed.to_string()).send();
    assert_eq!(post.await.unwrap().status(), 200);
    assert_eq!(blocks(&test).await, [format!("{} +14155550100 false", ben.number.as_str())]);
}

/// Holds Ben's row until somebody waits for it, and shows that they do not hold his texts
/// meanwhile: whoever takes the two the other way round would lock each other out.
async fn waits_for_the_person(test: &TestApp, noting: impl Future<Output = ()>) {
    let mut holder = PgConnection::connect(test.database_url()).await.unwrap();
    let run = async |conn: &mut PgConnection, sql: &str| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(conn).await.unwrap();
    };
    let ben = test.ben();
    let hold = format!(
        "begin; select id from person where tag = {} for no key update",
        test.tag(&ben.number)
    );
    run(&mut holder, &hold).await;
    let look = async {
        test.lock_waiters(1).await;
        let take = format!(
            "select id from outbox
             where recipient_id = (select id from person where tag = {})
             for update nowait; commit",
            test.tag(&ben.number)
        );
        run(&mut holder, &take).await;
    };
    tokio::join!(noting, soon("it waits for the person", look));
    assert_eq!(blocks(test).await.len(), 1);
}

#[tokio::test]
async fn whoever_notes_a_block_holds_the_person_before_the_outbox() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    stopped(&test).await;
    waits_for_the_person(&test, async {
        Box::pin(worker::step(&test.app, &test.carrier)).await.unwrap();
    })
    .await;

    let mut test = TestApp::start().await;
    test.leave_promises();
    let (ann, _) = test.conversation().await;
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
    ann.texts("is its answer lost?").await;
    test.deliver().await;
    let sent = test.simulator.ledger().accepted.pop().unwrap();
    let failed = json!({"type": "delivery_receipt", "id": sent.id,
        "attributes": {"status": "failed", "status_code": 1110}});
    waits_for_the_person(&test, async {
        let post = test.http.post(sent.dlr_callback.unwrap()).body(failed.to_string()).send();
        assert_eq!(post.await.unwrap().status(), 200);
    })
    .await;
}

#[tokio::test]
async fn a_text_that_left_before_unstop_says_nothing_of_now() {
    let test = TestApp::start().await;
    let (_, ben) = test.conversation().await;
    let id = unreported(&test, &ben).await;
    test.advance(SignedDuration::from_secs(1));
    ben.texts("UNSTOP").await;
    test.deliver().await;
    receipt(&test, &id, "failed", json!("1110")).await;
    assert_eq!(blocks(&test).await, [""; 0]);

    let carrier = MockServer::start().await;
    let refusal = json!({"errors": [{"detail": "1110: the phone rejected the message"}]});
    let slow =
        ResponseTemplate::new(400).set_body_json(refusal).set_delay(Duration::from_millis(500));
    Mock::given(matchers::any()).respond_with(slow).mount(&carrier).await;
    let mut test =
        TestApp::wishing(Wishes { carrier_url: Some(carrier.uri()), ..Wishes::default() }).await;
    test.leave_promises();
    let ben = test.ben();
    ben.texts("HELP").await;
    let (app, client) = (test.app.clone(), test.carrier.clone());
    let sending = tokio::spawn(async move { worker::step(&app, &client).await });
    let claimed = async {
        while test.value::<i64>("select count(*) from outbox where state = 'sending'").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("a worker claims it", claimed).await;
    test.advance(SignedDuration::from_secs(1));
    ben.texts("UNSTOP").await;
    sending.await.unwrap().unwrap();
    assert_eq!(blocks(&test).await, [""; 0]);
}

#[tokio::test]
async fn a_text_that_was_unknown_left_when_it_was_tried() {
    for is_lifted in [false, true] {
        let test = TestApp::start().await;
        let (ann, ben) = test.conversation().await;
        test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
        ann.texts("is its answer lost?").await;
        test.deliver().await;
        test.faults(Faults::default());
        test.advance(SignedDuration::from_secs(1));
        ben.texts(if is_lifted { "UNSTOP" } else { "hello" }).await;
        test.deliver().await;
        test.advance(SignedDuration::from_secs(1));
        let ledger = test.simulator.ledger().accepted;
        let sent = ledger.into_iter().find(|text| text.body == "is its answer lost?").unwrap();
        let failed = json!({"type": "delivery_receipt", "id": sent.id,
            "attributes": {"status": "failed", "status_code": 1110}});
        let post = test.http.post(sent.dlr_callback.unwrap()).body(failed.to_string()).send();
        assert_eq!(post.await.unwrap().status(), 200);
        assert_eq!(blocks(&test).await.is_empty(), is_lifted);
    }
}

#[tokio::test]
async fn a_text_that_was_sent_again_left_when_it_was_first_tried() {
    // It was accepted the second time, or lost again, or given up; then the first failure is told.
    for (choice, then) in [("resend", "accepted"), ("resend", "lost"), ("park", "dropped")] {
        for is_lifted in [false, true] {
            let settings = [("MASKLINE_UNKNOWN", choice)];
            let wishes = Wishes { settings: &settings, ..Wishes::default() };
            let mut test = TestApp::wishing(wishes).await;
            test.leave_promises();
            let (ann, ben) = test.conversation().await;
            let lost = Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() };
            test.faults(lost.clone());
            ann.texts("is its answer lost?").await;
            test.deliver().await;
            test.faults(Faults::default());
            test.advance(SignedDuration::from_secs(1));
            ben.texts(if is_lifted { "UNSTOP" } else { "hello" }).await;
            test.deliver().await;
            let first = test.simulator.ledger().accepted.into_iter();
            let first = first.rev().find(|text| text.body == "is its answer lost?").unwrap();
            test.faults(if then == "lost" { lost } else { Faults::default() });
            test.advance(SignedDuration::from_mins(5));
            test.deliver().await;
            if then == "dropped" {
                let id = test.column("select id::text from outbox where state = 'unknown'").await;
                maskline(&test, &["outbox", "drop", &id[0]]).done();
            }
            test.advance(SignedDuration::from_secs(1));
            let failed = json!({"type": "delivery_receipt", "id": first.id,
                "attributes": {"status": "failed", "status_code": 1110}});
            let post = test.http.post(first.dlr_callback.unwrap()).body(failed.to_string());
            assert_eq!(post.send().await.unwrap().status(), 200);
            let noted = "select count(*) from carrier_message where status = 'failed 1110'";
            assert_eq!(test.value::<i64>(noted).await, 1, "{then}");
            assert_eq!(blocks(&test).await.is_empty(), is_lifted, "{then}");
        }
    }
}

#[tokio::test]
async fn failures_that_may_lie_with_the_number_are_counted_for_it() {
    let test = TestApp::start().await;
    let ben = test.ben();
    test.faults(Faults { refuse: 1.0, ..Faults::default() });
    ben.texts("HELP").await;
    test.deliver().await;
    test.advance(SignedDuration::from_hours(2));
    for code in [json!("1003"), json!("+12065550142"), Value::Null] {
        let id = unreported(&test, &ben).await;
        receipt(&test, &id, "failed", code).await;
        test.advance(SignedDuration::from_hours(2));
    }
    let id = unreported(&test, &ben).await;
    receipt(&test, &id, "message buffered", json!(1003)).await;
    receipt(&test, &id, "delivered", Value::Null).await;
    let failures = "select m.number || ' ' || f.why from send_failure f
         join masked_number m on m.id = f.masked_number_id order by f.at";
    assert_eq!(
        test.column(failures).await,
        [
            "+14155550100 refused 422",
            "+14155550100 failed 1003",
            "+14155550100 failed",
            "+14155550100 failed"
        ]
    );
    assert_eq!(blocks(&test).await, [""; 0]);
}

#[tokio::test]
async fn a_confirmation_that_is_late_is_dropped_and_every_other_text_waits() {
    for (seconds, became) in [(299, "accepted"), (300, "dropped too_late")] {
        let test = TestApp::start().await;
        let (ann, ben) = test.conversation().await;
        test.faults(Faults { error: 1.0, ..Faults::default() });
        ben.texts("UNSUBSCRIBE").await;
        test.deliver().await;
        test.faults(Faults::default());
        test.advance(SignedDuration::from_secs(seconds));
        test.deliver().await;
        let text = "select kind || coalesce(' ' || detail, '') from audit_record
             where kind in ('accepted', 'dropped') and text_id = (
                 select text_id from audit_record where rule = 'opted_out')";
        assert_eq!(test.column(text).await, [became], "after {seconds} s");
        assert_eq!(ann.last(), "This conversation has ended.", "it is told however late");
    }
}
