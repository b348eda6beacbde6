//! A connection to the database falls silent under somebody who works alone: they go on.

use std::time::Duration;

use jiff::SignedDuration;
use maskline::{media, reconciler::Reconciler};

use crate::{
    pictures::png,
    reconcile::webhook,
    support::{Cable, TestApp, Wishes, cable},
};

/// Leaves whoever works with one connection, which hears nothing, and waits until they have taken it.
async fn strand(test: &TestApp, cable: &mut Cable) {
    let db = &test.app.db;
    while db.num_idle() != 1 {
        tokio::task::yield_now().await;
        if db.num_idle() > 1
            && let Some(one) = db.try_acquire()
        {
            one.close().await.unwrap();
        }
    }
    cable.strand();
    while db.num_idle() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Waits for up to a minute until the database says so.
async fn soon(test: &TestApp, sql: &str) {
    let is_so = async {
        while !test.value::<bool>(sql).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), is_so).await.expect(sql);
}

#[tokio::test]
async fn a_fetcher_whose_connection_falls_silent_goes_on() {
    let mut cable = cable();
    let mut test = TestApp::wishing(Wishes { cable: Some(&cable), ..Wishes::default() }).await;
    test.leave_promises();
    let (ann, _ben) = test.conversation().await;
    let fetcher = media::worker::run(test.app.clone(), test.sources.clone());
    let fetcher = tokio::spawn(fetcher);
    strand(&test, &mut cable).await;
    let picture = test.hosts(png(2, 2));
    let text = maskline::carrier::simulator::NewText { media: vec![picture], ..ann.text("look") };
    while test.simulator.text(text.clone()).await.unwrap().statuses != [Some(200)] {}
    soon(&test, "select exists (select from media where attempts > 0)").await;
    test.app.draining.cancel();
    fetcher.await.unwrap();
}

#[tokio::test]
async fn a_reconciler_whose_connection_falls_silent_goes_on() {
    let mut cable = cable();
    let mut test = TestApp::wishing(Wishes { cable: Some(&cable), ..Wishes::default() }).await;
    test.leave_promises();
    let (ann, _ben) = test.conversation().await;
    let reconciler = Reconciler::new(test.app.clone(), test.carrier.clone());
    let reconciler = tokio::spawn(reconciler.run());
    soon(&test, "select watermark is not null and leased_until is null from reconciliation").await;
    strand(&test, &mut cable).await;
    webhook(&test, false);
    ann.texts("nobody brought this").await;
    test.advance(SignedDuration::from_mins(5));
    soon(&test, "select exists (select from audit_record where body = 'nobody brought this')")
        .await;
    test.app.draining.cancel();
    reconciler.await.unwrap();
}
