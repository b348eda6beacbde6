//! A whole investigation in a real browser, by keyboard alone: from signing in, by a search and a
//! transcript, to an export that somebody else approves, and that is downloaded and verified.

use std::{fs, path::PathBuf};

use fantoccini::key::Key;
use maskline::console::{exports::worker, staff::Role};
use serde_json::json;

use super::{Browser, PATIENCE, devtools};
use crate::{
    console::desk::Desk,
    extract::{Out, verified},
    seal::{seal, signing},
    support::TestApp,
};

impl Browser {
    /// Presses keys where the focus is.
    pub(super) async fn press(&self, keys: &str) {
        self.page.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Goes on with Tab until the focus is where this holds of it, as JavaScript says it.
    pub(super) async fn tab_to(&self, holds: &str) {
        let script = format!("const it = document.activeElement; return Boolean({holds})");
        for _ in 0..80 {
            self.press(&String::from(char::from(Key::Tab))).await;
            if self.run(&script).await == json!(true) {
                return;
            }
        }
        panic!("{holds} cannot be reached by keyboard: {}", self.text("main").await);
    }

    /// Goes on with Tab to the link or button that begins with these words, and presses Enter.
    pub(super) async fn choose(&self, words: &str) {
        self.tab_to(&format!("it.textContent.trim().startsWith('{words}')")).await;
        self.press(&String::from(char::from(Key::Enter))).await;
    }

    /// Goes on with Tab to a field, and types.
    async fn fill(&self, id: &str, words: &str) {
        self.tab_to(&format!("it.id === '{id}'")).await;
        self.press(words).await;
    }

    /// Lets files be downloaded into a new folder.
    pub(super) async fn downloads(&self) -> PathBuf {
        let folder = self.profile.join("downloads");
        fs::create_dir(&folder).unwrap();
        let allow = json!({"behavior": "allow", "downloadPath": folder.to_str().unwrap()});
        devtools(self, "Browser.setDownloadBehavior", allow).await;
        folder
    }
}

/// Waits for the one file that is downloaded, until it is so long: the browser makes it empty first.
async fn downloaded(folder: &PathBuf, bytes: i64) -> PathBuf {
    let look = async {
        loop {
            let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let is_whole = |it: &PathBuf| {
                it.extension().is_some_and(|it| it == "zip")
                    && fs::metadata(it).is_ok_and(|it| it.len() == bytes.cast_unsigned())
            };
            if let Some(file) = files.find(is_whole) {
                return file;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the file is downloaded")
}

/// Puts the newest export into this state, as far as its page tells.
async fn is_in(test: &TestApp, state: &str) {
    test.run(&format!(
        "update export_job set {state} where id = (select id from export_job order by asked_at desc, id desc limit 1)"
    ))
    .await;
}

const RUNNING: &str = "state = 'running', leased_until = '2027-01-01', storage_key = md5('x'),
    key_sealed = '\\x00', conversations = 31, conversations_in_all = 80, records = 14120";
const WAITING: &str = "state = 'waiting', leased_until = null, storage_key = null,
    key_sealed = null, conversations = 0, conversations_in_all = null, records = 0";

#[tokio::test]
async fn what_was_said_is_found_read_exported_approved_and_verified() {
    let Some(browser) = Browser::start().await else { return };
    let test = signing().await;
    let desk = Desk::open(&test).await;
    let (ann, ben) = test.conversation().await;
    ann.texts("Hi, is the bicycle still for sale? I could come by today after five.").await;
    ben.texts("It is, and the lock comes with it").await;
    test.deliver().await;
    seal(&test).await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    let folder = browser.downloads().await;

    browser.sign_in(&desk, &erin).await;
    browser.choose("Exports").await;
    browser.wait(".empty").await;
    browser.check_page("exports-empty").await;
    browser.choose("Search").await;
    browser.arrive("Search").await;
    // The box has the focus.
    browser.press(&format!("person:{} bicycle\u{E007}", ann.number.as_str())).await;
    browser.wait(".results").await;
    browser.check_page("search-to-export").await;
    browser.choose("Conversation").await;
    browser.wait(".turns").await;
    assert!(browser.text("main").await.contains("the lock comes with it"));
    browser.choose("Export it").await;
    browser.arrive("Ask for an export").await;
    browser.check_page("export-new").await;
    browser.fill("matter", "2026-CV-17").await;
    browser.fill("reason", "call 206-555-0142\u{E007}").await;
    browser.wait("[role=alert]").await;
    browser.check_page("export-new-wrong").await;
    browser.tab_to("it.id === 'reason'").await;
    browser.press(&format!("{}subpoena\u{E007}", "\u{E009}a\u{E000}")).await;
    browser.wait("[role=status]").await;
    browser.check_page("export-asked").await;

    browser.sign_in(&desk, &vera).await;
    browser.check_page("home-approver-export").await;
    browser.choose("Exports").await;
    browser.wait(".cards a").await;
    browser.check_page("exports-to-decide").await;
    browser.choose("2026-CV-17").await;
    browser.arrive("Export").await;
    browser.check_page("export-to-decide").await;
    is_in(&test, "counted_at = asked_at, counted_conversations = 31, counted_records = 10001")
        .await;
    browser.wait_for_words("#state", "more than 10\u{202f}000 records of 31 conversations").await;
    browser.check_page("export-counted").await;
    browser.choose("Grant").await;
    browser.wait("[role=status]").await;
    browser.check_page("export-granted").await;

    browser.sign_in(&desk, &erin).await;
    browser.choose("Exports").await;
    browser.wait(".cards a").await;
    is_in(&test, RUNNING).await;
    browser.wait(".cards progress").await;
    browser.check_page("exports-running").await;
    browser.choose("2026-CV-17").await;
    browser.wait("#state progress").await;
    browser.check_page("export-running").await;
    is_in(&test, WAITING).await;
    assert_eq!(Box::pin(worker::step(&test.app)).await.unwrap(), 1);
    // Nobody touches the page, and it tells by itself.
    browser.wait("#state form button").await;
    browser.check_page("export-ready").await;
    browser.choose("Download").await;
    let bytes = test.value("select bytes from export_job").await;
    let zip = fs::File::open(downloaded(&folder, bytes).await).unwrap();
    let out = Out::new();
    zip::ZipArchive::new(zip).unwrap().extract(&out.0).unwrap();
    let inside = Out(fs::read_dir(&out.0).unwrap().next().unwrap().unwrap().path());
    let said = verified(&test, &inside, &[]).done();
    assert!(said.contains("intact: ") && said.contains("for Erin Vance (subpoena)"), "{said}");
    let (manifest, page) = (inside.manifest(), inside.read("transcript-0001.html"));
    assert_eq!(manifest.approver.as_deref(), Some("Vera Roth"));
    assert!(page.contains("the lock comes with it") && page.contains("Vera Roth"));
    assert!(!page.contains(&ann.number.digits()[1..]));
    browser.choose("Exports").await;
    browser.wait(".cards a").await;
    browser.check_page("exports-ready").await;
    browser.close().await;
}

#[tokio::test]
async fn every_end_of_an_export_is_told() {
    let Some(browser) = Browser::start().await else { return };
    let test = signing().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    seal(&test).await;
    let id: String = test.value("select id::text from conversation").await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let otto = desk.staff("Otto Lind", Role::Operator).await;
    browser.sign_in(&desk, &erin).await;
    browser.open(&desk, &format!("/exports/new?q=conversation:{id}")).await;
    browser.fill("matter", "2026-CV-17").await;
    browser.fill("reason", "subpoena\u{E007}").await;
    browser.wait("[role=status]").await;
    let decided =
        "decided_by = (select id from staff where name = 'Otto Lind'), decided_at = asked_at";
    for (name, state, says) in [
        ("lapsed", "lapses_at = asked_at".to_owned(), "Nobody decided in time"),
        (
            "refused",
            format!(
                "lapses_at = asked_at + interval '7 days', {decided}, state = 'refused', ended_at = asked_at"
            ),
            "This was refused",
        ),
        ("waiting", "state = 'waiting', ended_at = null".to_owned(), "It is next"),
        (
            "tried",
            "problem = 'The storage that keeps files and pictures did not take it.'".to_owned(),
            "tried again soon",
        ),
        ("failed", "state = 'failed', ended_at = asked_at".to_owned(), "could not be written"),
        ("expired", "state = 'expired', problem = null".to_owned(), "its time was over"),
    ] {
        is_in(&test, &state).await;
        let job: String = test.value("select id::text from export_job").await;
        browser.open(&desk, &format!("/exports/{job}")).await;
        browser.wait_for_words("#state", says).await;
        browser.check_page(&format!("export-{name}")).await;
    }
    browser.open(&desk, "/exports/new").await;
    browser.wait("[role=alert]").await;
    browser.check_page("export-of-nothing").await;
    browser.open(&desk, "/exports/019ab1de-63aa-7c3e-b8d1-6a1f0e7c2b94").await;
    browser.arrive("There is nothing here").await;
    browser.sign_in(&desk, &otto).await;
    browser.open(&desk, "/exports").await;
    browser.arrive("This is not part of your role").await;
    browser.check_page("exports-not-allowed").await;
    browser.close().await;
}
