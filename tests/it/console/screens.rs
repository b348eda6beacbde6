//! What the pages show and do.

use jiff::SignedDuration;
use maskline::{
    console::staff::Role,
    ids::ConversationId,
    tasks::{self, Kind, Task},
};

use super::desk::Desk;
use crate::{
    seal::{seal, sign},
    support::{TestApp, Wishes},
};

/// What staff did, newest last: the rule and the words.
const DEEDS: &str = "select rule || ' ' || detail from audit_record
    where kind = 'staff' and rule not like 'sign%' order by at, id";

async fn conversation_id(test: &TestApp) -> String {
    test.value("select id::text from conversation").await
}

#[tokio::test]
async fn a_conversation_is_read_by_an_auditor_and_that_is_on_record() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, ben) = test.conversation().await;
    test.advance(SignedDuration::from_hours(20));
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    ann.texts("the bicycle is red").await;
    ben.texts("<script>alert(1)</script><b onmouseover=alert(2)>\"'&").await;
    test.deliver().await;
    let id = conversation_id(&test).await;
    let page = desk.get(&format!("/conversations/{id}"), Some(&erin)).await;
    assert_eq!(page.status, 200);
    for word in ["the bicycle is red", "2026-03-01", "2026-03-02", "delivered", "…42", "…87"] {
        assert!(page.body.contains(word), "{word}: {}", page.body);
    }
    // What a stranger wrote is shown as what it is.
    assert!(page.body.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{}", page.body);
    assert!(!page.body.contains("<script>") && !page.body.contains("<b "));
    for phone in [&ann, &ben] {
        assert!(!page.body.contains(&phone.number.digits()[4..]), "a number");
    }
    let deeds = test.column(DEEDS).await;
    let records: i64 = test
        .value(
            "select count(*) from audit_record r where conversation_id is not null or text_id in
                 (select text_id from audit_record where conversation_id is not null)",
        )
        .await;
    assert_eq!(
        deeds.last().unwrap(),
        &format!(
            "console_transcript by Erin, auditor, from 127.0.0.1: words of {id} were read, {records} records"
        )
    );
    let before = deeds.len();
    for nothing in ["/conversations/x", "/conversations/019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94"] {
        assert_eq!(desk.get(nothing, Some(&erin)).await.status, 404);
    }
    assert_eq!(test.column(DEEDS).await.len(), before);
}

#[tokio::test]
async fn nobody_reads_what_cannot_be_put_on_record() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _ben) = test.conversation().await;
    ann.texts("the bicycle is red").await;
    test.deliver().await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let id = conversation_id(&test).await;
    test.run("alter table audit_record add constraint no_more check (kind <> 'staff') not valid")
        .await;
    let page = desk.get(&format!("/conversations/{id}"), Some(&erin)).await;
    assert_eq!(page.status, 500);
    assert!(page.body.contains("Something went wrong") && !page.body.contains("bicycle"));
}

#[tokio::test]
async fn erased_words_are_said_to_be_erased() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _ben) = test.conversation().await;
    ann.texts("the bicycle is red").await;
    test.deliver().await;
    let id = conversation_id(&test).await;
    let (person, _) = test.person(&ann.number).await;
    let erase = ["people", "erase", &person.to_string(), "--reason", "asked by letter", "--yes"];
    crate::program::maskline(&test, &erase).done();
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let page = desk.get(&format!("/conversations/{id}"), Some(&erin)).await.body;
    assert!(page.contains("Words erased on ") && !page.contains("bicycle"), "{page}");
    assert!(page.contains("forgotten"));
    test.deliver().await;
}

#[tokio::test]
async fn a_task_is_closed_with_an_outcome_once() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    let about: ConversationId = test.value("select id from conversation").await;
    let task = Task { conversation: Some(about), ..Task::of(Kind::Report) };
    let mut conn = test.db.acquire().await.unwrap();
    assert!(tasks::raise(&mut conn, &task, test.app.clock.now()).await.unwrap());
    drop(conn);
    let id: String = test.value("select id::text from task").await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let page = desk.get("/tasks", Some(&erin)).await.body;
    assert!(
        page.contains("Somebody was reported") && page.contains(&format!("/conversations/{about}"))
    );
    let words = desk.get(&format!("/conversations/{id}"), Some(&erin)).await;
    assert_eq!(words.status, 200, "a task leads to what was said");
    let watching = desk.get("/tasks", Some(&vera)).await.body;
    assert!(!watching.contains("/close") && !watching.contains("href=\"/conversations"));

    let close = format!("/tasks/{id}/close");
    let outcome = |words: &str| vec![("outcome", words.to_owned())];
    for wrong in ["", "call 206-555-0142"] {
        let said = desk.post(&close, Some(&erin), &outcome(wrong)).await;
        assert_eq!(said.status, 422);
        assert!(
            said.body.contains("The outcome") && said.body.contains("<details open"),
            "{}",
            said.body
        );
    }
    assert_eq!(desk.post(&close, Some(&vera), &outcome("no")).await.status, 403);
    assert_eq!(desk.post(&close, Some(&erin), &outcome("warned them")).await.status, 303);
    let twice = desk.post(&close, Some(&erin), &outcome("other")).await;
    assert!(twice.status == 422 && twice.body.contains("meanwhile"), "{}", twice.body);
    assert!(desk.get("/tasks", Some(&erin)).await.body.contains("Nothing waits"));
    assert!(desk.get("/tasks?closed=1", Some(&erin)).await.body.contains("warned them"));
    let deeds = test.column(DEEDS).await;
    assert_eq!(
        deeds.last().unwrap(),
        &format!("tasks_close by Erin, auditor, from 127.0.0.1: report {id}: warned them")
    );
}

