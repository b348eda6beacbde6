//! `maskline holds` and `maskline audit retain`: what is old goes month by month, what is held stays,
//! and what was proven stays proven.

mod granted;

use std::{fs, path::PathBuf};

use maskline::audit::{
    export::{self, ExportError},
    finding::Wrong,
    note::Signer,
    removal::Manifest,
    verify::{Judge, Kept},
    walk,
};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::{
    program::{Said, maskline, maskline_with},
    seal::{IN_THE_CLEAR, seal, sign, signer, signing, write},
    support::TestApp,
    verify::{FREE, keep, key, verified},
};

const MONTHS: [&str; 3] = ["2025-01", "2025-02", "2025-03"];

/// Three old months and this one, with records, sealed and signed; and a folder for manifests.
async fn old() -> (TestApp, Vec<Kept>, PathBuf) {
    let test = signing().await;
    let (kept, folder) = fill(&test).await;
    (test, kept, folder)
}

/// The same, of an app that is there.
async fn fill(test: &TestApp) -> (Vec<Kept>, PathBuf) {
    test.run("select audit_make_partitions('2025-01-01', 3)").await;
    test.run(IN_THE_CLEAR).await;
    for (n, month) in MONTHS.iter().enumerate() {
        test.run(&format!(
            "insert into audit_record (id, at, kind, person_id, detail)
             select gen_random_uuid(), '{month}-15'::timestamptz + n * interval '1 hour', 'received',
                 gen_random_uuid(), 'of {month}'
             from generate_series(1, {}) n",
            3 + n
        ))
        .await;
        seal(test).await;
    }
    test.run(
        "insert into audit_record (id, at, kind) values (gen_random_uuid(), now(), 'received')",
    )
    .await;
    seal(test).await;
    let kept = vec![keep(&sign(test).await, &signer())];
    let folder =
        std::env::temp_dir().join(format!("maskline-manifests-{:032x}", rand::random::<u128>()));
    fs::create_dir(&folder).unwrap();
    (kept, folder)
}

fn retain(test: &TestApp, folder: &std::path::Path, more: &[&str]) -> Said {
    let key = signer().to_text();
    let settings = [
        // The service's login may not.
        ("DATABASE_URL", test.database_url()),
        ("MASKLINE_AUDIT_KEEP_MONTHS", "12"),
        ("MASKLINE_AUDIT_KEY", key.as_str()),
        ("MASKLINE_AUDIT_ORIGIN", "127.0.0.1"),
    ];
    let folder = ["audit", "retain", "--manifests", folder.to_str().unwrap()];
    maskline_with(test, &[&folder[..], more].concat(), &settings)
}

async fn partitions(test: &TestApp) -> Vec<String> {
    test.column(
        "select inhrelid::regclass::text from pg_inherits
         where inhparent = 'audit_record'::regclass and inhrelid::regclass::text like '%2025%'
         order by 1",
    )
    .await
}

#[tokio::test]
async fn old_months_go_and_all_that_was_proven_still_is() {
    let (test, kept, folder) = old().await;
    let said = retain(&test, &folder, &["--preview"]).done();
    assert_eq!(said.matches("is removed, its fingerprints stay").count(), 3, "{said}");
    assert_eq!(partitions(&test).await.len(), 3, "a preview changes nothing");
    assert!(retain(&test, &folder, &[]).failed().contains("nobody can be asked here"));
    let said = retain(&test, &folder, &["--yes", "--by", "Dana"]).done();
    assert!(said.contains("5 records of 2025-03 removed; manifest: "), "{said}");
    assert_eq!(partitions(&test).await, [""; 0]);
    let records =
        "select rule || ' ' || detail from audit_record where kind = 'staff' order by at, id";
    assert_eq!(
        test.column(records).await[1],
        "audit_retain by Dana: 4 records of 2025-02 removed (leaves 3 to 6), kept for 12 months"
    );

    seal(&test).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let report = verified(&mut conn, &kept).await;
    assert!(report.is_intact(), "{report:?}");
    let removed: Vec<_> = report.removed.iter().map(|it| (it.month.as_str(), it.records)).collect();
    assert_eq!(removed, [("2025-01", 3), ("2025-02", 4), ("2025-03", 5)]);
    let verify = ["audit", "verify", "--key", &key()[0].to_string()];
    let said = maskline(&test, &verify).done();
    assert!(said.contains("4 records of 2025-02 removed by retention on "), "{said}");

    // An export says it, too, and needs no database.
    let mut text = Vec::new();
    export::write(&mut conn, &mut text, |_, _| {}).await.unwrap();
    let report = export::verify(&text[..], Judge::new(key(), kept), |_| {}).unwrap();
    assert!(report.is_intact() && report.removed.len() == 3, "{report:?}");
    // The manifest stands outside as it does inside.
    let manifest = fs::read_to_string(folder.join("removed-2025-02.txt")).unwrap();
    let inside: String =
        test.value("select manifest from audit_removal where month = '2025-02-01'").await;
    assert_eq!(manifest, inside);
    let read: Manifest = serde_json::from_str(manifest.split("\n\n").next().unwrap()).unwrap();
    assert_eq!((read.records, read.leaves, read.removed_by.as_str()), (4, vec![(3, 6)], "Dana"));
    assert!(retain(&test, &folder, &["--yes"]).done().contains("No month is older"));
    fs::remove_dir_all(folder).unwrap();
}

