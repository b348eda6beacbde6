//! The door: what each request is answered, and what is kept of it.

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{NUMBER, OTHER_NUMBER, TestApp, flat, sample};

/// Posts these bytes with this content type, if any.
async fn post_as(test: &TestApp, kind: Option<&str>, body: String) -> u16 {
    let mut post = test.http.post(test.url("/api/message/{secret}")).body(body);
    if let Some(kind) = kind {
        post = post.header(CONTENT_TYPE, kind);
    }
    post.send().await.unwrap().status().as_u16()
}

/// A talk of Ann's whose body stands in the JSON exactly so.
fn raw(id: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(r#"{{"id":"{id}","from":"12065550142","to":"{NUMBER}","body":""#);
    [head.as_bytes(), body, b"\"}"].concat()
}

#[tokio::test]
async fn every_content_type_is_read() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let kinds = [
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("application/vnd.api+json"),
        Some("application/vnd.api+json;charset=UTF-8"),
        Some("text/plain"),
        None,
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        let text = flat(&format!("kind-{n}"), &ann.number, NUMBER, &format!("text {n}"));
        assert_eq!(post_as(&test, kind, text.to_string()).await, 200, "{kind:?}");
        test.deliver().await;
        assert_eq!(ben.last(), format!("text {n}"));
    }
}

#[tokio::test]
async fn numbers_and_attributes_are_read_however_they_are_written() {
    let test = TestApp::start().await;
    let (_ann, ben) = test.conversation().await;
    let wrapped =
        |attributes: Value| json!({"data": {"type": "message", "attributes": attributes}});
    let forms = [
        json!({"from": 12_065_550_142_u64, "to": 14_155_550_100_u64}),
        json!({"from": "+12065550142", "to": "+14155550100"}),
        json!({"from": " 12065550142 ", "to": "14155550100\n"}),
        json!({"from": "12065550142", "to": NUMBER, "surprise": {"a": [1, {"b": null}]}}),
        wrapped(json!({"from": 12_065_550_142_u64, "to": NUMBER})),
        wrapped(json!({"from": "12065550142", "to": NUMBER, "timestamp": "yesterday"})),
        wrapped(json!({"from": "12065550142", "to": NUMBER, "timestamp": 1_700_000_000})),
        wrapped(json!({"from": "12065550142", "to": NUMBER, "timestamp": null, "status": 7})),
        json!({"data": {"attributes": {"from": "12065550142", "to": NUMBER, "is_mms": "no"}}}),
    ];
    for (n, mut form) in forms.into_iter().enumerate() {
        let body = format!("form {n}");
        let resource = if form.get("data").is_some() { &mut form["data"] } else { &mut form };
        // Even the id has come as a number.
        resource["id"] = if n % 2 == 0 { json!(format!("form-{n}")) } else { json!(1000 + n) };
        match resource.get_mut("attributes") {
            Some(attributes) => attributes["body"] = json!(body),
            None => resource["body"] = json!(body),
        }
        assert_eq!(test.post(&form).await, 200, "{form}");
        test.deliver().await;
        assert_eq!(ben.last(), body, "{form}");
    }
}

