//! Every page of the one table of routes, as each role sees it, all unfolded, light and dark.
//!
//! What a stranger texted and what staff wrote is script, and is shown as words everywhere.
//!
//! A page that is put into the table and not found here fails the test, and so does one that is
//! named as no page and is one.

use std::collections::BTreeSet;

use maskline::console::{self, May, staff::Role};
use serde_json::json;

use super::Browser;
use crate::{
    console::{
        desk::{Desk, Member},
        removals::keeping,
        roles::filled,
    },
    seal::{seal, sign},
    support::TestApp,
};

/// What a route is that is no page.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Part of how pages look and work.
    Asset,
    /// A file to keep.
    Download,
    /// Leads on to a page.
    Way,
}

const NO_PAGES: [(&str, Kind); 5] = [
    ("/console.css", Kind::Asset),
    ("/console.js", Kind::Asset),
    ("/search/saved/{id}", Kind::Way),
    ("/integrity/checkpoint.txt", Kind::Download),
    ("/subject-requests/{id}/export.jsonl", Kind::Download),
];

/// What would say that it ran.
const SCRIPT: &str =
    "</p><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">";

/// Where something is to be seen that has no fixed address.
const PLACES: [(&str, &str); 7] = [
    ("/search/saved/{id}", "select '/search/saved/' || id from saved_search"),
    ("/conversations/{id}", "select '/conversations/' || id from conversation"),
    ("/reveals/{id}", "select '/reveals/' || id from reveal"),
    ("/subjects/{id}", "select '/subjects/' || person_id from subject_request"),
    (
        "/subject-requests/{id}/export.jsonl",
        "select '/subject-requests/' || id || '/export.jsonl' from subject_request",
    ),
    ("/exports/new", "select '/exports/new?q=conversation:' || id from conversation"),
    ("/exports/{id}", "select '/exports/' || id from export_job"),
];

/// A path of this route that leads to something.
async fn path(test: &TestApp, route: &str) -> String {
    match PLACES.iter().find(|(of, _)| *of == route) {
        Some((_, sql)) => test.value(sql).await,
        None => filled(route),
    }
}

/// Has something on every page: what the auditor asks for and what the approver grants.
async fn furnish(test: &TestApp, desk: &Desk<'_>, erin: &Member, vera: &Member) {
    let (ann, ben) = test.conversation().await;
    ann.texts(SCRIPT).await;
    ben.texts("sorry, wrong number").await;
    test.deliver().await;
    let about: String = test.value("select id::text from conversation").await;
    let (person, _) = test.person(&ann.number).await;
    let (erin, vera) = (desk.enter(erin).await, desk.enter(vera).await);
    let why = [("matter", SCRIPT), ("reason", SCRIPT)];
    let scope = format!("conversation:{about}");
    let subject = format!("/subjects/{person}/ask");
    let asked: [(&str, &[(&str, &str)]); 6] = [
        ("/search/saved", &[("name", SCRIPT), ("q", &scope)]),
        ("/holds", &[("conversation", &about)]),
        ("/reveals", &[("id", &about), ("whose", "conversation"), ("minutes", "30")]),
        (&subject, &[("kind", "export")]),
        ("/retention", &[("month", "2025-10")]),
        ("/exports", &[("q", &scope), ("format", "csv")]),
    ];
    for (to, what) in asked {
        let form: Vec<_> = what.iter().chain(&why).map(|(k, v)| (*k, (*v).to_owned())).collect();
        let answer = desk.post(to, Some(&erin), &form).await;
        assert_eq!(answer.status, 303, "{to}: {}", answer.body);
    }
    for (of, ids) in [("reveals", "reveal"), ("subject-requests", "subject_request")] {
        let id: String = test.value(&format!("select id::text from {ids}")).await;
        let granted = desk.post(&format!("/{of}/{id}/grant"), Some(&vera), &[]).await;
        assert_eq!(granted.status, 303, "{of}: {}", granted.body);
    }
    seal(test).await;
    sign(test).await;
}

/// Sees that what is named as no page is none.
async fn is_no_page(desk: &Desk<'_>, erin: &str, route: &str, kind: Kind) {
    let answer = desk.get(&path(desk.test, route).await, Some(erin)).await;
    let says = |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let holds = match kind {
        Kind::Asset => answer.status == 200 && !says("content-type").contains("html"),
        Kind::Download => says("content-disposition").starts_with("attachment"),
        Kind::Way => answer.status == 303,
    };
    assert!(holds, "{route} is no {kind:?}: {answer:?}");
}

#[tokio::test]
async fn every_page_is_accessible_to_every_role_and_runs_no_script() {
    const ARRIVED: &str = "const [it] = performance.getEntriesByType('navigation');
        return it.responseStatus + ' ' + document.contentType";
    const RAN: &str = "return [document.querySelectorAll('script:not([src]), [onerror]').length,
        document.title.includes('owned')]";
    let Some(browser) = Browser::start().await else { return };
    let test = keeping().await;
    let desk = Desk::open(&test).await;
    let members = Role::ALL.map(|role| (role, format!("a good {role}")));
    let mut staff = Vec::new();
    for (role, name) in &members {
        staff.push((*role, desk.staff(name, *role).await));
    }
    let of = |role| &staff.iter().find(|(one, _)| *one == role).unwrap().1;
    furnish(&test, &desk, of(Role::Auditor), of(Role::Approver)).await;

    let wanted: BTreeSet<&str> = console::listed()
        .iter()
        .filter(|route| route.method == "GET")
        .map(|route| route.path)
        .filter(|path| NO_PAGES.iter().all(|(no_page, _)| no_page != path))
        .collect();
    let (mut seen, mut says) = (BTreeSet::new(), BTreeSet::new());
    for (role, member) in &staff {
        browser.sign_in(&desk, member).await;
        for route in console::listed() {
            // What anybody may is the same to all of them.
            let is_known = route.may == May::Anybody && seen.contains(route.path);
            if !wanted.contains(route.path) || !route.may.admits(*role) || is_known {
                continue;
            }
            let path = path(&test, route.path).await;
            browser.open(&desk, &path).await;
            browser.wait("h1").await;
            // What is folded is not checked.
            browser.run("document.querySelectorAll('details').forEach(it => it.open = true)").await;
            assert_eq!(browser.run(RAN).await, json!([0, false]), "{path} holds a script");
            if browser.text("main").await.contains(SCRIPT) {
                says.insert(route.path);
            }
            browser.check_page(&format!("as-{role}{}", route.path.replace('/', "-"))).await;
            let arrived = browser.run(ARRIVED).await;
            let at = browser.page.current_url().await.unwrap();
            let status = if route.path == "/{*path}" { 404 } else { 200 };
            // Somebody else's is shown to nobody, and what they see instead is checked as well.
            let is_there = path.split('?').next() == Some(at.path());
            if is_there && arrived == format!("{status} text/html") {
                seen.insert(route.path);
            }
        }
    }
    assert_eq!(seen, wanted, "each page is checked by axe-core; name here what is no page");
    assert!(says.contains("/conversations/{id}") && says.len() >= 11, "shown as words: {says:?}");
    let erin = desk.enter(of(Role::Auditor)).await;
    for (route, kind) in NO_PAGES {
        is_no_page(&desk, &erin, route, kind).await;
    }
    browser.close().await;
}
