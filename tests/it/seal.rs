//! The sealer: every record gets its leaf, in order, once, whatever else goes on.

use maskline::audit::{
    checkpoint::{self, SignError},
    note::{Checkpoint, Signer},
    seal::{Sealer, Step},
};
use sqlx::{Connection, PgConnection};

use crate::{
    sending::soon,
    support::{TestApp, Wishes},
};

/// These tests say what they change in a record, so they write words as people read them.
pub(crate) const IN_THE_CLEAR: &str =
    "alter table audit_record drop constraint if exists audit_record_is_sealed;";

/// A private key of the tests, under the name that the public URL's host gives the log.
pub(crate) fn signer() -> Signer {
    Signer::new("127.0.0.1", &[7; 32])
}

/// An app that signs.
pub(crate) async fn signing() -> TestApp {
    let key = signer().to_text();
    let settings: &[(&str, &str)] = &[("MASKLINE_AUDIT_KEY", &key)];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    test.run(IN_THE_CLEAR).await;
    test
}

/// Writes so many records in a transaction of their own.
pub(crate) async fn write(test: &TestApp, count: usize) {
    test.run(&insert(count)).await;
}

fn insert(count: usize) -> String {
    format!(
        "insert into audit_record (id, at, kind, rule, person_id, carrier_id, body, media, detail)
         select gen_random_uuid(), clock_timestamp(), 'received', 'talk', gen_random_uuid(),
             'carrier ' || n, 'words ' || n, '[{{\"b\": 1, \"a\": [2, null]}}]', ''
         from generate_series(1, {count}) n"
    )
}

/// Seals all that can be now. Returns how many.
async fn seal_some(test: &TestApp) -> u64 {
    let mut sealer = Sealer::new(test.app.clone());
    let mut sealed = 0;
    loop {
        match sealer.step().await.unwrap() {
            Step::More(more) => sealed += more,
            Step::Done(more) => return sealed + more,
            Step::Others => tokio::task::yield_now().await,
        }
    }
}

/// Seals until there is nothing left. Returns how many. Transactions of other tests on the same
/// server delay it.
pub(crate) async fn seal(test: &TestApp) -> u64 {
    let left = "select exists (select from audit_record r where not exists (
                    select from audit_leaf l where l.at = r.at and l.id = r.id))";
    let all = async {
        let mut sealed = seal_some(test).await;
        while test.value::<bool>(left).await {
            sealed += seal_some(test).await;
        }
        sealed
    };
    soon("all is sealed", all).await
}

pub(crate) async fn sign(test: &TestApp) -> Checkpoint {
    let note = checkpoint::make(&test.app, &signer()).await.unwrap().unwrap();
    Checkpoint::open(&note, &[signer().verifier()]).unwrap()
}

/// Every record has one leaf, the leaves are numbered without a gap.
async fn is_whole(test: &TestApp) {
    let records: i64 = test.value("select count(*) from audit_record").await;
    let leaves: i64 = test.value("select count(*) from audit_leaf").await;
    let last: i64 = test.value("select coalesce(max(index) + 1, 0) from audit_leaf").await;
    let joined: i64 =
        test.value("select count(*) from audit_record join audit_leaf using (at, id)").await;
    assert_eq!((leaves, last, joined), (records, records, records));
}

async fn bodies(test: &TestApp) -> Vec<String> {
    test.column("select body from audit_leaf join audit_record using (at, id) order by index").await
}

async fn seal_until(test: &TestApp, expected: &[&str]) {
    let sealed = async {
        while bodies(test).await != expected {
            seal_some(test).await;
        }
    };
    soon("these are sealed", sealed).await;
}

#[tokio::test]
async fn every_record_gets_a_leaf_and_a_restart_goes_on_from_there() {
    let test = signing().await;
    assert_eq!(seal(&test).await, 0);
    assert!(checkpoint::make(&test.app, &signer()).await.unwrap().is_none());
    for (count, size) in [(1, 1), (2, 3), (30, 33)] {
        write(&test, count).await;
        assert_eq!(seal(&test).await, count as u64);
        is_whole(&test).await;
        assert_eq!(sign(&test).await.size, size);
    }
    // The same again is no new one.
    assert_eq!(sign(&test).await.size, 33);
    assert_eq!(seal(&test).await, 0);
    let sizes = test.column("select size::text from audit_checkpoint order by size").await;
    assert_eq!(sizes, ["1", "3", "33"]);
}

