//! What the webhook never brought is found in the carrier's list, and comes through the same door.

mod hostile;
mod late;
mod restored;
mod sends;

use futures_util::future::join_all;
use jiff::SignedDuration;
use maskline::{carrier::simulator::Faults, reconciler::Reconciler};

use crate::{
    order::replica,
    sending::soon,
    support::{Phone, TestApp, Wishes},
};

/// Goes a round at once, and delivers what comes of it. False when it was not time for one.
pub async fn round(test: &TestApp) -> bool {
    let went = Reconciler::new(test.app.clone(), test.carrier.clone()).step().await.unwrap();
    test.deliver().await;
    went
}

/// Lets so many minutes pass, with a round in each.
pub async fn minutes(test: &TestApp, count: usize) {
    for _ in 0..count {
        test.advance(SignedDuration::from_mins(1));
        assert!(round(test).await);
    }
}

/// From now on no text reaches the webhook, or all do.
pub fn webhook(test: &TestApp, is_there: bool) {
    let lose_webhook = if is_there { 0.0 } else { 1.0 };
    test.faults(Faults { lose_webhook, ..Faults::default() });
}

/// Somebody texts while no webhook is there.
async fn lost(test: &TestApp, phone: &Phone<'_>, body: &str) {
    webhook(test, false);
    phone.texts(body).await;
    webhook(test, true);
}

/// An app that has gone its first round.
pub async fn started() -> TestApp {
    with(&[]).await
}

async fn with(settings: &[(&str, &str)]) -> TestApp {
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    assert!(round(&test).await);
    test
}

/// What came in on a phone since there were so many.
pub fn since(phone: &Phone<'_>, before: usize) -> Vec<String> {
    phone.inbox()[before..].to_vec()
}

/// A lock that holds up whoever has listed, until it is dropped.
async fn held_up(test: &TestApp) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut held = test.db.begin().await.unwrap();
    let lock = "lock table masked_number in access exclusive mode";
    sqlx::query(lock).execute(&mut *held).await.unwrap();
    held
}

/// Waits until so many are held up.
async fn waiting(test: &TestApp, count: usize) {
    let waits = "select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()";
    let waiting = async {
        while test.value::<i64>(waits).await != i64::try_from(count).unwrap() {
            tokio::task::yield_now().await;
        }
    };
    soon("they are held up", waiting).await;
}

async fn received(test: &TestApp, word: &str) -> i64 {
    test.value(&format!(
        "select count(*) from audit_record where kind = 'received' and body = '{word}'"
    ))
    .await
}

#[tokio::test]
async fn ten_minutes_without_webhook_lose_nothing_and_keep_the_order() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    let before = [ann.inbox().len(), ben.inbox().len()];
    webhook(&test, false);
    for minute in 0..10 {
        for half in 0..2 {
            ann.texts(&format!("ann {minute}.{half}")).await;
            ben.texts(&format!("ben {minute}.{half}")).await;
            test.advance(SignedDuration::from_secs(30));
        }
        assert!(round(&test).await);
    }
    webhook(&test, true);
    minutes(&test, 4).await;
    let said = |who: &str| -> Vec<String> {
        (0..20).map(|n| format!("{who} {}.{}", n / 2, n % 2)).collect()
    };
    assert_eq!(since(&ben, before[1]), said("ann"));
    assert_eq!(since(&ann, before[0]), said("ben"));
    let reconciled = "select count(*) from audit_record
        where kind = 'received' and detail like 'reconciled, sent 2026-03-01T12:%'";
    assert_eq!(test.value::<i64>(reconciled).await, 40);
}

#[tokio::test]
async fn texts_of_one_moment_keep_their_order_over_pages() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    let before = ben.inbox().len();
    webhook(&test, false);
    for n in 0..210 {
        ann.texts(&format!("text {n}")).await;
    }
    webhook(&test, true);
    minutes(&test, 4).await;
    let all: Vec<String> = (0..210).map(|n| format!("text {n}")).collect();
    assert_eq!(since(&ben, before), all);
}

#[tokio::test]
async fn a_text_is_left_to_the_webhook_for_three_minutes() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    lost(&test, &ann, "patience").await;
    minutes(&test, 3).await;
    assert_eq!(received(&test, "patience").await, 0);
    minutes(&test, 1).await;
    assert_eq!(ben.last(), "patience");
}

#[tokio::test]
async fn overlap_and_late_webhooks_double_nothing() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    ann.texts("by webhook").await;
    lost(&test, &ann, "by list").await;
    minutes(&test, 20).await;
    let id = test.simulator.ledger().inbound.pop().unwrap().id;
    let late = crate::support::flat(&id, &ann.number, crate::support::NUMBER, "by list");
    assert_eq!(test.post(&late).await, 200);
    test.deliver().await;
    assert_eq!((received(&test, "by webhook").await, received(&test, "by list").await), (1, 1));
    assert_eq!(since(&ben, ben.inbox().len() - 2), ["by webhook", "by list"]);
}

