//! The ledger of consent: it only grows, and what is in force is its fold.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use maskline::{
    consent::{self, Channel, Event, EventKind},
    ids::{MaskedNumberId, PersonId},
    people, pool,
    vault::Vault,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::{Database, MASTER_KEY, NUMBER, OTHER_NUMBER, TestApp, at, number};

/// An event about one of three people and one of two numbers.
type Drawn = (usize, EventKind, usize, Channel);

fn drawn() -> impl Strategy<Value = Drawn> {
    let kinds = prop::sample::select(vec![
        EventKind::Granted,
        EventKind::Revoked,
        EventKind::Flagged,
        EventKind::CarrierBlocked,
        EventKind::CarrierLifted,
    ]);
    let channels = prop::sample::select(vec![
        Channel::Text,
        Channel::Staff,
        Channel::Carrier,
        Channel::Import,
    ]);
    (0..3_usize, kinds, 0..2_usize, channels)
}

/// Writes a history about new people, and compares what the tables say with the fold.
async fn compare(
    vault: &Vault,
    conn: &mut PgConnection,
    history: &[Drawn],
    numbers: [MaskedNumberId; 2],
) {
    let begin = at("2026-03-01T12:00:00Z");
    let mut people = Vec::new();
    for _ in 0..3 {
        let unused: i64 = sqlx::query_scalar("select 12000000000 + count(*) from person")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        let unused = number(&unused.to_string());
        people.push(people::lock(conn, vault, &unused, begin).await.unwrap().0);
    }
    let mut since: [Option<Timestamp>; 3] = [None; 3];
    for (second, (who, kind, which, channel)) in history.iter().enumerate() {
        let now = begin + SignedDuration::from_secs(i64::try_from(second).unwrap());
        let of_pair = matches!(kind, EventKind::CarrierBlocked | EventKind::CarrierLifted);
        let event = Event {
            person: people[*who],
            kind: *kind,
            masked_number: of_pair.then_some(numbers[*which]),
            rule: "drawn",
            channel: *channel,
            evidence: None,
        };
        consent::append(conn, &event, now).await.unwrap();
        match kind {
            EventKind::Revoked => since[*who] = since[*who].or(Some(now)),
            EventKind::Granted => since[*who] = None,
            _ => {}
        }
    }
    for (person, since) in people.into_iter().zip(since) {
        let fold = consent::fold(&consent::history(conn, person).await.unwrap());
        let stored = consent::silent_since(conn, person).await.unwrap();
        assert_eq!(stored, since, "the first revocation stands");
        assert_eq!(fold.suppressed, stored.is_some());
        assert!(!fold.own || fold.suppressed);
        assert_eq!(fold.blocked, blocked(conn, person).await);
    }
}

async fn blocked(conn: &mut PgConnection, person: PersonId) -> BTreeSet<MaskedNumberId> {
    let found: Vec<MaskedNumberId> =
        sqlx::query_scalar("select masked_number_id from carrier_block where person_id = $1")
            .bind(person)
            .fetch_all(conn)
            .await
            .unwrap();
    found.into_iter().collect()
}

#[test]
fn what_is_in_force_is_the_fold_of_the_ledger() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::migrated());
    let (conn, vault, numbers) = runtime.block_on(async {
        let mut conn = PgConnection::connect(&database.url).await.unwrap();
        let vault = Vault::open(&mut conn, &MASTER_KEY.parse().unwrap()).await.unwrap();
        let mut ids = Vec::new();
        for masked in [NUMBER, OTHER_NUMBER].map(number) {
            pool::add(&mut conn, &masked, at("2026-03-01T12:00:00Z")).await.unwrap();
            ids.push(pool::find(&mut conn, &masked).await.unwrap().unwrap().id);
        }
        (conn, vault, [ids[0], ids[1]])
    });
    let conn = std::cell::RefCell::new(conn);
    let mut runner = TestRunner::new(Config { cases: 96, ..Config::default() });
    let histories = prop::collection::vec(drawn(), 0..40);
    let compared = runner.run(&histories, |history| {
        runtime.block_on(compare(&vault, &mut conn.borrow_mut(), &history, numbers));
        Ok(())
    });
    compared.unwrap();
}

