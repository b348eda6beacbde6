//! Phones: what they text, what they show, and STOP.

use serde_json::{Value, json};

use super::{
    super::{TextRefused, Way},
    NUMBER, OTHER_NUMBER, PHONE, Stage, new_text, phone,
};

#[tokio::test]
async fn texts_alternate_between_the_two_shapes() {
    let mut stage = Stage::listening().await;
    let ids = [stage.texts("one").await.id, stage.texts("two").await.id];
    let hooks = stage.all_hooks().await;

    assert_eq!(
        hooks[0].body,
        json!({ "id": ids[0], "from": "12065550101", "to": "12065550100", "body": "one" })
    );
    assert!(hooks[0].content_type.starts_with("application/json"));
    let data = &hooks[1].body["data"];
    assert_eq!((&data["id"], &data["type"]), (&json!(ids[1]), &json!("message")));
    let attributes = data["attributes"].as_object().unwrap();
    assert_eq!(attributes["from"], "12065550101");
    assert_eq!(attributes["message_callback_url"], json!(format!("{}/sms", stage.receiver)));
    assert_eq!(hooks[1].content_type, "application/vnd.api+json");
    let names: Vec<&String> = attributes.keys().collect();
    insta::assert_json_snapshot!(names, @r#"
    [
      "amount_display",
      "amount_nanodollars",
      "body",
      "direction",
      "from",
      "is_mms",
      "message_callback_url",
      "message_encoding",
      "message_type",
      "status",
      "timestamp",
      "to"
    ]
    "#);
}

#[tokio::test]
async fn a_shape_that_was_asked_for_is_taken() {
    let mut stage = Stage::listening().await;
    for (shape, has_data) in [("jsonapi", true), ("jsonapi", true), ("flat", false)] {
        let mut text = new_text("Hello");
        text.shape = serde_json::from_value(json!(shape)).unwrap();
        stage.simulator.text(text).await.unwrap();
        assert_eq!(stage.hook().await.body["data"].is_object(), has_data);
    }
}

#[tokio::test]
async fn a_picture_goes_to_the_mms_callback_where_there_is_one() {
    let mut stage = Stage::listening().await;
    let text = json!({
        "from": PHONE, "to": NUMBER,
        "media": [{
            "url": "https://example.com/a", "file_name": "a.png",
            "mime_type": "image/png", "file_size": 14832,
        }],
    });
    let text = || serde_json::from_value(text.clone()).unwrap();
    stage.simulator.text(text()).await.unwrap();
    assert_eq!(stage.hook().await.path, "/sms");

    stage.set_callback("mms_callback", "/mms").await;
    stage.simulator.text(text()).await.unwrap();
    let hook = stage.hook().await;
    assert_eq!(hook.path, "/mms");
    let attributes = &hook.body["data"]["attributes"];
    assert_eq!(attributes["body"], Value::Null);
    assert_eq!(attributes["is_mms"], true);
    assert!(attributes["amount_nanodollars"].is_number());
    let included = &hook.body["included"][0];
    assert_eq!(included["attributes"]["url"], "https://example.com/a");
    assert_eq!(hook.body["data"]["relationships"]["media"]["data"][0]["id"], included["id"]);
}

#[tokio::test]
async fn only_200_acknowledges_and_after_five_attempts_it_is_over() {
    let mut stage = Stage::listening().await;
    stage.answers([204, 500, 302, 404, 201]);
    let texted = stage.texts("Hello").await;
    assert_eq!(texted.statuses, [Some(204)]);

    let first = stage.hook().await;
    for _ in 0..4 {
        assert_eq!(stage.hook().await.bytes, first.bytes);
    }
    assert_eq!(stage.texts("next").await.statuses, [Some(200)]);
    assert_eq!(stage.hook().await.body["data"]["attributes"]["body"], "next");
}

#[tokio::test]
async fn an_acknowledged_resend_is_the_last() {
    let mut stage = Stage::listening().await;
    stage.answers([500, 200]);
    stage.texts("Hello").await;
    let first = [stage.hook().await.bytes, stage.hook().await.bytes];
    assert_eq!(first[0], first[1]);

    // All attempts at another text outlast what might be left of the first.
    stage.answers([500; 5]);
    stage.texts("next").await;
    for _ in 0..5 {
        assert_eq!(stage.hook().await.body["data"]["attributes"]["body"], "next");
    }
}

#[tokio::test]
async fn a_webhook_that_cannot_be_reached_is_null() {
    let stage = Stage::start().await;
    assert_eq!(stage.texts("Hello").await.statuses, []);

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", nobody.local_addr().unwrap());
    drop(nobody);
    let body = json!({ "data": { "attributes": { "callback_url": url } } });
    stage.call(reqwest::Method::PUT, "/v2.2/messages/sms_callback", &body).await;
    assert_eq!(stage.texts("Hello").await.statuses, [None]);
    let exchange = stage.simulator.exchanges().pop().unwrap();
    assert!(exchange.error.is_some(), "{exchange:?}");
}

#[tokio::test]
async fn a_known_id_is_only_delivered_again() {
    let mut stage = Stage::listening().await;
    for _ in 0..2 {
        let mut text = new_text("Hello");
        text.id = Some("mdr2-same".to_owned());
        stage.simulator.text(text).await.unwrap();
    }
    assert_eq!(stage.all_hooks().await.len(), 2);
    assert_eq!(stage.simulator.ledger().inbound.len(), 1);
    assert_eq!(stage.bodies_on_phone(), ["Hello"]);
}

#[tokio::test]
async fn stop_blocks_one_pair_until_unstop() {
    let mut stage = Stage::listening().await;
    stage.texts("sToP").await;
    assert_eq!(stage.all_hooks().await[0].body["body"], "sToP", "it is forwarded all the same");

    let (status, body) = stage.send("Hello").await;
    assert_eq!(status, 400);
    assert!(body["errors"][0]["detail"].as_str().unwrap().starts_with("1110:"));
    let mut other = super::message("from another");
    other["data"]["attributes"]["from"] = json!(OTHER_NUMBER);
    assert_eq!(stage.call(reqwest::Method::POST, "/v2.2/messages", &other).await.0, 202);

    stage.texts("please stop").await;
    stage.texts("UNSTOP").await;
    assert_eq!(stage.send("Hello again").await.0, 202);
    stage.texts("STOP it").await;
    assert_eq!(stage.send("And again").await.0, 202, "only the single word counts");

    let shown = stage.simulator.phone(&phone(PHONE));
    assert_eq!(shown[1].direction, Way::In);
    assert_eq!(shown[1].with, phone(NUMBER));
    assert!(shown[1].body.starts_with("You have been unsubscribed"));
    let bodies = stage.bodies_on_phone();
    let expected = ["from another", "please stop", "UNSTOP", "Hello again", "STOP it", "And again"];
    assert_eq!(bodies[2..], expected);
    assert_eq!(stage.simulator.ledger().accepted.len(), 3, "what was blocked was not accepted");
}

#[tokio::test]
async fn what_no_phone_could_send_is_refused() {
    let stage = Stage::start().await;
    let refused = async |change: fn(&mut super::NewText)| {
        let mut text = new_text("Hello");
        change(&mut text);
        stage.simulator.text(text).await.unwrap_err()
    };
    assert_eq!(refused(|text| text.to = phone(PHONE)).await, TextRefused::NotOurNumber);
    assert_eq!(refused(|text| text.body = None).await, TextRefused::Nothing);
    assert_eq!(refused(|text| text.id = Some(String::new())).await, TextRefused::EmptyId);
    assert!(stage.simulator.ledger().inbound.is_empty());
}
