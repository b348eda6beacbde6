//! The console's screens without a mouse: each form is reached with Tab, filled in, and sent with
//! Enter, and wherever the focus stands it shows.

use maskline::{
    console::staff::Role,
    ids::ConversationId,
    tasks::{self, Kind, Task},
};
use serde_json::json;

use super::{Browser, PATIENCE};
use crate::{
    console::{
        desk::{Desk, Member},
        removals::keeping,
    },
    support::TestApp,
};

/// What somebody does, key by key.
enum Step<'a> {
    /// Signs in.
    Enters(&'a Member),
    /// Goes on with Tab to where this is, and presses these keys. It is a selector where it begins with
    /// `#` or `[`, and the first words of a link or button otherwise.
    Keys(&'a str, &'a str),
    /// Waits for these words on the page.
    Sees(&'a str),
}

use Step::{Enters, Keys, Sees};

const ENTER: &str = "\u{E007}";
const DOWN: &str = "\u{E015}";
const SPACE: &str = " ";

impl Browser {
    /// Waits for these words on whichever page comes.
    async fn sees(&self, words: &str) {
        let script = "return document.querySelector('main')?.innerText ?? ''";
        let look = async {
            loop {
                let found = self.page.execute(script, vec![]).await;
                if found.is_ok_and(|found| found.as_str().is_some_and(|it| it.contains(words))) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, look).await;
        assert!(seen.is_ok(), "{words:?} did not come: {}", self.text("main").await);
    }

    async fn does(&self, desk: &Desk<'_>, steps: &[Step<'_>]) {
        const SHOWN: &str = "const it = document.activeElement, style = getComputedStyle(it);
            return it.matches(':focus-visible') && style.outlineStyle === 'solid'
                && it.getClientRects().length > 0";
        for step in steps {
            match step {
                Enters(member) => self.sign_in(desk, member).await,
                Sees(words) => self.sees(words).await,
                Keys(place, keys) => {
                    let holds = if place.starts_with(['#', '[']) {
                        format!("it.matches(\"{place}\")")
                    } else {
                        format!("it.textContent.trim().startsWith('{place}')")
                    };
                    self.tab_to(&holds).await;
                    assert_eq!(self.run(SHOWN).await, json!(true), "the focus on {place} shows");
                    self.press(keys).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn holds_reveals_and_tasks_work_without_a_mouse() {
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _) = test.conversation().await;
    let about: ConversationId = test.value("select id from conversation").await;
    let task = Task { conversation: Some(about), ..Task::of(Kind::SoftOptOut) };
    let mut conn = test.db.acquire().await.unwrap();
    tasks::raise(&mut conn, &task, test.app.clock.now()).await.unwrap();
    drop(conn);
    let (person, _) = test.person(&ann.number).await;
    let (about, person) = (about.to_string(), person.to_string());
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    let otto = desk.staff("Otto Lind", Role::Operator).await;

    let holds = [
        Enters(&erin),
        Keys("Legal holds", ENTER),
        Sees("No hold is in force"),
        Keys("#matter", "case 7"),
        Keys("#everything", SPACE),
        Keys("Show what it would cover", ENTER),
        Sees("Nothing is placed yet."),
        Keys("Place the hold", ENTER),
        Sees("The hold is in force."),
        Keys("Ask for its release", ENTER),
        Keys("[name=reason]", "settled\u{E007}"),
        Sees("You have asked for the release."),
        Enters(&vera),
        Keys("Legal holds", ENTER),
        Sees("release asked for"),
        Keys("Approve the release of case 7", ENTER),
        Sees("The hold is released."),
        Keys("Show released holds", ENTER),
        Sees("Vera Roth"),
    ];
    browser.does(&desk, &holds).await;

    let reveals = [
        Enters(&erin),
        Keys("Reveals", ENTER),
        Sees("You have asked for no number."),
        Keys("#id", &about),
        Keys("#matter", "case 7"),
        Keys("#reason", "court order\u{E007}"),
        Sees("You have asked."),
        Enters(&vera),
        Keys("Reveals", ENTER),
        Sees("court order"),
        Keys("Grant: case 7", ENTER),
        Sees("It is granted."),
        Enters(&erin),
        Keys("Reveals", ENTER),
        Sees("Show the numbers"),
        Keys("Show the numbers of case 7", ENTER),
        Sees(ann.number.as_str()),
        Keys("All that you asked for", ENTER),
        Sees("Ask for a number"),
        Keys("#id", &person),
        Keys("#conversation", DOWN),
        Keys("#matter", "case 8"),
        Keys("#reason", "danger to life"),
        Keys("It cannot wait", ENTER),
        Keys("Open without approval", ENTER),
        Sees("Opened without approval."),
        Enters(&vera),
        Keys("Reveals", ENTER),
        Sees("opened without approval, not reviewed"),
        Keys("[name=review]", "it was right\u{E007}"),
        Sees("Your review is on record."),
    ];
    browser.does(&desk, &reveals).await;
    let whose: Vec<String> =
        test.column("select (person_id is not null)::text from reveal order by asked_at").await;
    assert_eq!(whose, ["false", "true"]);

    let tasks = [
        Enters(&otto),
        Keys("Tasks", ENTER),
        Sees("an auditor can read it"),
        Keys("Close it", ENTER),
        Keys("[name=outcome]", "asked them, all is well\u{E007}"),
        Sees("The task is closed."),
        Keys("Show closed tasks", ENTER),
        Sees("all is well"),
    ];
    browser.does(&desk, &tasks).await;
    browser.close().await;
}

#[tokio::test]
async fn peoples_requests_work_without_a_mouse() {
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _) = test.conversation().await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    let folder = browser.downloads().await;
    let number = format!("{}\u{E007}", ann.number.as_str());
    let until_saved = [
        Enters(&erin),
        Keys("People’s requests", ENTER),
        Sees("Nobody has asked for anything yet."),
        Keys("#person", &number),
        Sees("Ask on their behalf"),
        Keys("#export", SPACE),
        Keys("#matter", "case 7"),
        Keys("#reason", "by letter\u{E007}"),
        Sees("You have asked."),
        Keys("#export", DOWN),
        Keys("#matter", "case 8"),
        Keys("#reason", "by letter"),
        Keys("Ask an approver", ENTER),
        Sees("case 8"),
        Enters(&vera),
        Keys("People’s requests", ENTER),
        Sees("case 7"),
        Keys("[href^='/subjects/']", ENTER),
        Sees("Grant the copy"),
        Keys("Grant the copy: case 7", ENTER),
        Sees("It is granted"),
        Enters(&erin),
        Keys("People’s requests", ENTER),
        Sees("case 7"),
        Keys("[href^='/subjects/']", ENTER),
        Sees("Save the copy"),
        Keys("Save the copy for case 7", ENTER),
    ];
    browser.does(&desk, &until_saved).await;
    let saved = async {
        let is_copy = |file: std::fs::DirEntry| {
            let path = file.path();
            path.extension().is_some_and(|it| it == "jsonl")
                && std::fs::read_to_string(path)
                    .is_ok_and(|copy| copy.contains(ann.number.as_str()))
        };
        while !std::fs::read_dir(&folder).unwrap().any(|file| is_copy(file.unwrap())) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, saved).await.expect("the copy is saved");

    let forgotten = [
        Enters(&vera),
        Keys("People’s requests", ENTER),
        Sees("case 8"),
        Keys("[href^='/subjects/']", ENTER),
        Sees("Forget them for good"),
        Keys("Forget them for good: case 8", ENTER),
        Sees("They are forgotten."),
    ];
    browser.does(&desk, &forgotten).await;
    test.deliver().await;
    browser.close().await;
}

#[tokio::test]
async fn retention_and_staff_work_without_a_mouse() {
    let Some(browser) = Browser::start().await else { return };
    let test = keeping().await;
    let desk = Desk::open(&test).await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    let dana = desk.staff("Dana Ek", Role::Admin).await;
    let retention = [
        Enters(&erin),
        Keys("Retention", ENTER),
        Sees("Ask for a removal"),
        // Both are chosen at first.
        Keys("#month-2025-11", SPACE),
        Keys("#matter", "yearly clearing"),
        Keys("#reason", "older than we need\u{E007}"),
        Sees("You have asked."),
        Keys("#matter", "a second clearing"),
        Keys("#reason", "older than we need"),
        Keys("Ask an approver", ENTER),
        Sees("a second clearing"),
        Enters(&vera),
        Keys("Retention", ENTER),
        Sees("yearly clearing"),
        Keys("Grant the removal: yearly clearing", ENTER),
        Sees("It is granted"),
        Keys("Refuse: a second clearing", ENTER),
        Sees("It is refused."),
    ];
    browser.does(&desk, &retention).await;
    let granted = "select matter from removal_request where is_granted";
    assert_eq!(test.column(granted).await, ["yearly clearing"]);

    let staff = [
        Enters(&dana),
        Keys("Staff", ENTER),
        Sees("Make an account"),
        Keys("#name", "Nora Falk"),
        Keys("#operator", DOWN),
        Keys("Make the account", ENTER),
        Sees("What opens Nora Falk’s account"),
        Keys("Done", ENTER),
        Sees("Make an account"),
        Keys("Change Nora Falk", ENTER),
        Keys("New password and code for Nora Falk", ENTER),
        Sees("What opens Nora Falk’s account"),
        Keys("Done", ENTER),
        Sees("Make an account"),
        Keys("Change Nora Falk", ENTER),
        Keys("Disable for good: Nora Falk", ENTER),
        Sees("disabled"),
    ];
    browser.does(&desk, &staff).await;
    let nora =
        "select role || ' ' || (disabled_at is not null) from staff where name = 'Nora Falk'";
    assert_eq!(test.value::<String>(nora).await, "auditor true");
    browser.close().await;
}
