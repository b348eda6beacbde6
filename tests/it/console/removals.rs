//! Old months that staff ask to have removed: who may ask, who grants it, and what is on record.

use jiff::SignedDuration;
use maskline::console::staff::Role;

use super::desk::{Answer, Desk};
use crate::{
    seal::{IN_THE_CLEAR, seal, signer},
    support::{TestApp, Wishes},
};

const DEEDS: &str = "select rule || ' ' || detail from audit_record
    where rule like 'retention_%' order by at, id";

/// An app that keeps three months, with two that are older.
pub async fn keeping() -> TestApp {
    let key = signer().to_text();
    let settings = &[("MASKLINE_AUDIT_KEY", key.as_str()), ("MASKLINE_AUDIT_KEEP_MONTHS", "3")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    test.run(IN_THE_CLEAR).await;
    test.run("select audit_make_partitions('2025-10-01', 2)").await;
    test.run(
        "insert into audit_record (id, at, kind)
         select gen_random_uuid(), day, 'swept'
         from generate_series('2025-10-02'::timestamptz, '2025-11-28', '1 day') day",
    )
    .await;
    seal(&test).await;
    test
}

async fn ask(desk: &Desk<'_>, cookie: &str, months: &[&str], why: (&str, &str)) -> Answer {
    let mut form = vec![("matter", why.0.to_owned()), ("reason", why.1.to_owned())];
    form.extend(months.iter().map(|month| ("month", (*month).to_owned())));
    desk.post("/retention", Some(cookie), &form).await
}

async fn newest(test: &TestApp) -> String {
    let newest =
        "select '/retention/' || id from removal_request order by asked_at desc, id desc limit 1";
    test.value(newest).await
}

#[tokio::test]
async fn a_removal_takes_two_accounts_and_each_step_is_on_record() {
    let test = keeping().await;
    let desk = Desk::open(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let dana = desk.enter(&desk.staff("Dana", Role::Admin).await).await;
    let why = ("case 7", "older than we need");
    let page = desk.get("/retention", Some(&erin)).await.body;
    assert_eq!(page.matches("type=\"checkbox\"").count(), 2, "{page}");
    assert_eq!(page.matches(" checked").count(), 2, "{page}");
    for other in [&vera, &dana] {
        let page = desk.get("/retention", Some(other)).await.body;
        assert!(page.contains("2025-10") && !page.contains("<form method=\"post\" action=\"/ret"));
        assert_eq!(ask(&desk, other, &["2025-10"], why).await.status, 403);
    }
    for (months, why, says) in [
        (&["2025-10"][..], ("", "old"), "The case must be"),
        (&["2025-10"], ("case 7", "call 206-555-0142"), "telephone number"),
        (&[], why, "Choose a month"),
        (&["2025-10", "2026-02"], why, "One of the months cannot be asked for any more"),
    ] {
        let said = ask(&desk, &erin, months, why).await;
        assert!(said.status == 422 && said.body.contains(says), "{says}: {}", said.body);
    }
    let one = ask(&desk, &erin, &["2025-10"], ("", "")).await.body;
    assert_eq!(one.matches(" checked").count(), 1, "what was chosen stays chosen: {one}");

    assert_eq!(ask(&desk, &erin, &["2025-10"], why).await.status, 303);
    let at = newest(&test).await;
    let twice = ask(&desk, &erin, &["2025-10", "2025-11"], why).await;
    assert!(twice.body.contains("2025-10 cannot be asked for any more"), "{}", twice.body);
    assert!(desk.get("/", Some(&vera)).await.body.contains("months to be removed wait for you"));
    assert_eq!(desk.post(&format!("{at}/grant"), Some(&erin), &[]).await.status, 403);
    let page = desk.get("/retention", Some(&vera)).await.body;
    assert!(page.contains("Grant the removal") && page.contains("removal asked for"), "{page}");
    assert_eq!(desk.post(&format!("{at}/grant"), Some(&vera), &[]).await.status, 303);
    let again = desk.post(&format!("{at}/refuse"), Some(&vera), &[]).await;
    assert!(again.body.contains("decided already"), "{}", again.body);
    let page = desk.get("/retention", Some(&erin)).await.body;
    assert!(page.contains("removal granted") && page.contains("Granted by</dt><dd>Vera"), "{page}");
    assert_eq!(page.matches("type=\"checkbox\"").count(), 1, "the other month: {page}");
    assert_eq!(test.value::<i64>("select count(*) from audit_removal").await, 0);

    assert_eq!(ask(&desk, &erin, &["2025-11"], why).await.status, 303);
    let at = newest(&test).await;
    assert_eq!(desk.post(&format!("{at}/refuse"), Some(&vera), &[]).await.status, 303);
    assert!(desk.get("/retention", Some(&erin)).await.body.contains("<span class=\"tag\">refused"));
    assert_eq!(ask(&desk, &erin, &["2025-11"], why).await.status, 303, "it may be asked for anew");
    let deeds: Vec<String> = test.column(DEEDS).await;
    for (deed, (rule, says)) in deeds.iter().zip([
        ("retention_ask by Erin, auditor", "of 2025-10 asked for, 30 records, case 7: older than"),
        ("retention_grant by Vera, approver", "of 2025-10 for Erin granted"),
        ("retention_ask by Erin", "of 2025-11 asked for, 28 records"),
        ("retention_refuse by Vera", "of 2025-11 for Erin refused"),
    ]) {
        assert!(deed.starts_with(rule) && deed.contains(says), "{deed}");
    }
    assert_eq!(deeds.len(), 5, "{deeds:#?}");
    let own = "update removal_request set decided_by = asked_by, decided_at = asked_at,
        is_granted = false where decided_at is null";
    let refused = sqlx::query(own).execute(&test.db).await.unwrap_err();
    assert!(refused.to_string().contains("removal_request_takes_two"), "{refused}");
}

#[tokio::test]
async fn what_is_held_is_not_offered_and_a_hold_that_comes_later_is_shown() {
    let test = keeping().await;
    let desk = Desk::open(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let hold = async |matter: &str, from: &str, until: &str| {
        test.run(&format!(
            "insert into legal_hold (id, matter, from_at, until_at, placed_by, placed_at)
             values (gen_random_uuid(), '{matter}', '{from}', '{until}', 'Erin', now())"
        ))
        .await;
    };
    hold("case CV-17", "2025-10-03", "2025-10-05").await;
    let page = desk.get("/retention", Some(&erin)).await.body;
    assert!(page.contains("stays: under legal hold for case CV-17"), "{page}");
    assert!(page.contains("id=\"month-2025-11\"") && !page.contains("id=\"month-2025-10\""));
    let said = ask(&desk, &erin, &["2025-10"], ("case 7", "old")).await;
    assert!(said.body.contains("2025-10 cannot be asked for any more"), "{}", said.body);
    assert_eq!(ask(&desk, &erin, &["2025-11"], ("case 7", "old")).await.status, 303);
    let at = newest(&test).await;
    assert_eq!(desk.post(&format!("{at}/grant"), Some(&vera), &[]).await.status, 303);
    hold("case CV-18", "2025-11-03", "2025-11-05").await;
    let page = desk.get("/retention", Some(&erin)).await.body;
    assert_eq!(page.matches("stays: under legal hold for case CV-18").count(), 2, "{page}");
}

#[tokio::test]
async fn what_nobody_decides_lapses_and_what_is_granted_is_good_for_thirty_days() {
    let test = keeping().await;
    let desk = Desk::open(&test).await;
    let (erin, vera) =
        (desk.staff("Erin", Role::Auditor).await, desk.staff("Vera", Role::Approver).await);
    let asker = desk.enter(&erin).await;
    assert_eq!(ask(&desk, &asker, &["2025-10"], ("case 7", "old")).await.status, 303);
    let at = newest(&test).await;
    test.advance(SignedDuration::from_hours(7 * 24));
    let (asker, approver) = (desk.enter(&erin).await, desk.enter(&vera).await);
    let page = desk.get("/retention", Some(&approver)).await.body;
    assert!(page.contains("expired") && !page.contains("/grant"), "{page}");
    let late = desk.post(&format!("{at}/grant"), Some(&approver), &[]).await;
    assert!(late.status == 422 && late.body.contains("Nobody decided in time"), "{}", late.body);
    let lapsed = test.column(DEEDS).await.pop().unwrap();
    assert!(lapsed.starts_with("retention_lapse by Maskline: removal "), "{lapsed}");
    assert!(lapsed.ends_with(" for Erin expired, nobody decided in time"), "{lapsed}");

    assert_eq!(ask(&desk, &asker, &["2025-10"], ("case 8", "old")).await.status, 303);
    let at = newest(&test).await;
    assert_eq!(desk.post(&format!("{at}/grant"), Some(&approver), &[]).await.status, 303);
    let left = "select (open_until - decided_at)::text from removal_request where is_granted";
    assert_eq!(test.value::<String>(left).await, "30 days");
    test.advance(SignedDuration::from_hours(30 * 24));
    let asker = desk.enter(&erin).await;
    let page = desk.get("/retention", Some(&asker)).await.body;
    assert!(page.contains(">over</span>") && page.contains("Was good until"), "{page}");
    assert!(page.contains("id=\"month-2025-10\""), "it can be asked for anew: {page}");
}
