//! What one asks for and nobody decides in time: it can be granted no more, and that is on record.

use jiff::SignedDuration;
use maskline::console::{exports::worker, staff::Role};

use super::desk::{Desk, Member};
use crate::{
    extract::talk,
    seal::signing,
    support::{TestApp, Wishes},
};

const LAPSED: &str =
    "select rule || ' ' || detail from audit_record where rule like '%_lapse' order by rule";
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One of the three, asked for: where it is decided, where it is listed, and how it is called on record.
struct Asked {
    decide: String,
    list: &'static str,
    record: String,
    rule: &'static str,
}

async fn ask(desk: &Desk<'_>, cookie: &str, path: &str, form: &[(&str, &str)]) -> u16 {
    let form: Vec<(&str, String)> =
        form.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let asked = desk.post(path, Some(cookie), &form).await;
    assert!([303, 422].contains(&asked.status), "{}", asked.body);
    asked.status
}

/// Asks for one of each: a reveal, an export, a copy and an erasure.
async fn ask_for_all(
    desk: &Desk<'_>,
    cookie: &str,
    conversation: &str,
    person: &str,
) -> Vec<Asked> {
    let why = [("matter", "case 7"), ("reason", "court order")];
    let reveal = [("id", conversation), ("whose", "conversation"), ("minutes", "30")];
    assert_eq!(ask(desk, cookie, "/reveals", &[&reveal[..], &why].concat()).await, 303);
    let q = format!("conversation:{conversation}");
    let export = [("q", q.as_str()), ("format", "csv")];
    assert_eq!(ask(desk, cookie, "/exports", &[&export[..], &why].concat()).await, 303);
    for kind in ["export", "erasure"] {
        let form = [&[("kind", kind)], &why[..]].concat();
        assert_eq!(ask(desk, cookie, &format!("/subjects/{person}/ask"), &form).await, 303);
    }
    let newest = async |table: &str, more: &str| -> String {
        desk.test
            .value(&format!("select id::text from {table} where lapsed_at is null {more}"))
            .await
    };
    let reveal = newest("reveal", "").await;
    let export = newest("export_job", "").await;
    let copy = newest("subject_request", "and kind = 'export'").await;
    let erasure = newest("subject_request", "and kind = 'erasure'").await;
    let asked = |decide, list, record, rule| Asked { decide, list, record, rule };
    vec![
        asked(format!("/exports/{export}"), "/exports", format!("export {export}"), "export_lapse"),
        asked(format!("/reveals/{reveal}"), "/reveals", format!("reveal {reveal}"), "reveal_lapse"),
        asked(
            format!("/subject-requests/{erasure}"),
            "/subjects",
            format!("erasure {erasure}"),
            "subject_lapse",
        ),
        asked(
            format!("/subject-requests/{copy}"),
            "/subjects",
            format!("export {copy}"),
            "subject_lapse",
        ),
    ]
}

/// Somebody who asks, somebody who approves, and what it is about.
async fn people(test: &TestApp, desk: &Desk<'_>) -> (Member, Member, String, String) {
    let (ann, _, conversation) = talk(test).await;
    let (person, _) = test.person(&ann.number).await;
    let erin = desk.staff("Erin", Role::Auditor).await;
    let vera = desk.staff("Vera", Role::Approver).await;
    (erin, vera, conversation, person.to_string())
}

#[tokio::test]
async fn what_nobody_decided_within_a_week_can_be_granted_no_more() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (erin, vera, conversation, person) = people(&test, &desk).await;
    let asker = desk.enter(&erin).await;
    let all = ask_for_all(&desk, &asker, &conversation, &person).await;
    for Asked { list, .. } in &all {
        let body = desk.get(list, Some(&asker)).await.body;
        assert!(body.contains("waits for an approver") && !body.contains("xpired"), "{body}");
    }
    // The last of them was asked for some moments after the first.
    test.advance(WEEK);
    let approver = desk.enter(&vera).await;
    let asker = desk.enter(&erin).await;
    for Asked { decide, list, .. } in &all {
        // Shown so before anybody has noted it.
        for cookie in [&approver, &asker] {
            let body = desk.get(list, Some(cookie)).await.body;
            assert!(body.contains("expired") && !body.contains("waits for an approver"), "{body}");
            assert!(!body.contains("/grant"), "{body}");
        }
        for verb in ["grant", "refuse"] {
            let said = desk.post(&format!("{decide}/{verb}"), Some(&approver), &[]).await;
            assert_eq!(said.status, 422, "{decide}");
            assert!(said.body.contains("Nobody decided in time"), "{}", said.body);
        }
    }
    let home = desk.get("/", Some(&approver)).await.body;
    assert!(!home.contains("wait for you"), "{home}");
    assert_eq!(
        test.value::<i64>("select count(*) from person where erased_at is not null").await,
        0
    );
    assert_eq!(worker::step(&test.app).await.unwrap(), 0, "nothing is written");

    // Each is on record once, whoever came first.
    let mut expected: Vec<String> = all
        .iter()
        .map(|it| {
            let Asked { rule, record, .. } = it;
            format!("{rule} by Maskline: {record} for Erin expired, nobody decided in time")
        })
        .collect();
    let mut lapsed = test.column(LAPSED).await;
    expected.sort();
    lapsed.sort();
    assert_eq!(lapsed, expected);
    let of_her = format!(
        "select count(*) from audit_record where rule = 'subject_lapse' and person_id = '{person}'"
    );
    assert_eq!(test.value::<i64>(&of_her).await, 2);

    // What has lapsed keeps nobody from asking anew.
    let anew = ask_for_all(&desk, &asker, &conversation, &person).await;
    let granted = desk.post(&format!("{}/grant", anew[1].decide), Some(&approver), &[]).await;
    assert_eq!(granted.status, 303, "{}", granted.body);
}

