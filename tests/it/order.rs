//! Texts arrive in the order in which they were sent, and each of them once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::SignedDuration;
use maskline::{
    app::App, carrier::simulator::Faults, code::Randomness, outbox::worker, phone::PhoneNumber,
};

use crate::support::{Phone, TestApp};

/// A second replica on the same database.
pub(crate) async fn replica(test: &TestApp) -> App {
    let db = sqlx::PgPool::connect(test.database_url()).await.unwrap();
    let settings = (*test.app.settings).clone();
    let vault = test.app.pen.vault.clone();
    App::new(db, settings, vault, test.app.clock.clone(), Randomness::seeded(2))
}

/// Ben's new texts since there were so many.
fn since(phone: &Phone<'_>, before: usize) -> Vec<String> {
    phone.inbox()[before..].to_vec()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("text {n}")).collect()
}

#[tokio::test]
async fn a_text_that_is_tried_again_keeps_its_place() {
    let test = TestApp::start().await;
    for fault in [
        Faults { throttle: 1.0, retry_after_s: Some(30), ..Faults::default() },
        Faults { error: 1.0, ..Faults::default() },
    ] {
        let (ann, ben) = test.conversation().await;
        let before = ben.inbox().len();
        test.faults(fault.clone());
        for text in numbered(3) {
            ann.texts(&text).await;
        }
        assert_eq!(test.deliver().await, 1, "only the first of a lane is tried");
        test.faults(Faults::default());
        assert_eq!(test.deliver().await, 0, "the others do not overtake it: {fault:?}");

        test.advance(SignedDuration::from_secs(30));
        test.deliver().await;
        assert_eq!(since(&ben, before), numbered(3), "{fault:?}");
        ann.texts("LEAVE").await;
        test.deliver().await;
    }
}

#[tokio::test]
async fn retry_after_is_honoured_to_the_second() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { throttle: 1.0, retry_after_s: Some(30), ..Faults::default() });
    ann.texts("hello").await;
    test.deliver().await;
    test.faults(Faults::default());
    test.advance(SignedDuration::from_millis(29_999));
    assert_eq!(test.deliver().await, 0);
    test.advance(SignedDuration::from_millis(1));
    assert_eq!(test.deliver().await, 1);
    assert_eq!(ben.last(), "hello");
}

#[tokio::test]
async fn one_lane_that_waits_keeps_no_other_waiting() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { error: 1.0, ..Faults::default() });
    ann.texts("held up").await;
    test.deliver().await;
    test.faults(Faults::default());

    ben.texts("the other way").await;
    ben.on_the_other_number().texts("HELP").await;
    test.phone("+12065550199").texts("HELP").await;
    assert_eq!(test.deliver().await, 3);
    assert_eq!(ann.last(), "the other way");
    assert!(
        ben.last().contains("START a chat"),
        "the same person on another number: {}",
        ben.last()
    );

    test.advance(SignedDuration::from_secs(1));
    test.deliver().await;
    assert_eq!(ben.last(), "held up");
}

#[tokio::test]
async fn ten_texts_each_way_arrive_in_order_and_once_through_many_workers() {
    let test = TestApp::start().await;
    let other = replica(&test).await;
    let (ann, ben) = test.conversation().await;
    let before = (ann.inbox().len(), ben.inbox().len());
    for n in 0..10 {
        ann.texts(&format!("text {n}")).await;
        ben.texts(&format!("text {n}")).await;
    }
    // All at once, again and again, until there is nothing left to do.
    loop {
        let steps =
            [&test.app, &other, &test.app, &other].map(|app| worker::step(app, &test.carrier));
        if join_all(steps).await.into_iter().all(|sent| sent.unwrap() == 0) {
            break;
        }
    }
    test.simulator.idle().await;
    assert_eq!(since(&ben, before.1), numbered(10));
    assert_eq!(since(&ann, before.0), numbered(10));
}