#[tokio::test]
async fn what_people_text_is_in_the_ledger_with_what_proves_it() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    for word in ["UNSUBSCRIBE", "hello?", "STOP IT", "START", "HELP", "Opt Out", "UNSTOP", "UNSTOP"]
    {
        ben.texts(word).await;
    }
    test.deliver().await;
    let ledger = async |phone: &str| {
        test.column(&format!(
            "select concat_ws(' ', e.kind, e.rule, e.channel, e.disclosure, a.body)
             from consent_event e
             join person p on p.id = e.person_id
             join audit_record a on a.carrier_id = e.evidence and a.kind = 'received'
             where p.number = '{phone}' order by e.seq"
        ))
        .await
    };
    assert_eq!(ledger(ann.number.as_str()).await, ["granted start text 2026-11 START"]);
    let ben = ledger(ben.number.as_str()).await;
    assert!(ben[0].starts_with("granted join text 2026-11 JOIN "), "{ben:?}");
    assert_eq!(
        ben[1..],
        [
            "revoked opt_out text UNSUBSCRIBE",
            "granted start text 2026-11 START",
            "revoked opt_out text Opt Out",
            "granted unstop text 2026-11 UNSTOP",
            "carrier_lifted unstop text UNSTOP",
            "carrier_lifted unstop text UNSTOP",
        ]
    );
}

#[tokio::test]
async fn an_opt_out_is_noted_although_staff_had_noted_one_before() {
    let test = TestApp::start().await;
    let ben = test.ben();
    let (person, _) = test.person(&ben.number).await;
    let mut conn = test.db.acquire().await.unwrap();
    let now = test.app.clock.now();
    let event = Event {
        person,
        kind: EventKind::Revoked,
        masked_number: None,
        rule: "by_hand",
        channel: Channel::Staff,
        evidence: None,
    };
    consent::append(&mut conn, &event, now).await.unwrap();
    let own = async |conn: &mut PgConnection| {
        consent::fold(&consent::history(conn, person).await.unwrap()).own
    };
    assert!(!own(&mut conn).await);
    ben.texts("UNSUBSCRIBE").await;
    assert!(own(&mut conn).await);
    let rule: String = test.value("select rule from suppression").await;
    assert_eq!(rule, "by_hand", "the first revocation stands");
    assert_eq!(test.deliver().await, 0, "and there is no second confirmation");
}

#[tokio::test]
async fn the_ledger_can_be_added_to_and_nothing_else() {
    let test = TestApp::start().await;
    test.ben().texts("STOP").await;
    let before = test.column("select e::text from consent_event e").await;
    assert_eq!(before.len(), 1);
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    for role in ["origin", "replica", "local"] {
        for attack in [
            "update consent_event set kind = 'granted'",
            "update consent_event set kind = 'granted' where false",
            "delete from consent_event",
            "truncate consent_event",
            "truncate block, consent_event cascade",
        ] {
            let sql = format!("set session_replication_role = {role}; {attack}");
            let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&mut conn).await;
            let error = refused.expect_err(&sql).into_database_error().unwrap();
            assert_eq!(error.code().as_deref(), Some("42501"), "{sql}");
        }
    }
    assert_eq!(test.column("select e::text from consent_event e").await, before);
}

#[tokio::test]
async fn texts_and_refusals_of_one_person_at_once_lock_nobody_out() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let (ann, ben) = test.conversation().await;
    for n in 0..6 {
        ann.texts(&format!("text {n}")).await;
    }
    test.deliver().await;
    let sent = test.simulator.ledger().accepted.into_iter();
    let to_ben: Vec<String> =
        sent.filter(|text| text.to == ben.number).map(|text| text.id).collect();
    // Whatever of it comes first, all of it is taken.
    test.run("update carrier_message set delivery = 'sent' where direction = 'outbound'").await;
    let receipts = join_all(to_ben.iter().map(async |id| {
        let receipt = json!({"id": id, "type": "delivery_receipt",
            "attributes": {"status": "failed", "status_code": "1110"}});
        assert_eq!(test.post(&receipt).await, 200);
    }));
    let words = async {
        for word in ["UNSUBSCRIBE", "START", "QUIT", "START"] {
            ben.texts(word).await;
        }
    };
    let talk = join_all((0..6).map(async |n| {
        ann.texts(&format!("more {n}")).await;
    }));
    tokio::join!(receipts, words, talk, test.deliver());
    let mut conn = test.db.acquire().await.unwrap();
    let (person, _) = test.person(&ben.number).await;
    let fold = consent::fold(&consent::history(&mut conn, person).await.unwrap());
    assert_eq!(fold.blocked, blocked(&mut conn, person).await);
    assert_eq!(fold.blocked.len(), 1);
    let blocks: i64 =
        test.value("select count(*) from consent_event where kind = 'carrier_blocked'").await;
    assert_eq!(blocks, 1, "it is noted once");
}
