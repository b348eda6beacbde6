//! Pictures that are not passed on, or not at once: what becomes of the words, and who is told.

use std::{fs, os::unix::fs::PermissionsExt, slice::from_ref};

use jiff::SignedDuration;
use maskline::{
    carrier::simulator::{File, FileFate, Media},
    media::worker,
};

use crate::{
    pictures::{jpeg, last, png},
    support::{Phone, TestApp, Wishes},
};

const NOT_A_PICTURE: &str = "Sorry, something you sent was not passed on: only words and pictures \
                             (JPEG, PNG, GIF or WebP) can be.";
const PICTURE_LOST: &str = "Sorry, a picture of yours could not be passed on. \
                            Please send it again, or a smaller one.";

/// Sends words with these files, and checks that only the words and so many pictures arrive, and
/// that Ann is told this once.
async fn words_go(
    test: &TestApp,
    (ann, ben): &(Phone<'_>, Phone<'_>),
    media: &[Media],
    answer: &str,
    left: usize,
) {
    let heard = ann.inbox().len();
    ann.sends(Some("look"), media).await;
    test.deliver().await;
    let arrived = last(ben, test);
    assert_eq!((arrived.body.as_str(), arrived.media_urls.len()), ("look", left));
    assert_eq!(ann.inbox()[heard..], [answer]);
    ann.texts("and now?").await;
    test.deliver().await;
    assert_eq!(ben.last(), "and now?");
}

/// Why each picture was refused, oldest first.
async fn reasons(test: &TestApp) -> Vec<String> {
    test.column(
        "select refused from media where refused is not null order by created_at, text_id, place",
    )
    .await
}

fn fated(test: &TestApp, fate: FileFate) -> Media {
    test.simulator.host(File { mime_type: "image/png".into(), bytes: png(2, 2).into(), fate })
}

#[tokio::test]
async fn what_is_no_picture_is_refused_and_its_sender_told_once() {
    let test = TestApp::start().await;
    let people = test.conversation().await;
    let card =
        b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann\r\nTEL:+12065550142\r\nEND:VCARD\r\n".to_vec();
    let film = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
    let page = b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec();
    let drawing = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0".to_vec();
    for file in [card.clone(), film, page, drawing, b"%PDF-1.7".to_vec(), Vec::new()] {
        words_go(&test, &people, &[test.hosts(file)], NOT_A_PICTURE, 0).await;
    }
    words_go(
        &test,
        &people,
        &[test.hosts(card.clone()), test.hosts(png(2, 2)), test.hosts(card)],
        NOT_A_PICTURE,
        1,
    )
    .await;
    assert_eq!(reasons(&test).await, ["not_a_picture"; 8]);
}

#[tokio::test]
async fn what_only_claims_to_be_a_picture_harms_nobody() {
    let test = TestApp::start().await;
    let people = test.conversation().await;
    let cut = jpeg(50, 50, 80)[..300].to_vec();
    // A picture of 60,000 by 60,000 points in a few bytes.
    let mut bomb = png(2, 2);
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let check = crc32(&bomb[12..29]).to_be_bytes();
    bomb[29..33].copy_from_slice(&check);
    let mut large = jpeg(20, 20, 80);
    large.resize(15 * 1024 * 1024 + 1, 0);
    for file in [cut, b"\x89PNG\r\n\x1a\n".to_vec(), b"GIF89a".to_vec(), bomb, large] {
        words_go(&test, &people, &[test.hosts(file)], PICTURE_LOST, 0).await;
    }
    assert_eq!(reasons(&test).await, ["broken", "broken", "broken", "too_large", "too_large"]);
}

#[tokio::test]
async fn whoever_hides_the_size_of_a_picture_may_send_no_larger_one() {
    let test = TestApp::start().await;
    let people = test.conversation().await;
    let streamed = |size: usize| {
        let mut bytes = jpeg(20, 20, 80);
        bytes.resize(size, 0);
        let mime_type = "image/jpeg".to_owned();
        test.simulator.host(File { mime_type, bytes: bytes.into(), fate: FileFate::Streamed })
    };
    let most = 15 * 1024 * 1024;
    words_go(&test, &people, &[streamed(most + 1)], PICTURE_LOST, 0).await;
    assert_eq!(reasons(&test).await, ["too_large"]);
    let (ann, ben) = &people;
    ann.sends(Some("as large as may be"), &[streamed(most)]).await;
    test.deliver().await;
    let arrived = last(ben, &test);
    assert_eq!((arrived.body.as_str(), arrived.media_urls.len()), ("as large as may be", 1));
}

/// The check sum of a PNG's chunk.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
        })
    })
}

