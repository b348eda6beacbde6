//! A copy of all there is of one person, and forgetting them: asked for by one, granted by another.

use jiff::SignedDuration;
use maskline::console::staff::Role;
use serde_json::Value;

use super::desk::{Answer, Desk};
use crate::{
    seal::{seal, sign, signing},
    support::{Phone, TestApp},
    verify::{keep, verified},
};

const DEEDS: &str = "select rule || ' ' || detail from audit_record
    where rule like 'subject_%' order by at, id";

/// The page of somebody's own that their number leads to.
async fn find(desk: &Desk<'_>, cookie: &str, phone: &Phone<'_>) -> String {
    let form = [("person", phone.number.as_str().to_owned())];
    desk.post("/subjects", Some(cookie), &form).await.location.unwrap()
}

async fn ask(desk: &Desk<'_>, cookie: &str, at: &str, kind: &str) -> Answer {
    let form =
        [("kind", kind), ("matter", "case 4711"), ("reason", "asked by letter, signed by them")];
    let form = form.map(|(key, value)| (key, value.to_owned()));
    desk.post(&format!("{at}/ask"), Some(cookie), &form).await
}

async fn last(test: &TestApp) -> String {
    let sql = "select '/subject-requests/' || id from subject_request order by asked_at desc, id desc limit 1";
    test.value(sql).await
}

#[tokio::test]
async fn a_person_is_looked_up_and_their_number_stands_nowhere() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _) = test.conversation().await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let at = find(&desk, &erin, &ann).await;
    assert!(!at.contains(&ann.number.digits()[4..]), "{at}");
    let page = desk.get(&at, Some(&erin)).await.body;
    assert!(page.contains("Open conversations</th><td class=\"number\">1</td>"), "{page}");
    assert!(!page.contains(&ann.number.digits()[4..]), "{page}");
    let id = at.rsplit('/').next().unwrap().to_owned();
    let again = desk.post("/subjects", Some(&erin), &[("person", id)]).await;
    assert_eq!(again.location.as_deref(), Some(&*at));
    for (wrong, says) in
        [("+12065550199", "Nobody with this number is known"), ("5550199", "written out")]
    {
        let said = desk.post("/subjects", Some(&erin), &[("person", wrong.to_owned())]).await;
        assert_eq!(said.status, 422);
        assert!(said.body.contains(says), "{}", said.body);
    }
    for path in ["/subjects/x", "/subjects/019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94"] {
        assert_eq!(desk.get(path, Some(&erin)).await.status, 404, "{path}");
    }
    let rules: Vec<String> = test
        .column("select rule from audit_record where rule like 'subject_%' order by at, id")
        .await;
    assert_eq!(rules, ["subject_find", "subject_shown", "subject_find"]);
}

#[tokio::test]
async fn a_copy_takes_two_accounts_and_goes_to_whoever_asked_for_an_hour() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, ben) = test.conversation().await;
    ann.texts("the bicycle is blue").await;
    ben.texts("I will take it").await;
    test.deliver().await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let nora = desk.enter(&desk.staff("Nora", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let at = find(&desk, &erin, &ann).await;
    assert_eq!(ask(&desk, &erin, &at, "export").await.status, 303);
    let twice = ask(&desk, &nora, &at, "export").await;
    assert_eq!(twice.status, 422);
    assert!(twice.body.contains("asked for already"), "{}", twice.body);
    let request = last(&test).await;
    let (grant, copy) = (format!("{request}/grant"), format!("{request}/export.jsonl"));
    assert_eq!(desk.get(&copy, Some(&erin)).await.status, 404, "nobody granted it");
    assert_eq!(desk.post(&grant, Some(&erin), &[]).await.status, 403, "nor does she");
    assert_eq!(desk.post(&grant, Some(&vera), &[]).await.status, 303);
    let twice = desk.post(&grant, Some(&vera), &[]).await;
    assert!(twice.body.contains("decided already"), "{}", twice.body);
    assert_eq!(desk.get(&copy, Some(&nora)).await.status, 404, "it is not hers");
    let saved = desk.get(&copy, Some(&erin)).await;
    assert_eq!(saved.status, 200);
    assert!(saved.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let lines: Vec<Value> =
        saved.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["number"], ann.number.as_str());
    for words in ["the bicycle is blue", "I will take it"] {
        assert!(lines.iter().any(|line| line["record"]["words"] == words), "{words}");
    }
    let count = lines.iter().filter(|line| line["record"].is_object()).count();
    assert_eq!(lines.last().unwrap()["end"], count);
    assert!(!saved.body.contains(&ben.number.digits()[1..]), "the other's number");
    test.run("update subject_request set open_until = open_until - interval '1 hour'").await;
    assert_eq!(desk.get(&copy, Some(&erin)).await.status, 404, "the hour is over");
    let deeds = test.column(DEEDS).await;
    for said in ["subject_ask by Erin", "subject_grant by Vera, approver", "subject_export by Erin"]
    {
        assert_eq!(deeds.iter().filter(|deed| deed.starts_with(said)).count(), 1, "{deeds:#?}");
    }
}

#[tokio::test]
async fn whoever_granted_what_they_asked_for_themselves_is_refused_by_the_schema_too() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _) = test.conversation().await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let cookie = desk.enter(&erin).await;
    let at = find(&desk, &cookie, &ann).await;
    ask(&desk, &cookie, &at, "erasure").await;
    // Somebody who asked, and became an approver afterwards.
    test.run("update staff set role = 'approver'").await;
    let cookie = desk.enter(&erin).await;
    let grant = format!("{}/grant", last(&test).await);
    let said = desk.post(&grant, Some(&cookie), &[]).await;
    assert_eq!(said.status, 422);
    assert!(said.body.contains("you asked for it yourself"), "{}", said.body);
    assert_eq!(
        test.value::<i64>("select count(*) from person where erased_at is not null").await,
        0
    );
    let by = "update subject_request set decided_by = asked_by, decided_at = asked_at, is_granted = true";
    let refused = sqlx::query(by).execute(&test.db).await.unwrap_err();
    assert!(refused.to_string().contains("subject_request_takes_two"), "{refused}");
}

