//! Connections are ended at random, and there are none left: no one touches Maskline, and it goes on.

use std::time::Duration;

use futures_util::future::join_all;
use maskline::{
    database,
    demo::postgres::{Options, PrivatePostgres},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::{Instant, timeout};

use crate::{
    browser::say,
    replicas::{Doors, FAST, connect, talk},
    sending::soon,
    service::Site,
    support::{Database, TestApp},
};

#[tokio::test]
async fn backends_that_are_ended_at_random_cost_no_text() {
    const TEXTS: usize = 100;
    let site = Site::new().await;
    let served = site.serve_with("serve", &FAST).await;
    let doors = Doors::default();
    doors.open(&served);
    connect(&site).await;
    let end_one = async || {
        let pids = site.column(
            "select pg_terminate_backend(pid)::text from pg_stat_activity
             where datname = current_database() and application_name = 'maskline'
             order by random() limit 1",
        );
        pids.await.len()
    };
    let mut ended = 0;
    for n in 0..TEXTS {
        let (id, body) = (format!("id {n}"), format!("text {n}"));
        ended += tokio::join!(doors.deliver(&id, &body), end_one()).1;
    }
    assert!(ended > 10, "{ended} were ended");
    let expected: Vec<String> = (0..TEXTS).map(|n| format!("text {n}")).collect();
    assert_eq!(soon("all arrive", talk(&site, TEXTS)).await, expected);
    site.until("select state from outbox", &[]).await;
    say(&format!("{TEXTS} texts in order, each once, while {ended} backends were ended"));
    served.stop().await;
}

#[tokio::test]
async fn a_server_without_a_free_slot_is_used_again_once_there_is_one() {
    let options = Options { durable: false, max_connections: 12, ..Options::default() };
    let server = PrivatePostgres::start(options).await.unwrap();
    let url = server.url("postgres");
    let db = database::connect(&url.clone().into()).await.unwrap();
    let mut first = PgConnection::connect(&url).await.unwrap();
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'maskline'",
    )
    .execute(&mut first)
    .await
    .unwrap();
    let mut others = vec![first];
    let full = loop {
        match PgConnection::connect(&url).await {
            Ok(conn) => others.push(conn),
            Err(error) => break error,
        }
    };
    assert!(full.to_string().contains("too many clients"), "{full}");
    let ask = async || {
        let asked = sqlx::query_scalar::<_, i32>("select 1").fetch_one(&db);
        timeout(Duration::from_secs(5), asked).await.expect("nobody waits for ever")
    };
    // The one that was ended says so once; from then on there is none to be had, and no slot.
    while !matches!(ask().await, Err(sqlx::Error::PoolTimedOut)) {}

    drop(others);
    let free = Instant::now();
    while ask().await.is_err() {}
    assert!(free.elapsed() < Duration::from_secs(10), "{:?}", free.elapsed());
    db.close().await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_takes_no_writes_any_more_is_thrown_away() {
    let site = Database::migrated().await;
    let db = database::connect(&site.url.clone().into()).await.unwrap();
    let pid = "select pg_backend_pid()";
    let mut conn = db.acquire().await.unwrap();
    let before: i32 = sqlx::query_scalar(pid).fetch_one(&mut *conn).await.unwrap();
    sqlx::query("set default_transaction_read_only = on").execute(&mut *conn).await.unwrap();
    let refused = sqlx::query("delete from outbox").execute(&mut *conn).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("25006"));
    drop(conn);
    let after: i32 = sqlx::query_scalar(pid).fetch_one(&db).await.unwrap();
    assert_ne!(before, after);
    sqlx::query("delete from outbox").execute(&db).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn when_the_server_takes_no_writes_any_more_no_connection_is_used_again() {
    let site = Database::migrated().await;
    let db = database::connect(&site.url.clone().into()).await.unwrap();
    let pid = "select pg_backend_pid()";
    let mut others = [db.acquire().await.unwrap(), db.acquire().await.unwrap()];
    let mut before: Vec<i32> = Vec::new();
    for conn in &mut others {
        before.push(sqlx::query_scalar(pid).fetch_one(&mut **conn).await.unwrap());
    }
    let mut conn = db.acquire().await.unwrap();
    sqlx::query("set default_transaction_read_only = on").execute(&mut *conn).await.unwrap();
    drop(conn);
    // The one that is given back is thrown away, and says it for those that were made before.
    let thrown = async {
        while db.size() > 2 {
            tokio::task::yield_now().await;
        }
    };
    soon("it is thrown away", thrown).await;
    drop(others);
    let returned = async {
        while db.num_idle() < 2 {
            tokio::task::yield_now().await;
        }
    };
    soon("the others are given back", returned).await;
    let after: i32 = sqlx::query_scalar(pid).fetch_one(&db).await.unwrap();
    assert!(!before.contains(&after));
    db.close().await;
}

#[tokio::test]
async fn no_connection_is_made_to_a_server_that_takes_no_writes() {
    let site = Database::migrated().await;
    let db = database::connect(&site.url.clone().into()).await.unwrap();
    let held = db.acquire().await.unwrap();
    let mut admin = PgConnection::connect(&site.url).await.unwrap();
    let mut set = async |to: &str| {
        let name: String =
            sqlx::query_scalar("select current_database()").fetch_one(&mut admin).await.unwrap();
        let sql = format!("alter database {name} set default_transaction_read_only = {to}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    };
    set("on").await;
    let refused = timeout(Duration::from_secs(6), db.acquire()).await.expect("3 s");
    assert!(refused.is_err(), "it was given out");
    set("off").await;
    let given = timeout(Duration::from_secs(6), db.acquire()).await.expect("at once");
    sqlx::query("delete from outbox").execute(&mut *given.unwrap()).await.unwrap();
    drop(held);
    db.close().await;
}

#[tokio::test]
async fn connections_that_the_server_ended_cost_no_delivery() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let phones: Vec<_> = (0..40).map(|n| test.phone(&format!("+1206555{n:04}"))).collect();
    join_all(phones.iter().map(|phone| phone.texts("HELP"))).await;
    test.deliver().await;
    for round in 0..3 {
        let ended = test.column(
            "select pg_terminate_backend(pid)::text from pg_stat_activity
             where datname = current_database() and application_name = 'maskline'",
        );
        assert!(ended.await.len() > 4, "many stood open");
        let words = format!("round {round}");
        // The webhook takes it the first time.
        ann.texts(&words).await;
        join_all(phones.iter().map(|phone| phone.texts("HELP"))).await;
        test.deliver().await;
        assert_eq!(ben.last(), words);
    }
}

#[tokio::test]
async fn no_session_waits_for_ever_for_a_lock_that_nobody_gives_back() {
    let site = Database::migrated().await;
    let db = database::connect(&site.url.clone().into()).await.unwrap();
    let mut holder = PgConnection::connect(&site.url).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("lock table block").execute(&mut *held).await.unwrap();
    let asked = sqlx::query("delete from block").execute(&db);
    let refused = timeout(Duration::from_secs(8), asked).await.expect("4 s").unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("55P03"));
    let bound = "show idle_in_transaction_session_timeout";
    assert_eq!(sqlx::query_scalar::<_, String>(bound).fetch_one(&db).await.unwrap(), "10s");
    held.rollback().await.unwrap();
    db.close().await;
}
