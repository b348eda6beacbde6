//! Sends of which nobody knew: the carrier's list shows them, or it does not.

use jiff::SignedDuration;
use maskline::{carrier::simulator::Faults, outbox::worker, reconciler::Reconciler};

use super::{minutes, round, started};
use crate::support::{Phone, TestApp};

/// The carrier accepts, and its answer and its receipts are lost.
fn mute(test: &TestApp) {
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
}

async fn states(test: &TestApp) -> Vec<String> {
    test.column("select state from outbox order by seq").await
}

/// How a text ended, as the trail says.
async fn outcomes(test: &TestApp, body: &str) -> Vec<String> {
    test.column(&format!(
        "select e.kind from audit_record p join audit_record e on e.text_id = p.text_id
         where p.body = '{body}' and p.kind = 'relayed' and e.kind not in ('relayed', 'reported')
         order by e.at, e.id"
    ))
    .await
}

/// Ann texts this, and nobody learns what became of it.
async fn unknown(test: &TestApp, ann: &Phone<'_>, body: &str) {
    mute(test);
    ann.texts(body).await;
    test.deliver().await;
    test.faults(Faults::default());
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_list_with_its_receipts() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    unknown(&test, &ann, "was it heard?").await;
    assert_eq!(states(&test).await, ["unknown"]);
    test.advance(SignedDuration::from_secs(9));
    assert!(!round(&test).await);
    test.advance(SignedDuration::from_secs(1));
    assert!(round(&test).await, "ten seconds after, not a minute");
    assert_eq!(states(&test).await, [""; 0]);
    assert_eq!(outcomes(&test, "was it heard?").await, ["unknown", "accepted", "delivered"]);
    assert!(!round(&test).await);
    minutes(&test, 2).await;
    assert_eq!(ben.inbox().iter().filter(|text| *text == "was it heard?").count(), 1);
}

#[tokio::test]
async fn a_text_that_the_list_does_not_show_stays_unknown() {
    let mut test = started().await;
    let (ann, _) = test.conversation().await;
    unknown(&test, &ann, "one thing").await;
    test.reword("another").await;
    minutes(&test, 3).await;
    assert_eq!(states(&test).await, ["unknown"]);
    test.reword("one thing \n").await;
    minutes(&test, 1).await;
    assert_eq!(states(&test).await, [""; 0]);
    test.leave_promises();
}

#[tokio::test]
async fn two_of_the_same_words_need_two_messages() {
    let mut test = started().await;
    let (ann, _) = test.conversation().await;
    unknown(&test, &ann, "ok").await;
    // The same again, which the carrier never got.
    test.run(
        "insert into outbox (id, kind, conversation_id, recipient_id, masked_number_id, body_sealed,
             author_id, state, attempt, queued_at, due_at)
         select gen_random_uuid(), kind, conversation_id, recipient_id, masked_number_id, body_sealed,
             author_id, state, attempt, queued_at, due_at from outbox",
    )
    .await;
    test.reword("ok").await;
    let first: String = test.value("select id::text from outbox order by seq limit 1").await;
    minutes(&test, 2).await;
    assert_eq!(states(&test).await, ["unknown"]);
    let settled = "select text_id::text from audit_record where kind = 'accepted' order by at desc, id desc limit 1";
    assert_eq!(test.value::<String>(settled).await, first, "in their order");
    test.leave_promises();
}

#[tokio::test]
async fn two_of_the_same_words_are_settled_by_two_messages() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    unknown(&test, &ann, "ok").await;
    minutes(&test, 1).await;
    unknown(&test, &ann, "ok").await;
    minutes(&test, 1).await;
    assert_eq!(states(&test).await, [""; 0]);
    assert_eq!(ben.inbox().iter().filter(|text| *text == "ok").count(), 2);
    let ids = "select count(distinct carrier_id) from audit_record where kind = 'accepted'
        and text_id in (select text_id from audit_record where body = 'ok')";
    assert_eq!(test.value::<i64>(ids).await, 2);
}

#[tokio::test]
async fn a_message_of_a_text_that_is_under_way_settles_no_other() {
    let mut test = started().await;
    let (ann, _) = test.conversation().await;
    unknown(&test, &ann, "ok").await;
    test.run(
        "insert into outbox (id, kind, conversation_id, recipient_id, masked_number_id, body_sealed,
             author_id, state, attempt, queued_at, due_at, leased_until)
         select gen_random_uuid(), kind, conversation_id, recipient_id, masked_number_id, body_sealed,
             author_id, 'sending', 1, queued_at, due_at, due_at + interval '5 minutes' from outbox",
    )
    .await;
    test.reword("ok").await;
    minutes(&test, 1).await;
    assert_eq!(states(&test).await, ["unknown", "sending"]);
    test.run("delete from outbox where state = 'sending'").await;
    minutes(&test, 1).await;
    assert_eq!(states(&test).await, [""; 0]);
    test.leave_promises();
}

#[tokio::test]
async fn receipts_that_never_came_are_read_from_the_list() {
    for (fail, ended) in [(0.0, "delivered"), (1.0, "failed")] {
        let test = started().await;
        let (ann, _) = test.conversation().await;
        test.faults(Faults { lose_receipt: 1.0, fail_delivery: fail, ..Faults::default() });
        ann.texts("hello").await;
        test.deliver().await;
        assert_eq!(outcomes(&test, "hello").await, ["accepted"]);
        minutes(&test, 2).await;
        assert_eq!(outcomes(&test, "hello").await, ["accepted", ended]);
    }
}

#[tokio::test]
async fn a_worker_that_died_is_found_out_about() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    mute(&test);
    ann.texts("the last thing it did").await;
    // It has sent the text, and dies before it can note that.
    let mut frozen = test.db.begin().await.unwrap();
    sqlx::query("lock table carrier_message in exclusive mode")
        .execute(&mut *frozen)
        .await
        .unwrap();
    worker::step(&test.app, &test.carrier).await.unwrap();
    frozen.rollback().await.unwrap();
    test.run("update outbox set state = 'sending', leased_until = due_at + interval '1 minute'")
        .await;
    test.faults(Faults::default());
    test.advance(SignedDuration::from_secs(61));
    test.deliver().await;
    assert_eq!(states(&test).await, ["unknown"]);
    test.advance(SignedDuration::from_mins(1));
    assert!(Reconciler::new(test.app.clone(), test.carrier.clone()).step().await.unwrap());
    assert_eq!(states(&test).await, [""; 0]);
    assert_eq!(ben.last(), "the last thing it did");
}