#[tokio::test]
async fn faults_by_chance_change_neither_order_nor_number() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = ben.inbox().len();
    test.faults(Faults { seed: 7, throttle: 0.3, error: 0.3, duplicate: 0.5, ..Faults::default() });
    for text in numbered(10) {
        ann.texts(&text).await;
    }
    while test.value::<i64>("select count(*) from outbox").await > 0 {
        test.deliver().await;
        test.advance(SignedDuration::from_secs(5));
    }
    assert_eq!(since(&ben, before), numbered(10));
}

#[tokio::test]
async fn webhooks_twice_and_in_the_wrong_order_lose_and_double_nothing() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = ben.inbox().len();
    test.faults(Faults { reorder: 1.0, duplicate: 1.0, copies: 3, ..Faults::default() });
    let texts = numbered(10);
    let texted = join_all(texts.iter().map(|text| ann.texts(text))).await;
    assert!(texted.iter().all(|texted| texted.statuses.len() == 3));
    test.faults(Faults::default());
    test.deliver().await;
    let mut arrived = since(&ben, before);
    arrived.sort();
    assert_eq!(arrived, texts);
    assert_eq!(relayed_order(&test).await, since(&ben, before), "sent in the order of the trail");
}

/// The words in the order in which they were promised.
async fn relayed_order(test: &TestApp) -> Vec<String> {
    test.column("select body from audit_record where kind = 'relayed' order by at, id").await
}

#[tokio::test]
async fn two_pairs_on_one_number_never_cross() {
    let test = TestApp::start().await;
    let phones: Vec<Phone<'_>> = (10..14).map(|n| test.phone(&format!("+120655501{n}"))).collect();
    for pair in phones.chunks(2) {
        let code = pair[0].starts().await;
        pair[1].texts(&format!("JOIN {code}")).await;
    }
    test.deliver().await;
    let other = replica(&test).await;
    let texts = (0..5).flat_map(|_| &phones).map(|phone| phone.texts(phone.number.as_str()));
    let texts: Vec<_> = texts.collect();
    join_all(texts).await;
    loop {
        let steps = [&test.app, &other].map(|app| worker::step(app, &test.carrier));
        if join_all(steps).await.into_iter().all(|sent| sent.unwrap() == 0) {
            break;
        }
    }
    test.simulator.idle().await;
    let mut heard: BTreeMap<&PhoneNumber, Vec<String>> = BTreeMap::new();
    for phone in &phones {
        let from = phone.inbox().into_iter().filter(|text| text.starts_with("+1206"));
        heard.insert(&phone.number, from.collect());
    }
    for (one, two) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
        assert_eq!(heard[&phones[one].number], vec![phones[two].number.as_str(); 5]);
    }
}

#[tokio::test]
async fn whoever_waits_for_one_of_two_conversations_gets_both_whatever_the_plan() {
    let test = TestApp::start().await;
    let (ann, _) = test.conversation().await;
    ann.on_the_other_number().starts().await;
    let ids = test.column("select id::text from conversation order by id").await;
    let [_, second] = &ids[..] else { panic!("{ids:?}") };
    let person: maskline::ids::PersonId =
        test.value("select id from person where number = '+12065550142'").await;

    let mut holder = test.db.begin().await.unwrap();
    let touch = format!("update conversation set last_talk_at = now() where id = '{second}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(touch)).execute(&mut *holder).await.unwrap();
    let mut waiter = test.db.begin().await.unwrap();
    // A plan that PostgreSQL takes by itself when its statistics suggest it.
    sqlx::raw_sql("set local enable_hashagg = off; set local enable_hashjoin = off")
        .execute(&mut *waiter)
        .await
        .unwrap();
    let waits = async { maskline::conversation::store::lock(&mut waiter, person).await.unwrap() };
    let releases = async {
        test.lock_waiters(1).await;
        holder.commit().await.unwrap();
    };
    let (locked, ()) = futures_util::join!(waits, releases);
    let locked: Vec<String> = locked.iter().map(ToString::to_string).collect();
    assert_eq!(locked, ids);
}
