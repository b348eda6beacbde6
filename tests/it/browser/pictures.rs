//! Pictures in the page: chosen, sent, and seen on the other phone; and what became of each text.

use std::fs;

use fantoccini::Locator;
use serde_json::{Value, json};

use super::{Browser, PATIENCE, at};
use crate::{demo::Demo, pictures::png};

/// Opens the page and connects the two.
async fn connected(browser: &Browser) -> Demo {
    let demo = Demo::start(&[]).await;
    browser.page.goto(&demo.address).await.unwrap();
    browser.click("scene-start").await;
    browser.click("scene-join").await;
    browser.ready("scene-talk").await;
    demo
}

/// Waits until the last text that a phone sent is in this state, and says what its bubble says.
async fn last_is(browser: &Browser, phone: &str, state: &str) -> String {
    let script = format!(
        "const last = [...document.querySelectorAll('[data-testid={phone}] [data-direction=out]')].at(-1);
         return last.dataset.state === '{state}' ? last.textContent : null"
    );
    let look = async {
        loop {
            if let Value::String(said) = browser.run(&script).await {
                return said;
            }
            tokio::task::yield_now().await;
        }
    };
    if let Ok(said) = tokio::time::timeout(PATIENCE, look).await {
        return said;
    }
    panic!("the last text is not {state}: {}", browser.text(&at(phone)).await)
}

/// Waits until so many pictures that came in are drawn on a phone.
async fn drawn(browser: &Browser, phone: &str, count: usize) {
    let script = format!(
        "const all = [...document.querySelectorAll('[data-testid={phone}] [data-direction=in] img.picture')];
         return all.filter(one => one.complete && one.naturalWidth > 0).length"
    );
    let look = async {
        while browser.run(&script).await != json!(count) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the picture is drawn");
}

async fn send_sample(browser: &Browser, name: &str, who: &str) {
    browser.click(&format!("attach-{who}")).await;
    browser.click(&format!("sample-{name}-{who}")).await;
    browser.wait(&format!("{} .chosen:not([hidden])", at(&format!("phone-{who}")))).await;
    browser.click(&format!("send-{who}")).await;
}

#[tokio::test]
async fn a_picture_that_is_chosen_arrives_on_the_other_phone() {
    let Some(browser) = Browser::start().await else { return };
    let demo = connected(&browser).await;
    let file = browser.profile.join("garden.png");
    fs::write(&file, png(30, 20)).unwrap();

    browser.click("attach-ann").await;
    browser.check_accessibility("what can be sent along").await;
    let input = browser.page.find(Locator::Css(&at("file-ann"))).await.unwrap();
    input.send_keys(file.to_str().unwrap()).await.unwrap();
    let chosen = format!("{} .chosen", at("phone-ann"));
    browser.wait_for_words(&chosen, "garden.png, 2 kB").await;
    browser.check_accessibility("a picture that is chosen").await;
    let composer = browser.page.find(Locator::Css(&at("composer-ann"))).await.unwrap();
    composer.send_keys("my garden").await.unwrap();
    browser.click("send-ann").await;

    drawn(&browser, "phone-ben", 1).await;
    let said = last_is(&browser, "phone-ann", "delivered").await;
    assert!(said.contains("my garden") && said.contains("Delivered"), "{said}");
    assert!(!browser.page.find(Locator::Css(&chosen)).await.unwrap().is_displayed().await.unwrap());
    let shown = browser
        .run(
            "const one = document.querySelector('[data-testid=phone-ben] img.picture');
              return [one.naturalWidth, one.naturalHeight, one.alt]",
        )
        .await;
    assert_eq!(shown, json!([30, 20, "Picture that Ben got"]));
    browser.check_accessibility("a picture in a conversation").await;

    let elsewhere = "return performance.getEntriesByType('resource').map(one => one.name)
        .filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))";
    assert_eq!(browser.run(elsewhere).await, json!([]), "the page asks nobody but the demo");
    assert_eq!(demo.state().await["exposed"], false);
    browser.close().await;
}

#[tokio::test]
async fn the_place_in_a_picture_stays_behind() {
    let Some(browser) = Browser::start().await else { return };
    let demo = connected(&browser).await;
    send_sample(&browser, "sunset", "ben").await;
    drawn(&browser, "phone-ann", 1).await;
    last_is(&browser, "phone-ben", "delivered").await;

    let holds_place = async |phone: &str| {
        let script = format!(
            "return document.querySelector('[data-testid={phone}] img.picture').getAttribute('src')"
        );
        let src = browser.run(&script).await;
        let url = format!("{}{}", demo.address, &src.as_str().unwrap()[1..]);
        let bytes = reqwest::get(url).await.unwrap().bytes().await.unwrap();
        let place = b"47.6062N 122.3321W";
        bytes.windows(place.len()).any(|at| at == place)
    };
    assert!(holds_place("phone-ben").await, "Ben's phone wrote it into the picture");
    assert!(!holds_place("phone-ann").await);
    browser.close().await;
}