/// The old months behind more leaves than are read at once, and a connection to read them by.
async fn long() -> (TestApp, Vec<Kept>, PathBuf, PgConnection) {
    let test = signing().await;
    write(&test, 20_010).await;
    seal(&test).await;
    let (kept, folder) = fill(&test).await;
    let conn = PgConnection::connect(test.database_url()).await.unwrap();
    (test, kept, folder, conn)
}

#[tokio::test]
async fn a_month_that_is_removed_while_the_trail_is_verified_is_no_loss() {
    let (test, kept, folder, mut conn) = long().await;
    let mut batches = 0;
    let meanwhile = |_, _| {
        batches += 1;
        if batches == 1 {
            retain(&test, &folder, &["--yes"]).done();
        }
    };
    let report = walk::verify(&mut conn, Judge::new(key(), kept), meanwhile).await.unwrap();
    assert!(batches > 2, "the months were removed when all was read");
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.removed.len(), report.vouched), (3, 20_023));
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_month_that_is_removed_while_the_trail_is_exported_is_no_loss() {
    let (test, kept, folder, mut conn) = long().await;
    let mut is_removed = false;
    let meanwhile = |_, _| {
        if !is_removed {
            is_removed = true;
            retain(&test, &folder, &["--yes"]).done();
        }
    };
    let mut text = Vec::new();
    let error = export::write(&mut conn, &mut text, meanwhile).await.unwrap_err();
    assert!(matches!(error, ExportError::Removed), "{error}");
    let judge = || Judge::new(key(), kept.clone());
    let cut = export::verify(&text[..], judge(), |_| {}).unwrap_err();
    assert!(matches!(cut, ExportError::Cut), "nobody takes it for a whole one: {cut}");
    let mut text = Vec::new();
    export::write(&mut conn, &mut text, |_, _| {}).await.unwrap();
    let report = export::verify(&text[..], judge(), |_| {}).unwrap();
    assert!(report.is_intact() && report.removed.len() == 3, "{report:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn what_is_taken_away_is_no_retention_whatever_is_claimed() {
    let (test, kept, folder) = old().await;
    let only = format!(
        "{FREE} alter table audit_record detach partition audit_record_2025_02;
        alter table audit_record detach partition audit_record_2025_03;"
    );
    test.run(&only).await;
    let said = retain(&test, &folder, &["--yes"]);
    assert!(said.failed().contains("the trail is not intact, so nothing is removed"));
    test.run(
        "alter table audit_record attach partition audit_record_2025_02
             for values from ('2025-02-01+00') to ('2025-03-01+00');
         alter table audit_record attach partition audit_record_2025_03
             for values from ('2025-03-01+00') to ('2025-04-01+00')",
    )
    .await;
    retain(&test, &folder, &["--yes"]).done();
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    assert!(verified(&mut conn, &kept).await.is_intact());
    let mut attempt = async |sql: &str| {
        let sql = format!("begin; drop trigger append_only on audit_removal; {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let report = verified(&mut conn, &kept).await;
        sqlx::raw_sql("rollback").execute(&mut conn).await.unwrap();
        report
    };
    // The last of them has its record still: taken away, it is missing, for no manifest names it.
    let last = "delete from audit_record where (at, id) = (select at, id from audit_leaf where index = 12)";
    let report = attempt(last).await;
    assert_eq!((report.findings[0].index, &report.findings[0].wrong), (Some(12), &Wrong::Missing));
    // Nor does moving its leaf into a month that was removed help.
    let moved = format!("{last}; update audit_leaf set at = '2025-02-16' where index = 12");
    assert_eq!(attempt(&moved).await.findings[0].index, Some(12));
    // Without its manifest a month is missing; with one that is forged, or changed, too.
    let report = attempt("delete from audit_removal where month = '2025-02-01'").await;
    assert_eq!((report.findings[0].index, &report.findings[0].wrong), (Some(3), &Wrong::Missing));
    let wider = "update audit_removal set manifest = replace(manifest, '12', '13')";
    assert!(!attempt(wider).await.is_intact());
    let stranger = Signer::new(signer().name(), &[9; 32]);
    let manifest: String =
        test.value("select manifest from audit_removal order by month limit 1").await;
    let text = manifest.split("\n\n").next().unwrap();
    let forged = stranger.sign(&format!("{text}\n"));
    let report = attempt(&format!(
        "update audit_removal set manifest = '{forged}' where month = '2025-01-01'"
    ))
    .await;
    assert!(report.findings.iter().any(|it| matches!(it.wrong, Wrong::Note(..))), "{report:?}");
    assert_eq!(report.findings[0].index, Some(0));
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_month_stays_that_is_held_unsealed_unsigned_or_unpublished() {
    let (test, _, folder) = old().await;
    let add = [
        "holds",
        "add",
        "--matter",
        "case CV-17",
        "--from",
        "2025-02-10T00:00:00Z",
        "--until",
        "2025-02-20T00:00:00Z",
    ];
    maskline(&test, &add).done();
    test.run("insert into audit_record (id, at, kind) values (gen_random_uuid(), '2025-03-01', 'received')")
        .await;
    let said = retain(&test, &folder, &["--preview"]).done();
    assert!(said.contains("stays: under legal hold for case CV-17"), "{said}");
    assert!(said.contains("stays: 1 records are not sealed"), "{said}");
    let said = retain(&test, &folder, &["--yes"]).failed();
    assert!(
        said.contains("the trail is not intact"),
        "one that is slipped in is no late one: {said}"
    );
    seal(&test).await;
    // Each place must have been given a checkpoint.
    let targets = folder.join("elsewhere");
    let key = signer().to_text();
    let settings = [
        ("MASKLINE_AUDIT_KEEP_MONTHS", "12"),
        ("MASKLINE_AUDIT_KEY", key.as_str()),
        ("MASKLINE_AUDIT_ORIGIN", "127.0.0.1"),
        ("MASKLINE_AUDIT_CHECKPOINTS", targets.to_str().unwrap()),
    ];
    let arguments = ["audit", "retain", "--yes", "--manifests", folder.to_str().unwrap()];
    let said = maskline_with(&test, &arguments, &settings).failed();
    assert!(said.contains("only the trail's owner can remove months"), "{said}");
    let owner = [&settings[..], &[("DATABASE_URL", test.database_url())]].concat();
    let said = maskline_with(&test, &arguments, &owner).failed();
    assert!(said.contains("was not given a checkpoint that counts 2025-01"), "{said}");
    assert_eq!(partitions(&test).await.len(), 3);
    // What no checkpoint counts stays.
    let said = retain(&test, &folder, &["--yes"]).failed();
    assert!(said.contains("no signed checkpoint counts all records of 2025-03"), "{said}");
    assert_eq!(partitions(&test).await, ["audit_record_2025_02", "audit_record_2025_03"]);
    let said = maskline(&test, &["audit", "retain", "--preview"]).failed();
    assert!(said.contains("MASKLINE_AUDIT_KEEP_MONTHS is not set"), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_conversation_states_the_months_that_are_gone() {
    let (test, _, folder) = old().await;
    test.run(
        "insert into conversation (id, code, code_expires_at, state, opened_at, ended_at, end_reason,
             silence_seconds, ends_at, next_look_at)
         values ('019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94', 'K7QM4XRT', '2025-02-02', 'ended',
             '2025-02-01', '2025-02-20', 'left', 7200, '2025-03-01', '2025-03-01')",
    )
    .await;
    retain(&test, &folder, &["--yes"]).done();
    let show = ["audit", "show", "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94"];
    let said = maskline(&test, &show).done();
    assert!(
        said.contains(
            "What happened in 2025-02 is not here: that month was removed by retention on"
        ),
        "{said}"
    );
    assert!(!said.contains("2025-01") && !said.contains("2025-03"), "{said}");
    let shown = maskline(&test, &[&show[..], &["--format", "json"]].concat()).json();
    assert_eq!((&shown[0]["kind"], &shown[0]["records"]), (&json!("removed"), &json!(4)));
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_hold_wins_over_erasure_until_two_people_release_it() {
    let test = TestApp::start().await;
    let (_ann, ben) = test.conversation().await;
    ben.texts("the words that matter").await;
    test.deliver().await;
    let ids = test.column("select id::text from person order by id").await;
    let conversation: String = test.value("select id::text from conversation").await;
    let erase = |id: &str| maskline(&test, &["people", "erase", id, "--reason", "letter", "--yes"]);
    let mut scopes: Vec<Vec<&str>> = vec![
        vec!["--conversation", &conversation],
        vec!["--number", "+14155550100"],
        vec!["--from", "2026-03-01T00:00:00Z", "--until", "2026-03-02T00:00:00Z"],
        vec!["--all"],
    ];
    // A hold on one keeps what the other wrote to them.
    scopes.extend(ids.iter().map(|id| vec!["--person", id.as_str()]));
    for scope in scopes {
        let add =
            [&["holds", "add", "--matter", "case CV-17", "--by", "Dana"], &scope[..]].concat();
        let preview = maskline(&test, &[&add[..], &["--preview"]].concat()).done();
        let in_force = "select count(*) from legal_hold where released_at is null";
        assert_eq!(test.value::<i64>(in_force).await, 0, "a preview places nothing");
        let said = maskline(&test, &add).done();
        let hold = said.split(' ').next().unwrap();
        // That it was asked for is a record of its own.
        let covered: String = test
            .value(
                "select count(*) || ' record' || case when count(*) = 1 then '' else 's' end
                     || ', of ' || count(distinct r.conversation_id) || ' conversation'
                     || case when count(distinct r.conversation_id) = 1 then '' else 's' end
                 from audit_record r join legal_hold h on legal_hold_covers(h, r)
                 where r.id < (select max(id::text)::uuid from audit_record
                     where rule = 'holds_preview')",
            )
            .await;
        assert_eq!(preview, format!("It would cover {covered} by now, and what is yet to come.\n"));
        for id in &ids {
            let said = erase(id).failed();
            assert!(
                said.contains("a legal hold keeps what there is of them (case CV-17)"),
                "{said}"
            );
        }
        let approve = |by: &str| maskline(&test, &["holds", "approve", hold, "--by", by]);
        assert!(approve("Erin").failed().contains("nobody has asked for its release"));
        let release = ["holds", "release", hold, "--reason", "settled", "--by", "Dana"];
        maskline(&test, &release).done();
        assert!(approve(" dana").failed().contains("a release takes two people"));
        assert!(erase(&ids[0]).code == 1, "it stays in force until then");
        assert_eq!(approve("Erin").done(), "released: case CV-17\n");
        assert!(approve("Erin").failed().contains("there is no such hold in force"));
    }
    // One that covers nothing of theirs does not.
    let elsewhere = ["holds", "add", "--matter", "other", "--until", "2026-01-01T00:00:00Z"];
    maskline(&test, &elsewhere).done();
    for id in &ids {
        erase(id).done();
    }
    test.deliver().await;
    let listed = maskline(&test, &["holds", "list", "--format", "json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let rules = test
        .column("select distinct rule from audit_record where rule like 'holds%' order by 1")
        .await;
    assert_eq!(rules, ["holds_add", "holds_approve", "holds_preview", "holds_release"]);
    let said = maskline(&test, &["holds", "add", "--matter", "x"]);
    assert_eq!(said.code, 2, "a scope is asked for: {said:?}");
    let said = maskline(&test, &["holds", "add", "--matter", "x", "--number", "+12065550142"]);
    assert!(said.failed().contains("--number is none of your masked numbers"));
}

#[tokio::test]
async fn pictures_under_a_hold_outlive_their_days() {
    let test = TestApp::start().await;
    let (ann, _ben) = test.conversation().await;
    let picture = test.hosts(crate::pictures::png(8, 8));
    ann.sends(Some("look"), &[picture]).await;
    test.deliver().await;
    let said = maskline(&test, &["holds", "add", "--matter", "case CV-17", "--all"]).done();
    let hold = said.split(' ').next().unwrap();
    test.advance(jiff::SignedDuration::from_hours(24 * 4000));
    assert_eq!(maskline::media::worker::remove_old(&test.app).await.unwrap(), 0);
    maskline(&test, &["holds", "release", hold, "--reason", "settled", "--by", "Dana"]).done();
    maskline(&test, &["holds", "approve", hold, "--by", "Erin"]).done();
    assert_eq!(maskline::media::worker::remove_old(&test.app).await.unwrap(), 1);
}