#[tokio::test]
async fn whoever_asks_to_be_forgotten_is_where_no_hold_keeps_them() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (ann, ben) = test.conversation().await;
    ann.texts("the bicycle is blue").await;
    test.deliver().await;
    seal(&test).await;
    let kept = keep(&sign(&test).await, &crate::seal::signer());
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let at = find(&desk, &erin, &ann).await;
    let person = at.rsplit('/').next().unwrap().to_owned();
    ask(&desk, &erin, &at, "export").await;
    let copy = last(&test).await;
    assert_eq!(desk.post(&format!("{copy}/grant"), Some(&vera), &[]).await.status, 303);
    test.advance(SignedDuration::from_secs(1));
    assert_eq!(ask(&desk, &erin, &at, "erasure").await.status, 303);
    let grant = format!("{}/grant", last(&test).await);

    let hold = [("matter", "case CV-17".to_owned()), ("person", person)];
    assert_eq!(desk.post("/holds", Some(&erin), &hold).await.status, 303);
    let page = desk.get(&at, Some(&vera)).await.body;
    assert!(page.contains("case CV-17") && !page.contains("Forget them for good"), "{page}");
    let held = desk.post(&grant, Some(&vera), &[]).await;
    assert_eq!(held.status, 422);
    assert!(held.body.contains("A legal hold keeps them: case CV-17"), "{}", held.body);
    assert!(held.body.contains("waits for an approver"), "it is not decided: {}", held.body);
    test.run(
        "update legal_hold set released_at = now(), asked_by = 'Erin', asked_at = now(),
        reason = 'over', released_by = 'Vera'",
    )
    .await;

    assert!(desk.get(&at, Some(&vera)).await.body.contains("Forget them for good"));
    let done = desk.post(&grant, Some(&vera), &[]).await;
    assert_eq!(done.location, Some(format!("{at}?done=erased")));
    let page = desk.get(&at, Some(&vera)).await.body;
    assert!(page.contains("Forgotten on"), "{page}");
    assert_eq!(ask(&desk, &erin, &at, "export").await.status, 422, "there is nothing to copy");
    assert!(!desk.get(&at, Some(&erin)).await.body.contains("Save the copy"));
    let late = desk.get(&format!("{copy}/export.jsonl"), Some(&erin)).await;
    assert_eq!(late.status, 404, "what was granted before is over, too");
    test.deliver().await;
    assert!(ben.last().contains("ended"), "the other is told");
    let number = [("person", ann.number.as_str().to_owned())];
    let found = desk.post("/subjects", Some(&erin), &number).await.body;
    assert!(found.contains("Nobody with this number is known"), "{found}");
    seal(&test).await;
    let report = verified(&mut test.db.acquire().await.unwrap(), &[kept]).await;
    assert!(report.is_intact(), "{report:?}");
    let deeds = test.column(DEEDS).await;
    let granted = deeds.iter().rfind(|deed| deed.starts_with("subject_grant")).unwrap();
    assert!(granted.contains("1 conversations ended"), "{granted}");
}

#[tokio::test]
async fn what_is_refused_is_done_by_nobody() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _) = test.conversation().await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let at = find(&desk, &erin, &ann).await;
    let number = [("kind", "erasure"), ("matter", "case"), ("reason", "call 206-555-0142")];
    let number = number.map(|(key, value)| (key, value.to_owned()));
    let said = desk.post(&format!("{at}/ask"), Some(&erin), &number).await;
    assert!(said.body.contains("telephone number"), "{}", said.body);
    ask(&desk, &erin, &at, "erasure").await;
    let request = last(&test).await;
    assert_eq!(desk.post(&format!("{request}/refuse"), Some(&vera), &[]).await.status, 303);
    assert_eq!(desk.post(&format!("{request}/grant"), Some(&vera), &[]).await.status, 422);
    assert_eq!(
        test.value::<i64>("select count(*) from person where erased_at is not null").await,
        0
    );
    assert!(desk.get("/subjects", Some(&vera)).await.body.contains("refused"));
    assert_eq!(ask(&desk, &erin, &at, "erasure").await.status, 303, "it can be asked for again");
}