#[tokio::test]
async fn only_post_is_allowed() {
    let test = TestApp::start().await;
    let receipt = format!("/api/receipt/{{secret}}/{}", uuid::Uuid::nil());
    for path in ["/api/message/{secret}", &receipt] {
        for method in [Method::GET, Method::PUT, Method::HEAD, Method::DELETE, Method::PATCH] {
            let request = test.http.request(method.clone(), test.url(path));
            assert_eq!(request.send().await.unwrap().status(), 405, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_400_and_nothing_is_kept() {
    let test = TestApp::start().await;
    let before = test.dump().await;
    let deep = |levels: usize, open: &str, close: &str| {
        format!("{{\"id\":{}1{}}}", open.repeat(levels), close.repeat(levels)).into_bytes()
    };
    let bodies: [Vec<u8>; 15] = [
        b"".into(),
        b" \n".into(),
        b"[]".into(),
        br#"[{"id":"1","from":"12065550142","to":"14155550100","body":"x"}]"#.into(),
        br#""text""#.into(),
        b"1".into(),
        b"null".into(),
        b"{".into(),
        b"{}{}".into(),
        b"id=1&body=hello".into(),
        br#"{"id":"\ud83"}"#.into(),
        b"\0\0\0".into(),
        deep(1_000, "[", "]"),
        deep(200_000, "[", "]"),
        deep(100_000, "{\"a\":", "}"),
    ];
    for body in bodies {
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(test.post_bytes(body).await, 400, "{start}");
    }
    assert_eq!(test.dump().await, before);
}

#[tokio::test]
async fn a_payload_of_1_mib_or_more_is_413() {
    let test = TestApp::start().await;
    let before = test.dump().await;
    let of = |id: &str, size: usize| {
        let words = b"long ".repeat(size / 5 + 1);
        let frame = raw(id, b"").len();
        raw(id, &words[..size - frame])
    };
    assert_eq!(test.post_bytes(of("big", 1024 * 1024)).await, 413);
    assert_eq!(test.post_bytes(of("huge", 5 * 1024 * 1024)).await, 413);
    assert_eq!(test.dump().await, before);

    assert_eq!(test.post_bytes(of("just", 1024 * 1024 - 1)).await, 200);
    test.deliver().await;
    let kept: i32 =
        test.value("select length(body) from audit_record where carrier_id = 'just'").await;
    assert!(kept > 1_048_000, "{kept}");
}

#[tokio::test]
async fn ten_thousand_characters_are_relayed_whole() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let long: String = "é 🚲 and so on, ".chars().cycle().take(10_000).collect();
    ann.texts(&long).await;
    test.deliver().await;
    assert!(ben.last() == long);
}

#[tokio::test]
async fn what_is_no_text_becomes_the_replacement_character() {
    let test = TestApp::start().await;
    let (_ann, ben) = test.conversation().await;
    let cases: [(&[u8], &str); 9] = [
        (br"nul \u0000 here", "nul \u{fffd} here"),
        (br"\u0000", "\u{fffd}"),
        (br"high \ud83d", "high \u{fffd}"),
        (br"low \uDE00 and on", "low \u{fffd} and on"),
        (br"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (br"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (br"\\ud83d stays, \ud83d goes", "\\ud83d stays, \u{fffd} goes"),
        (b"caf\xe9", "caf\u{fffd}"),
        (b"\xff\xfe \\ud83d \\\"quoted\\\"", "\u{fffd}\u{fffd} \u{fffd} \"quoted\""),
    ];
    for (n, (body, read)) in cases.into_iter().enumerate() {
        assert_eq!(test.post_bytes(raw(&format!("odd-{n}"), body)).await, 200, "{read}");
        test.deliver().await;
        assert_eq!(ben.last(), read);
    }
    // In fields that nobody reads, or that are only kept, they do no harm either.
    let elsewhere = format!(
        r#"{{"data": {{"id": "elsewhere\u0000", "type": "message", "attributes": {{
            "from": "12065550142", "to": "{NUMBER}", "body": "a picture", "x": "\ud83d"}}}},
            "included": [{{"type": "media", "attributes": {{
            "url": "https://media.example/\u0000", "file_name": "\ud83d\u0000.png"}}}}]}}"#
    );
    assert_eq!(test.post_bytes(elsewhere.into()).await, 200);
    test.deliver().await;
    assert_eq!(ben.last(), "a picture");
}

