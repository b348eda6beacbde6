//! From the demo's page into the console: what was texted on the phones is read there by staff.

use fantoccini::Locator;

use super::Browser;
use crate::demo::Demo;

#[tokio::test]
async fn the_demo_shows_how_to_sign_in_to_the_console() {
    let Some(browser) = Browser::start().await else { return };
    let demo = Demo::start(&[]).await;
    demo.text("+12065550142", "START").await;
    browser.page.goto(&demo.address).await.unwrap();
    browser.wait("[data-testid=account]").await;
    browser.page.find(Locator::Css("#console > summary")).await.unwrap().click().await.unwrap();
    browser.check_accessibility("the demo with the console's accounts").await;
    let account = |of: &str| format!("[data-testid=account] td:nth-child({of})");
    let (name, password) = (browser.text(&account("1")).await, browser.text(&account("3")).await);
    let code = browser.text(&account("4")).await;
    assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
    let console = browser.text("#console-link").await;
    browser.page.goto(&console).await.unwrap();
    for (field, words) in [("name", name), ("password", password), ("code", code)] {
        browser.wait(&format!("#{field}")).await;
        browser.page.find(Locator::Id(field)).await.unwrap().send_keys(&words).await.unwrap();
    }
    browser.page.find(Locator::Css("main button")).await.unwrap().click().await.unwrap();
    browser.arrive("Overview").await;
    // The demo's trail is sealed, signed and kept elsewhere like any other.
    let mut page = String::new();
    for _ in 0..200 {
        browser.page.goto(&format!("{console}integrity")).await.unwrap();
        page = browser.text("main").await;
        if page.contains("Records are sealed, signed") {
            break;
        }
    }
    assert!(page.contains("Records are sealed, signed"), "{page}");
    browser.close().await;
}