#[tokio::test]
async fn what_is_not_passed_on_is_said_in_the_bubble_and_by_text() {
    let Some(browser) = Browser::start().await else { return };
    let _demo = connected(&browser).await;
    send_sample(&browser, "contact", "ann").await;
    let said = last_is(&browser, "phone-ann", "failed").await;
    assert!(said.contains("Failed: nothing was left to pass on"), "{said}");
    assert!(said.contains("Picture not passed on: not a picture"), "{said}");
    browser.wait_for_words(&at("phone-ann"), "only words and pictures").await;

    let composer = browser.page.find(Locator::Css(&at("composer-ann"))).await.unwrap();
    composer.send_keys("look at this").await.unwrap();
    send_sample(&browser, "huge", "ann").await;
    browser.wait_for_words(&at("phone-ben"), "look at this").await;
    let said = last_is(&browser, "phone-ann", "delivered").await;
    assert!(said.contains("Picture not passed on: too large"), "{said}");
    browser.wait_for_words(&at("phone-ann"), "send it again, or a smaller one").await;
    browser.check_accessibility("pictures that were refused").await;
    browser.close().await;
}

#[tokio::test]
async fn a_picture_is_sent_without_a_mouse_at_four_times_the_size() {
    const ENTER: &str = "\u{E007}";
    const TAB: &str = "\u{E004}";
    const ESCAPE: &str = "\u{E00C}";
    let Some(browser) = Browser::start().await else { return };
    // 1280 by 1024 points at 400 % are as large as these.
    browser.page.set_window_size(320, 400).await.unwrap();
    let _demo = connected(&browser).await;
    let key = async |key: &str| {
        browser.page.active_element().await.unwrap().send_keys(key).await.unwrap();
    };
    let focused = async || browser.page.active_element().await.unwrap().attr("data-testid").await;
    browser.run("document.querySelector('#switch .ann').click()").await;
    browser.run("document.querySelector('[data-testid=attach-ann]').focus()").await;
    for keys in [&[ENTER, TAB, ESCAPE][..], &[ENTER, TAB]] {
        for one in keys {
            key(one).await;
        }
    }
    assert_eq!(focused().await.unwrap().as_deref(), Some("sample-bicycle-ann"));
    let wide = "return document.documentElement.scrollWidth > innerWidth";
    assert_eq!(browser.run(wide).await, false, "nothing scrolls sideways");
    key(ENTER).await;
    browser.wait(&format!("{} .chosen:not([hidden])", at("phone-ann"))).await;
    assert_eq!(browser.run(wide).await, false, "nothing scrolls sideways");
    assert_eq!(focused().await.unwrap().as_deref(), Some("composer-ann"));
    key(ENTER).await;
    last_is(&browser, "phone-ann", "delivered").await;
    assert_eq!(browser.run(wide).await, false, "nothing scrolls sideways");
    browser.check_accessibility("a picture on a narrow page").await;
    browser.close().await;
}

#[tokio::test]
async fn each_state_of_a_text_is_shown() {
    let Some(browser) = Browser::start().await else { return };
    let demo = connected(&browser).await;
    let weather = async |faults: Value| {
        let put = reqwest::Client::new().put(format!("{}faults", demo.address)).json(&faults);
        assert_eq!(put.send().await.unwrap().status(), 200);
    };
    let said = async |state: &str| last_is(&browser, "phone-ben", state).await;
    weather(json!({"error": 1.0})).await;
    send_sample(&browser, "bicycle", "ben").await;
    assert!(said("queued").await.contains("Queued"));
    weather(json!({})).await;
    assert!(said("delivered").await.contains("Delivered"));
    weather(json!({"lose_receipt": 1.0})).await;
    send_sample(&browser, "bicycle", "ben").await;
    assert!(said("sent").await.contains("Sent"));
    weather(json!({"refuse": 1.0})).await;
    send_sample(&browser, "bicycle", "ben").await;
    assert!(said("failed").await.contains("Failed: refused with status 422"));
    weather(json!({"drop": 1.0, "lose_receipt": 1.0})).await;
    send_sample(&browser, "bicycle", "ben").await;
    assert!(said("unknown").await.contains("Unknown"));
    // That one holds up only what Ben sends.
    weather(json!({"fail_delivery": 1.0})).await;
    send_sample(&browser, "bicycle", "ann").await;
    let failed = last_is(&browser, "phone-ann", "failed").await;
    assert!(failed.contains("Failed: code 1110"), "{failed}");
    weather(json!({})).await;
    browser.check_accessibility("a text whose state nobody knows").await;
    browser.close().await;
}
