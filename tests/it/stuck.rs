//! Somebody goes quiet: a replica that holds a lock and is gone, connections that hear nothing, a
//! clock that is wrong, a caller that stops in mid-request. The others go on.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use maskline::{
    app::App, audit, clock::Clock, clock::ManualClock, code::Randomness, database, outbox::worker,
    serve::Service,
};
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{NUMBER, TestApp, Wishes, at, cable, flat};

/// A session that has done this and is heard of no more.
async fn vanished(test: &TestApp, sql: &str) -> PgConnection {
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("begin; {sql}"))).execute(&mut conn).await.unwrap();
    conn
}

async fn help(test: &TestApp, id: &str, phone: usize) -> u16 {
    let phone = test.phone(&format!("+12065550{phone}"));
    test.post(&flat(id, &phone.number, NUMBER, "HELP")).await
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_keeps_the_accounts_limit() {
    let settings = [("MASKLINE_SMS_PER_SECOND", "5")];
    let test = TestApp::wishing(Wishes { settings: &settings, ..Wishes::default() }).await;
    for phone in 110..130 {
        help(&test, &format!("m{phone}"), phone).await;
    }
    test.run("update outbox set due_at = due_at - interval '1 second'").await;
    let behind = Clock::Manual(ManualClock::at(at("2026-03-01T11:59:59.995Z")));
    let settings = (*test.app.settings).clone();
    let vault = test.app.pen.vault.clone();
    let other = App::new(test.app.db.clone(), settings, vault, behind, Randomness::seeded(2));
    let sent = [
        worker::step(&test.app, &test.carrier).await.unwrap(),
        worker::step(&other, &test.carrier).await.unwrap(),
    ];
    test.run("delete from outbox").await;
    test.simulator.idle().await;
    assert_eq!(sent, [5, 0]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_no_text_and_no_lease() {
    let test = TestApp::start().await;
    test.ann().texts("HELP").await;
    test.ben().texts("HELP").await;
    let lease = "update outbox set state = 'sending', attempt = 1, leased_until = due_at + interval '1 minute'
        where seq = (select max(seq) from outbox)";
    test.run(lease).await;
    test.advance(SignedDuration::from_hours(-1));
    assert_eq!(test.deliver().await, 1);
    assert_eq!(test.value::<String>("select state from outbox").await, "unknown");
    test.run("delete from outbox").await;
}

#[tokio::test]
async fn the_limits_row_held_by_a_lost_session_stops_nobody_for_long() {
    let test = TestApp::start().await;
    test.ann().texts("HELP").await;
    let lost = vanished(&test, "select from send_limit where kind = 'sms' for update").await;
    let step = timeout(Duration::from_secs(15), worker::step(&test.app, &test.carrier)).await;
    assert!(step.expect("the worker does not hang").is_err());
    drop(lost);
    while test.deliver().await == 0 {}
}

#[tokio::test]
async fn one_row_of_a_lost_settle_stops_no_other_lane() {
    let test = TestApp::start().await;
    test.ann().texts("HELP").await;
    let lease = "update outbox set state = 'sending', attempt = 1, leased_until = due_at";
    test.run(lease).await;
    let lost = vanished(&test, "delete from outbox").await;
    test.ben().texts("HELP").await;
    test.advance(SignedDuration::from_secs(61));
    let step = timeout(Duration::from_secs(15), worker::step(&test.app, &test.carrier)).await;
    assert_eq!(step.expect("the worker does not hang").unwrap(), 1);
    test.simulator.idle().await;
    assert_eq!(test.ben().inbox().len(), 1);
    drop(lost);
    test.run("delete from outbox").await;
}

#[tokio::test]
async fn one_person_who_is_locked_stops_nobody_else() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    help(&test, "first", 142).await;
    let _lost = vanished(&test, "select from person for no key update").await;
    let waiting = join_all((0..16).map(|n| help_of_ann(&test, n))).await;
    assert_eq!(waiting, [503; 16]);
    assert_eq!(help(&test, "another", 187).await, 200);
}

async fn help_of_ann(test: &TestApp, n: usize) -> u16 {
    help(test, &format!("again {n}"), 142).await
}

#[tokio::test]
async fn a_reader_of_the_trail_does_not_stop_the_webhook_when_a_month_is_made() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let _reader = vanished(&test, "select count(*) from audit_record").await;
    let db = test.app.db.clone();
    let making = tokio::spawn(async move {
        audit::make_partitions(&mut db.acquire().await.unwrap(), at("2031-03-01T12:00:00Z")).await
    });
    let waiting = "select exists (select from pg_locks where not granted
        and database = (select oid from pg_database where datname = current_database()))";
    while !test.value::<bool>(waiting).await && !making.is_finished() {}
    assert_eq!(help(&test, "meanwhile", 142).await, 200);
    assert!(making.await.unwrap().is_err(), "it gives up, and tries again another time");
}

#[tokio::test]
async fn connections_that_hear_nothing_any_more_cost_some_deliveries_and_not_the_service() {
    let mut cable = cable();
    let mut test = TestApp::wishing(Wishes { cable: Some(&cable), ..Wishes::default() }).await;
    test.leave_promises();
    let (test, mut round) = (&test, 0);
    let mut sixteen = async || {
        round += 1;
        join_all((100..116).map(async |phone| help(test, &format!("{round} {phone}"), phone).await))
            .await
    };
    assert_eq!(sixteen().await, [200; 16]);
    cable.strand();
    let again = async { while sixteen().await != [200; 16] {} };
    timeout(Duration::from_mins(1), again).await.expect("the dead connections are thrown away");
}

/// The service as `serve` runs it, on the database of a test.
async fn service(test: &TestApp) -> Service {
    let settings = (*test.app.settings).clone();
    let db = database::connect(&settings.database_url).await.unwrap();
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let private = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Service::start(db, settings, Some(public), private, &[]).await.unwrap()
}

#[tokio::test]
async fn a_database_that_hears_nothing_does_not_keep_the_process_from_ending() {
    let mut cable = cable();
    let mut test = TestApp::wishing(Wishes { cable: Some(&cable), ..Wishes::default() }).await;
    test.leave_promises();
    let service = service(&test).await;
    cable.silence();
    timeout(Duration::from_secs(40), service.drain()).await.expect("it ends");
    cable.mend();
}

#[tokio::test]
async fn half_a_request_is_cut_off_and_does_not_keep_the_process_from_draining() {
    let test = TestApp::start().await;
    let service = service(&test).await;
    let mut caller = TcpStream::connect(service.public.unwrap()).await.unwrap();
    caller.write_all(b"POST /api/message/x HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(20), caller.read_to_end(&mut rest)).await;
    closed.expect("the caller is cut off").ok();
    let mut caller = TcpStream::connect(service.public.unwrap()).await.unwrap();
    caller.write_all(b"POST /api/message/x HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    let drained = timeout(Duration::from_secs(20), service.drain()).await;
    assert!(drained.expect("it ends"), "nothing was left to cut off");
    drop(caller);
}
