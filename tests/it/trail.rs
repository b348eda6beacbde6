//! Everything that happens to a text is on record, or did not happen.

use maskline::carrier::simulator::Faults;

use crate::support::{NUMBER, TestApp, flat};

/// The trail of a person's doings, without what was reported of it later.
async fn new_records(test: &TestApp, seen: &mut usize) -> Vec<String> {
    let trail = test.trail().await;
    let new = trail[*seen..].iter().filter(|kind| !kind.starts_with("reported")).cloned().collect();
    *seen = trail.len();
    new
}

#[tokio::test]
async fn every_text_of_a_conversation_is_on_record() {
    let test = TestApp::start().await;
    let (ann, ben) = (test.ann(), test.ben());
    let mut seen = 0;
    let code = ann.starts().await;
    assert_eq!(
        new_records(&test, &mut seen).await,
        ["received start", "opened", "answered started", "accepted", "delivered"]
    );
    ben.texts(&format!("join {code}")).await;
    assert_eq!(
        new_records(&test, &mut seen).await,
        ["received join", "joined", "answered joined", "answered they_joined"]
    );
    test.deliver().await;
    let mut sent = new_records(&test, &mut seen).await;
    sent.sort();
    assert_eq!(sent, ["accepted", "accepted", "delivered", "delivered"]);

    ben.texts("hello").await;
    assert_eq!(new_records(&test, &mut seen).await, ["received talk", "relayed"]);
    test.deliver().await;
    assert_eq!(new_records(&test, &mut seen).await, ["accepted", "delivered"]);

    test.post(&flat("astray", &ann.number, "+14155550199", "to nobody")).await;
    assert_eq!(new_records(&test, &mut seen).await, ["refused not_our_number"]);

    test.faults(Faults { refuse: 1.0, ..Faults::default() });
    ann.texts("never arrives").await;
    test.deliver().await;
    // What tells of it is refused too.
    assert_eq!(
        new_records(&test, &mut seen).await,
        ["received talk", "relayed", "failed", "answered not_delivered", "failed"]
    );
    test.faults(Faults { fail_delivery: 1.0, ..Faults::default() });
    ann.texts("fails later").await;
    test.deliver().await;
    assert_eq!(
        new_records(&test, &mut seen).await,
        ["received talk", "relayed", "accepted", "failed", "carrier_blocked failed_1110"]
    );
    test.faults(Faults::default());
    // The failure said that Ben's phone had opted out.
    ben.texts("unstop").await;
    test.deliver().await;
    assert_eq!(
        new_records(&test, &mut seen).await,
        ["received unstop", "carrier_lifted", "answered opted_in", "accepted", "delivered"]
    );

    ann.texts("queued for Ben").await;
    ben.texts("unsubscribe").await;
    assert_eq!(
        new_records(&test, &mut seen).await,
        [
            "received talk",
            "relayed",
            "dropped",
            "received opt_out",
            "opted_out",
            "ended",
            "answered ended",
            "answered opted_out",
        ]
    );
    test.deliver().await;
    ben.texts("silence?").await;
    test.deliver().await;
    ben.texts("unstop").await;
    test.deliver().await;
    let trail = new_records(&test, &mut seen).await;
    for kind in ["received talk", "received unstop", "opted_in", "answered opted_in"] {
        assert_eq!(trail.iter().filter(|found| *found == kind).count(), 1, "{kind}: {trail:?}");
    }
}

#[tokio::test]
async fn the_words_and_the_people_of_each_record_are_right() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let texted = ben.texts("the very words").await;
    test.deliver().await;
    let sent = test.simulator.ledger().accepted.pop().unwrap();
    let sql = format!(
        "select concat_ws(' | ', a.kind, a.body, author.number, recipient.number, masked_number,
             carrier_id, conversation_id = (select id from conversation))
         from audit_record a
         left join person author on author.id = a.person_id
         left join person recipient on recipient.id = a.recipient_id
         where carrier_id in ('{}', '{}') and kind <> 'reported' order by at, a.id",
        texted.id, sent.id
    );
    let found = test.column(&sql);
    let (ann, ben) = (ann.number.as_str(), ben.number.as_str());
    assert_eq!(
        found.await,
        [
            format!("received | the very words | {ben} | {NUMBER} | {} | t", texted.id),
            format!("relayed | the very words | {ben} | {ann} | {NUMBER} | {} | t", texted.id),
            format!("accepted | {ann} | {NUMBER} | {} | t", sent.id),
            format!("delivered | {}", sent.id),
        ]
    );
    let texts: i64 = test
        .value("select count(distinct text_id) from audit_record where body = 'the very words'")
        .await;
    assert_eq!(texts, 1);
}

#[tokio::test]
async fn each_text_that_came_in_has_one_record_of_having_come() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let bodies = ["hello", "HELP", "START", "JOIN K7QM-4XRT", "END K7QM-4XRT", "x", "yes", "", " "];
    for (n, body) in bodies.iter().enumerate() {
        let id = format!("each-{n}");
        for _ in 0..2 {
            assert_eq!(test.post(&flat(&id, &ann.number, NUMBER, body)).await, 200);
        }
        let id = format!("astray-{n}");
        assert_eq!(test.post(&flat(&id, &ben.number, "+14155550199", body)).await, 200);
    }
    test.deliver().await;
    let counted = test.column(
        "select concat_ws(' ', m.carrier_id, count(a.id)) from carrier_message m
         left join audit_record a
             on a.carrier_id = m.carrier_id and a.kind in ('received', 'refused')
         where m.direction = 'inbound' group by m.carrier_id having count(a.id) <> 1",
    );
    assert_eq!(counted.await, [""; 0]);
    let came: i64 =
        test.value("select count(*) from audit_record where kind in ('received', 'refused')").await;
    assert_eq!(came, 2 + 2 * i64::try_from(bodies.len()).unwrap());
}

/// Makes one table refuse every new row: the text is answered 503 and leaves nothing behind. Once
/// the table takes rows again, so does the door take the text.
async fn all_or_nothing(table: &str, body: &str) {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = test.dump().await;
    let text = flat("all-or-nothing", &ann.number, NUMBER, body);

    test.run(&format!("alter table {table} add constraint full_up check (false) not valid")).await;
    for _ in 0..3 {
        assert_eq!(test.post(&text).await, 503, "{table}");
    }
    assert_eq!(test.dump().await, before, "{table}");

    test.run(&format!("alter table {table} drop constraint full_up")).await;
    assert_eq!(test.post(&text).await, 200, "{table}");
    let after = test.dump().await;
    assert_eq!(test.post(&text).await, 200, "{table}");
    assert_eq!(test.dump().await, after, "{table}");
    let heard = ben.inbox().len();
    test.deliver().await;
    assert_eq!(ben.inbox().len(), heard + 1, "{table}");
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing_and_a_later_delivery_is_taken_once() {
    all_or_nothing("outbox", "hello").await;
    all_or_nothing("audit_record", "hello").await;
    all_or_nothing("carrier_message", "hello").await;
    all_or_nothing("suppression", "unsubscribe").await;
    all_or_nothing("consent_event", "unsubscribe").await;
}
