//! Pictures in a bucket, over the wire: kept, served and removed; and what happens when the bucket
//! refuses, is not there, hangs, breaks, or is away for hours.

mod server;

use std::{fs, slice::from_ref};

use jiff::SignedDuration;
use maskline::{media::worker, storage::Storage};
use tokio::process::Command;

use self::server::{KEY, Mood, S3, SECRET_KEY};
use crate::{
    pictures::{header, last, png},
    support::{MASTER_KEY, TestApp, Wishes},
};

async fn app_with(s3: &S3) -> TestApp {
    let settings = &[("MASKLINE_MEDIA_DAYS", "2")];
    let storage = Some(s3.storage());
    TestApp::wishing(Wishes { settings, storage, ..Wishes::default() }).await
}

/// Why a storage does not work, after a look that it quotes nothing.
async fn trouble(storage: &Storage) -> String {
    let said = storage.try_out().await.expect_err("it cannot work").to_string();
    for secret in [KEY, SECRET_KEY, "Signature=", "StringToSign", "<Code>", "try-"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(!said.contains('\n'), "{said}");
    said
}

#[tokio::test]
async fn a_picture_is_kept_in_a_bucket_served_from_it_and_removed() {
    let s3 = S3::start().await;
    let test = app_with(&s3).await;
    let (ann, ben) = test.conversation().await;
    ann.sends(Some("look"), &[test.hosts(png(3, 3))]).await;
    test.deliver().await;

    let arrived = last(&ben, &test);
    let answer = test.http.get(&arrived.media_urls[0]).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, "image/png"));
    let [(name, kept)] = &s3.objects()[..] else { panic!("{:?}", s3.objects()) };
    let served = answer.bytes().await.unwrap();
    assert_eq!(kept.len(), served.len() + 41, "it lies there sealed");
    assert!(served.starts_with(b"\x89PNG") && !kept.windows(4).any(|part| part == b"IHDR"));
    let name = name.strip_prefix("of/maskline/").unwrap();
    assert_eq!((name.len(), arrived.media_urls[0].contains(name)), (64, false));

    test.advance(SignedDuration::from_hours(49));
    assert_eq!(worker::remove_old(&test.app).await.unwrap(), 1);
    assert_eq!(s3.objects().len(), 0);
    assert_eq!(test.value::<i64>("select count(*) from media").await, 0);
    s3.storage().try_out().await.unwrap();
    assert_eq!(s3.objects().len(), 0, "what was tried is gone");
}

#[tokio::test]
async fn what_is_wrong_with_a_bucket_is_said_with_what_to_do() {
    let s3 = S3::start().await;
    let here = "s3://pictures/of/maskline";
    for (place, instead, words) in [
        (here, ("AWS_ACCESS_KEY_ID", "another"), "does not know the key that AWS_ACCESS_KEY_ID"),
        (here, ("AWS_SECRET_ACCESS_KEY", "another"), "AWS_SECRET_ACCESS_KEY does not belong to"),
        ("s3://films/of/maskline", ("AWS_REGION", "eu-central-1"), "no such bucket: make it"),
        (here, ("AWS_ENDPOINT", "http://127.0.0.1:1"), "nothing answers at its address"),
        (here, ("AWS_ALLOW_HTTP", "false"), "AWS_ALLOW_HTTP=true"),
    ] {
        let said = trouble(&s3.storage_with(place, &[instead])).await;
        assert!(said.contains(words) && said.contains(place), "{said}");
    }
    for (mood, words) in [
        (Mood::Forbidding, "allowed to read, write and delete"),
        (Mood::Keeping, "allowed to read, write and delete"),
        (Mood::Broken(u32::MAX), "it answers with status 500"),
        (Mood::Silent, "does not answer in time"),
    ] {
        s3.is(mood);
        let said = trouble(&s3.storage()).await;
        assert!(said.contains(words), "{mood:?}: {said}");
    }
    // A server that stumbles is asked again at once.
    s3.is(Mood::Broken(3));
    s3.storage().try_out().await.unwrap();
}