#[tokio::test]
async fn somebody_is_opted_out_from_a_task() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, ben) = test.conversation().await;
    let said = "please stop texting me, I mean it";
    ann.texts(said).await;
    test.deliver().await;
    let otto = desk.enter(&desk.staff("Otto", Role::Operator).await).await;
    let page = desk.get("/tasks", Some(&otto)).await.body;
    assert!(page.contains("May be an opt-out") && page.contains("Opt them out"), "{page}");
    assert!(!page.contains(said), "an operator reads no words");
    let id: String = test.value("select id::text from task").await;
    let close = format!("/tasks/{id}/close");
    let form = [("outcome", "they mean it".to_owned()), ("opt_out", "1".to_owned())];
    let done = desk.post(&close, Some(&otto), &form).await;
    assert_eq!(done.location.as_deref(), Some("/tasks?done=opted-out"));
    test.deliver().await;
    assert!(ben.last().contains("ended"), "{}", ben.last());
    ben.texts("are you there?").await;
    let heard = ann.inbox().len();
    test.deliver().await;
    assert_eq!(ann.inbox().len(), heard, "nobody texts her");
    let kept =
        "select kind || ' ' || rule || ' ' || channel from consent_event order by seq desc limit 1";
    assert_eq!(test.value::<String>(kept).await, "revoked staff_opt_out staff");
    let deeds = test.column(DEEDS).await;
    let said = format!("for task {id}, 1 conversations ended");
    assert!(
        deeds.iter().any(|deed| deed.starts_with("optout_add by Otto") && deed.ends_with(&said)),
        "{deeds:?}"
    );
    let twice = desk.post(&close, Some(&otto), &form).await;
    assert_eq!(twice.status, 422, "it is closed");
}

#[tokio::test]
async fn a_hold_is_released_by_two_accounts() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    let id = conversation_id(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let otto = desk.enter(&desk.staff("Otto", Role::Approver).await).await;
    let new = |matter: &str, conversation: &str| {
        vec![("matter", matter.to_owned()), ("conversation", conversation.to_owned())]
    };
    assert!(desk.get("/holds", Some(&erin)).await.body.contains("No hold is in force"));
    for (form, says) in [
        (new("", &id), "The matter"),
        (new("case 7", ""), "Say what the hold covers"),
        (new("case 7", "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94"), "no such person or conversation"),
    ] {
        let said = desk.post("/holds", Some(&erin), &form).await;
        assert!(said.status == 422 && said.body.contains(says), "{says}: {}", said.body);
    }
    let preview = [new("case 7", &id), vec![("preview", "1".to_owned())]].concat();
    let records = "select count(*) from audit_record where conversation_id is not null";
    let records: i64 = test.value(records).await;
    let said = desk.post("/holds", Some(&erin), &preview).await;
    let covers = format!("<strong>{records} records of 1 conversation</strong>");
    assert!(said.status == 200 && said.body.contains(&covers), "{}", said.body);
    assert!(said.body.contains("No hold is in force") && said.body.contains(&id));
    let asked = "select detail from audit_record where rule = 'holds_preview'";
    assert!(
        test.value::<String>(asked).await.ends_with("asked what a hold for case 7 would cover")
    );
    assert_eq!(desk.post("/holds", Some(&erin), &new("case 7", &id)).await.status, 303);
    let page = desk.get(&format!("/conversations/{id}"), Some(&erin)).await.body;
    assert!(page.contains("<strong>Held</strong> for case 7"), "{page}");

    let hold: String = test.value("select id::text from legal_hold").await;
    let (ask, approve) = (format!("/holds/{hold}/release"), format!("/holds/{hold}/approve"));
    let early = desk.post(&approve, Some(&vera), &[]).await;
    assert!(early.status == 422 && early.body.contains("Nobody has asked"), "{}", early.body);
    let reason = [("reason", "settled".to_owned())];
    assert_eq!(desk.post(&ask, Some(&vera), &reason).await.status, 303);
    let own = desk.post(&approve, Some(&vera), &[]).await;
    assert!(own.status == 422 && own.body.contains("takes two people"), "{}", own.body);
    assert!(!desk.get("/holds", Some(&vera)).await.body.contains("/approve"));
    assert!(desk.get("/", Some(&otto)).await.body.contains("1 to be released wait for you"));
    assert_eq!(desk.post(&approve, Some(&erin), &[]).await.status, 403, "she may not approve");
    assert_eq!(desk.post(&approve, Some(&otto), &[]).await.status, 303);
    assert!(desk.get("/holds?all=1", Some(&otto)).await.body.contains("Otto"));
    let rules = "select rule from audit_record where rule like 'holds%' order by at, id";
    assert_eq!(
        test.column(rules).await,
        ["holds_preview", "holds_add", "holds_release", "holds_approve"]
    );
}