#[tokio::test]
async fn a_picture_alone_that_is_refused_leaves_a_record_and_an_answer() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = ben.inbox().len();
    ann.sends(None, &[test.hosts(b"no picture".to_vec())]).await;
    test.deliver().await;
    assert_eq!((ben.inbox().len(), ann.last().as_str()), (before, NOT_A_PICTURE));
    let told = test
        .column(
            "select kind || coalesce(' ' || detail, '') from audit_record where text_id =
        (select text_id from media) order by at, id",
        )
        .await;
    assert_eq!(told, ["relayed", "pictures", "dropped pictures_refused"]);
}

#[tokio::test]
async fn nothing_is_fetched_but_from_the_carrier_and_no_redirect_is_followed() {
    let test = TestApp::start().await;
    let people = test.conversation().await;
    let good = test.hosts(png(2, 2));
    let elsewhere = [
        good.url.replace("127.0.0.1", "localhost"),
        test.url("/readyz"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/hostname".to_owned(),
        "not an url".to_owned(),
    ];
    for url in elsewhere {
        words_go(&test, &people, &[Media { url, ..good.clone() }], PICTURE_LOST, 0).await;
    }
    for to in [good.url.as_str(), "http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data"]
    {
        let media = fated(&test, FileFate::Redirect(to.to_owned()));
        words_go(&test, &people, from_ref(&media), PICTURE_LOST, 0).await;
        assert_eq!(test.simulator.asked_for(&media), 1);
    }
    for status in [403, 404, 410, 204] {
        words_go(&test, &people, &[fated(&test, FileFate::Status(status))], PICTURE_LOST, 0).await;
    }
    assert_eq!(test.simulator.asked_for(&good), 0);
    let expected = [["wrong_host"; 5].as_slice(), &["not_there"; 7]].concat();
    assert_eq!(reasons(&test).await, expected);
}

#[tokio::test]
async fn a_host_that_is_slow_or_away_is_asked_again_and_in_the_end_given_up() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let slow = fated(&test, FileFate::Silence);
    ann.sends(Some("look"), from_ref(&slow)).await;
    ann.texts("behind it").await;
    test.deliver().await;
    assert_ne!(ben.last(), "behind it");
    let there =
        File { mime_type: "image/png".into(), bytes: png(2, 2).into(), fate: FileFate::Given };
    test.simulator.host_again(&slow, there);
    test.deliver().await;
    assert_eq!(test.simulator.asked_for(&slow), 0, "it is not time yet");
    test.advance(SignedDuration::from_secs(1));
    test.deliver().await;
    assert_eq!(ben.last(), "behind it");

    let away = fated(&test, FileFate::Status(503));
    ann.sends(Some("look again"), from_ref(&away)).await;
    for _ in 0..20 {
        test.deliver().await;
        test.advance(SignedDuration::from_mins(5));
    }
    assert_eq!(test.simulator.asked_for(&away), 10);
    assert_eq!((ben.last().as_str(), ann.last().as_str()), ("look again", PICTURE_LOST));
    assert_eq!(reasons(&test).await, ["gave_up"]);
}

#[tokio::test]
async fn while_the_storage_is_away_nothing_is_lost() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    // A file stands where the folder should be: not even root can write there.
    fs::write(&test.folder, "in the way").unwrap();
    ann.sends(Some("look"), &[test.hosts(png(2, 2))]).await;
    for _ in 0..3 {
        test.deliver().await;
        test.advance(SignedDuration::from_secs(10));
    }
    assert_eq!(test.value::<i64>("select count(*) from outbox where held").await, 1);
    assert_ne!(ben.last(), "look");
    fs::remove_file(&test.folder).unwrap();
    test.deliver().await;
    assert_eq!((ben.last().as_str(), last(&ben, &test).media_urls.len()), ("look", 1));
    assert_eq!(fs::metadata(&test.folder).unwrap().permissions().mode() & 0o777, 0o700);

    let url = last(&ben, &test).media_urls[0].clone();
    fs::rename(&test.folder, test.folder.with_extension("away")).unwrap();
    assert_eq!(test.http.get(&url).send().await.unwrap().status(), 404);
    fs::rename(test.folder.with_extension("away"), &test.folder).unwrap();
    assert_eq!(test.http.get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_lane_goes_on_without_a_text_whose_pictures_are_not_ready_for_long() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = ben.inbox().len();
    fs::write(&test.folder, "in the way").unwrap();
    ann.sends(Some("look"), &[test.hosts(png(2, 2))]).await;
    ann.texts("behind it").await;
    for half_minutes in 0..10 {
        test.deliver().await;
        assert_eq!(ben.inbox().len(), before, "after {half_minutes} half minutes");
        test.advance(SignedDuration::from_secs(30));
    }
    test.deliver().await;
    assert_eq!(ben.inbox()[before..], ["behind it"]);
    let passed = "select r.body || ' ' || p.detail from audit_record p
         join audit_record r on r.text_id = p.text_id and r.kind = 'relayed'
         where p.kind = 'passed'";
    assert_eq!(test.column(passed).await, ["look pictures_late"]);
    ann.texts("and on").await;
    test.deliver().await;
    fs::remove_file(&test.folder).unwrap();
    test.advance(SignedDuration::from_mins(1));
    test.deliver().await;
    assert_eq!(ben.inbox()[before..], ["behind it", "and on", "look"]);
    assert_eq!(last(&ben, &test).media_urls.len(), 1);
}