#[tokio::test]
async fn a_round_is_gone_each_minute_by_one_of_many() {
    let test = started().await;
    assert!(!round(&test).await);
    test.advance(SignedDuration::from_secs(59));
    assert!(!round(&test).await);
    test.advance(SignedDuration::from_secs(2));
    let other = replica(&test).await;
    let apps = [&test.app, &other, &test.app, &other];
    let went = apps.map(|app| {
        let mut one = Reconciler::new(app.clone(), test.carrier.clone());
        async move { one.step().await.unwrap() }
    });
    assert_eq!(join_all(went).await.into_iter().filter(|went| *went).count(), 1);
}

#[tokio::test]
async fn two_at_once_take_each_text_in_once_and_in_order() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    let before = ben.inbox().len();
    webhook(&test, false);
    for n in 0..40 {
        ann.texts(&format!("text {n}")).await;
    }
    // The first is held up for longer than its turn, and goes on together with the second.
    let held = held_up(&test).await;
    let other = replica(&test).await;
    let mut went = Vec::new();
    for (n, app) in [&test.app, &other].into_iter().enumerate() {
        test.advance(SignedDuration::from_mins(4));
        let mut one = Reconciler::new(app.clone(), test.carrier.clone());
        went.push(tokio::spawn(async move { one.step().await.unwrap() }));
        waiting(&test, n + 1).await;
    }
    held.rollback().await.unwrap();
    for went in join_all(went).await {
        assert!(went.unwrap());
    }
    test.deliver().await;
    let all: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
    assert_eq!(since(&ben, before), all);
}

#[tokio::test]
async fn after_a_day_away_all_is_listed_from_where_it_stopped() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    minutes(&test, 2).await;
    let before = ben.inbox().len();
    webhook(&test, false);
    ann.texts("a day ago").await;
    test.advance(SignedDuration::from_hours(12));
    ann.texts("half a day ago").await;
    test.advance(SignedDuration::from_hours(12));
    assert!(round(&test).await);
    let notes = [
        "Delayed text from 1 Mar 12:02 UTC: a day ago",
        "Delayed text from 2 Mar 00:02 UTC: half a day ago",
    ];
    assert_eq!(since(&ben, before), notes);
    let lists = test.simulator.exchanges().into_iter().filter(|it| it.url.contains("start_date"));
    let windows = lists.count();
    assert!((48..60).contains(&windows), "half an hour at a time, not {windows} times");
    // From now on it is little again.
    test.advance(SignedDuration::from_mins(1));
    round(&test).await;
    let lists = test.simulator.exchanges().into_iter().filter(|it| it.url.contains("start_date"));
    assert_eq!(lists.count(), windows + 1);
}

#[tokio::test]
async fn whoever_is_paused_moves_nothing_back() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    lost(&test, &ann, "found once").await;
    test.advance(SignedDuration::from_mins(4));
    // Holds the turn, and is stopped by a lock within it.
    let held = held_up(&test).await;
    let mut paused = Reconciler::new(test.app.clone(), test.carrier.clone());
    let paused = tokio::spawn(async move { paused.step().await });
    waiting(&test, 1).await;
    test.advance(SignedDuration::from_hours(1));
    test.run(
        "update reconciliation set watermark = watermark + interval '1 hour', leased_until = null",
    )
    .await;
    held.rollback().await.unwrap();
    paused.await.unwrap().unwrap();
    let watermark = "select to_char(watermark at time zone 'utc', 'HH24:MI') from reconciliation";
    assert_eq!(test.value::<String>(watermark).await, "13:00");
    test.deliver().await;
    assert_eq!(received(&test, "found once").await, 1);
    assert!(ben.last().ends_with("found once"));
    minutes(&test, 1).await;
    assert_eq!(received(&test, "found once").await, 1);
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_while_loses_nothing() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    // The watermark of a clock that was an hour ahead, and has been set right.
    test.run("update reconciliation set watermark = '2026-03-01T13:00:00Z', listed_at = '2026-03-01T13:03:00Z'").await;
    lost(&test, &ann, "in the future").await;
    test.advance(SignedDuration::from_mins(30));
    assert!(round(&test).await);
    assert!(ben.last().ends_with("in the future"), "{}", ben.last());
}

#[tokio::test]
async fn other_numbers_of_the_account_and_older_texts_are_none_of_our_business() {
    let test = started().await;
    let (ann, _) = test.conversation().await;
    test.run("update masked_number set added_at = added_at + interval '1 minute' where number = '+14155550101'").await;
    lost(&test, &ann.on_the_other_number(), "before it was ours").await;
    minutes(&test, 5).await;
    assert_eq!(
        test.value::<i64>("select count(*) from audit_record where body like 'before%'").await,
        0
    );
    lost(&test, &ann.on_the_other_number(), "since").await;
    minutes(&test, 5).await;
    assert_eq!(received(&test, "since").await, 1);
}
