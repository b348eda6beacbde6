//! The console in a real browser: from signing in to a transcript, without a mouse, light and dark.
//!
//! `SHOTS` names a folder for pictures of each page.

use fantoccini::{Locator, key::Key};
use jiff::SignedDuration;
use maskline::{
    console::staff::Role,
    ids::ConversationId,
    tasks::{self, Kind, Task},
};
use serde_json::json;

use super::{Browser, PATIENCE, devtools};
use crate::{
    console::desk::{Desk, Member},
    support::{TestApp, Wishes},
};

impl Browser {
    /// Opens a page of the console.
    pub(super) async fn open(&self, desk: &Desk<'_>, path: &str) {
        self.page.goto(&format!("http://{}{path}", desk.address)).await.unwrap();
    }

    /// Signs somebody in by keyboard alone: the first field has the focus.
    pub(super) async fn sign_in(&self, desk: &Desk<'_>, member: &Member) {
        desk.test.advance(SignedDuration::from_secs(30));
        self.open(desk, "/sign-in").await;
        // A page that is there has not always drawn its focus yet.
        self.wait("input:focus").await;
        let tab = String::from(char::from(Key::Tab));
        let enter = String::from(char::from(Key::Enter));
        for words in [&member.name, &tab, &member.password, &tab, &desk.code(member), &enter] {
            self.page.active_element().await.unwrap().send_keys(words).await.unwrap();
        }
        self.wait(".framed").await;
        self.wait_for_words(".who", &member.name).await;
    }

    /// Follows the link or presses the button with these words, by keyboard.
    pub(super) async fn go(&self, words: &str) {
        let xpath =
            format!("//*[self::a or self::button or self::summary][normalize-space()='{words}']");
        let found = self.page.find(Locator::XPath(&xpath)).await.unwrap();
        found.send_keys(&String::from(char::from(Key::Enter))).await.unwrap();
    }

