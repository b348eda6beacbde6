//! The demo's page in a real browser: a whole conversation, a picture, and accessibility.
//!
//! Left out, and said so, where Chromium or its driver is not installed, unless `BROWSER_TESTS` is
//! `required`. `AXE` names axe-core's script, `PICTURE` a file for the README's picture.

#![expect(
    clippy::disallowed_methods,
    reason = "what is there to test with stands in the environment"
)]

mod console;
mod demo_console;
mod elsewhere;
mod every_page;
mod investigation;
mod keyboard;
mod pictures;
mod removals;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator, wd::Capabilities};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::demo::Demo;

/// How long a test waits for what must come: far longer than it takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(1);

/// A browser of the test's own, and the folder of its profile.
struct Browser {
    page: Client,
    driver: Child,
    profile: PathBuf,
}

impl Drop for Browser {
    /// Ends the driver and all that it started, also when a test fails.
    fn drop(&mut self) {
        if let Some(id) = self.driver.id() {
            let group = format!("-{id}");
            std::process::Command::new("kill").args(["-KILL", "--", &group]).status().ok();
        }
        std::fs::remove_dir_all(&self.profile).ok();
    }
}

/// Says something past the test runner, which swallows what a test prints when it passes.
pub(crate) fn say(line: &str) {
    let mut past_the_runner = std::io::stderr();
    writeln!(past_the_runner, "{line}").unwrap();
}

fn required() -> bool {
    std::env::var("BROWSER_TESTS").is_ok_and(|wish| wish == "required")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl Browser {
    /// Starts Chromium; none where it is not installed and not required.
    async fn start() -> Option<Self> {
        let missing = ["chromium", "chromedriver"].into_iter().find(|program| !on_path(program));
        if let Some(missing) = missing {
            assert!(!required(), "{missing} is required and not installed");
            say(&format!("LEFT OUT: the browser tests need {missing}, which is not installed"));
            return None;
        }
        let profile = std::env::temp_dir().join(format!("mb-{:08x}", rand::random::<u32>()));
        std::fs::create_dir(&profile).unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // What a browser leaves behind goes with its profile.
            .env("TMPDIR", &profile)
            .env("HOME", &profile)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver names its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let page = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities(&profile))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Some(Self { page, driver, profile })
    }

    async fn close(self) {
        self.page.clone().close().await.unwrap();
    }

    async fn click(&self, testid: &str) {
        self.ready(testid).await;
        self.page.find(Locator::Css(&at(testid))).await.unwrap().click().await.unwrap();
    }

    /// Waits until a scene's button can be pressed.
    async fn ready(&self, testid: &str) {
        let enabled = format!("{}:not([aria-disabled=true])", at(testid));
        self.wait(&enabled).await;
    }

    async fn wait(&self, css: &str) {
        let found = self.page.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        assert!(found.is_ok(), "{css} did not come: {}", self.page.source().await.unwrap());
    }

    /// The words of an element, read in one step: a page that changes by itself takes no element away
    /// meanwhile.
    async fn text(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0]).innerText";
        let words = self.page.execute(script, vec![css.into()]).await.unwrap();
        words.as_str().unwrap().to_owned()
    }

    /// An attribute as it is written, read in one step as well.
    async fn attribute(&self, css: &str, name: &str) -> String {
        let script = "return document.querySelector(arguments[0]).getAttribute(arguments[1])";
        let value = self.page.execute(script, vec![css.into(), name.into()]).await.unwrap();
        value.as_str().unwrap().to_owned()
    }

    /// Waits until a script answers true.
    async fn wait_until(&self, script: &str, what: &str) {
        let holds = async {
            while self.run(script).await != true {
                tokio::task::yield_now().await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, holds).await;
        assert!(came.is_ok(), "{what}: {}", self.page.source().await.unwrap());
    }

    /// Waits until these words stand in an element.
    async fn wait_for_words(&self, css: &str, words: &str) {
        let read = async {
            while !self.text(css).await.contains(words) {
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, read).await;
        assert!(found.is_ok(), "{words:?} does not stand in {css}: {}", self.text(css).await);
    }

    async fn run(&self, script: &str) -> Value {
        self.page.execute(script, vec![]).await.unwrap()
    }

    /// Runs axe-core and fails on any violation.
    async fn check_accessibility(&self, what: &str) {
        let Some(axe) = axe() else { return };
        self.run(&axe).await;
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document).then(r => done(r.violations.map(
                v => v.id + ': ' + v.nodes.map(n => n.target.join(' ')).join(', '))));";
        let violations = self.page.execute_async(script, vec![]).await.unwrap();
        assert_eq!(violations, json!([]), "{what}");
    }
}

