//! The search page: what is typed, what the address holds, what is found and what is on record.

use maskline::console::staff::Role;

use super::desk::{Answer, Desk};
use crate::support::TestApp;

const LOOKED: &str =
    "select detail from audit_record where rule = 'console_search' order by at, id";

async fn looks_for(desk: &Desk<'_>, cookie: &str, typed: &str) -> (String, Answer) {
    let led = desk.post("/search", Some(cookie), &[("q", typed.to_owned())]).await;
    assert_eq!(led.status, 303, "{}", led.body);
    let address = led.location.unwrap();
    let page = desk.get(&address, Some(cookie)).await;
    (address, page)
}

/// Where a link of the page leads whose label begins so.
fn link(page: &str, label: &str) -> String {
    let before = page.split(label).next().unwrap();
    let href = before.rsplit("href=\"").next().unwrap().split('"').next().unwrap();
    href.replace("&#38;", "&").replace("&amp;", "&")
}

#[tokio::test]
async fn a_person_is_found_by_their_number_which_stands_nowhere() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, ben) = test.conversation().await;
    ann.texts("the bicycle is red").await;
    test.deliver().await;
    let id: String = test.value("select id::text from conversation").await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let typed = format!("person:{} state:active", ann.number.as_str());
    let (address, page) = looks_for(&desk, &erin, &typed).await;
    let (person, _) = test.person(&ann.number).await;
    assert!(address.contains(&person.to_string()), "{address}");
    assert!(
        page.body.contains(&format!("/conversations/{id}")) && page.body.contains("1 conversation")
    );
    assert!(page.body.contains("…42") && page.body.contains("…87"), "{}", page.body);
    for phone in [&ann, &ben] {
        let digits = &phone.number.digits()[1..];
        assert!(!address.contains(digits) && !page.body.contains(digits));
        assert_eq!(test.places(digits).await, [""; 0]);
    }
    assert_eq!(
        test.column(LOOKED).await,
        [
            format!("by Erin, auditor, from 127.0.0.1: looked person {person} up by their number"),
            format!(
                "by Erin, auditor, from 127.0.0.1: looked for person {person}, state active: 1 conversations, 0 records of none"
            )
        ]
    );
    let less = desk.get(&link(&page.body, "aria-label=\"Leave out state"), Some(&erin)).await.body;
    assert!(!less.contains("Leave out state") && less.contains("Leave out person"), "{less}");

    let (address, nobody) = looks_for(&desk, &erin, "person:+12065550199").await;
    assert_eq!(address, "/search?nobody=1");
    assert!(nobody.body.contains("Nobody with that number is known"));
    assert!(test.column(LOOKED).await.last().unwrap().ends_with("by a number that nobody has"));
    let wrong = format!("person:{} state:asleep", ann.number.as_str());
    assert_eq!(desk.post("/search", Some(&erin), &[("q", wrong)]).await.status, 422);
    let own = desk.get(&format!("/search?q=person:%2B{}", ann.number.digits()), Some(&erin)).await;
    assert!(own.status == 422 && own.body.contains("do not go into an address"), "{}", own.body);
    assert!(!own.body.contains(&ann.number.digits()[1..]), "nor is it said again");
}

#[tokio::test]
async fn words_are_found_and_stand_in_no_address_and_no_record() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _ben) = test.conversation().await;
    ann.texts("the bicycle is red").await;
    test.deliver().await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let (address, page) = looks_for(&desk, &erin, "from:2026-03-01 BICYCLE is").await;
    assert!(!address.to_lowercase().contains("bicycle"), "{address}");
    assert!(page.body.contains("1 conversation") && page.body.contains("Leave out words"));
    let (_, none) = looks_for(&desk, &erin, "from:2026-03-01 bicycles").await;
    assert!(none.body.contains("Nothing fits"), "{}", none.body);
    assert!(test.column(LOOKED).await[0].contains("a keyword of 10 characters"));
    assert_eq!(test.places("bicycle").await, [""; 0], "they are sealed");
    assert_eq!(test.places("BICYCLE").await, [""; 0]);
    let (_, wide) = looks_for(&desk, &erin, "bicycle").await;
    assert!(wide.status == 422 && wide.body.contains("say where to look"), "{}", wide.body);
    test.run("delete from search_words").await;
    let gone = desk.get(&address, Some(&erin)).await;
    assert!(gone.status == 422 && gone.body.contains("not kept any more"), "{}", gone.body);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_kept_in_the_box() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let blank = desk.get("/search", Some(&erin)).await.body;
    assert!(blank.contains("autofocus") && blank.contains("What can be asked for"));
    assert!(!blank.contains("Nothing fits"));
    for (typed, says) in [
        ("colour:red", "no field called colour"),
        ("state:open", "waiting, active or ended"),
        ("\"<script>alert(1)</script>\" state:open", "waiting, active or ended"),
        ("call 206-555-0142", "looks like a telephone number"),
    ] {
        let said = desk.post("/search", Some(&erin), &[("q", typed.to_owned())]).await;
        assert!(said.status == 422 && said.body.contains(says), "{typed}: {}", said.body);
        assert!(!said.body.contains("<script>"), "{}", said.body);
    }
    let (_, other) = looks_for(&desk, &erin, "number:+14155550155").await;
    assert!(other.status == 422 && other.body.contains("none of your masked numbers"));
    assert_eq!(test.column(LOOKED).await, [""; 0], "nothing was looked for");
}

