//! `maskline audit retain --granted`: what one account asked for and another granted goes by the owner's hand, and
//! the console says what became of it.

use std::{fs, path::Path, thread};

use maskline::console::staff::Role;
use sqlx::{Connection, PgConnection, error::DatabaseError};

use super::{fill, partitions, retain};
use crate::{
    console::desk::Desk,
    program::{Said, maskline, maskline_with},
    seal::{IN_THE_CLEAR, seal, signer},
    sending::soon,
    support::{TestApp, Wishes, login_in},
    verify::verified,
};

const REMOVED: &str = "select detail from audit_record where rule = 'audit_retain' order by at, id";

/// An app whose console offers the three old months.
async fn keeping() -> TestApp {
    let key = signer().to_text();
    let settings = &[("MASKLINE_AUDIT_KEY", key.as_str()), ("MASKLINE_AUDIT_KEEP_MONTHS", "11")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    test.run(IN_THE_CLEAR).await;
    test
}

/// Erin and Vera, signed in.
async fn two(desk: &Desk<'_>) -> (String, String) {
    let erin = desk.staff("Erin", Role::Auditor).await;
    let vera = desk.staff("Vera", Role::Approver).await;
    (desk.enter(&erin).await, desk.enter(&vera).await)
}

/// Erin asks for these months, and Vera grants it.
async fn grant(desk: &Desk<'_>, (erin, vera): &(String, String), months: &[&str]) {
    let mut form = vec![("matter", "case 7".to_owned()), ("reason", "they are old".to_owned())];
    form.extend(months.iter().map(|month| ("month", (*month).to_owned())));
    let asked = desk.post("/retention", Some(erin), &form).await;
    assert_eq!(asked.status, 303, "{}", asked.body);
    let at: String = desk
        .test
        .value(
            "select '/retention/' || id || '/grant' from removal_request where decided_at is null",
        )
        .await;
    let granted = desk.post(&at, Some(vera), &[]).await;
    assert_eq!(granted.location.as_deref(), Some("/retention?done=granted"), "{}", granted.body);
    // The command goes by the database's clock, which is not that of the test.
    desk.test
        .run("update removal_request set open_until = now() + interval '1 day' where is_granted")
        .await;
    // What they did is sealed as soon as anything is.
    seal(desk.test).await;
}

fn granted(test: &TestApp, folder: &Path) -> Said {
    retain(test, folder, &["--granted", "--by", "timer"])
}

#[tokio::test]
async fn what_two_accounts_want_goes_and_nothing_else() {
    let test = keeping().await;
    let (kept, folder) = fill(&test).await;
    let desk = Desk::open(&test).await;
    let said = granted(&test, &folder).done();
    assert_eq!(said, "No removal is granted that is still to be done.\n");
    let both = two(&desk).await;
    grant(&desk, &both, &["2025-01", "2025-02"]).await;
    let said = retain(&test, &folder, &["--granted", "--preview"]).done();
    let fate =
        "is removed, its fingerprints stay; asked for by Erin, granted by Vera, for case 7\n";
    assert_eq!(said.matches(fate).count(), 2, "{said}");
    assert!(!said.contains("2025-03"), "{said}");
    assert_eq!(partitions(&test).await.len(), 3, "a preview changes nothing");
    let page = desk.get("/retention", Some(&both.0)).await.body;
    assert_eq!(page.matches("the owner’s command removes it").count(), 2, "{page}");

    let said = granted(&test, &folder).done();
    assert!(said.contains("4 records of 2025-02 removed; manifest: "), "{said}");
    assert_eq!(partitions(&test).await, ["audit_record_2025_03"]);
    let request: String = test.value("select id::text from removal_request").await;
    assert_eq!(
        test.column(REMOVED).await[1],
        format!(
            "by timer: 4 records of 2025-02 removed (leaves 3 to 6), kept for 12 months; \
             asked for by Erin, granted by Vera, for case 7 (removal {request})"
        )
    );
    let noted = "select request_id::text || ' ' || records from audit_removal order by month";
    assert_eq!(test.column(noted).await, [format!("{request} 3"), format!("{request} 4")]);
    let seen =
        "select concat_ws(' ', to_char(month, 'YYYY-MM'), matter, reason, asked_by, decided_by,
            removed_records, removed_at is not null)
        from compliance_removal_request order by month";
    let mut officer = login_in("maskline_compliance", test.database_url()).await;
    let seen: Vec<String> = sqlx::query_scalar(seen).fetch_all(&mut officer).await.unwrap();
    let told = |month, records| format!("{month} case 7 they are old Erin Vera {records} t");
    assert_eq!(seen, [told("2025-01", 3), told("2025-02", 4)]);
    let page = desk.get("/retention", Some(&both.0)).await.body;
    assert_eq!(page.matches(" records removed on ").count(), 2, "{page}");
    assert!(page.contains("<dd>4 records removed on "), "{page}");
    assert!(page.contains("asked for by Erin, granted by Vera"), "{page}");
    seal(&test).await;
    let mut conn = PgConnection::connect(test.database_url()).await.unwrap();
    let report = verified(&mut conn, &kept).await;
    assert!(report.is_intact() && report.removed.len() == 2, "{report:?}");
    assert!(granted(&test, &folder).done().starts_with("No removal is granted"));
    assert_eq!(test.column(REMOVED).await.len(), 2);
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_granted_month_that_may_not_go_stays_and_it_is_said_why() {
    let test = keeping().await;
    let (_, folder) = fill(&test).await;
    let desk = Desk::open(&test).await;
    let both = two(&desk).await;
    grant(&desk, &both, &["2025-01", "2025-02", "2025-03"]).await;
    let hold = ["holds", "add", "--matter", "case CV-17", "--from", "2025-02-10T00:00:00Z"];
    maskline(&test, &[&hold[..], &["--until", "2025-02-20T00:00:00Z"]].concat()).done();
    // A manifest that cannot be written keeps one month, and no other.
    let in_its_way = folder.join("removed-2025-01.txt");
    fs::create_dir(&in_its_way).unwrap();
    let said = granted(&test, &folder);
    assert!(said.out.contains("stays: under legal hold for case CV-17; asked for by"), "{said:?}");
    let said = said.failed();
    assert!(said.contains("2025-01 stays: cannot write"), "{said}");
    assert!(said.contains("1 of the months that were granted could not be removed"), "{said}");
    assert_eq!(partitions(&test).await, ["audit_record_2025_01", "audit_record_2025_02"]);
    let page = desk.get("/retention", Some(&both.0)).await.body;
    for says in ["stays: under legal hold for case CV-17", ": cannot write ", "removed on "] {
        assert!(page.contains(says), "{says}: {page}");
    }
    fs::remove_dir(in_its_way).unwrap();
    let said = granted(&test, &folder).done();
    assert!(said.contains("3 records of 2025-01 removed"), "what was left is tried again: {said}");
    assert!(
        granted(&test, &folder).done().contains("stays: under legal hold"),
        "and is no failure"
    );

    // Once the hold is released the grant is worth what it was, until its time is over.
    test.run(
        "update legal_hold set released_at = now(), asked_by = 'Erin', asked_at = now(),
             reason = 'over', released_by = 'Vera';
         update removal_request set open_until = now()",
    )
    .await;
    assert!(granted(&test, &folder).done().starts_with("No removal is granted"));
    assert_eq!(partitions(&test).await, ["audit_record_2025_02"]);
    // What the owner removes without it is not told as its deed.
    retain(&test, &folder, &["--yes"]).done();
    let page = desk.get("/retention", Some(&both.0)).await.body;
    assert!(page.contains("but not by this request"), "{page}");
    assert!(page.contains("the owner removed it without a request"), "{page}");
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn what_is_not_old_enough_not_sealed_or_not_intact_stays() {
    let test = keeping().await;
    let (_, folder) = fill(&test).await;
    let desk = Desk::open(&test).await;
    let both = two(&desk).await;
    grant(&desk, &both, &["2025-01", "2025-02"]).await;
    let key = signer().to_text();
    let longer = [
        ("DATABASE_URL", test.database_url()),
        ("MASKLINE_AUDIT_KEEP_MONTHS", "1200"),
        ("MASKLINE_AUDIT_KEY", key.as_str()),
        ("MASKLINE_AUDIT_ORIGIN", "127.0.0.1"),
    ];
    let arguments = ["audit", "retain", "--granted", "--manifests", folder.to_str().unwrap()];
    let said = maskline_with(&test, &arguments, &longer).done();
    assert_eq!(said.matches("stays: not a month that is older than 1200 whole months").count(), 2);
    let why = "select stayed_because from removal_month order by month";
    assert!(test.column(why).await[0].starts_with("not a month that is older than 1200"));
    let service = [&longer[..], &[("DATABASE_URL", test.app_url())]].concat();
    let said = maskline_with(&test, &arguments, &service).failed();
    assert!(said.contains("only the trail's owner can remove months"), "{said}");
    test.run("insert into audit_record (id, at, kind) values (gen_random_uuid(), '2025-02-01', 'received')")
        .await;
    let said = granted(&test, &folder);
    assert!(said.out.contains("stays: 1 records are not sealed"), "{said:?}");
    assert!(said.failed().contains("the trail is not intact, so nothing is removed"));
    assert_eq!(test.column(why).await, ["the trail is not intact", "1 records are not sealed"]);
    assert_eq!(partitions(&test).await.len(), 3);
    let page = desk.get("/retention", Some(&both.0)).await.body;
    assert!(page.contains(": the trail is not intact") && page.contains("not sealed"), "{page}");
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn of_two_runs_at_once_each_month_is_removed_by_one() {
    let test = keeping().await;
    let (_, folder) = fill(&test).await;
    let desk = Desk::open(&test).await;
    let both = two(&desk).await;
    grant(&desk, &both, &["2025-01", "2025-02"]).await;
    // Both have looked what there is to do before one of them begins.
    let mut placing = PgConnection::connect(test.database_url()).await.unwrap();
    sqlx::raw_sql("begin; lock table legal_hold in row exclusive mode")
        .execute(&mut placing)
        .await
        .unwrap();
    let (url, place) = (test.database_url().to_owned(), folder.clone());
    let runs: Vec<_> = (0..2)
        .map(|_| {
            let (url, place) = (url.clone(), place.clone());
            thread::spawn(move || run_at(&url, &place))
        })
        .collect();
    soon("both wait", test.lock_waiters(2)).await;
    sqlx::raw_sql("commit").execute(&mut placing).await.unwrap();
    let said: Vec<(i32, String)> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    assert!(said.iter().all(|(code, _)| *code == 0), "{said:?}");
    let all: String = said.iter().map(|(_, said)| said.as_str()).collect();
    assert_eq!(all.matches("removed; manifest").count(), 2, "{all}");
    assert_eq!(all.matches("was removed meanwhile").count(), 2, "{all}");
    assert_eq!(test.column(REMOVED).await.len(), 2);
    fs::remove_dir_all(folder).unwrap();
}

/// Runs the command as the owner; its exit code, and all that it said.
fn run_at(url: &str, folder: &Path) -> (i32, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_maskline"))
        .env_clear()
        .envs([
            ("DATABASE_URL", url),
            ("MASKLINE_AUDIT_KEEP_MONTHS", "12"),
            ("MASKLINE_AUDIT_KEY", &signer().to_text()),
            ("MASKLINE_AUDIT_ORIGIN", "127.0.0.1"),
        ])
        .args(["audit", "retain", "--granted", "--manifests", folder.to_str().unwrap()])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn the_service_can_mark_no_month_as_removed() {
    let test = keeping().await;
    let (_, folder) = fill(&test).await;
    let desk = Desk::open(&test).await;
    grant(&desk, &two(&desk).await, &["2025-01"]).await;
    let mut app = PgConnection::connect(test.app_url()).await.unwrap();
    for attack in [
        "insert into audit_removal (month, records, at, manifest, request_id)
         select month, records, now(), 'forged', request_id from removal_month",
        "update audit_removal set request_id = null",
        "update removal_month set stayed_at = now(), stayed_because = 'forged'",
        "update removal_month set records = 0",
        "delete from removal_month",
        "delete from removal_request",
        "truncate removal_request cascade",
    ] {
        let refused = sqlx::raw_sql(attack).execute(&mut app).await.unwrap_err();
        let code = refused.as_database_error().and_then(DatabaseError::code).unwrap().into_owned();
        assert_eq!(code, "42501", "{attack}");
    }
    // Nor can the owner by mistake say so of a month that nobody asked for.
    let stray = "insert into audit_removal (month, records, at, manifest, request_id)
        select '2025-03-01', 1, now(), 'x', request_id from removal_month";
    let refused = sqlx::query(stray).execute(&test.db).await.unwrap_err();
    assert!(refused.to_string().contains("audit_removal_asked_for"), "{refused}");
    fs::remove_dir_all(folder).unwrap();
}