fn axe() -> Option<String> {
    if let Ok(path) = std::env::var("AXE") {
        return Some(std::fs::read_to_string(path).unwrap());
    }
    assert!(!required(), "AXE must name axe-core's script");
    say("LEFT OUT: the accessibility check needs AXE=…/axe.min.js");
    None
}

fn at(testid: &str) -> String {
    format!("[data-testid={testid}]")
}

fn capabilities(profile: &Path) -> Capabilities {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1280,1000",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let capabilities = json!({
        "goog:chromeOptions": {"args": arguments},
        "goog:loggingPrefs": {"browser": "ALL"},
    });
    serde_json::from_value(capabilities).unwrap()
}

#[tokio::test]
async fn without_a_browser_it_is_said_that_these_tests_are_left_out() {
    let again = Command::new(std::env::current_exe().unwrap())
        .arg("browser::a_number_that_leaks_turns_the_line_red")
        .env("PATH", "/nowhere")
        .env_remove("BROWSER_TESTS")
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.success() && said.contains("LEFT OUT"), "{said}");
}

#[tokio::test]
async fn a_whole_conversation_in_the_page() {
    let Some(browser) = Browser::start().await else { return };
    let demo = Demo::start(&[]).await;
    browser.page.goto(&demo.address).await.unwrap();
    browser.ready("scene-start").await;
    browser.check_accessibility("the empty page").await;

    browser.click("scene-start").await;
    browser.ready("scene-join").await;
    let href = browser.attribute(".ticket a", "href").await;
    let code = browser.text(".ticket .code").await;
    assert_eq!(href, format!("sms:+14155550100?body=JOIN%20{code}"));
    let qr = "const qr = document.querySelector('.ticket img'); return qr.complete && qr.naturalWidth > 0";
    browser.wait_until(qr, "the QR code is drawn").await;
    browser.click("scene-join").await;
    browser.click("scene-talk").await;
    browser.wait(&format!("{} [data-source=other]", at("phone-ann"))).await;
    browser.ready("scene-talk").await;
    picture(&browser).await;

    let composer = browser.page.find(Locator::Css(&at("composer-ben"))).await.unwrap();
    composer.send_keys("See you at 6 “sharp”").await.unwrap();
    // The counter names what forces UCS-2.
    browser.wait_for_words(&at("phone-ben"), "“").await;
    browser.click("send-ben").await;
    let delivered =
        "const sent = [...document.querySelectorAll('[data-testid=phone-ben] [data-direction=out]')].at(-1);
        return sent.textContent.includes('sharp') && sent.dataset.state === 'delivered'";
    browser.wait_until(delivered, "the text is delivered").await;
    assert_eq!(browser.attribute(&at("privacy-line"), "data-exposed").await, "false");
    browser.check_accessibility("a conversation").await;

    browser.click("scene-end").await;
    browser.ready("scene-start").await;
    browser.click("scene-stop").await;
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)").await;
    browser.wait(&at("wire-row")).await;
    browser.check_accessibility("everything open").await;
    let html = browser.page.source().await.unwrap();
    let ann = demo.state().await;
    assert_eq!(ann["exposed"], false);
    assert!(!html.contains("Maskline demo has stopped"));
    browser.close().await;
}

#[tokio::test]
async fn the_other_number_a_block_and_what_staff_must_see() {
    let Some(browser) = Browser::start().await else { return };
    let demo = Demo::start(&[]).await;
    browser.page.goto(&demo.address).await.unwrap();
    browser.click("scene-start").await;
    browser.click("scene-join").await;
    assert!(
        !browser.page.find(Locator::Css(&at("staff"))).await.unwrap().is_displayed().await.unwrap()
    );

    browser.click("scene-second").await;
    browser.ready("scene-end").await;
    browser.wait_for_words("#masked", "0101").await;
    browser.wait_for_words("#conversation", "still connected on").await;
    browser.check_accessibility("two conversations").await;

    demo.text(crate::demo::BEN, "sorry, wrong number").await;
    browser.wait_for_words("#staff-tasks", "Ben’s words may mean").await;
    browser.check_accessibility("something for staff").await;

    browser.click("scene-end").await;
    browser.wait_for_words("#masked", "0100").await;
    browser.click("scene-block").await;
    browser.ready("scene-end").await;
    browser.wait_for_words(&at("phone-ben"), "that code does not work").await;
    browser.wait_for_words("#conversation", "Ben blocked Ann").await;
    assert_eq!(browser.text("#scene-note").await, "", "no scene gave up");
    browser.check_accessibility("kept apart").await;
    browser.close().await;
}

