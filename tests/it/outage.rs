//! A database that goes away: 503 in time, nothing kept, and nothing lost once it is back.

use std::time::Duration;

use maskline::outbox::worker;
use serde_json::Value;

use crate::{
    sending::soon,
    support::{Cable, NUMBER, Phone, TestApp, Wishes, cable, flat, number},
};

async fn behind(cable: &Cable) -> TestApp {
    TestApp::wishing(Wishes { cable: Some(cable), ..Wishes::default() }).await
}

/// The carrier is to have its answer within 5 seconds.
async fn in_time(test: &TestApp, payload: &Value) -> u16 {
    tokio::time::timeout(Duration::from_secs(5), test.post(payload)).await.expect("within 5 s")
}

/// The text is kept nowhere; once the database is back, it is taken and relayed once.
async fn comes_again(test: &TestApp, cable: &mut Cable, text: &Value, ben: &Phone<'_>) {
    let words = text["body"].as_str().unwrap();
    assert_eq!(test.places(words).await, [""; 0]);
    cable.mend();
    assert_eq!(in_time(test, text).await, 200);
    assert_eq!(in_time(test, text).await, 200);
    test.deliver().await;
    assert_eq!(ben.inbox().iter().filter(|body| *body == words).count(), 1);
    let id = text["id"].as_str().unwrap();
    let sql = format!("select count(*) from audit_record where carrier_id = '{id}'");
    let records: i64 = test.value(&sql).await;
    assert_eq!(records, 2, "received and relayed");
}

#[tokio::test]
async fn a_database_that_stops_is_503_and_the_next_delivery_is_taken_once() {
    let mut cable = cable();
    let test = behind(&cable).await;
    let (ann, ben) = test.conversation().await;
    let text = flat("again", &ann.number, NUMBER, "in the dark");
    cable.cut().await;
    for _ in 0..3 {
        assert_eq!(in_time(&test, &text).await, 503);
    }
    comes_again(&test, &mut cable, &text, &ben).await;
}

#[tokio::test]
async fn a_database_that_falls_silent_is_503_and_the_next_delivery_is_taken_once() {
    let mut cable = cable();
    let test = behind(&cable).await;
    let (ann, ben) = test.conversation().await;
    let text = flat("again", &ann.number, NUMBER, "in the dark");
    cable.silence();
    let copies = (0..20).map(|_| in_time(&test, &text));
    assert_eq!(futures_util::future::join_all(copies).await, [503; 20]);
    comes_again(&test, &mut cable, &text, &ben).await;
}

#[tokio::test]
async fn connections_that_died_unseen_cost_no_delivery() {
    let mut cable = cable();
    let test = behind(&cable).await;
    let (ann, ben) = test.conversation().await;
    // Many connections stand open, and lie idle when the database restarts.
    let help = |n: usize| {
        flat(&format!("before-{n}"), &number(&format!("+1206555{n:04}")), NUMBER, "HELP")
    };
    let payloads: Vec<Value> = (0..40).map(help).collect();
    let many = payloads.iter().map(|payload| in_time(&test, payload));
    assert_eq!(futures_util::future::join_all(many).await, [200; 40]);
    assert!(test.app.db.size() > 4, "{}", test.app.db.size());
    test.deliver().await;

    cable.cut().await;
    cable.mend();
    let text = flat("after", &ann.number, NUMBER, "after the restart");
    assert_eq!(in_time(&test, &text).await, 200);
    test.deliver().await;
    assert_eq!(ben.last(), "after the restart");
}

#[tokio::test]
async fn receipts_and_odd_payloads_are_503_too_while_the_database_is_away() {
    let mut cable = cable();
    let test = behind(&cable).await;
    let receipt = crate::support::sample("dlr-delivered");
    cable.cut().await;
    for payload in [&receipt, &serde_json::json!({})] {
        assert_eq!(in_time(&test, payload).await, 503);
    }
    cable.mend();
    assert_eq!(in_time(&test, &receipt).await, 200);
}

#[tokio::test]
async fn a_claim_of_which_nobody_heard_that_it_was_committed_is_given_back() {
    let mut cable = cable();
    let test = behind(&cable).await;
    let (ann, ben) = test.conversation().await;
    ann.texts("claimed in vain").await;
    test.run(
        "create function slowly() returns trigger language plpgsql as
             $$ begin perform pg_sleep(0.5); return null; end $$;
         create constraint trigger slowly after update on outbox
             deferrable initially deferred for each row
             when (new.state = 'sending' and new.attempt = 1) execute function slowly()",
    )
    .await;
    let worker = tokio::spawn(worker::run(test.app.clone(), test.carrier.clone()));
    let commits = "select exists (select from pg_stat_activity
                   where datname = current_database() and wait_event = 'PgSleep')";
    until(&test, commits).await;
    cable.cut().await;
    until(&test, "select exists (select from outbox where state = 'sending')").await;
    cable.mend();
    until(&test, "select not exists (select from outbox)").await;
    test.app.draining.cancel();
    worker.await.unwrap();
    assert_eq!(ben.inbox().iter().filter(|text| *text == "claimed in vain").count(), 1);
    let unknown = "select count(*) from audit_record where kind = 'unknown'";
    assert_eq!(test.value::<i64>(unknown).await, 0);
}

#[tokio::test]
async fn a_text_that_comes_to_stand_before_those_that_left_leaves_too() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let worker = tokio::spawn(worker::run(test.app.clone(), test.carrier.clone()));
    ann.texts("first").await;
    until(&test, "select not exists (select from outbox)").await;

    // Its turn was an hour ago, as if whoever put it there had only committed now.
    let mut tx = test.app.db.begin().await.unwrap();
    sqlx::query("select from send_limit for update").execute(&mut *tx).await.unwrap();
    ann.texts("second").await;
    test.run("update outbox set due_at = due_at - interval '1 hour'").await;
    tx.commit().await.unwrap();
    until(&test, "select not exists (select from outbox)").await;
    test.app.draining.cancel();
    worker.await.unwrap();
    assert_eq!(ben.last(), "second");
}

/// Waits until the database says so.
async fn until(test: &TestApp, sql: &str) {
    let is_so = async {
        while !test.value::<bool>(sql).await {
            tokio::task::yield_now().await;
        }
    };
    soon(sql, is_so).await;
}
