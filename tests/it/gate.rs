//! Who may knock: the secrets in the path, and the networks that may call.

use crate::support::{NUMBER, SECRET, TestApp, Wishes, flat};

async fn answer(test: &TestApp, path: &str) -> (u16, String) {
    let text = flat("knock", &test.ann().number, NUMBER, "START");
    let answer = test.http.post(test.url(path)).json(&text).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_wrong_or_missing_secret_is_404_and_nothing_is_kept() {
    let test = TestApp::start().await;
    let before = test.dump().await;
    let token = uuid::Uuid::nil();
    let longer = format!("/api/message/{SECRET}s");
    let shorter = format!("/api/message/{}", &SECRET[1..]);
    let upper = format!("/api/message/{}", SECRET.to_uppercase());
    let receipt = format!("/api/receipt/not-the-secret-at-all/{token}");
    let no_secret = format!("/api/receipt//{token}");
    let paths = [
        "/api/message/not-the-secret-at-all",
        &longer,
        &shorter,
        &upper,
        "/api/message/{secret}/",
        "/api/message/{secret}%00",
        "/api/message/%ff%fe",
        "/api/message/",
        "/api/message",
        "/api/receipt/{secret}",
        "/api/receipt/%ff/x",
        &receipt,
        &no_secret,
        "/",
    ];
    let (status, said) = answer(&test, paths[0]).await;
    assert_eq!(status, 404);
    for path in paths {
        assert_eq!(answer(&test, path).await, (404, said.clone()), "{path}");
    }
    assert_eq!(test.dump().await, before);
}

#[tokio::test]
async fn a_stranger_is_turned_away_before_the_payload_is_looked_at() {
    let test = TestApp::start().await;
    for body in ["no json".to_owned(), "x".repeat(2 * 1024 * 1024)] {
        let url = test.url("/api/message/not-the-secret-at-all");
        let answer = test.http.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
}

#[tokio::test]
async fn while_secrets_are_rotated_both_work() {
    let (new, old) = ("the-new-secret-of-2026", "the-old-secret-of-2025");
    let both = format!("{new},{old}");
    let settings = [("MASKLINE_WEBHOOK_SECRETS", both.as_str())];
    let test = TestApp::wishing(Wishes { settings: &settings, ..Wishes::default() }).await;
    for (n, secret) in [new, old].into_iter().enumerate() {
        let text = flat(&format!("rotated-{n}"), &test.ann().number, NUMBER, "hello?");
        let url = test.url(&format!("/api/message/{secret}"));
        assert_eq!(test.http.post(url).json(&text).send().await.unwrap().status(), 200);
    }
    assert_eq!(test.trail().await.iter().filter(|kind| *kind == "received talk").count(), 2);
    for wrong in [&both, "the-old-secret-of-2024", SECRET] {
        assert_eq!(answer(&test, &format!("/api/message/{wrong}")).await.0, 404, "{wrong}");
    }
    // What is sent from now on is reported to the new one.
    test.deliver().await;
    let told = test.simulator.exchanges().into_iter().filter(|call| call.url.contains("/receipt/"));
    assert!(told.clone().count() > 0 && told.into_iter().all(|call| call.url.contains(new)));
}

#[tokio::test]
async fn a_malformed_token_is_404_and_a_text_at_the_receipts_door_is_still_a_text() {
    let test = TestApp::start().await;
    let before = test.dump().await;
    for token in ["x", "123", "%ff", "00000000-0000-0000-0000-00000000000g"] {
        let (status, _) = answer(&test, &format!("/api/receipt/{{secret}}/{token}")).await;
        assert_eq!(status, 404, "{token}");
    }
    assert_eq!(test.dump().await, before);
    let token = uuid::Uuid::nil();
    assert_eq!(answer(&test, &format!("/api/receipt/{{secret}}/{token}")).await.0, 200);
    test.deliver().await;
    assert!(test.ann().last().contains("JOIN"), "{}", test.ann().last());
}

/// Asks with the right secret and these `X-Forwarded-For` headers, from 127.0.0.1.
async fn knock(settings: &[(&str, &str)], forwarded: &[&str]) -> u16 {
    let test = TestApp::wishing(Wishes { settings, ..Wishes::default() }).await;
    let before = test.dump().await;
    let text = flat("knock", &test.ann().number, "+14155550199", "hello?");
    let mut post = test.http.post(test.url("/api/message/{secret}")).json(&text);
    for value in forwarded {
        post = post.header("x-forwarded-for", *value);
    }
    let status = post.send().await.unwrap().status().as_u16();
    assert_eq!(test.dump().await == before, status != 200, "{status}");
    status
}

#[tokio::test]
async fn only_the_networks_that_are_allowed_may_call() {
    let from = |networks| ("MASKLINE_WEBHOOK_ALLOW", networks);
    assert_eq!(knock(&[from("127.0.0.1")], &[]).await, 200);
    assert_eq!(knock(&[from("192.0.2.0/24, 127.0.0.0/8")], &[]).await, 200);
    assert_eq!(knock(&[from("192.0.2.0/24")], &[]).await, 404);
    assert_eq!(knock(&[from("::1")], &[]).await, 404);
}

#[tokio::test]
async fn the_forwarded_address_counts_only_from_a_trusted_proxy() {
    let from = ("MASKLINE_WEBHOOK_ALLOW", "192.0.2.0/24");
    let by = |networks| ("MASKLINE_TRUSTED_PROXIES", networks);
    // Anybody can write the header.
    assert_eq!(knock(&[from], &["192.0.2.7"]).await, 404);
    assert_eq!(knock(&[from, by("10.0.0.0/8")], &["192.0.2.7"]).await, 404);

    let trusted = [from, by("127.0.0.1,10.0.0.0/8")];
    assert_eq!(knock(&trusted, &["192.0.2.7"]).await, 200);
    assert_eq!(knock(&trusted, &["192.0.2.7, 10.1.2.3"]).await, 200);
    assert_eq!(knock(&trusted, &["192.0.2.7, 198.51.100.1"]).await, 404);
    assert_eq!(knock(&trusted, &["192.0.2.7", "198.51.100.1"]).await, 404);
    assert_eq!(knock(&trusted, &["192.0.2.7, nonsense"]).await, 404);
    assert_eq!(knock(&trusted, &[]).await, 404);
    // Without a list of callers the header does not matter.
    assert_eq!(knock(&[by("127.0.0.1")], &["198.51.100.1"]).await, 200);
}

#[tokio::test]
async fn a_head_that_is_longer_than_any_of_the_carriers_is_not_kept_in_memory() {
    let test = TestApp::start().await;
    let status = async |length: usize| {
        let post = test.http.post(test.url("/api/message/{secret}")).body("{}");
        let sent = post.header("x-long", "x".repeat(length)).send().await;
        sent.map(|response| response.status().as_u16())
    };
    assert_eq!(status(8 * 1024).await.unwrap(), 200);
    let long = status(300 * 1024).await;
    assert!(long.is_err() || long.as_ref().is_ok_and(|status| *status == 431), "{long:?}");
}