#[tokio::test]
async fn a_transaction_that_stays_open_delays_and_loses_nothing() {
    let test = signing().await;
    let words = |body: &str| {
        format!(
            "insert into audit_record (id, at, kind, body)
                 values (gen_random_uuid(), now(), 'received', '{body}')"
        )
    };
    test.run(&words("first")).await;
    // One that has written, one that has only begun to and writes at its end.
    let mut open = Vec::new();
    for body in ["slow", "slower"] {
        let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
        sqlx::raw_sql("begin; select pg_current_xact_id()").execute(&mut conn).await.unwrap();
        open.push((conn, words(body)));
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(open[0].1.clone())).execute(&mut open[0].0).await.unwrap();
    test.run(&words("quick")).await;
    seal_until(&test, &["first"]).await;
    test.run(&words("quicker")).await;
    assert_eq!(seal_some(&test).await, 0);

    let (mut conn, _) = open.remove(0);
    sqlx::raw_sql("commit").execute(&mut conn).await.unwrap();
    seal_until(&test, &["first", "slow"]).await;
    assert_eq!(seal_some(&test).await, 0);
    let (mut conn, sql) = open.remove(0);
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    sqlx::raw_sql("commit").execute(&mut conn).await.unwrap();
    seal(&test).await;
    assert_eq!(bodies(&test).await, ["first", "slow", "slower", "quick", "quicker"]);
    is_whole(&test).await;
}

#[tokio::test]
async fn what_was_rolled_back_leaves_no_gap() {
    let test = signing().await;
    write(&test, 2).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let undone = format!("begin; {}; rollback", insert(3));
    sqlx::raw_sql(sqlx::AssertSqlSafe(undone)).execute(&mut conn).await.unwrap();
    write(&test, 2).await;
    assert_eq!(seal(&test).await, 4);
    is_whole(&test).await;
}

#[tokio::test]
async fn several_sealers_at_once_seal_each_record_once() {
    let test = signing().await;
    let sealing = async {
        for _ in 0..25 {
            futures_util::future::join_all(
                (0..3).map(|_| async { Sealer::new(test.app.clone()).step().await.unwrap() }),
            )
            .await;
            sign_if_any(&test).await;
        }
    };
    let writing = async {
        for _ in 0..40 {
            write(&test, 5).await;
        }
    };
    tokio::join!(sealing, writing);
    seal(&test).await;
    is_whole(&test).await;
    assert_eq!(sign(&test).await.size, 200);
}

async fn sign_if_any(test: &TestApp) {
    checkpoint::make(&test.app, &signer()).await.unwrap();
}

#[tokio::test]
async fn one_waits_while_another_seals() {
    let test = signing().await;
    write(&test, 1).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    sqlx::raw_sql("begin; select size from audit_seal for update")
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(Sealer::new(test.app.clone()).step().await.unwrap(), Step::Others);
    sqlx::raw_sql("rollback").execute(&mut conn).await.unwrap();
    assert_eq!(seal(&test).await, 1);
}

#[tokio::test]
async fn records_from_before_there_was_a_seal_go_first_in_their_order() {
    let test = signing().await;
    write(&test, 1).await;
    test.run(
        "insert into audit_record (id, at, kind, body, xid)
         select gen_random_uuid(), timestamptz '2026-01-01' + n * interval '1 minute', 'received',
             'old ' || lpad(n::text, 5, '0'), null
         from generate_series(1, 10500) n order by random()",
    )
    .await;
    assert_eq!(seal(&test).await, 10_501);
    let bodies = bodies(&test).await;
    assert!(bodies[..10_500].is_sorted() && bodies[10_500] == "words 1");
    is_whole(&test).await;
}

#[tokio::test]
async fn a_database_restored_on_a_younger_server_is_sealed_on() {
    let test = signing().await;
    write(&test, 3).await;
    seal(&test).await;
    // What the other server's transactions left: far ahead of this one's.
    test.run("update audit_seal set watermark = 9000000000").await;
    let theirs = insert(4).replace("detail)", "detail, xid)").replace("''", "'', '9000000001'");
    test.run(&theirs).await;
    write(&test, 2).await;
    assert_eq!(seal(&test).await, 6);
    write(&test, 2).await;
    assert_eq!(seal(&test).await, 2);
    is_whole(&test).await;
}