#[tokio::test]
async fn there_are_more_pages() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.run(
        "insert into audit_record (id, at, kind, rule, conversation_id)
         select gen_random_uuid(), timestamptz '2026-03-01 00:00Z' + n * interval '1 minute',
             'received', 'talk', gen_random_uuid()
         from generate_series(1, 30) n",
    )
    .await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let (_, first) = looks_for(&desk, &erin, "kind:received").await;
    assert!(first.body.contains("25 conversations, and there may be more"), "{}", first.body);
    let older = link(&first.body, "rel=\"next\"");
    let second = desk.get(&older, Some(&erin)).await.body;
    assert!(second.contains("5 conversations on this page"), "{second}");
    let ids = |body: &str| -> Vec<String> {
        body.split("href=\"/conversations/").skip(1).map(|rest| rest[..36].to_owned()).collect()
    };
    let mut all = [ids(&first.body), ids(&second)].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 30, "each once");
}

#[tokio::test]
async fn a_search_is_saved_by_a_name_and_its_words_stand_nowhere() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _) = test.conversation().await;
    ann.texts("the velvet harbour opens at nine").await;
    test.deliver().await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let nora = desk.enter(&desk.staff("Nora", Role::Auditor).await).await;
    let typed = [("q", format!("person:{} velvet harbour", ann.number.as_str()))];
    let at = desk.post("/search", Some(&erin), &typed).await.location.unwrap();
    let page = desk.get(&at, Some(&erin)).await.body;
    assert!(page.contains("1 conversation"), "{page}");
    let hidden = |name: &str| {
        let part = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        part.split('"').next().unwrap().to_owned()
    };
    let form = |name: &str| vec![("name", name.to_owned()), ("q", hidden("q")), ("w", hidden("w"))];
    for wrong in ["", "call 206-555-0142"] {
        let said = desk.post("/search/saved", Some(&erin), &form(wrong)).await;
        assert!(said.status == 422 && said.body.contains("The name"), "{}", said.body);
    }
    for name in ["Harbour", "harbour"] {
        assert_eq!(desk.post("/search/saved", Some(&erin), &form(name)).await.status, 303);
    }
    assert_eq!(test.value::<i64>("select count(*) from saved_search").await, 1, "by its name");
    assert_eq!(test.places("velvet").await, [""; 0], "they are sealed");
    // The words of the address are thrown away some day, those of what is saved are not.
    test.run("delete from search_words").await;
    let blank = desk.get("/search", Some(&erin)).await.body;
    let link = blank.split("href=\"/search/saved/").nth(1).unwrap().split('"').next().unwrap();
    let link = format!("/search/saved/{link}");
    let opened = desk.get(&link, Some(&erin)).await.location.unwrap();
    assert!(!opened.contains("velvet"), "{opened}");
    let page = desk.get(&opened, Some(&erin)).await.body;
    assert!(page.contains("1 conversation") && page.contains("velvet harbour"), "{page}");
    assert_eq!(desk.get(&link, Some(&nora)).await.status, 404, "it is hers alone");
    let remove = format!("{link}/remove");
    assert_eq!(desk.post(&remove, Some(&nora), &[]).await.status, 404);
    assert!(!desk.get("/search", Some(&nora)).await.body.contains("Saved searches"));
    assert_eq!(desk.post(&remove, Some(&erin), &[]).await.status, 303);
    assert_eq!(desk.get(&link, Some(&erin)).await.status, 404);
}

#[tokio::test]
async fn what_belongs_to_no_conversation_is_shown_by_itself() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let zoe = test.phone("+14155550133");
    zoe.texts("HELP").await;
    test.deliver().await;
    let erin = desk.enter(&desk.staff("Erin", Role::Auditor).await).await;
    let (_, page) = looks_for(&desk, &erin, "rule:help").await;
    let body = page.body;
    for told in ["Received (help)", "Answered (help)", "no conversation", "…33", "+14155550100"] {
        assert!(body.contains(told), "{told}: {body}");
    }
    assert!(body.contains("0 conversations, 2 records of none"), "{body}");
    assert!(!body.contains("/conversations/") && body.contains("/exports/new?q=rule"), "{body}");
    let digits = &zoe.number.digits()[1..];
    assert!(!body.contains(digits));
    let told = "looked for rule help: 0 conversations, 2 records of none";
    assert!(test.column(LOOKED).await[0].ends_with(told));
}