#[tokio::test]
async fn it_is_on_record_though_nobody_tries_to_decide() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (erin, _, conversation, person) = people(&test, &desk).await;
    let asker = desk.enter(&erin).await;
    ask_for_all(&desk, &asker, &conversation, &person).await;
    test.advance(WEEK - SignedDuration::from_secs(1));
    worker::step(&test.app).await.unwrap();
    assert_eq!(test.column(LAPSED).await, [""; 0]);
    test.advance(SignedDuration::from_secs(1));
    worker::step(&test.app).await.unwrap();
    worker::step(&test.app).await.unwrap();
    assert_eq!(test.column(LAPSED).await.len(), 4, "once");
    let asker = desk.enter(&erin).await;
    let page: String = test.value("select '/exports/' || id from export_job").await;
    let said = desk.get(&page, Some(&asker)).await.body;
    assert!(said.contains("Nobody decided in time") && said.contains("Ask anew"), "{said}");
    assert!(!said.contains("data-live"), "there is nothing to wait for: {said}");
    let page: String = test.value("select '/reveals/' || id from reveal").await;
    assert!(desk.get(&page, Some(&asker)).await.body.contains("Nobody decided in time"));
    let person = format!("/subjects/{person}");
    assert!(desk.get(&person, Some(&asker)).await.body.contains("Ask on their behalf"));
}

#[tokio::test]
async fn what_was_granted_in_time_lasts_as_long_as_ever() {
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (erin, vera, conversation, person) = people(&test, &desk).await;
    let asker = desk.enter(&erin).await;
    let all = ask_for_all(&desk, &asker, &conversation, &person).await;
    test.advance(WEEK - SignedDuration::from_mins(2));
    let (asker, approver) = (desk.enter(&erin).await, desk.enter(&vera).await);
    for Asked { decide, rule, .. } in all.iter().filter(|it| !it.record.starts_with("erasure")) {
        let granted = desk.post(&format!("{decide}/grant"), Some(&approver), &[]).await;
        assert_eq!(granted.status, 303, "{rule}: {}", granted.body);
    }
    test.advance(SignedDuration::from_mins(10));
    assert_eq!(worker::step(&test.app).await.unwrap(), 1);
    let numbers = desk.get(&all[1].decide, Some(&asker)).await.body;
    assert!(numbers.contains("Shown until"), "{numbers}");
    let copy = desk.get(&format!("{}/export.jsonl", all[3].decide), Some(&asker)).await;
    assert_eq!(copy.status, 200);
    let (status, ..) = desk.take(&format!("{}/file", all[0].decide), &asker).await;
    assert_eq!(status, 200);
    assert_eq!(test.column(LAPSED).await.len(), 1, "the erasure");
}

#[tokio::test]
async fn for_how_long_is_a_setting_and_what_was_asked_for_before_keeps_its_time() {
    let settings = &[("MASKLINE_REQUEST_LIFETIME", "2h")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    let id: String = test.value("select id::text from conversation").await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let form = [
        ("id", id.as_str()),
        ("whose", "conversation"),
        ("minutes", "30"),
        ("matter", "case 7"),
        ("reason", "court order"),
    ];
    assert_eq!(ask(&desk, &erin, "/reveals", &form).await, 303);
    let left = "select (lapses_at - asked_at)::text from reveal";
    assert_eq!(test.value::<String>(left).await, "02:00:00");
    // The database refuses it, whoever asks it to.
    let late = "update reveal set decided_by = (select id from staff where name = 'Vera'),
        decided_at = lapses_at, is_granted = false";
    desk.staff("Vera", Role::Approver).await;
    let refused = sqlx::query(late).execute(&test.db).await.unwrap_err();
    assert!(refused.to_string().contains("reveal_in_time"), "{refused}");
}