#[tokio::test]
async fn a_hold_is_released_by_another_account_whatever_it_is_called() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let otto = desk.enter(&desk.staff("Otto", Role::Approver).await).await;
    let form = [("matter", "case 7".to_owned()), ("everything", "on".to_owned())];
    assert_eq!(desk.post("/holds", Some(&vera), &form).await.status, 303);
    let hold: String = test.value("select id::text from legal_hold").await;
    let (ask, approve) = (format!("/holds/{hold}/release"), format!("/holds/{hold}/approve"));
    let reason = [("reason", "settled".to_owned())];
    assert_eq!(desk.post(&ask, Some(&vera), &reason).await.status, 303);
    test.run("update legal_hold set asked_by = 'Veronica'").await;
    assert!(!desk.get("/holds", Some(&vera)).await.body.contains("/approve"));
    assert!(!desk.get("/", Some(&vera)).await.body.contains("1 to be released wait for you"));
    let own = desk.post(&approve, Some(&vera), &[]).await;
    assert!(own.status == 422 && own.body.contains("takes two people"), "{}", own.body);
    let both = "update legal_hold set released_by = 'Otto', released_at = now(),
        released_account = asked_account";
    let refused = sqlx::query(both).execute(&test.db).await.unwrap_err();
    assert!(refused.to_string().contains("legal_hold_takes_two_accounts"), "{refused}");
    // Of whoever asked on the command line there is a name and nothing else.
    let typed = ["holds", "release", &hold, "--reason", "settled", "--by", "otto"];
    crate::program::maskline(&test, &typed).done();
    assert!(!desk.get("/holds", Some(&otto)).await.body.contains("/approve"));
    assert_eq!(desk.post(&approve, Some(&otto), &[]).await.status, 422);
    assert_eq!(desk.post(&approve, Some(&vera), &[]).await.status, 303);
    let by = "select released_by || ' ' || (released_account = (select id from staff where name = 'Vera'))::text
        || coalesce(asked_account::text, '') from legal_hold";
    assert_eq!(test.value::<String>(by).await, "Vera true");
}

#[tokio::test]
async fn integrity_is_shown_as_it_is() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let otto = desk.enter(&desk.staff("Otto", Role::Operator).await).await;
    let page = desk.get("/integrity", Some(&otto)).await.body;
    assert!(page.contains("Nothing is signed") && page.contains("nothing is signed yet"), "{page}");
    assert_eq!(desk.get("/integrity/checkpoint.txt", Some(&otto)).await.status, 404);
    test.conversation().await;
    seal(&test).await;
    let note = sign(&test).await;
    let page = desk.get("/integrity", Some(&otto)).await.body;
    let size: i64 = test.value("select size from audit_checkpoint").await;
    assert!(page.contains(&format!("{size} records")), "{page}");
    let saved = desk.get("/integrity/checkpoint.txt", Some(&otto)).await;
    assert!(saved.body.starts_with(&note.text()), "{}", saved.body);
    assert!(saved.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    test.run("alter table audit_leaf disable trigger append_only").await;
    assert!(desk.get("/integrity", Some(&otto)).await.body.contains("audit_leaf can be changed"));
    assert!(desk.get("/", Some(&otto)).await.body.contains("the trail can be changed"));
}