#[tokio::test]
async fn a_sender_that_is_no_number_is_on_record_and_unanswered() {
    let test = TestApp::start().await;
    let odd = [
        json!("anonymous"),
        json!("20655"),
        json!("+1206555014X"),
        json!("tel:+12065550142"),
        json!("(206) 555-0142"),
        json!("120655501421206555"),
        json!("0120655501"),
        json!("12065550142\u{0}"),
        json!("１２０６５５５０１４２"),
        json!(""),
        json!(null),
        json!(true),
        json!(["12065550142"]),
        json!({"number": "12065550142"}),
        json!(-12_065_550_142_i64),
        json!(1.206_555_014_2e10),
    ];
    for (n, from) in odd.iter().enumerate() {
        let text = json!({"id": format!("odd-{n}"), "from": from, "to": NUMBER, "body": "START"});
        assert_eq!(test.post(&text).await, 200, "{from}");
    }
    assert_eq!(test.trail().await, vec!["refused sender_unreadable"; odd.len()]);
    for trace in ["206555", "20655", "555-0142", "anonymous", "５５５"] {
        assert_eq!(test.places(trace).await, [""; 0], "{trace}");
    }
    let people: i64 = test.value("select count(*) from person").await;
    assert_eq!(people, 0);
    assert_eq!(test.deliver().await, 0);
}

#[tokio::test]
async fn a_text_to_a_number_that_is_not_ours_is_on_record_and_unanswered() {
    let test = TestApp::start().await;
    let others = [json!("+14155550199"), json!("nobody"), json!(null), json!(911), json!([NUMBER])];
    for (n, to) in others.iter().enumerate() {
        let text = json!({"id": format!("to-{n}"), "from": "12065550142", "to": to, "body": "hi"});
        assert_eq!(test.post(&text).await, 200, "{to}");
    }
    assert_eq!(test.trail().await, vec!["refused not_our_number"; others.len()]);
    assert_eq!(test.places("2065550142").await, [""; 0]);
    assert_eq!(test.places("4155550199").await, [""; 0]);
    assert_eq!(test.deliver().await, 0);
}

#[tokio::test]
async fn our_own_numbers_do_not_talk_to_each_other() {
    let test = TestApp::start().await;
    for (n, (from, to)) in
        [(OTHER_NUMBER, NUMBER), (NUMBER, NUMBER), (NUMBER, OTHER_NUMBER)].into_iter().enumerate()
    {
        for body in ["hello?", "START"] {
            let text = flat(&format!("own-{n}-{body}"), &from.parse().unwrap(), to, body);
            assert_eq!(test.post(&text).await, 200);
        }
    }
    assert_eq!(test.trail().await, ["refused own_number"; 6]);
    assert_eq!(test.deliver().await, 0);
}

/// Letters in which an index finds no pattern to make them shorter.
fn incompressible(length: usize) -> String {
    (0..length).map(|n| char::from(b'a' + u8::try_from(n * n % 7919 % 26).unwrap())).collect()
}

#[tokio::test]
async fn an_object_that_is_neither_a_text_nor_a_receipt_is_on_record() {
    let test = TestApp::start().await;
    let to_us = |id: Value| json!({"id": id, "from": "12065550142", "to": NUMBER, "body": "x"});
    let objects = [
        json!({}),
        json!({"hello": "world"}),
        json!({"id": "only-an-id"}),
        json!({"data": []}),
        json!({"data": null}),
        json!({"data": {"id": "x", "type": "number", "attributes": {}}}),
        json!({"data": {"type": "message", "attributes": {"from": "1", "to": "2"}}}),
        to_us(json!("")),
        to_us(json!(null)),
        to_us(json!({"no": "id"})),
        // Nothing that the carrier would ever name a text.
        to_us(json!(incompressible(20_000))),
        sample("message-list-200"),
        sample("number-list-200"),
        sample("error-401"),
    ];
    for object in &objects {
        assert_eq!(test.post(object).await, 200, "{object}");
    }
    assert_eq!(test.trail().await, vec!["refused payload_unreadable"; objects.len()]);
    assert_eq!(test.deliver().await, 0);
}
