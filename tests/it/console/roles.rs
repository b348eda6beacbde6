//! Every role against every route, from the one table that the router is made of.

use std::fmt::Write;

use maskline::console::{self, May, staff::Role};

use super::desk::Desk;
use crate::support::TestApp;

/// A path with something in place of its parts in braces.
pub fn filled(path: &str) -> String {
    path.replace("{id}", "019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94").replace("{*path}", "no/such/page")
}

#[tokio::test]
async fn every_role_meets_every_route() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    for role in Role::ALL {
        let member = desk.staff(role.as_str(), role).await;
        for route in console::listed() {
            let cookie = desk.enter(&member).await;
            let path = filled(route.path);
            let answer = match route.method {
                "GET" => desk.get(&path, Some(&cookie)).await,
                _ => desk.post(&path, Some(&cookie), &[]).await,
            };
            let what = format!("{role} {} {path}: {}", route.method, answer.status);
            if route.may.admits(role) {
                assert!(![401, 403, 405, 500, 503].contains(&answer.status), "{what}");
                assert!(!answer.body.starts_with("Failed"), "{what}: {}", answer.body);
                assert_ne!(answer.location.as_deref(), Some("/sign-in"), "{what}");
            } else {
                assert_eq!(answer.status, 403, "{what}");
                assert!(answer.body.contains("not part of your role"), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_not_signed_in_meets_every_route() {
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    for route in console::listed() {
        let path = filled(route.path);
        let what = format!("{} {path}", route.method);
        let answer = match route.method {
            "GET" => desk.get(&path, None).await,
            _ => desk.post(&path, None, &[]).await,
        };
        match (route.may, route.method) {
            (May::Anybody, _) => assert!(![401, 403, 303].contains(&answer.status), "{what}"),
            (_, "GET") => {
                assert_eq!(answer.status, 303, "{what}");
                assert!(answer.location.unwrap().starts_with("/sign-in"), "{what}");
            }
            _ => assert_eq!(answer.status, 401, "{what}"),
        }
    }
}

#[test]
fn what_anybody_may_is_little() {
    let open: Vec<String> = console::listed()
        .iter()
        .filter(|route| route.may == May::Anybody)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(
        open,
        ["GET /console.css", "GET /console.js", "GET /sign-in", "POST /sign-in", "GET /{*path}"]
    );
}

/// The handbook's table of who may what is made from the same.
#[test]
fn the_handbook_says_who_may() {
    let mut table =
        String::from("| page or button | what it does | operator | auditor | approver | admin |\n");
    table += "| --- | --- | --- | --- | --- | --- |\n";
    for route in console::listed() {
        let May::Only(_) = route.may else { continue };
        let may = Role::ALL.map(|role| if route.may.admits(role) { "yes" } else { "" });
        let what = if route.method == "GET" { "page" } else { "button" };
        let cells = may.map(|may| format!(" {may} |")).concat();
        writeln!(table, "| {what} `{}` | {} |{cells}", route.path, route.does).unwrap();
    }
    let handbook = include_str!("../../../docs/compliance.md");
    assert!(handbook.contains(&table), "put this into docs/compliance.md:\n{table}");
}