#[tokio::test]
async fn months_that_are_old_enough_are_shown_with_what_keeps_them() {
    let settings = &[("MASKLINE_AUDIT_KEEP_MONTHS", "3")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    test.run("select audit_make_partitions('2025-10-01', 2)").await;
    for month in ["2025-10", "2025-11"] {
        test.run(&format!(
            "insert into audit_record (id, at, kind) values (gen_random_uuid(), '{month}-03', 'swept')"
        ))
        .await;
    }
    seal(&test).await;
    test.run(
        "insert into audit_record (id, at, kind) values (gen_random_uuid(), '2025-11-04', 'swept');
         insert into legal_hold (id, matter, from_at, until_at, placed_by, placed_at)
         values (gen_random_uuid(), 'case CV-17', '2025-10-01', '2025-10-20', 'Erin', now())",
    )
    .await;
    let desk = Desk::open(&test).await;
    let vera = desk.enter(&desk.staff("Vera", Role::Approver).await).await;
    let page = desk.get("/retention", Some(&vera)).await.body;
    for said in
        ["2025-10", "stays: under legal hold for case CV-17", "2025-11", "1 records are not sealed"]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    seal(&test).await;
    let page = desk.get("/retention", Some(&vera)).await.body;
    assert!(
        page.contains("may be removed</span>") && page.contains("2 records may be removed"),
        "{page}"
    );
    assert!(page.contains("No signing key is set"), "{page}");
}

#[tokio::test]
async fn the_access_log_shows_all_and_itself() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let dana = desk.enter(&desk.staff("Dana", Role::Admin).await).await;
    desk.try_with("Dana", "guess guess guess", "1", None).await;
    for _ in 0..55 {
        desk.get("/access?by=nobody", Some(&dana)).await;
    }
    let page = desk.get("/access", Some(&dana)).await.body;
    assert_eq!(page.matches("console_access").count(), 50, "{page}");
    let older = page.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
    let older = older.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = desk.get(&older, Some(&dana)).await.body;
    assert!(second.contains("was not let in") && second.contains("signed in"), "{second}");
    assert!(!second.contains("rel=\"next\""));
    let some = desk.get("/access?what=sign_&by=dana", Some(&dana)).await.body;
    assert!(some.contains("signed in") && !some.contains("deeds of staff"), "{some}");
    let none = desk.get("/access?by=nobody", Some(&dana)).await.body;
    assert!(none.contains("nothing on record that fits"));
}

#[tokio::test]
async fn an_admin_makes_and_ends_accounts_of_others() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let dana = desk.staff("Dana", Role::Admin).await;
    let cookie = desk.enter(&dana).await;
    let new = |name: &str, role: &str| vec![("name", name.to_owned()), ("role", role.to_owned())];
    for (form, status) in [
        (new("dana", "auditor"), 422),
        (new("206-555-0142", "auditor"), 422),
        (new("Erin", "king"), 400),
    ] {
        assert_eq!(desk.post("/staff", Some(&cookie), &form).await.status, status);
    }
    let opened = desk.post("/staff", Some(&cookie), &new("Erin", "auditor")).await;
    assert!(opened.body.contains("data:image/svg+xml;base64,"), "{}", opened.body);
    let shown: Vec<&str> = opened
        .body
        .split("mono secret\">")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    let erin = super::desk::Member {
        name: "Erin".to_owned(),
        password: shown[0].to_owned(),
        secret: super::desk::secret_of(shown[1]),
    };
    let erins = desk.enter(&erin).await;
    assert_eq!(desk.get("/", Some(&erins)).await.location.as_deref(), Some("/password"));
    let list = desk.get("/staff", Some(&cookie)).await.body;
    assert!(list.contains("Erin") && list.contains("not used yet"), "{list}");
    let id: String = test.value("select id::text from staff where name = 'Erin'").await;
    let own: String = test.value("select id::text from staff where name = 'Dana'").await;
    for what in ["reset", "disable"] {
        let said = desk.post(&format!("/staff/{own}/{what}"), Some(&cookie), &[]).await;
        assert!(said.status == 422 && said.body.contains("Nobody"), "{}", said.body);
    }
    assert_eq!(desk.post(&format!("/staff/{id}/reset"), Some(&cookie), &[]).await.status, 200);
    assert_eq!(desk.get("/password", Some(&erins)).await.status, 303, "signed out");
    assert_eq!(desk.post(&format!("/staff/{id}/disable"), Some(&cookie), &[]).await.status, 303);
    let rules = "select rule from audit_record where rule like 'staff%' order by at, id";
    assert_eq!(test.column(rules).await, ["staff_add", "staff_reset", "staff_disable"]);
}

#[tokio::test]
async fn numbers_show_their_state() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    test.run(
        "update masked_number set state = 'quarantined', reason = 'too many failed'
         where number = '+14155550101'",
    )
    .await;
    let otto = desk.enter(&desk.staff("Otto", Role::Operator).await).await;
    let page = desk.get("/numbers", Some(&otto)).await.body;
    for word in ["+14155550100", "in service", "quarantined", "too many failed"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}
