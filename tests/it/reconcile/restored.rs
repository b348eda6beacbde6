//! The database comes from a backup: what has left since is not sent again, as the handbook has it.

use maskline::outbox::worker;

use super::{minutes, round, started};
use crate::support::TestApp;

/// What the handbook has operators run.
fn by_the_handbook() -> String {
    let path = format!("{}/docs/operating.md", env!("CARGO_MANIFEST_DIR"));
    let handbook = std::fs::read_to_string(path).unwrap();
    let (_, rest) = handbook.split_once("### The database comes from a backup").unwrap();
    let (_, rest) = rest.split_once("```sql").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Puts the outbox back to what it was, and forgets what has been accepted since.
async fn restore(test: &TestApp) {
    test.run(
        "delete from carrier_message where text_id in (select id from backup);
         insert into outbox (id, kind, conversation_id, recipient_id, masked_number_id, cause,
             body_sealed, author_id, state, attempt, queued_at, due_at, leased_until, tried_at)
         select id, kind, conversation_id, recipient_id, masked_number_id, cause,
             body_sealed, author_id, state, attempt, queued_at, due_at, leased_until, tried_at
         from backup order by seq",
    )
    .await;
}

#[tokio::test]
async fn what_has_left_since_the_backup_is_found_and_not_sent_again() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    minutes(&test, 1).await;
    for text in ["one", "two"] {
        ann.texts(text).await;
    }
    ben.texts("three").await;
    let lease = "update outbox set state = 'sending', attempt = 1, tried_at = queued_at,
        leased_until = queued_at + interval '1 minute'
        where seq = (select max(seq) from outbox)";
    test.run("create table backup as select * from outbox").await;
    test.deliver().await;
    restore(&test).await;
    test.run(lease).await;

    test.run(&by_the_handbook()).await;
    test.advance(jiff::SignedDuration::from_mins(1));
    assert!(round(&test).await);
    assert_eq!(test.value::<i64>("select count(*) from outbox").await, 0);
    let heard = |phone: &crate::support::Phone<'_>, word: &str| {
        phone.inbox().iter().filter(|text| *text == word).count()
    };
    assert_eq!([heard(&ben, "one"), heard(&ben, "two"), heard(&ann, "three")], [1; 3]);
}

#[tokio::test]
async fn what_had_not_left_before_the_backup_stays_unknown_until_staff_decide() {
    let test = started().await;
    let (ann, ben) = test.conversation().await;
    minutes(&test, 1).await;
    ann.texts("never sent").await;
    test.run("create table backup as select * from outbox; delete from outbox").await;
    restore(&test).await;
    test.run(&by_the_handbook()).await;
    assert_eq!(worker::step(&test.app, &test.carrier).await.unwrap(), 0);
    let now = test.app.clock.now();
    let id: uuid::Uuid = test.value("select id from outbox where state = 'unknown'").await;
    let mut conn = test.db.acquire().await.unwrap();
    maskline::outbox::staff::resend(&mut conn, id.into(), now).await.unwrap().unwrap();
    test.deliver().await;
    assert_eq!(ben.last(), "never sent");
}