#[tokio::test]
async fn check_tries_the_bucket_of_the_environment() {
    let s3 = S3::start().await;
    let check = async |secret: &str| {
        let nowhere = "http://127.0.0.1:1";
        let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
        command.arg("check").env_clear().envs(s3.settings()).envs([
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("DATABASE_URL", "postgres://maskline@127.0.0.1:1/maskline"),
            ("MASKLINE_PUBLIC_URL", "https://mask.example"),
            ("MASKLINE_WEBHOOK_SECRETS", "a-secret-of-the-tests"),
            ("MASKLINE_MASTER_KEY", MASTER_KEY),
            ("FLOWROUTE_ACCESS_KEY", "key"),
            ("FLOWROUTE_SECRET_KEY", "key"),
            ("MASKLINE_FLOWROUTE_URL", nowhere),
            ("MASKLINE_MEDIA_URL", "s3://pictures/here"),
        ]);
        let said = String::from_utf8(command.output().await.unwrap().stdout).unwrap();
        assert!(!said.contains(KEY) && !said.contains(SECRET_KEY), "{said}");
        said.lines().find(|line| line.contains("pictures: ")).unwrap_or(&said).to_owned()
    };
    assert_eq!(check(SECRET_KEY).await, "ok     pictures: they lie in s3://pictures/here");
    let said = check("hunter2-hunter2").await;
    assert!(said.starts_with("WRONG  pictures: the storage of pictures, s3://pictures/here,"));
    assert!(said.contains("AWS_SECRET_ACCESS_KEY does not belong to"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn while_the_bucket_is_away_only_texts_with_pictures_wait_for_long_and_nothing_is_lost() {
    for mood in [Mood::Broken(u32::MAX), Mood::Silent, Mood::Forbidding] {
        let s3 = S3::start().await;
        let test = app_with(&s3).await;
        let (ann, ben) = test.conversation().await;
        let (cleo, dan) = (test.phone("+12065550163"), test.phone("+12065550164"));
        let code = cleo.starts().await;
        dan.texts(&format!("JOIN {code}")).await;
        test.deliver().await;

        s3.is(mood);
        let media = test.hosts(png(3, 3));
        ann.sends(Some("look"), from_ref(&media)).await;
        ann.texts("behind it").await;
        let heard = (ann.inbox().len(), ben.inbox().len());
        for hour in 0..13 {
            cleo.texts(&format!("hour {hour}")).await;
            ben.texts(&format!("hour {hour}")).await;
            test.deliver().await;
            assert_eq!((dan.last(), ann.last()), (format!("hour {hour}"), format!("hour {hour}")));
            test.advance(SignedDuration::from_hours(1));
        }
        assert_eq!((ann.inbox().len(), ben.inbox().len()), (heard.0 + 13, heard.1 + 1));
        assert!(test.simulator.asked_for(&media) >= 13, "it is tried again and again");

        s3.is(Mood::Well);
        test.advance(SignedDuration::from_mins(1));
        test.deliver().await;
        assert_eq!(ben.inbox()[heard.1..], ["behind it", "look"]);
        assert_eq!((ann.inbox().len(), s3.objects().len()), (heard.0 + 13, 1));
    }
}

#[tokio::test]
async fn a_bucket_that_stays_away_for_a_day_gives_the_words_free() {
    let s3 = S3::start().await;
    let test = app_with(&s3).await;
    let (ann, ben) = test.conversation().await;
    s3.is(Mood::Forbidding);
    ann.sends(Some("look"), &[test.hosts(png(3, 3))]).await;
    test.deliver().await;
    test.advance(SignedDuration::from_hours(24));
    test.deliver().await;
    assert_ne!(ben.last(), "look");
    test.advance(SignedDuration::from_mins(2));
    test.deliver().await;
    assert_eq!(ben.last(), "look");
    assert!(ann.last().starts_with("Sorry, a picture of yours could not be passed on."));
}

#[tokio::test]
async fn what_a_bucket_that_is_away_holds_is_served_and_removed_once_it_is_back() {
    let s3 = S3::start().await;
    let test = app_with(&s3).await;
    let (ann, ben) = test.conversation().await;
    ann.sends(None, &[test.hosts(png(3, 3))]).await;
    test.deliver().await;
    let url = last(&ben, &test).media_urls[0].clone();
    let status = async || test.http.get(&url).send().await.unwrap().status().as_u16();
    let address = s3.address;
    for mood in [Mood::Broken(u32::MAX), Mood::Silent, Mood::Forbidding] {
        s3.is(mood);
        assert_eq!(status().await, 503, "{mood:?}");
    }
    s3.is(Mood::Well);
    assert_eq!(status().await, 200);

    let elsewhere = s3.again("127.0.0.1:0".parse().unwrap()).await;
    assert_eq!(status().await, 503, "nothing listens there");
    test.advance(SignedDuration::from_hours(49));
    assert_eq!(worker::remove_old(&test.app).await.unwrap(), 0);
    let known = test.value::<i64>("select count(*) from media").await;
    assert_eq!((elsewhere.objects().len(), known), (1, 1));
    let s3 = elsewhere.again(address).await;
    assert_eq!(worker::remove_old(&test.app).await.unwrap(), 1);
    assert_eq!(s3.objects().len(), 0);
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_not_taken_for_an_empty_one() {
    let s3 = S3::start().await;
    let missing = s3.storage_with("s3://films/of/maskline", &[]);
    assert!(missing.get("a").await.is_err());
    assert!(missing.remove("a").await.is_err());
    assert_eq!(s3.storage().get("a").await.unwrap(), None);
    s3.storage().remove("a").await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_folder_is_said_with_what_to_do() {
    let folder =
        std::env::temp_dir().join(format!("maskline-folder-{:08x}", rand::random::<u32>()));
    fs::write(&folder, "in the way").unwrap();
    let said = trouble(&Storage::open(folder.to_str().unwrap()).unwrap()).await;
    assert!(said.contains("it is no folder") && said.contains(folder.to_str().unwrap()), "{said}");
    fs::remove_file(&folder).unwrap();
    // Nobody makes a folder there, not even root.
    let said = trouble(&Storage::open("/sys/maskline").unwrap()).await;
    assert!(said.contains("the user that Maskline runs as may not write there"), "{said}");
}
