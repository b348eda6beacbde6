//! A text of which nobody knows whether the carrier has it: its lane waits, and then the operator's
//! choice is done.

use jiff::SignedDuration;
use maskline::carrier::simulator::Faults;
use serde_json::{Value, json};

use crate::{
    program::maskline,
    support::{Phone, TestApp, Wishes},
};

/// The carrier accepts, and neither its answer nor a receipt comes.
fn silent() -> Faults {
    Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() }
}

async fn choosing(choice: &str) -> TestApp {
    let settings = [("MASKLINE_UNKNOWN", choice)];
    TestApp::wishing(Wishes { settings: &settings, ..Wishes::default() }).await
}

/// What the trail says of unknown texts, oldest first.
async fn became(test: &TestApp) -> Vec<String> {
    test.column(
        "select kind || coalesce(' ' || detail, '') from audit_record
         where kind in ('unknown', 'resent', 'parked', 'accepted_twice', 'dropped')
         order by at, id",
    )
    .await
}

async fn outbox(test: &TestApp) -> Vec<String> {
    test.column(
        "select state || ' ' || attempt || case when passed_at is null then '' else ' passed' end
         from outbox order by seq",
    )
    .await
}

/// Posts a receipt of each text with these words, as the carrier does, oldest first.
async fn receipts(test: &TestApp, body: &str, status: &str) {
    for sent in test.simulator.ledger().accepted.into_iter().filter(|text| text.body == body) {
        let receipt = json!({"type": "delivery_receipt", "id": sent.id,
            "attributes": {"status": status, "status_code": null}});
        let post = test.http.post(sent.dlr_callback.unwrap()).body(receipt.to_string()).send();
        assert_eq!(post.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn what_is_parked_is_recorded_shown_and_told_to_its_author_once() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let (ann, ben) = test.conversation().await;
    test.faults(silent());
    ann.texts("See you at the corner by the old town hall at six, bring the keys").await;
    test.deliver().await;
    test.faults(Faults::default());
    ann.texts("next").await;
    for _ in 0..3 {
        test.advance(SignedDuration::from_mins(5));
        test.deliver().await;
    }
    assert_eq!(outbox(&test).await, ["unknown 1 passed"]);
    assert_eq!(became(&test).await, ["unknown answer_lost", "parked nobody_knows"]);
    assert_eq!(ben.last(), "next");
    let told: Vec<String> =
        ann.inbox().into_iter().filter(|text| text.starts_with("Your text")).collect();
    insta::assert_json_snapshot!(told, @r#"
    [
      "Your text \"See you at the corner by the old town hall at six, br...\" may not have reached them: we cannot find out. If it matters, text it again."
    ]
    "#);
    let tasks = "select t.kind || ' ' || (t.detail = o.id::text) || ' ' || (t.due_at - t.raised_at)
         from task t cross join outbox o";
    assert_eq!(test.column(tasks).await, ["unknown true 1 day"]);
}

#[tokio::test]
async fn a_receipt_settles_what_is_parked_too() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    test.faults(silent());
    ann.texts("was it heard?").await;
    test.deliver().await;
    test.faults(Faults::default());
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    receipts(&test, "was it heard?", "delivered").await;
    assert_eq!(outbox(&test).await, [""; 0]);
    let delivery =
        "select c.delivery from carrier_message c join audit_record r on r.text_id = c.text_id
         where r.body = 'was it heard?' and r.kind = 'relayed'";
    assert_eq!(test.column(delivery).await, ["delivered"]);
}

#[tokio::test]
async fn by_choice_it_is_sent_once_more_at_its_place_and_never_again() {
    let mut test = choosing("resend").await;
    test.leave_promises();
    let (ann, ben) = test.conversation().await;
    test.faults(silent());
    ann.texts("was it heard?").await;
    test.deliver().await;
    ann.texts("next").await;
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    assert_eq!(outbox(&test).await, ["unknown 2", "queued 0"], "sent again, and lost again");
    test.faults(Faults::default());
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    assert_eq!(outbox(&test).await, ["unknown 2 passed"]);
    assert_eq!(ben.inbox()[ben.inbox().len() - 3..], ["was it heard?", "was it heard?", "next"]);
    assert_eq!(
        became(&test).await,
        ["unknown answer_lost", "resent by_setting", "unknown answer_lost", "parked nobody_knows"]
    );
}

#[tokio::test]
async fn a_second_acceptance_is_recorded_and_neither_receipt_is_lost() {
    let test = choosing("resend").await;
    let (ann, _) = test.conversation().await;
    test.faults(silent());
    ann.texts("was it heard?").await;
    test.deliver().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    assert_eq!(outbox(&test).await, [""; 0]);
    assert_eq!(became(&test).await, ["unknown answer_lost", "resent by_setting"]);

    for _ in 0..2 {
        receipts(&test, "was it heard?", "delivered").await;
    }
    assert_eq!(became(&test).await[2..], ["accepted_twice"]);
    let both = "select count(*) || ' ' || c.delivery from carrier_message c
         join audit_record r on r.text_id = c.text_id and r.kind = 'relayed'
         where r.body = 'was it heard?' group by c.delivery";
    assert_eq!(test.column(both).await, ["2 delivered"]);
}

#[tokio::test]
async fn of_two_acceptances_one_failure_is_not_told_and_two_are() {
    let test = choosing("resend").await;
    let (ann, _) = test.conversation().await;
    test.faults(silent());
    ann.texts("was it heard?").await;
    test.deliver().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    let texts = test.simulator.ledger().accepted;
    let both: Vec<_> = texts.iter().filter(|text| text.body == "was it heard?").collect();
    for (place, sent) in both.iter().enumerate() {
        let failed =
            json!({"type": "delivery_receipt", "id": sent.id, "attributes": {"status": "failed"}});
        let post = test.http.post(sent.dlr_callback.as_ref().unwrap());
        assert_eq!(post.body(failed.to_string()).send().await.unwrap().status(), 200);
        test.deliver().await;
        let told = ann.inbox().iter().any(|text| text.contains("did not reach them"));
        assert_eq!(told, place == 1 && both.len() == 2, "after the failure of {place}");
    }
}

#[tokio::test]
async fn confirmations_and_codes_are_never_sent_again() {
    let mut test = choosing("resend").await;
    test.leave_promises();
    let (ann, ben) = (test.ann(), test.ben());
    test.faults(silent());
    ann.texts("START").await;
    ben.texts("UNSUBSCRIBE").await;
    test.deliver().await;
    test.faults(Faults::default());
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    assert_eq!(outbox(&test).await, ["unknown 1 passed"; 2]);
    let ids = test.column("select id::text from outbox order by seq").await;
    let refused = maskline(&test, &["outbox", "resend", &ids[0]]).failed();
    assert!(refused.contains("never sent again"), "{refused}");
    assert_eq!((ann.inbox().len(), ben.inbox().len()), (1, 1));
}

#[tokio::test]
async fn whose_words_staff_drop_early_is_told_once() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.faults(silent());
    ann.texts("from Ann").await;
    test.deliver().await;
    test.faults(Faults::default());
    let told =
        |phone: &Phone| phone.inbox().iter().filter(|text| text.contains("from Ann")).count();
    assert_eq!((told(&ann), told(&ben)), (0, 1), "not yet: its outcome may still come");
    let ids = test.column("select id::text from outbox").await;
    maskline(&test, &["outbox", "drop", &ids[0]]).done();
    // The command's time is that of the computer; the test's stands still.
    test.run("update outbox set due_at = queued_at where state = 'queued'").await;
    test.deliver().await;
    assert_eq!((told(&ann), told(&ben)), (1, 1), "{:?}", ann.inbox());
    assert!(ann.last().contains("may not have"), "{}", ann.last());
}

#[tokio::test]
async fn staff_see_unknown_texts_and_send_them_again_or_drop_them() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.faults(silent());
    ann.texts("from Ann").await;
    ben.texts("from Ben").await;
    test.deliver().await;
    test.faults(Faults::default());
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;

    let listed = maskline(&test, &["outbox", "unknown", "--format", "json"]);
    let shown = listed.out.clone();
    let listed = listed.json();
    let [first, second] = &listed.as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!((&first["parked"], &first["attempts"]), (&json!(true), &json!(1)));
    assert_eq!(first["masked_number"], json!("+14155550100"));
    let table = maskline(&test, &["outbox", "unknown"]).done();
    assert!(table.lines().nth(1).unwrap().contains("parked"), "{table}");
    for secret in ["from Ann", &ann.number.digits()[4..], &ben.number.digits()[4..]] {
        assert!(!shown.contains(secret) && !table.contains(secret), "{secret}: {table}");
    }

    let id = |text: &Value| text["id"].as_str().unwrap().to_owned();
    let nobody = "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94";
    let none = maskline(&test, &["outbox", "drop", &id(second), nobody]).failed();
    assert!(none.contains("nothing was done") && none.contains("no such text"), "{none}");
    assert_eq!(outbox(&test).await.len(), 2);
    // The command's time is that of the computer; the test's stands still.
    let resent = maskline(&test, &["outbox", "resend", &id(first), "--by", "ann"]).done();
    assert_eq!(resent, "1 text is sent again\n");
    test.run("update outbox set due_at = queued_at where state = 'queued'").await;
    let again = maskline(&test, &["outbox", "resend", &id(first)]).failed();
    assert!(again.contains("not unknown"), "{again}");
    assert_eq!(
        maskline(&test, &["outbox", "drop", &id(second), "--by", "ben"]).done(),
        "1 text dropped\n"
    );
    test.deliver().await;
    assert_eq!(ben.inbox().iter().filter(|text| *text == "from Ann").count(), 2);
    assert_eq!(became(&test).await[4..], ["resent by_staff", "dropped by_staff"]);
    assert_eq!(maskline(&test, &["outbox", "drop"]).code, 2);
    let who = "select concat_ws(' ', text_id, rule, detail) from audit_record
         where kind = 'staff' order by at, id";
    let (first, second) = (id(first), id(second));
    assert_eq!(
        test.column(who).await,
        [
            format!("{first} outbox_resend by ann: sent again"),
            format!("{second} outbox_drop by ben: dropped")
        ],
        "what was refused is not on record"
    );

    // It had arrived after all: the carrier's word of it is not lost.
    receipts(&test, "from Ben", "delivered").await;
    let known = "select count(*) from carrier_message where text_id::text = '";
    assert_eq!(test.value::<i64>(&format!("{known}{second}'")).await, 1);
}
