//! Old months in a real browser: asked for, granted, kept by a hold, removed by the owner's command.

use fantoccini::Locator;
use jiff::SignedDuration;
use maskline::console::staff::Role;

use super::Browser;
use crate::{
    console::{
        desk::{Desk, Member},
        removals::keeping,
    },
    program::maskline_with,
    seal::{seal, sign, signer},
    support::TestApp,
};

/// Runs the command as the owner, by the database's clock.
async fn run(test: &TestApp) {
    test.run("update removal_request set open_until = now() + interval '1 day' where is_granted")
        .await;
    seal(test).await;
    sign(test).await;
    let folder = std::env::temp_dir().join(format!("maskline-shots-{}", rand::random::<u64>()));
    std::fs::create_dir(&folder).unwrap();
    let key = signer().to_text();
    let settings = [
        ("DATABASE_URL", test.database_url()),
        ("MASKLINE_AUDIT_KEEP_MONTHS", "3"),
        ("MASKLINE_AUDIT_KEY", key.as_str()),
        ("MASKLINE_AUDIT_ORIGIN", "127.0.0.1"),
    ];
    let arguments = ["audit", "retain", "--granted", "--manifests", folder.to_str().unwrap()];
    maskline_with(test, &arguments, &settings).done();
    std::fs::remove_dir_all(folder).unwrap();
}

async fn fill(browser: &Browser) {
    for (field, words) in [("matter", "yearly clearing 2026"), ("reason", "older than we need")] {
        browser.page.find(Locator::Id(field)).await.unwrap().send_keys(words).await.unwrap();
    }
}

async fn enter(browser: &Browser, desk: &Desk<'_>, member: &Member) {
    browser.sign_in(desk, member).await;
    browser.go("Retention").await;
    browser.arrive("Retention").await;
}

#[tokio::test]
async fn months_are_removed_with_four_eyes() {
    let Some(browser) = Browser::start().await else { return };
    let test = keeping().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    let dana = desk.staff("Dana Ek", Role::Admin).await;
    enter(&browser, &desk, &erin).await;
    browser.check_page("retention-to-ask").await;
    for month in ["2025-10", "2025-11"] {
        let check = browser.page.find(Locator::Id(&format!("month-{month}"))).await.unwrap();
        check.click().await.unwrap();
    }
    fill(&browser).await;
    browser.go("Ask an approver").await;
    browser.wait("[role=alert]").await;
    browser.check_page("retention-nothing-chosen").await;
    browser.open(&desk, "/retention").await;
    fill(&browser).await;
    browser.go("Ask an approver").await;
    browser.wait("[role=status]").await;
    browser.check_page("retention-asked").await;

    browser.sign_in(&desk, &vera).await;
    browser.check_page("home-with-a-removal").await;
    browser.go("Retention").await;
    browser.wait(".grave").await;
    browser.check_page("retention-to-decide").await;
    browser.go("Grant the removal: yearly clearing 2026").await;
    browser.wait("[role=status]").await;
    browser.check_page("retention-granted").await;
    test.run(
        "insert into legal_hold (id, matter, from_at, until_at, placed_by, placed_at)
         values (gen_random_uuid(), 'case CV-17', '2025-11-03', '2025-11-05', 'Erin', now())",
    )
    .await;
    run(&test).await;
    enter(&browser, &desk, &dana).await;
    assert!(browser.text("main").await.contains("stays: under legal hold for case CV-17"));
    browser.check_page("retention-partly-removed").await;
    test.run(
        "update legal_hold set released_at = now(), asked_by = 'Erin', asked_at = now(),
             reason = 'over', released_by = 'Vera'",
    )
    .await;
    browser.open(&desk, "/retention").await;
    browser.check_page("retention-tried-again").await;
    run(&test).await;
    browser.open(&desk, "/retention").await;
    assert!(browser.text("main").await.contains("No month is old enough"));
    browser.check_page("retention-removed").await;

    test.run("select audit_make_partitions('2025-09-01', 1)").await;
    test.advance(SignedDuration::from_hours(1));
    enter(&browser, &desk, &erin).await;
    fill(&browser).await;
    browser.go("Ask an approver").await;
    browser.wait("[role=status]").await;
    test.advance(SignedDuration::from_hours(7 * 24));
    enter(&browser, &desk, &erin).await;
    assert!(browser.text("main").await.contains("nobody had decided"));
    browser.check_page("retention-expired").await;
    browser.close().await;
}
