//! Who reads much of the trail leaves the machine to those who text.

use std::time::Duration;

use maskline::audit::pace::Pace;
use sqlx::{Connection, PgConnection, PgPool};

use crate::support::TestApp;

/// Reads until it is slowed, or is not any more. All within one transaction, as a search is.
async fn read_until(conn: &mut PgConnection, slowed: bool) {
    let minute = Duration::from_mins(1);
    tokio::time::timeout(minute, read(conn, slowed)).await.expect("it never notices");
}

async fn read(conn: &mut PgConnection, slowed: bool) {
    let mut tx = conn.begin().await.unwrap();
    let mut pace = Pace::begin(&mut tx).await.unwrap();
    while pace.is_slowed() != slowed {
        sqlx::query("select count(*) from audit_record").execute(&mut *tx).await.unwrap();
        pace.rest(&mut tx).await.unwrap();
    }
    let batch = pace.batch(5_000);
    assert_eq!(batch < 5_000, slowed);
    tx.rollback().await.unwrap();
}

/// Writes about as many rows as some hundred texts a second do, until it is stopped.
async fn write(pool: PgPool) {
    loop {
        let sql = "insert into written select from generate_series(1, 50)";
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
}

#[tokio::test]
async fn reading_slows_down_while_rows_are_written_and_no_longer() {
    let test = TestApp::start().await;
    test.run("create table written ()").await;
    let pool = PgPool::connect(test.database_url()).await.unwrap();
    let mut conn = PgConnection::connect(test.app_url()).await.unwrap();
    read_until(&mut conn, false).await;
    let writing = tokio::spawn(write(pool));
    read_until(&mut conn, true).await;
    writing.abort();
    writing.await.unwrap_err();
    read_until(&mut conn, false).await;
    conn.close().await.unwrap();
}