    /// Waits for the page of this heading. One that is being left is no page at all.
    pub(super) async fn arrive(&self, heading: &str) {
        let script = "return document.querySelector('h1')?.textContent ?? ''";
        let look = async {
            loop {
                let found = self.page.execute(script, vec![]).await;
                if found.is_ok_and(|found| found.as_str().is_some_and(|h1| h1.contains(heading))) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, look).await;
        assert!(found.is_ok(), "{heading} did not come: {}", self.page.source().await.unwrap());
    }

    async fn dark(&self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        devtools(self, "Emulation.setEmulatedMedia", scheme).await;
    }

    /// Checks a page as it is shown, light and dark, wide and at 400 per cent; and takes its picture.
    pub(super) async fn check_page(&self, name: &str) {
        for (is_dark, width) in [(false, 1280), (true, 1280), (false, 320)] {
            self.dark(is_dark).await;
            self.page.set_window_size(width.max(500), 1000).await.unwrap();
            let size =
                json!({"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
            devtools(self, "Emulation.setDeviceMetricsOverride", size).await;
            let wide = "return document.documentElement.scrollWidth > innerWidth";
            assert_eq!(self.run(wide).await, false, "{name} scrolls sideways at {width}");
            self.check_accessibility(&format!("{name}, dark: {is_dark}, {width} wide")).await;
            self.shoot(&format!("{name}-{width}{}", if is_dark { "-dark" } else { "" })).await;
        }
        devtools(self, "Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.page.set_window_size(1280, 1000).await.unwrap();
        self.dark(false).await;
    }

    /// Sees that paper holds the words and nothing to click.
    async fn check_print(&self, name: &str) {
        devtools(self, "Emulation.setEmulatedMedia", json!({"media": "print"})).await;
        let shown = "return ['.side', '.actions', '.turns .words']
            .map(css => document.querySelector(css).getClientRects().length > 0)";
        assert_eq!(self.run(shown).await, json!([false, false, true]), "{name} in print");
        self.shoot(&format!("{name}-print")).await;
        devtools(self, "Emulation.setEmulatedMedia", json!({"media": ""})).await;
    }

    async fn shoot(&self, name: &str) {
        let Ok(folder) = std::env::var("SHOTS") else { return };
        let png = self.page.screenshot().await.unwrap();
        std::fs::write(format!("{folder}/{name}.png"), png).unwrap();
    }
}

/// Signs somebody in for the first time: not with a wrong password, and on to one of their own.
async fn first_sign_in(browser: &Browser, desk: &Desk<'_>, erin: &Member) {
    browser.open(desk, "/tasks").await;
    browser.check_page("sign-in").await;
    desk.test.advance(SignedDuration::from_secs(30));
    let wrong = Member { password: "not the right one".to_owned(), ..erin.clone() };
    let fill = async |member: &Member| {
        for (name, words) in
            [("name", &member.name), ("password", &member.password), ("code", &desk.code(member))]
        {
            let field = browser.page.find(Locator::Id(name)).await.unwrap();
            field.clear().await.unwrap();
            field.send_keys(words).await.unwrap();
        }
        browser.go("Sign in").await;
    };
    fill(&wrong).await;
    browser.wait("[role=alert]").await;
    browser.check_page("sign-in-failed").await;
    fill(erin).await;
    // The cookie is Secure, and kept over plain HTTP from this computer.
    browser.arrive("Choose a password").await;
    browser.check_page("password").await;
    for (name, words) in [
        ("old", erin.password.as_str()),
        ("new", "red bicycle, blue door"),
        ("again", "red bicycle, blue door"),
    ] {
        browser.page.find(Locator::Id(name)).await.unwrap().send_keys(words).await.unwrap();
    }
    browser.go("Change password").await;
    browser.arrive("Your sessions").await;
    browser.check_page("sessions").await;
}

#[tokio::test]
async fn an_auditor_signs_in_and_reads() {
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let erin = desk.hire("Erin Vance", Role::Auditor).await;
    let (ann, ben) = test.conversation().await;
    ann.texts("Hi, is the bicycle still for sale? I could come by today after five.").await;
    ben.texts("It is <script>document.title = 'owned'</script> and the lock comes with it").await;
    test.advance(SignedDuration::from_hours(23));
    ann.texts("Great, see you then").await;
    test.deliver().await;
    let about: ConversationId = test.value("select id from conversation").await;
    let task = Task { conversation: Some(about), ..Task::of(Kind::SoftOptOut) };
    let mut conn = test.db.acquire().await.unwrap();
    tasks::raise(&mut conn, &task, test.app.clock.now()).await.unwrap();
    drop(conn);

    first_sign_in(&browser, &desk, &erin).await;
    browser.go("Overview").await;
    browser.arrive("Overview").await;
    browser.check_page("home-auditor").await;
    browser.go("Search").await;
    browser.arrive("Search").await;
    browser.check_page("search").await;
    // The box has the focus.
    let typed = format!("person:{} from:2026-03-01 bicycle\u{E007}", ann.number.as_str());
    browser.page.active_element().await.unwrap().send_keys(&typed).await.unwrap();
    browser.wait(".results").await;
    browser.check_page("search-found").await;
    let here = browser.page.current_url().await.unwrap();
    assert!(!here.as_str().contains(ann.number.digits()) && !here.as_str().contains("bicycle"));
    browser.page.find(Locator::Css(".results a")).await.unwrap().click().await.unwrap();
    browser.wait(".turns").await;
    browser.open(&desk, "/search?q=state:asleep").await;
    browser.wait("[role=alert]").await;
    browser.check_page("search-wrong").await;
    browser.go("Tasks").await;
    browser.wait(".cards").await;
    browser.check_page("tasks").await;
    browser.page.find(Locator::Css(".cards a")).await.unwrap().click().await.unwrap();
    browser.wait(".turns").await;
    let page = browser.text("main").await;
    assert!(page.contains("<script>document.title = 'owned'</script>"), "{page}");
    assert!(!browser.page.title().await.unwrap().contains("owned"));
    browser.check_page("conversation").await;
    browser.check_print("conversation").await;
    browser.go("Place a hold").await;
    browser.wait("#matter").await;
    browser.page.find(Locator::Id("matter")).await.unwrap().send_keys("case 7").await.unwrap();
    browser.go("Show what it would cover").await;
    browser.wait("[role=status]").await;
    browser.check_page("holds-preview").await;
    browser.go("Place the hold").await;
    browser.wait(".cards").await;
    browser.check_page("holds").await;
    browser
        .page
        .find(Locator::Css(".side nav a[href='/reveals']"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    browser.wait("#minutes").await;
    let id = about.to_string();
    for (field, words) in [("id", id.as_str()), ("matter", "case 7"), ("reason", "court order")] {
        browser.page.find(Locator::Id(field)).await.unwrap().send_keys(words).await.unwrap();
    }
    browser.go("It cannot wait and nobody can approve").await;
    browser.check_page("reveals").await;
    browser.go("Open without approval").await;
    browser.wait(".alarm").await;
    assert!(browser.text("main").await.contains(ann.number.as_str()));
    browser.check_page("reveal").await;
    browser.go("Integrity").await;
    browser.arrive("Integrity").await;
    browser.go("Verify the whole trail").await;
    browser.wait("#verified .done").await;
    browser.check_page("integrity").await;
    desk.test.run(
        "insert into verification (id, asked_by, asked_at, seen, total, alive_until)
         select gen_random_uuid(), id, '2027-01-01', 20000, 41000, now() + interval '1 hour' from staff limit 1",
    ).await;
    // Nobody touches the page, and it tells by itself.
    browser.wait("#verified progress").await;
    browser.check_page("verifying").await;
    browser.go("Access log").await;
    browser.arrive("Access log").await;
    browser.check_page("access").await;
    browser.open(&desk, "/staff").await;
    browser.check_page("not-allowed").await;
    browser.open(&desk, "/nowhere").await;
    browser.check_page("not-found").await;
    browser.open(&desk, "/").await;
    browser.go("Sign out").await;
    browser.wait("[role=status]").await;
    browser.check_page("signed-out").await;
    browser.open(&desk, "/tasks").await;
    browser.wait("#password").await;
    browser.close().await;
}

#[tokio::test]
async fn somebody_asks_to_be_forgotten() {
    let Some(browser) = Browser::start().await else { return };
    let settings = &[("MASKLINE_AUDIT_KEEP_MONTHS", "3")];
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    test.run("select audit_make_partitions('2025-10-01', 3)").await;
    let desk = Desk::open(&test).await;
    let (ann, _) = test.conversation().await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    browser.sign_in(&desk, &erin).await;
    browser.go("People’s requests").await;
    browser.wait(".empty").await;
    browser.check_page("subjects-empty").await;
    let field = browser.page.find(Locator::Id("person")).await.unwrap();
    field.send_keys(ann.number.as_str()).await.unwrap();
    browser.go("Show what there is").await;
    browser.arrive("Person").await;
    for kind in ["export", "erasure"] {
        browser.page.find(Locator::Id(kind)).await.unwrap().click().await.unwrap();
        for (field, words) in [("matter", "case 4711"), ("reason", "asked by letter")] {
            browser.page.find(Locator::Id(field)).await.unwrap().send_keys(words).await.unwrap();
        }
        browser.check_page("subject").await;
        browser.go("Ask an approver").await;
        browser.wait("[role=status]").await;
    }
    browser.sign_in(&desk, &vera).await;
    browser.check_page("home-approver").await;
    browser.go("People’s requests").await;
    browser.wait(".table a").await;
    browser.check_page("subjects").await;
    browser.page.find(Locator::Css(".table a")).await.unwrap().click().await.unwrap();
    browser.wait(".grave").await;
    browser.check_page("subject-to-decide").await;
    browser.go("Grant the copy: case 4711").await;
    browser.wait("[role=status]").await;
    browser.sign_in(&desk, &erin).await;
    browser.open(&desk, "/subjects").await;
    browser.page.find(Locator::Css(".table a")).await.unwrap().click().await.unwrap();
    browser.wait("a[download]").await;
    browser.check_page("subject-to-save").await;
    browser.go("Retention").await;
    browser.arrive("Retention").await;
    assert!(browser.text("main").await.contains("2025-10"));
    browser.check_page("retention").await;
    browser.sign_in(&desk, &vera).await;
    browser.open(&desk, "/subjects").await;
    browser.page.find(Locator::Css(".table a")).await.unwrap().click().await.unwrap();
    browser.wait(".grave").await;
    browser.go("Forget them for good: case 4711").await;
    browser.wait("[role=status]").await;
    browser.check_page("subject-forgotten").await;
    test.deliver().await;
    browser.close().await;
}

#[tokio::test]
async fn others_see_what_their_roles_are_for() {
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    let dana = desk.staff("Dana Ek", Role::Admin).await;
    let otto = desk.staff("Otto Lind", Role::Operator).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    browser.sign_in(&desk, &dana).await;
    browser.check_page("home-admin").await;
    browser.go("Staff").await;
    browser.wait("#name").await;
    browser.check_page("staff").await;
    browser.page.find(Locator::Id("name")).await.unwrap().send_keys("Erin Vance").await.unwrap();
    browser.page.find(Locator::Id("auditor")).await.unwrap().click().await.unwrap();
    browser.go("Make the account").await;
    browser.wait(".opening img").await;
    let drawn = "const qr = document.querySelector('.opening img'); return qr.complete && qr.naturalWidth > 0";
    assert_eq!(browser.run(drawn).await, true, "the QR code is drawn");
    browser.check_page("opening").await;
    browser.sign_in(&desk, &otto).await;
    browser.go("Numbers").await;
    browser.arrive("Numbers").await;
    browser.check_page("numbers").await;
    browser.go("Tasks").await;
    browser.wait(".empty").await;
    browser.check_page("tasks-empty").await;
    browser.sign_in(&desk, &vera).await;
    browser.go("Reveals").await;
    browser.wait(".empty").await;
    browser.check_page("reveals-empty").await;
    browser.go("Legal holds").await;
    browser.wait(".empty").await;
    browser.check_page("holds-empty").await;
    browser.go("Retention").await;
    browser.arrive("Retention").await;
    assert!(browser.text("main").await.contains("Records are kept for ever"));
    browser.check_page("retention-for-ever").await;
    browser.close().await;
}

#[tokio::test]
async fn what_is_long_is_leafed_through_by_keyboard_and_printed() {
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    test.conversation().await;
    test.run(
        "insert into audit_record (id, at, kind, rule, conversation_id, carrier_id)
         select gen_random_uuid(), '2026-03-01T13:00:00Z'::timestamptz + n * interval '1 s', 'received',
             'talk', id, 'in ' || n
         from conversation cross join generate_series(1, 450) n",
    )
    .await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    browser.sign_in(&desk, &erin).await;
    let path: String = test.value("select '/conversations/' || id from conversation").await;
    browser.open(&desk, &path).await;
    browser.wait(".leaf").await;
    browser.check_page("conversation-first-page").await;
    browser.go("Later").await;
    browser.wait_for_words(".leaf p", "Entries 201 to 400").await;
    browser.check_page("conversation-middle-page").await;
    browser.check_print("conversation-middle-page").await;
    devtools(&browser, "Emulation.setEmulatedMedia", json!({"media": "print"})).await;
    assert!(browser.text(".leaf").await.contains("Entries 201 to 400 of "), "paper says so");
    devtools(&browser, "Emulation.setEmulatedMedia", json!({"media": ""})).await;
    browser.go("Last").await;
    browser.wait_for_words(".leaf p", "Entries 401 to ").await;
    browser.check_page("conversation-last-page").await;
    browser.go("Earlier").await;
    browser.wait_for_words(".leaf p", "Entries 201 to 400").await;
    browser.go("First").await;
    browser.wait_for_words(".leaf p", "Entries 1 to 200").await;
    // Each is about somebody else, who is left out.
    test.run("drop index task_open_once").await;
    test.run(
        "insert into task (id, kind, transcript, raised_at, due_at, closed_at, outcome)
         select gen_random_uuid(), 'report', '{}', '2026-03-01T12:00:00Z', '2026-03-02T12:00:00Z',
             case when n > 60 then '2026-03-01T12:00:00Z'::timestamptz end,
             case when n > 60 then 'looked into' end
         from generate_series(1, 120) n",
    )
    .await;
    browser.go("Tasks").await;
    browser.arrive("Tasks").await;
    browser.go("Later").await;
    browser.wait_for_words(".leaf p", "Tasks 51 to 60 of 60").await;
    browser.check_page("tasks-last-page").await;
    browser.go("Show closed tasks").await;
    browser.arrive("Closed tasks").await;
    browser.wait_for_words(".leaf p", "Tasks 1 to 50 of 60").await;
    browser.check_page("tasks-closed").await;
    browser.close().await;
}

#[tokio::test]
async fn what_nobody_decided_in_time_is_told() {
    let Some(browser) = Browser::start().await else { return };
    let test = TestApp::start().await;
    let desk = Desk::open(&test).await;
    let (ann, _) = test.conversation().await;
    let (person, _) = test.person(&ann.number).await;
    let erin = desk.staff("Erin Vance", Role::Auditor).await;
    let vera = desk.staff("Vera Roth", Role::Approver).await;
    browser.sign_in(&desk, &erin).await;
    for (page, id, kind) in [
        ("/reveals".to_owned(), Some(person.to_string()), "person"),
        (format!("/subjects/{person}"), None, "erasure"),
    ] {
        browser.open(&desk, &page).await;
        if let Some(id) = id {
            browser.page.find(Locator::Id("id")).await.unwrap().send_keys(&id).await.unwrap();
        }
        browser.page.find(Locator::Id(kind)).await.unwrap().click().await.unwrap();
        for (field, words) in [("matter", "case 4711"), ("reason", "asked by letter")] {
            browser.page.find(Locator::Id(field)).await.unwrap().send_keys(words).await.unwrap();
        }
        browser.go("Ask an approver").await;
        browser.wait("[role=status]").await;
        browser.check_page(&format!("{kind}-asked")).await;
    }
    test.advance(SignedDuration::from_hours(7 * 24));
    browser.sign_in(&desk, &vera).await;
    for (name, page) in [
        ("reveals-expired", "/reveals".to_owned()),
        ("subjects-expired", "/subjects".to_owned()),
        ("subject-expired", format!("/subjects/{person}")),
    ] {
        browser.open(&desk, &page).await;
        browser.wait_for_words("main", "expired").await;
        browser.check_page(name).await;
    }
    browser.sign_in(&desk, &erin).await;
    let reveal: String = test.value("select '/reveals/' || id from reveal").await;
    browser.open(&desk, &reveal).await;
    browser.wait_for_words("main", "Nobody decided in time").await;
    browser.check_page("reveal-expired").await;
    browser.close().await;
}