#[tokio::test]
async fn a_fetcher_that_is_killed_after_fetching_is_followed_by_another() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let media = test.hosts(png(2, 2));
    ann.sends(Some("look"), from_ref(&media)).await;
    // It stores the picture, and before it can say so it is gone.
    test.run(
        "create function die() returns trigger language plpgsql as $$
        begin raise exception 'the database went away'; end $$;
        create trigger die before update of state on media for each row
        when (new.state <> 'pending') execute function die()",
    )
    .await;
    assert_eq!(worker::step(&test.app, &test.sources).await.unwrap(), 1);
    assert_eq!(test.value::<String>("select state from media").await, "pending");
    assert_eq!(fs::read_dir(&test.folder).unwrap().count(), 1);
    test.run("drop trigger die on media").await;

    assert_eq!(worker::step(&test.app, &test.sources).await.unwrap(), 0, "its lease lasts");
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    assert_eq!((ben.last().as_str(), last(&ben, &test).media_urls.len()), ("look", 1));
    assert_eq!(
        (test.simulator.asked_for(&media), fs::read_dir(&test.folder).unwrap().count()),
        (2, 1)
    );
}

#[tokio::test]
async fn pictures_of_a_text_that_was_dropped_are_forgotten() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.sends(Some("look"), &[test.hosts(png(2, 2))]).await;
    ben.texts("UNSUBSCRIBE").await;
    test.deliver().await;
    assert!(!ben.inbox().contains(&"look".to_owned()));
    worker::remove_old(&test.app).await.unwrap();
    assert_eq!(reasons(&test).await, ["not_wanted"]);
    assert_eq!(
        test.value::<i64>("select count(*) from media where source_url is not null").await,
        0
    );
}

#[tokio::test]
async fn two_fetchers_share_the_work_and_more_than_ten_pictures_are_too_many() {
    let test = TestApp::wishing(Wishes { seed: 7, ..Wishes::default() }).await;
    let (ann, ben) = test.conversation().await;
    let media: Vec<Media> = (0..12).map(|_| test.hosts(png(2, 2))).collect();
    for _ in 0..4 {
        ann.sends(None, &media[..1]).await;
    }
    let fetch = || worker::step(&test.app, &test.sources);
    let (one, two) = tokio::join!(fetch(), fetch());
    assert_eq!(one.unwrap() + two.unwrap(), 4);
    test.deliver().await;
    assert_eq!(test.simulator.asked_for(&media[0]), 4);
    ann.sends(None, &media).await;
    test.deliver().await;
    assert_eq!(last(&ben, &test).media_urls.len(), 10);
    assert_eq!(
        (reasons(&test).await, ann.last().as_str()),
        (vec!["too_many".to_owned(); 2], PICTURE_LOST)
    );
}

#[tokio::test]
async fn a_blank_beside_a_picture_that_is_refused_is_no_text() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let heard = ben.inbox().len();
    for blank in [" ", "\n", "\u{200b}", "\u{fffc}"] {
        ann.sends(Some(blank), &[test.hosts(b"%PDF-1.7".to_vec())]).await;
        test.deliver().await;
        assert_eq!(ben.inbox().len(), heard, "{blank:?}");
        assert_eq!(ann.last(), NOT_A_PICTURE);
    }
}

#[tokio::test]
async fn a_picture_that_can_be_had_goes_without_one_that_cannot() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let media = [fated(&test, FileFate::Status(503)), test.hosts(png(2, 2))];
    ann.sends(Some("look"), &media).await;
    for _ in 0..20 {
        test.deliver().await;
        test.advance(SignedDuration::from_mins(5));
    }
    let arrived = last(&ben, &test);
    assert_eq!((arrived.body.as_str(), arrived.media_urls.len()), ("look", 1));
    assert_eq!((ann.last().as_str(), reasons(&test).await), (PICTURE_LOST, vec!["gave_up".into()]));
}
