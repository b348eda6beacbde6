//! Real numbers with four eyes: who asks, who approves, for how long, and what is on record.

use jiff::SignedDuration;
use maskline::console::staff::Role;

use super::desk::Desk;
use crate::support::TestApp;

const SHOWN: &str = "select detail from audit_record where rule = 'reveal_shown' order by at, id";

fn asking(id: &str, minutes: &str, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let form = [
        ("id", id),
        ("whose", "conversation"),
        ("matter", "case 7"),
        ("reason", "court order"),
        ("minutes", minutes),
    ];
    form.into_iter()
        .chain(more.iter().copied())
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

#[tokio::test]
async fn a_number_is_shown_to_who_asked_once_another_has_approved() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, ben) = test.conversation().await;
    let id: String = test.value("select id::text from conversation").await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let nora = desk.enter(&desk.staff("Nora", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    for (form, says) in [
        (asking("x", "30", &[]), "whole one"),
        (asking(&id, "61", &[]), "from 1 to 60"),
        (asking(&id, "0", &[]), "from 1 to 60"),
        (asking("019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94", "30", &[]), "no such person"),
    ] {
        let said = desk.post("/reveals", Some(&erin), &form).await;
        assert!(said.status == 422 && said.body.contains(says), "{says}: {}", said.body);
    }
    assert_eq!(desk.post("/reveals", Some(&erin), &asking(&id, "30", &[])).await.status, 303);
    let reveal: String = test.value("select id::text from reveal").await;
    let page = format!("/reveals/{reveal}");
    let numbers = [ann.number.as_str(), ben.number.as_str()];
    let shows = |body: &str| numbers.iter().filter(|number| body.contains(&number[1..])).count();

    let early = desk.get(&page, Some(&erin)).await.body;
    assert!(early.contains("Nobody has approved") && shows(&early) == 0, "{early}");
    assert!(desk.get("/", Some(&vera)).await.body.contains("1 wait for you"));
    assert_eq!(desk.post(&format!("{page}/grant"), Some(&erin), &[]).await.status, 403);
    assert_eq!(desk.post(&format!("{page}/grant"), Some(&vera), &[]).await.status, 303);
    assert_eq!(desk.post(&format!("{page}/refuse"), Some(&vera), &[]).await.status, 422, "decided");
    assert_eq!(test.column(SHOWN).await, [""; 0], "nobody has looked yet");

    let open = desk.get(&page, Some(&erin)).await.body;
    assert_eq!(shows(&open), 2, "{open}");
    let shown = test.column(SHOWN).await;
    assert_eq!(shown.len(), 2, "each number is on record");
    assert!(
        shown[0].contains("by Erin, auditor, from 127.0.0.1: number of ")
            && shown[0].ends_with(", case 7")
    );
    assert_eq!(desk.get(&page, Some(&nora)).await.status, 404, "it is not hers");
    assert!(!desk.get("/reveals", Some(&nora)).await.body.contains("case 7"));
    let transcript = desk.get(&format!("/conversations/{id}"), Some(&nora)).await.body;
    assert!(transcript.contains("number of ") && shows(&transcript) == 0, "{transcript}");

    for phone in [&ann, &ben] {
        assert_eq!(test.places(&phone.number.digits()[1..]).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_reveal_ends_by_itself() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _ben) = test.conversation().await;
    let (person, _) = test.person(&ann.number).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let mut form = asking(&person.to_string(), "20", &[]);
    form[1].1 = "person".to_owned();
    assert_eq!(desk.post("/reveals", Some(&erin), &form).await.status, 303);
    let reveal: String = test.value("select id::text from reveal").await;
    let page = format!("/reveals/{reveal}");
    test.advance(SignedDuration::from_mins(25));
    assert_eq!(desk.post(&format!("{page}/grant"), Some(&vera), &[]).await.status, 303);
    let shows = async || desk.get(&page, Some(&erin)).await.body.contains(ann.number.as_str());
    assert!(shows().await, "from when it was granted");
    test.advance(SignedDuration::from_secs(20 * 60 - 1));
    assert!(shows().await);
    test.advance(SignedDuration::from_secs(1));
    assert!(!shows().await);
    assert_eq!(test.column(SHOWN).await.len(), 2);
}

#[tokio::test]
async fn broken_glass_is_red_until_another_reviews_it() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _ben) = test.conversation().await;
    let id: String = test.value("select id::text from conversation").await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let opened = desk.post("/reveals", Some(&erin), &asking(&id, "10", &[("glass", "1")])).await;
    let page = opened.location.unwrap();
    let shown = desk.get(&page, Some(&erin)).await.body;
    assert!(shown.contains(ann.number.as_str()) && shown.contains("class=\"alarm\""), "{shown}");
    let overview = desk.get("/", Some(&vera)).await.body;
    assert!(overview.contains("class=\"bad\"") && overview.contains("not reviewed"), "{overview}");
    assert_eq!(desk.post(&format!("{page}/grant"), Some(&vera), &[]).await.status, 422);
    let review = format!("{page}/review");
    let words = |words: &str| vec![("review", words.to_owned())];
    assert_eq!(desk.post(&review, Some(&erin), &words("fine")).await.status, 403);
    assert_eq!(desk.post(&review, Some(&vera), &words("")).await.status, 422);
    assert_eq!(desk.post(&review, Some(&vera), &words("it was an emergency")).await.status, 303);
    assert_eq!(desk.post(&review, Some(&vera), &words("again")).await.status, 422);
    assert!(!desk.get("/", Some(&vera)).await.body.contains("class=\"bad\""));
    test.advance(SignedDuration::from_mins(10));
    let over = desk.get(&page, Some(&erin)).await.body;
    assert!(over.contains("hidden again") && !over.contains(ann.number.as_str()), "{over}");
    let rules = "select rule from audit_record where rule like 'reveal%' order by at, id";
    let rules = test.column(rules).await;
    assert_eq!(rules, ["reveal_break_glass", "reveal_shown", "reveal_shown", "reveal_review"]);
}

#[tokio::test]
async fn the_database_refuses_one_pair_of_eyes() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    let id: String = test.value("select id::text from conversation").await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    desk.post("/reveals", Some(&erin), &asking(&id, "30", &[])).await;
    for wrong in [
        "decided_by = asked_by, decided_at = asked_at, is_granted = false",
        "minutes = 61",
        "open_until = asked_at",
        "is_glass_broken = true",
        "is_glass_broken = true, open_until = asked_at + interval '61 minutes'",
        "person_id = (select id from person limit 1)",
        "conversation_id = null",
    ] {
        let sql = format!("update reveal set {wrong}");
        let tried = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&test.db).await;
        let error = tried.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "23514", "{wrong}");
    }
}