#[tokio::test]
async fn more_than_a_batch_is_sealed_in_several_steps_in_one_order() {
    let test = signing().await;
    write(&test, 12_000).await;
    write(&test, 12_000).await;
    for _ in 0..30 {
        write(&test, 3).await;
    }
    assert_eq!(seal(&test).await, 24_090);
    is_whole(&test).await;
    let order = "select (xid::text::bigint, at, id)::text from audit_leaf
                 join audit_record using (at, id) order by";
    assert_eq!(
        test.column(&format!("{order} index")).await,
        test.column(&format!("{order} xid, at, id")).await
    );
}

#[tokio::test]
async fn what_the_sealer_stored_is_made_again_from_the_leaves() {
    let test = signing().await;
    write(&test, 21).await;
    seal(&test).await;
    let signed = sign(&test).await;
    for lost in ["size = 0, frontier = ''", "frontier = substr(frontier, 33)"] {
        test.run(&format!("update audit_seal set {lost}, watermark = 0")).await;
        assert_eq!(seal(&test).await, 0);
        assert_eq!(sign(&test).await, signed);
    }
    write(&test, 1).await;
    seal(&test).await;
    is_whole(&test).await;
}

#[tokio::test]
async fn nothing_is_signed_that_contradicts_what_was_signed_before() {
    let test = signing().await;
    write(&test, 5).await;
    seal(&test).await;
    sign(&test).await;
    let signed = async || checkpoint::make(&test.app, &signer()).await;
    let frontier: String = test.value("select frontier::text from audit_seal").await;
    test.run("update audit_seal set size = 4, frontier = substr(frontier, 33)").await;
    assert!(matches!(signed().await, Err(SignError::Contradiction(4))));
    test.run(&format!("update audit_seal set size = 5, frontier = '{frontier}'")).await;
    assert!(signed().await.is_ok());
    let other = "set_byte(frontier, 0, 255 - get_byte(frontier, 0))";
    test.run(&format!("update audit_seal set frontier = {other}")).await;
    assert!(matches!(signed().await, Err(SignError::Contradiction(5))));
}

#[tokio::test]
async fn a_column_that_this_version_does_not_know_is_left_to_a_newer_one() {
    let test = signing().await;
    write(&test, 1).await;
    seal(&test).await;
    test.run("alter table audit_record add column rough point").await;
    write(&test, 1).await;
    let error = Sealer::new(test.app.clone()).step().await.unwrap_err();
    assert!(error.to_string().contains("rough"), "{error}");
    test.run("alter table audit_record drop column rough").await;
    assert_eq!(seal(&test).await, 1);
}

#[tokio::test]
async fn leaves_and_checkpoints_can_be_added_to_and_nothing_else() {
    let test = signing().await;
    write(&test, 2).await;
    seal(&test).await;
    sign(&test).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    sqlx::raw_sql("set session_replication_role = replica").execute(&mut conn).await.unwrap();
    for table in ["audit_leaf", "audit_checkpoint"] {
        for attack in ["update {t} set at = now()", "delete from {t}", "truncate {t}"] {
            let sql = attack.replace("{t}", table);
            let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await;
            let error = refused.unwrap_err().into_database_error().unwrap();
            assert_eq!(error.code().as_deref(), Some("42501"), "{table}: {attack}");
        }
    }
}

#[tokio::test]
async fn the_newest_are_found_by_an_index() {
    let test = signing().await;
    for _ in 0..50 {
        write(&test, 1000).await;
    }
    test.run(
        "select sum(brin_summarize_new_values(i.oid)) from pg_class i
         join pg_am a on a.oid = i.relam where i.relkind = 'i' and a.amname = 'brin'",
    )
    .await;
    test.run("analyze audit_record").await;
    let newest: i64 = test.value("select max(xid::text::bigint) from audit_record").await;
    let explain = format!(
        "explain (analyze, costs off, timing off) select 1 from audit_record r
         where (r.xid::text::bigint) >= {newest} and (r.xid::text::bigint) < {newest} + 9"
    );
    let plan = test.column(&explain).await.join("\n");
    let part: String = test.value("select max(tableoid::regclass::text) from audit_record").await;
    let has = |scan: &str| plan.contains(scan);
    assert!(has("Bitmap Index Scan") && !has(&format!("Seq Scan on {part}")), "{plan}");
}
