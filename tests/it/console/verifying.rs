//! Verifying the whole trail from the console.

use std::{fs, time::Duration};

use maskline::{
    audit::{
        checkpoint::{self, Outside},
        publish,
    },
    console::staff::Role,
};

use super::desk::Desk;
use crate::{
    seal::{seal, sign, signer},
    sealer,
    support::TestApp,
    verify::forge,
};

const DEEDS: &str = "select rule || ' ' || detail from audit_record
    where rule like 'trail_%' order by at, id";

/// Asks for it, and waits for what is found.
async fn verify(desk: &Desk<'_>, cookie: &str) -> String {
    assert_eq!(desk.post("/integrity/verify", Some(cookie), &[]).await.status, 303);
    let look = async {
        loop {
            let page = desk.look_on("/integrity", cookie).await.body;
            if !page.contains("Being verified") {
                return page;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.unwrap()
}

#[tokio::test]
async fn the_trail_is_verified_from_the_console_and_that_is_on_record() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let (ann, _) = test.conversation().await;
    ann.texts("the bicycle is red").await;
    test.deliver().await;
    seal(&test).await;
    sign(&test).await;
    let sealed: i64 = test.value("select count(*) from audit_leaf").await;
    let page = verify(&desk, &erin).await;
    assert!(page.contains(&format!("Intact: {sealed} records. Erin asked")), "{page}");
    assert!(page.contains("<strong>no checkpoint kept outside</strong>"), "{page}");
    let said = [
        "trail_verify by Erin, auditor, from 127.0.0.1: asked whether the trail is intact"
            .to_owned(),
        format!(
            "trail_verified by Erin, auditor, from 127.0.0.1: the trail is intact, {sealed} records, compared with no checkpoint kept outside"
        ),
    ];
    assert_eq!(test.column(DEEDS).await, said);

    test.run("alter table audit_record disable trigger append_only").await;
    let id: String = test
        .value(
            "update audit_record set rule = 'another'
             where id = (select id from audit_record where conversation_id is not null order by at limit 1)
             returning id::text",
        )
        .await;
    let page = verify(&desk, &erin).await;
    assert!(page.contains("The trail is not intact.") && page.contains(&id), "{page}");
    assert!(page.contains("was changed after it was sealed"), "{page}");
    let last = test.column(DEEDS).await.pop().unwrap();
    assert!(last.contains("NOT intact") && last.contains(&id), "{last}");
}

#[tokio::test]
async fn what_is_kept_outside_is_compared_and_shows_a_trail_that_was_signed_anew() {
    let folder = sealer::folder();
    let (test, target) = sealer::publishing(folder.to_str().unwrap()).await;
    let desk = Desk::open(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    for _ in 0..3 {
        // By the test's clock, as what the console puts on record.
        test.run(
            "insert into audit_record (id, at, kind, rule)
             select gen_random_uuid(), '2026-03-01 12:00Z', 'received', 'talk'
             from generate_series(1, 2)",
        )
        .await;
        seal(&test).await;
        sign(&test).await;
        publish::turn(&test.app, &target).await.unwrap();
    }
    let vouched: i64 = test.value("select max(size) from audit_checkpoint").await;
    let page = verify(&desk, &erin).await;
    let compared = format!(
        "Compared with 3 checkpoints kept outside the database; they vouch for the first {vouched} records."
    );
    assert!(page.contains("Intact: ") && page.contains(&compared), "{page}");
    let last = test.column(DEEDS).await.pop().unwrap();
    assert!(last.ends_with("compared with 3 checkpoints kept outside"), "{last}");

    // Whoever owns the database leaves nothing that speaks against it, and has the key, too.
    forge(&test).await;
    test.run("delete from audit_published").await;
    let mut tx = test.db.begin().await.unwrap();
    checkpoint::sign(&mut tx, &signer(), Outside::default()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let page = verify(&desk, &erin).await;
    assert!(
        page.contains("The trail is not intact.") && page.contains("has another root"),
        "{page}"
    );
    assert!(page.contains(&publish::file_name(0)[..20]), "it names the file: {page}");

    fs::remove_dir_all(&folder).unwrap();
    let page = verify(&desk, &erin).await;
    assert!(page.contains("<strong>no checkpoint kept outside</strong>"), "{page}");
    assert!(page.contains("The folder that keeps them could not be read."), "{page}");
    test.run("update audit_seal set refused_since = '2026-03-01 12:00Z'").await;
    let page = desk.look_on("/integrity", &erin).await.body;
    assert!(page.contains("Nothing is signed since") && page.contains("Change nothing"), "{page}");
}

#[tokio::test]
async fn one_verification_runs_at_a_time_and_one_that_was_cut_off_makes_room() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let otto = desk.enter(&desk.staff("Otto", Role::Operator).await).await;
    assert_eq!(desk.post("/integrity/verify", Some(&otto), &[]).await.status, 403);
    assert!(!desk.get("/integrity", Some(&otto)).await.body.contains("Verify the whole trail"));
    test.run(
        "insert into verification (id, asked_by, asked_at, seen, total, alive_until)
         select gen_random_uuid(), id, '2026-03-01', 20000, 41000, now() + interval '30 seconds'
         from staff where name = 'Otto'",
    )
    .await;
    let refused = desk.post("/integrity/verify", Some(&erin), &[]).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("being verified already"), "{}", refused.body);
    for word in ["Being verified for Otto", "20\u{202f}000 of 41\u{202f}000 records", "<progress"] {
        assert!(refused.body.contains(word), "{word}: {}", refused.body);
    }
    test.run("update verification set alive_until = now()").await;
    assert!(desk.get("/integrity", Some(&erin)).await.body.contains("The last one was cut off"));
    assert!(verify(&desk, &erin).await.contains("Intact: "));
    assert_eq!(test.value::<i64>("select count(*) from verification").await, 2);
    assert_eq!(test.column(DEEDS).await.len(), 2, "what was refused was not begun");
}
