//! Pictures in the running service, served to the carrier for a day, and removed when they are old.

use std::time::Duration;

use jiff::SignedDuration;
use maskline::{
    carrier::simulator::{Faults, PhoneText, Way},
    config::Settings,
    database,
    media::worker,
    outbox::staff,
    serve::Service,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    pictures::{header, last, png},
    support::{NUMBER, Phone, SECRET, TestApp, Wishes, code_in, flat},
};

/// Waits until a phone shows so many texts that came in, and gives the last.
async fn arrived(test: &TestApp, phone: &Phone<'_>, count: usize) -> PhoneText {
    let mut events = test.simulator.subscribe();
    let shown = async {
        loop {
            let texts = test.simulator.phone(&phone.number).into_iter();
            let inbox: Vec<_> = texts.filter(|text| text.direction == Way::In).collect();
            if inbox.len() >= count {
                return inbox.into_iter().next_back().unwrap();
            }
            events.recv().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shown).await.expect("the text arrives")
}

#[tokio::test]
async fn the_running_service_relays_a_picture_by_itself() {
    let test = TestApp::start().await;
    let (public, private) =
        (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await);
    let (public, private) = (public.unwrap(), private.unwrap());
    let url = format!("http://{}", public.local_addr().unwrap());
    let settings =
        Settings { public_url: url.parse().unwrap(), ..Settings::clone(&test.app.settings) };
    let db = database::connect(&settings.database_url).await.unwrap();
    let service = Service::start(db, settings, Some(public), private, &[]).await.unwrap();
    let callback = format!("{url}/api/message/{SECRET}");
    let put = test
        .http
        .put(format!("{}/v2.2/messages/sms_callback", test.simulator.url()))
        .basic_auth("simulated", Some("simulated"))
        .json(&json!({"data": {"attributes": {"callback_url": callback}}}));
    assert_eq!(put.send().await.unwrap().status(), 204);

    let (ann, ben) = (test.ann(), test.ben());
    ann.texts("START").await;
    let code = code_in(&arrived(&test, &ann, 1).await.body).unwrap();
    ben.texts(&format!("JOIN {code}")).await;
    arrived(&test, &ben, 1).await;
    ann.sends(None, &[test.hosts(png(3, 3))]).await;
    let text = arrived(&test, &ben, 2).await;
    let picture = test.http.get(&text.media_urls[0]).send().await.unwrap();
    assert_eq!((picture.status().as_u16(), header(&picture, "content-type")), (200, "image/png"));
    let scraped = test.http.get(format!("http://{}/metrics", service.private)).send().await;
    let metrics = scraped.unwrap().text().await.unwrap();
    for name in ["maskline_media_total{outcome=\"ready\"}", "maskline_media_bytes_total "] {
        assert!(metrics.contains(name), "{name}");
    }
    assert!(service.drain().await);
}

#[tokio::test]
async fn a_picture_is_served_for_a_day_to_whoever_has_its_url() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.sends(None, &[test.hosts(png(3, 3))]).await;
    test.deliver().await;
    let url = last(&ben, &test).media_urls[0].clone();
    let status = async |url: String| test.http.get(url).send().await.unwrap().status().as_u16();

    let head = test.http.head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-type")), (200, "image/png"));
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    let token = url.rsplit('/').next().unwrap();
    assert_eq!(token.len(), 64);
    let key = std::fs::read_dir(&test.folder).unwrap().next().unwrap().unwrap().file_name();
    let wrong = ["", "x", &"0".repeat(64), &token[1..], key.to_str().unwrap(), "..%2f", "%00"];
    for wrong in wrong {
        assert_eq!(status(test.url(&format!("/media/{wrong}"))).await, 404, "{wrong}");
    }
    assert_eq!(status(test.url("/media")).await, 404);
    assert_eq!(test.http.post(&url).send().await.unwrap().status(), 405);

    test.advance(SignedDuration::from_hours(24) - SignedDuration::from_secs(1));
    assert_eq!(status(url.clone()).await, 200);
    test.advance(SignedDuration::from_secs(1));
    assert_eq!(status(url).await, 404);
}

#[tokio::test]
async fn a_picture_whose_text_is_sent_again_much_later_is_there() {
    let settings = &[("MASKLINE_MEDIA_DAYS", "2")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    let (ann, ben) = test.conversation().await;
    ann.sends(None, &[test.hosts(png(3, 3))]).await;
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
    test.deliver().await;
    test.faults(Faults::default());
    for _ in 0..2 {
        test.advance(SignedDuration::from_hours(36));
        test.deliver().await;
        worker::remove_old(&test.app).await.unwrap();
    }
    let id = test.column("select id::text from outbox where state = 'unknown'").await;
    let mut conn = test.app.db.acquire().await.unwrap();
    let now = test.app.clock.now();
    staff::resend(&mut conn, id[0].parse().unwrap(), now).await.unwrap().unwrap();
    test.deliver().await;
    let sent =
        test.simulator.phone(&ben.number).into_iter().filter(|text| !text.media_urls.is_empty());
    let sent: Vec<_> = sent.collect();
    assert_eq!(sent.len(), 2, "once lost, once sent again");
    assert_eq!(test.http.get(&sent[1].media_urls[0]).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn old_pictures_are_removed() {
    let settings = &[("MASKLINE_MEDIA_DAYS", "2")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    let (ann, _ben) = test.conversation().await;
    let files = || std::fs::read_dir(&test.folder).unwrap().count();
    ann.sends(None, &[test.hosts(png(3, 3))]).await;
    test.deliver().await;
    test.advance(SignedDuration::from_hours(36));
    ann.sends(None, &[test.hosts(png(3, 3))]).await;
    test.deliver().await;
    assert_eq!((worker::remove_old(&test.app).await.unwrap(), files()), (0, 2));
    test.advance(SignedDuration::from_hours(12) + SignedDuration::from_secs(1));
    assert_eq!((worker::remove_old(&test.app).await.unwrap(), files()), (1, 1));
    assert_eq!(test.value::<i64>("select count(*) from media").await, 1);
}

#[tokio::test]
async fn pictures_that_a_text_still_waits_for_are_never_old() {
    let settings = &[("MASKLINE_MEDIA_DAYS", "2")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    let (ann, ben) = test.conversation().await;
    ann.sends(Some("look"), &[test.hosts(png(3, 3))]).await;
    // No fetcher ran for days.
    test.advance(SignedDuration::from_hours(49));
    worker::remove_old(&test.app).await.unwrap();
    test.deliver().await;
    assert_eq!(ben.last(), "look");
}

#[tokio::test]
async fn strangers_who_try_urls_of_pictures_take_no_connection_from_the_webhook() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let mut slow = test.db.begin().await.unwrap();
    sqlx::query("lock table media").execute(&mut *slow).await.unwrap();
    let tries: Vec<_> = (0..40)
        .map(|n| test.http.get(test.url(&format!("/media/{n:064x}"))).send())
        .map(tokio::spawn)
        .collect();
    test.lock_waiters(1).await;
    for n in 0..5 {
        let text = flat(&format!("m{n}"), &test.ann().number, NUMBER, "HELP");
        assert_eq!(test.post(&text).await, 200);
    }
    slow.rollback().await.unwrap();
    for tried in tries {
        assert_eq!(tried.await.unwrap().unwrap().status(), 404);
    }
}
