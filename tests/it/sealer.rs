//! The sealer as an operator meets it: a role of `serve` that may be killed at any moment, and places
//! that are given checkpoints.

use std::{fs, path::PathBuf};

use maskline::audit::{
    checkpoint::{self, SignError},
    note::{Checkpoint, Signer},
    publish::{self, Target},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::{
    seal::{IN_THE_CLEAR, seal, sign, signer, write},
    sending::soon,
    service::{ANN, Site, run},
    support::{TestApp, Wishes},
    verify::{FREE, forge},
};

const UNSEALED: &str = "select id::text from audit_record r
    where not exists (select from audit_leaf l where l.at = r.at and l.id = r.id)";

pub(crate) fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("maskline-kept-{:032x}", rand::random::<u128>()))
}

fn names(folder: &PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = entries.filter(|path| path.extension().is_some()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_sealer_that_is_killed_at_any_moment_is_followed_by_one_that_goes_on() {
    let site = Site::new().await;
    let (folder, signer) = (folder(), Signer::new("mask.example", &[3; 32]));
    let (key, path) = (signer.to_text(), folder.to_str().unwrap());
    let more = [("MASKLINE_AUDIT_KEY", key.as_str()), ("MASKLINE_AUDIT_CHECKPOINTS", path)];
    for round in 0..5 {
        let served = site.serve_with("serve", &more).await;
        site.text(ANN, "HELP").await;
        if round % 2 == 0 {
            // Between the leaves and their checkpoint.
            site.until(UNSEALED, &[]).await;
        }
        served.signal("-KILL");
        served.ended().await;
    }
    let served = site.serve_with("serve", &more).await;
    let signed = "select (s.size = c.size)::text from audit_seal s, audit_checkpoint c
                  order by c.size desc limit 1";
    site.until(UNSEALED, &[]).await;
    site.until(signed, &["true"]).await;
    let published = "select (p.size = s.size)::text from audit_seal s, audit_published p";
    site.until(published, &["true"]).await;
    let log = served.stop().await;
    assert!(!log.iter().any(|line| line.contains("MASKLINE_AUDIT_KEY") || line.contains(&key)));

    let kept = names(&folder);
    assert!(!kept.is_empty());
    let carrier = site.simulator.url();
    let settings = site.settings(&carrier);
    let public = signer.verifier();
    let verified =
        run(&format!("audit verify --key {public} --checkpoints {path}"), &settings).await;
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
    assert!(verified.out.contains(&format!("{} kept outside", kept.len())), "{}", verified.out);
    let newest = run("audit checkpoint", &[&settings[..], &more].concat()).await.out;
    assert_eq!(newest, fs::read_to_string(kept.last().unwrap()).unwrap());
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn whoever_starts_without_a_key_is_told_and_the_role_can_be_left_out() {
    let site = Site::new().await;
    let served = site.serve_with("serve", &[]).await;
    assert_eq!(served.ready().await.0, 200);
    let log = served.stop().await;
    assert!(log.iter().any(|line| line.contains("MASKLINE_AUDIT_KEY is not set")), "{log:#?}");
    let served = site.serve_with("serve --without sealer", &[]).await;
    site.text(ANN, "HELP").await;
    assert!(served.ready().await.1.ends_with("fetcher exporter\n"));
    let metrics = served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("maskline_audit_unsealed_records "), "{metrics}");
    let log = served.stop().await;
    assert!(!log.iter().any(|line| line.contains("MASKLINE_AUDIT_KEY")), "{log:#?}");
    assert!(!site.column(UNSEALED).await.is_empty());
}

#[tokio::test]
async fn a_guard_that_is_missing_is_named_by_check_and_put_back_by_serve() {
    let site = Site::new().await;
    let carrier = site.simulator.url();
    let settings = site.settings(&carrier);
    let part = site.column(
        "select inhrelid::regclass::text from pg_inherits
         where inhparent = 'audit_record'::regclass order by 1 limit 1",
    );
    let part = &part.await[0];
    for damage in [
        format!("drop trigger append_only on {part}"),
        format!("alter table {part} disable trigger append_only"),
        format!("alter table {part} enable trigger append_only"),
        format!("alter table {part} enable replica trigger append_only"),
        "drop trigger append_only on audit_leaf".to_owned(),
    ] {
        site.column(&damage).await;
        let said = run("check", &settings).await;
        let table = damage.split_whitespace().find(|word| word.starts_with("audit_")).unwrap();
        let wrong = format!("WRONG  audit trail: {table} can be changed");
        assert!(said.code == Some(1) && said.out.contains(&wrong), "{damage}: {}", said.out);
        let served = site.serve_with("serve", &[]).await;
        assert_eq!(served.ready().await.0, 200);
        let log = served.stop().await;
        assert!(log.iter().any(|line| line.contains("could be changed there")), "{damage}");
        let said = run("check", &settings).await;
        assert!(
            said.code == Some(0) && said.out.contains("it can only be added to"),
            "{}",
            said.out
        );
    }
    site.column("drop table audit_record_default").await;
    let months = site.column(
        "select max(inhrelid::regclass::text) from pg_inherits
                              where inhparent = 'audit_record'::regclass",
    );
    let month = months.await.remove(0);
    site.column(&format!("drop table {month}")).await;
    let said = run("check", &settings).await;
    assert!(
        said.code == Some(1) && said.out.contains(&format!("{month} is missing")),
        "{}",
        said.out
    );
}

/// An app that signs, and hands checkpoints to this place.
pub(crate) async fn publishing(place: &str) -> (TestApp, Target) {
    let key = signer().to_text();
    let settings: &[(&str, &str)] =
        &[("MASKLINE_AUDIT_KEY", &key), ("MASKLINE_AUDIT_CHECKPOINTS", place)];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    test.run(IN_THE_CLEAR).await;
    let target = test.app.settings.audit.targets[0].clone();
    (test, target)
}

async fn checkpoint(test: &TestApp) -> Checkpoint {
    write(test, 2).await;
    seal(test).await;
    sign(test).await
}

#[tokio::test]
async fn an_address_gets_each_checkpoint_once_it_takes_them() {
    let witness = MockServer::start().await;
    let (test, target) = publishing(&format!("{}/hunter2", witness.uri())).await;
    checkpoint(&test).await;
    let answer = |status| {
        Mock::given(matchers::path("/hunter2")).respond_with(ResponseTemplate::new(status))
    };
    let away = answer(503).mount_as_scoped(&witness).await;
    for _ in 0..2 {
        let error = publish::turn(&test.app, &target).await.unwrap_err().to_string();
        assert!(error.contains("503") && !error.contains("hunter2"), "{error}");
    }
    let last = checkpoint(&test).await;
    drop(away);
    answer(204).mount(&witness).await;
    assert_eq!(publish::turn(&test.app, &target).await.unwrap(), 2);
    assert_eq!(publish::turn(&test.app, &target).await.unwrap(), 0);
    let bodies = witness.received_requests().await.unwrap();
    let note = String::from_utf8(bodies.last().unwrap().body.clone()).unwrap();
    assert_eq!(Checkpoint::open(&note, &[signer().verifier()]).unwrap(), last);
    assert!(test.places("hunter2").await.is_empty(), "an address may hold a secret");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_stops_no_sealing() {
    let folder = folder();
    let (test, target) = publishing(folder.to_str().unwrap()).await;
    fs::write(&folder, "a file where the folder should be").unwrap();
    checkpoint(&test).await;
    publish::turn(&test.app, &target).await.unwrap_err();
    checkpoint(&test).await;
    fs::remove_file(&folder).unwrap();
    assert_eq!(publish::turn(&test.app, &target).await.unwrap(), 2);
    assert_eq!(names(&folder).len(), 2);
    // Another trail's checkpoint of the same size stays, and is told.
    let next = checkpoint(&test).await;
    let path = folder.join(publish::file_name(next.size));
    fs::write(&path, "another").unwrap();
    let error = publish::turn(&test.app, &target).await.unwrap_err().to_string();
    assert!(error.contains("another checkpoint of 6 records"), "{error}");
    assert_eq!(fs::read_to_string(path).unwrap(), "another");
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn two_who_publish_at_once_do_not_hand_over_the_same_twice() {
    let witness = MockServer::start().await;
    Mock::given(matchers::any()).respond_with(ResponseTemplate::new(200)).mount(&witness).await;
    let (test, target) = publishing(&witness.uri()).await;
    checkpoint(&test).await;
    let turn = || publish::turn(&test.app, &target);
    let (one, other) = soon("both are through", async { tokio::join!(turn(), turn()) }).await;
    assert_eq!(one.unwrap() + other.unwrap(), 1);
    assert_eq!(witness.received_requests().await.unwrap().len(), 1);
}

/// What the signer says of more that was handed out than the trail has a checkpoint of.
async fn withdrawn(test: &TestApp) -> Option<(u64, u64)> {
    match checkpoint::make(&test.app, &signer()).await {
        Ok(_) => None,
        Err(SignError::Withdrawn { handed, last }) => Some((handed, last)),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn nothing_is_signed_where_more_was_handed_out_than_the_trail_still_says() {
    let folder = folder();
    let (test, target) = publishing(folder.to_str().unwrap()).await;
    for _ in 0..3 {
        checkpoint(&test).await;
        publish::turn(&test.app, &target).await.unwrap();
    }
    assert_eq!(withdrawn(&test).await, None);
    // The later ones are taken away, and what came after them is written anew.
    test.run(&format!("{FREE} delete from audit_checkpoint where size > 2")).await;
    assert_eq!(withdrawn(&test).await, Some((6, 2)));
    test.run("update audit_published set size = 2").await;
    assert_eq!(withdrawn(&test).await, Some((6, 2)), "the folder keeps it");
    // Another log's are none of its business.
    let other = Signer::new("other.example", &[9; 32]);
    let foreign = other.sign(&format!("other.example\n6\n{}=\n", "A".repeat(43)));
    fs::write(folder.join(publish::file_name(6)), foreign).unwrap();
    fs::remove_file(folder.join(publish::file_name(4))).unwrap();
    assert_eq!(withdrawn(&test).await, None);
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_trail_that_was_sealed_anew_is_not_signed_as_if_it_were_the_first() {
    let folder = folder();
    let (test, target) = publishing(folder.to_str().unwrap()).await;
    for _ in 0..3 {
        checkpoint(&test).await;
    }
    publish::turn(&test.app, &target).await.unwrap();
    forge(&test).await;
    assert_eq!(withdrawn(&test).await, Some((6, 0)));
    test.run("delete from audit_published").await;
    assert_eq!(withdrawn(&test).await, Some((6, 0)), "the folder keeps it");
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(withdrawn(&test).await, None, "nobody knows of any");
}

#[tokio::test]
async fn whoever_watches_is_told_that_the_signer_refuses() {
    let site = Site::new().await;
    let (folder, signer) = (folder(), Signer::new("mask.example", &[3; 32]));
    let (key, path) = (signer.to_text(), folder.to_str().unwrap());
    let more = [("MASKLINE_AUDIT_KEY", key.as_str()), ("MASKLINE_AUDIT_CHECKPOINTS", path)];
    let refused = "select (refused_since is not null)::text from audit_seal";
    let published = "select (p.size = s.size)::text from audit_seal s, audit_published p";
    let served = site.serve_with("serve", &more).await;
    site.text(ANN, "HELP").await;
    site.until(UNSEALED, &[]).await;
    site.until(published, &["true"]).await;
    let metrics = served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("maskline_audit_signing_refused 0"), "{metrics}");
    served.stop().await;
    site.column("drop trigger append_only on audit_checkpoint").await;
    site.column("delete from audit_checkpoint").await;
    site.column("delete from audit_published").await;
    let served = site.serve_with("serve", &more).await;
    site.until(refused, &["true"]).await;
    assert!(site.column("select note from audit_checkpoint").await.is_empty());
    let metrics = served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("maskline_audit_signing_refused 1"), "{metrics}");
    // Whoever finds that all is in order names another folder.
    for kept in names(&folder) {
        fs::remove_file(kept).unwrap();
    }
    site.until(refused, &["false"]).await;
    let log = served.stop().await;
    assert!(log.iter().any(|line| line.contains("was handed to a place outside")), "{log:#?}");
    fs::remove_dir_all(folder).unwrap();
}