/// Takes the README's picture, where one is asked for.
async fn picture(browser: &Browser) {
    let Ok(file) = std::env::var("PICTURE") else { return };
    let still = "const done = arguments[0]; window.scrollTo(0, 0); document.activeElement.blur();
        Promise.allSettled(document.getAnimations().map(a => a.finished)).then(() => done())";
    browser.page.execute_async(still, vec![]).await.unwrap();
    let png = browser.page.screenshot().await.unwrap();
    std::fs::write(file, png).unwrap();
}

#[tokio::test]
async fn a_number_that_leaks_turns_the_line_red() {
    let Some(browser) = Browser::start().await else { return };
    let demo = Demo::start(&[]).await;
    browser.page.goto(&demo.address).await.unwrap();
    browser.click("scene-start").await;
    browser.click("scene-join").await;
    browser.ready("scene-talk").await;
    // People may say their own number; the page must notice that it got across.
    demo.text(crate::demo::ANN, "call me: 206-555-0142").await;
    browser.wait(&format!("{}[data-exposed=true]", at("privacy-line"))).await;
    browser.check_accessibility("the alarm").await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_fits_a_phone_and_works_in_the_dark() {
    let Some(browser) = Browser::start().await else { return };
    let demo = Demo::start(&[]).await;
    browser.page.set_window_size(360, 740).await.unwrap();
    browser.page.goto(&demo.address).await.unwrap();
    browser.ready("scene-start").await;
    browser.click("scene-start").await;
    browser.ready("scene-join").await;
    demo.text(crate::demo::BEN, "sorry, wrong number").await;
    browser.wait(&at("task")).await;
    let wide = browser.run("return document.documentElement.scrollWidth > innerWidth").await;
    assert_eq!(wide, false, "nothing scrolls sideways");
    browser.check_accessibility("a narrow page").await;
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    devtools(&browser, "Emulation.setEmulatedMedia", dark).await;
    assert_eq!(
        browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await,
        true
    );
    browser.check_accessibility("a dark page").await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_works_without_a_mouse() {
    const TAB: &str = "\u{E004}";
    const ENTER: &str = "\u{E007}";
    let Some(browser) = Browser::start().await else { return };
    let demo = Demo::start(&[]).await;
    browser.page.goto(&demo.address).await.unwrap();
    browser.ready("scene-start").await;
    let focused = async || browser.page.active_element().await.unwrap();
    let reach = async |wanted: &str| {
        for _ in 0..60 {
            focused().await.send_keys(TAB).await.unwrap();
            if focused().await.attr("data-testid").await.unwrap().as_deref() == Some(wanted) {
                return;
            }
        }
        panic!("{wanted} cannot be reached by keyboard");
    };
    reach("scene-start").await;
    focused().await.send_keys(ENTER).await.unwrap();
    browser.ready("scene-join").await;
    reach("composer-ben").await;
    focused().await.send_keys(&format!("hello?{ENTER}")).await.unwrap();
    browser.wait(&format!("{} [data-direction=in]", at("phone-ben"))).await;
    browser.close().await;
}

/// Asks the browser for what `WebDriver` has no word for.
async fn devtools(browser: &Browser, command: &str, parameters: Value) {
    #[derive(Debug)]
    struct Devtools(Value);
    impl fantoccini::wd::WebDriverCompatibleCommand for Devtools {
        fn endpoint(
            &self,
            base: &url::Url,
            session: Option<&str>,
        ) -> Result<url::Url, url::ParseError> {
            base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
        }

        fn method_and_body(&self, _: &url::Url) -> (axum::http::Method, Option<String>) {
            (axum::http::Method::POST, Some(self.0.to_string()))
        }
    }
    let command = Devtools(json!({"cmd": command, "params": parameters}));
    browser.page.issue_cmd(command).await.unwrap();
}
