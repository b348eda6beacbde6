//! What another site can do to somebody who is signed in to the console: send its forms, frame its
//! pages, plant a cookie. One stands under another name, and one at another port of the same host,
//! to which browsers give the console's cookie.

use std::fmt::Write;

use axum::{Router, extract::Path, http::header, response::Html, routing::get};
use maskline::{
    console::{self, staff::Role},
    http,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Browser;
use crate::{
    console::{desk::Desk, roles::filled},
    support::TestApp,
};

/// The browser's name for the cookie.
const COOKIE: &str = "__Host-maskline";

/// Another site, on this computer too.
struct Site {
    port: u16,
    _open: DropGuard,
}

/// Where such a site may stand, seen from the console at 127.0.0.1.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

impl Site {
    /// Opens one that serves these pages, by number, and plants this cookie.
    async fn open(pages: Vec<String>, plants: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plants = format!("{COOKIE}={plants}; Path=/; Secure");
        let show = async move |Path(number): Path<usize>| Html(pages[number].clone());
        let plant = async move || ([(header::SET_COOKIE, plants)], Html("<h1>Welcome</h1>"));
        let routes = Router::new().route("/plant", get(plant)).route("/{number}", get(show));
        let stop = CancellationToken::new();
        tokio::spawn(http::listen(listener, routes, stop.clone()));
        Self { port, _open: stop.drop_guard() }
    }

    fn at(&self, name: &str, path: impl std::fmt::Display) -> String {
        format!("http://{name}:{}/{path}", self.port)
    }
}

/// A page that sends this form as soon as it is open.
fn sender(to: &str, fields: &[(&str, &str)]) -> String {
    let mut page = format!("<form method=post action='{to}'>");
    for (name, value) in fields {
        write!(page, "<input type=hidden name={name} value='{value}'>").unwrap();
    }
    page + "</form><script>document.forms[0].submit()</script>"
}

impl Browser {
    /// The status of the page that is shown.
    async fn status(&self) -> serde_json::Value {
        self.run("return performance.getEntriesByType('navigation')[0].responseStatus").await
    }
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    const HOLD: [(&str, &str); 2] = [("matter", "case 7"), ("from", "2026-03-01")];
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    let url = |path: &str| format!("http://{}{path}", desk.address);
    let mut pages = vec![sender(&url("/holds"), &HOLD)];
    let actions = console::listed().into_iter().filter(|route| route.method == "POST");
    pages.extend(actions.map(|route| sender(&url(&filled(route.path)), &[])));
    let count = pages.len();
    let site = Site::open(pages, "").await;
    browser.sign_in(&desk, &vera).await;

    let before = test.dump().await;
    for name in NAMES {
        for number in 0..count {
            browser.page.goto(&site.at(name, number)).await.unwrap();
            browser.arrive("This did not come from the console").await;
            assert_eq!(browser.status().await, 403, "{name}, {number}");
        }
    }
    assert_eq!(test.dump().await, before, "nothing is changed, not even the session");

    // The same form from the console itself is taken.
    browser.open(&desk, "/holds").await;
    let script = "const form = document.body.appendChild(document.createElement('form'));
        [form.method, form.action] = ['post', '/holds'];
        for (const [name, value] of arguments)
            Object.assign(form.appendChild(document.createElement('input')), { name, value });
        form.submit()";
    let fields = HOLD.iter().map(|field| json!(field)).collect();
    browser.page.execute(script, fields).await.unwrap();
    browser.wait("[role=status]").await;
    assert_eq!(test.value::<i64>("select count(*) from legal_hold").await, 1);
    browser.close().await;
}

#[tokio::test]
async fn no_other_site_can_frame_a_page() {
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    let bait = "<h1>Win a bicycle</h1>".to_owned();
    let framing = ["/holds", "/sign-in", "/no/such/page"].map(|path| {
        format!("<iframe src='/0'></iframe><iframe src='http://{}{path}'></iframe>", desk.address)
    });
    let count = framing.len();
    let site = Site::open([vec![bait], framing.to_vec()].concat(), "").await;
    browser.sign_in(&desk, &vera).await;
    for name in NAMES {
        for number in 1..=count {
            browser.page.goto(&site.at(name, number)).await.unwrap();
            let mut shown = Vec::new();
            for frame in [0, 1] {
                browser.page.clone().enter_frame(frame).await.unwrap();
                let words =
                    "return [location.protocol, document.querySelector('h1').innerText.trim()]";
                shown.push(browser.run(words).await);
                browser.page.clone().enter_parent_frame().await.unwrap();
            }
            let refused = json!(["chrome-error:", "127.0.0.1 is blocked"]);
            assert_eq!(shown, [json!(["http:", "Win a bicycle"]), refused], "{name}, {number}");
        }
    }
    browser.close().await;
}

#[tokio::test]
async fn a_cookie_that_another_site_planted_is_never_signed_in() {
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let otto = desk.staff("Otto Lind", Role::Operator).await;
    let held = async || {
        let cookie = browser.page.get_named_cookie(COOKIE).await.unwrap();
        cookie.value().to_owned()
    };
    // One is made up, the other is of a session that whoever plants it has.
    for planted in ["a".repeat(64), desk.enter(&otto).await] {
        let site = Site::open(Vec::new(), &planted).await;
        browser.page.goto(&site.at("127.0.0.1", "plant")).await.unwrap();
        assert_eq!(held().await, planted, "browsers do not tell ports apart");
        browser.sign_in(&desk, &erin).await;
        let own = held().await;
        assert_ne!(own, planted);
        assert_eq!(desk.get("/", Some(&own)).await.status, 200);
        let old = desk.get("/", Some(&planted)).await;
        assert_eq!((old.status, old.location.as_deref()), (303, Some("/sign-in")));
        assert_eq!(browser.run("return document.cookie").await, "", "no script can read it");
        browser.go("Sign out").await;
        browser.wait("[role=status]").await;
        assert_eq!(desk.get("/", Some(&own)).await.status, 303);
    }
    browser.close().await;
}
