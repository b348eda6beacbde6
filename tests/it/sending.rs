//! What becomes of a text at the carrier: accepted, refused, tried again, or unknown for good.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use maskline::{
    carrier::{
        Flowroute,
        simulator::{Event, Faults},
    },
    outbox::worker,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, time::timeout};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::{
    order::replica,
    support::{TestApp, Wishes},
};

/// Waits for something that happens soon, so that a test ends that would wait for ever.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happens = timeout(Duration::from_secs(40), happens).await;
    happens.unwrap_or_else(|_| panic!("still waiting: {what}"))
}

/// What became of texts, oldest first, such as `failed gave_up`.
async fn outcomes(test: &TestApp) -> Vec<String> {
    test.column(
        "select kind || coalesce(' ' || detail, '') from audit_record
         where kind in ('accepted', 'failed', 'unknown', 'reported', 'delivered', 'dropped')
         order by at, id",
    )
    .await
}

/// The outbox, in its order, such as `queued 1` for one that was tried once.
async fn outbox(test: &TestApp) -> Vec<String> {
    test.column("select state || ' ' || attempt from outbox order by seq").await
}

/// How often the carrier accepted these words.
fn accepted(test: &TestApp, body: &str) -> usize {
    test.simulator.ledger().accepted.iter().filter(|text| text.body == body).count()
}

/// An app whose carrier is another, with Ann's HELP and its answer promised.
async fn asking(carrier_url: &str) -> TestApp {
    let test =
        TestApp::wishing(Wishes { carrier_url: Some(carrier_url.to_owned()), ..Wishes::default() })
            .await;
    test.ann().texts("HELP").await;
    test
}

/// Waits until the simulated carrier shows a text on a phone.
async fn accepting(events: &mut broadcast::Receiver<Event>) {
    let accepted = async { while events.recv().await.unwrap() != Event::Changed {} };
    soon("the carrier accepts a text", accepted).await;
}

#[tokio::test]
async fn a_refused_text_has_failed_and_the_next_one_goes() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = outcomes(&test).await.len();
    test.faults(Faults { refuse: 1.0, ..Faults::default() });
    ann.texts("refused").await;
    ann.texts("taken").await;
    worker::step(&test.app, &test.carrier).await.unwrap();
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    test.deliver().await;
    test.advance(SignedDuration::from_hours(24));
    test.deliver().await;
    assert_eq!(ben.last(), "taken");
    assert_eq!(accepted(&test, "refused"), 0);
    // The second acceptance is of what tells Ann of it.
    let became = ["failed refused with status 422", "accepted", "accepted"];
    assert_eq!(outcomes(&test).await[before..], became);
}

#[tokio::test]
async fn a_phone_that_opted_out_at_the_carrier_fails_with_its_code() {
    let test = TestApp::start().await;
    let ben = test.ben();
    ben.texts("STOP").await;
    // Lifts the silence here; only UNSTOP lifts the carrier's own block.
    ben.texts("START").await;
    test.deliver().await;
    assert_eq!(outcomes(&test).await, ["failed refused with status 400 and code 1110"]);
}

#[tokio::test]
async fn a_busy_carrier_is_asked_again_later() {
    for fault in
        [Faults { throttle: 1.0, ..Faults::default() }, Faults { error: 1.0, ..Faults::default() }]
    {
        let test = TestApp::start().await;
        test.ann().texts("HELP").await;
        test.faults(fault);
        test.deliver().await;
        assert_eq!(outbox(&test).await, ["queued 1"]);
        test.advance(SignedDuration::from_secs(1));
        test.deliver().await;
        assert_eq!(outbox(&test).await, ["queued 2"]);
        test.faults(Faults::default());
        assert_eq!(test.deliver().await, 0, "the waits grow");
        test.advance(SignedDuration::from_secs(2));
        test.deliver().await;
        assert_eq!(test.ann().inbox().len(), 1);
    }
}

#[tokio::test]
async fn wrong_keys_lose_nothing() {
    let test = TestApp::start().await;
    let ann = test.ann();
    ann.texts("HELP").await;
    let mut wrong = test.app.settings.flowroute.clone();
    wrong.secret_key = "wrong".into();
    let refused = Flowroute::new(&wrong).unwrap();
    worker::step(&test.app, &refused).await.unwrap();
    assert_eq!(outbox(&test).await, ["queued 1"]);
    test.advance(SignedDuration::from_secs(1));
    test.deliver().await;
    assert_eq!(ann.inbox().len(), 1);
}

#[tokio::test]
async fn a_carrier_that_is_not_there_is_tried_a_bounded_number_of_times() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let test = asking(&nobody).await;
    test.ann().on_the_other_number().texts("START").await;

    let mut tries = 0;
    while !outbox(&test).await.is_empty() {
        let sent = worker::step(&test.app, &test.carrier).await.unwrap();
        tries += sent;
        assert!(tries < 100, "it never gives up");
        if sent == 0 {
            test.advance(SignedDuration::from_mins(1));
        }
    }
    assert_eq!(tries, 2 * 16);
    assert_eq!(outcomes(&test).await, ["failed gave_up", "failed gave_up"]);
}

#[tokio::test]
async fn a_carrier_that_hangs_leaves_it_unknown_and_is_not_asked_again() {
    // It takes the connection and the request, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut test = asking(&format!("http://{}", silent.local_addr().unwrap())).await;
    test.leave_promises();
    let hasty =
        Flowroute::with_timeout(&test.app.settings.flowroute, Duration::from_millis(200)).unwrap();
    for _ in 0..3 {
        worker::step(&test.app, &hasty).await.unwrap();
        test.advance(SignedDuration::from_hours(24));
    }
    assert_eq!(outbox(&test).await, ["unknown 1"]);
    assert_eq!(outcomes(&test).await, ["unknown answer_lost"]);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_leaves_it_unknown_and_accepted_once() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    test.ann().texts("HELP").await;
    test.faults(Faults { late: 1.0, late_ms: 600_000, lose_receipt: 1.0, ..Faults::default() });
    let hasty =
        Flowroute::with_timeout(&test.app.settings.flowroute, Duration::from_millis(500)).unwrap();
    for _ in 0..3 {
        worker::step(&test.app, &hasty).await.unwrap();
        assert_eq!(outbox(&test).await, ["unknown 1"]);
        test.advance(SignedDuration::from_hours(24));
    }
    assert_eq!(test.simulator.ledger().accepted.len(), 1);
}

#[tokio::test]
async fn a_dropped_connection_is_settled_by_its_receipt() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
    ann.texts("was it heard?").await;
    test.deliver().await;
    assert_eq!(outbox(&test).await, ["unknown 1"]);

    let sent = test.simulator.ledger().accepted.pop().unwrap();
    let receipt = json!({"type": "delivery_receipt", "id": sent.id,
        "attributes": {"status": "delivered", "status_code": null}});
    let url = sent.dlr_callback.unwrap();
    for _ in 0..2 {
        let post = test.http.post(&url).body(receipt.to_string()).send();
        assert_eq!(post.await.unwrap().status(), 200);
    }
    assert_eq!(outbox(&test).await, [""; 0]);
    let became = outcomes(&test).await;
    assert_eq!(
        became[became.len() - 3..],
        ["unknown answer_lost", "accepted", "delivered delivered"]
    );

    test.faults(Faults::default());
    ann.texts("next").await;
    test.deliver().await;
    assert_eq!(ben.last(), "next");
    assert_eq!(accepted(&test, "was it heard?"), 1);
}

#[tokio::test]
async fn without_answer_and_receipt_it_stays_unknown_and_the_lane_goes_on_after_a_while() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let (ann, ben) = test.conversation().await;
    test.faults(Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() });
    ann.texts("was it heard?").await;
    test.deliver().await;
    test.faults(Faults::default());
    ann.texts("next").await;
    for seconds in [0, 60, 239] {
        test.advance(SignedDuration::from_secs(seconds));
        test.deliver().await;
        assert_eq!(outbox(&test).await, ["unknown 1", "queued 0"], "after {seconds} s more");
    }
    for seconds in [1, 3600, 86_400 * 28] {
        test.advance(SignedDuration::from_secs(seconds));
        test.deliver().await;
        assert_eq!(outbox(&test).await, ["unknown 1"]);
        assert_eq!(ben.last(), "next");
    }
    assert_eq!(accepted(&test, "was it heard?"), 1);
}

#[tokio::test]
async fn a_worker_that_dies_leaves_it_unknown_and_the_lane_goes_on_after_a_while() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    let (ann, ben) = test.conversation().await;
    let faults = Faults { late: 1.0, late_ms: 600_000, lose_receipt: 1.0, ..Faults::default() };
    test.faults(faults);
    ann.texts("in flight").await;
    ann.texts("behind it").await;
    let mut events = test.simulator.subscribe();
    let (app, carrier) = (test.app.clone(), test.carrier.clone());
    let worker = tokio::spawn(async move { worker::step(&app, &carrier).await });
    accepting(&mut events).await;
    worker.abort();
    assert!(worker.await.unwrap_err().is_cancelled());
    test.faults(Faults::default());

    test.advance(SignedDuration::from_secs(60));
    assert_eq!(test.deliver().await, 0, "the lease holds to its last moment");
    assert_eq!(outbox(&test).await, ["sending 1", "queued 0"]);
    test.advance(SignedDuration::from_millis(1));
    test.deliver().await;
    assert_eq!(outbox(&test).await, ["unknown 1", "queued 0"]);
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    assert_eq!(outbox(&test).await, ["unknown 1"]);
    assert!(outcomes(&test).await.contains(&"unknown lease_expired".to_owned()));
    assert_eq!((accepted(&test, "in flight"), accepted(&test, "behind it")), (1, 1));
    assert_eq!(ben.last(), "behind it");
}

/// Lets a lease end while the carrier still thinks, and then answer like this, as often as it is
/// asked.
async fn late(answer: ResponseTemplate, asked: u64) -> (TestApp, Vec<String>) {
    let carrier = MockServer::start().await;
    let slow = answer.set_delay(Duration::from_millis(500));
    Mock::given(matchers::any()).respond_with(slow).expect(asked).mount(&carrier).await;
    let mut test = asking(&carrier.uri()).await;
    test.leave_promises();
    let (app, client) = (test.app.clone(), test.carrier.clone());
    let fenced = tokio::spawn(async move { worker::step(&app, &client).await });
    let claimed = async {
        while outbox(&test).await != ["sending 1"] {
            tokio::task::yield_now().await;
        }
    };
    soon("a worker claims it", claimed).await;
    test.advance(SignedDuration::from_secs(61));
    worker::step(&test.app, &test.carrier).await.unwrap();
    assert_eq!(outbox(&test).await, ["unknown 1"]);

    fenced.await.unwrap().unwrap();
    test.advance(SignedDuration::from_hours(24));
    worker::step(&test.app, &test.carrier).await.unwrap();
    let outcomes = outcomes(&test).await;
    (test, outcomes)
}

#[tokio::test]
async fn a_late_acceptance_settles_what_was_unknown() {
    let body = json!({"data": {"type": "message", "id": "mdr2-late"}});
    let (test, outcomes) = late(ResponseTemplate::new(202).set_body_json(body), 1).await;
    assert_eq!(outbox(&test).await, [""; 0]);
    assert_eq!(outcomes, ["unknown lease_expired", "accepted"]);
}

#[tokio::test]
async fn a_late_refusal_settles_what_was_unknown() {
    let (test, outcomes) = late(ResponseTemplate::new(422), 1).await;
    assert_eq!(outbox(&test).await, [""; 0]);
    assert_eq!(outcomes, ["unknown lease_expired", "failed refused with status 422"]);
}

#[tokio::test]
async fn a_late_try_again_is_tried_again() {
    // Its lane has waited for it.
    let why = json!({"errors": [{"status": 503, "detail": "busy"}]});
    let (test, outcomes) = late(ResponseTemplate::new(503).set_body_json(why), 2).await;
    assert_eq!(outbox(&test).await, ["queued 2"]);
    assert_eq!(outcomes, ["unknown lease_expired"]);
}

#[tokio::test]
async fn an_answer_of_an_earlier_attempt_settles_nothing() {
    let carrier = MockServer::start().await;
    let slow = ResponseTemplate::new(422).set_delay(Duration::from_millis(500));
    Mock::given(matchers::any()).respond_with(slow).mount(&carrier).await;
    let mut test = asking(&carrier.uri()).await;
    test.leave_promises();
    let (app, client) = (test.app.clone(), test.carrier.clone());
    let fenced = tokio::spawn(async move { worker::step(&app, &client).await });
    // Somebody else has taken it over meanwhile, under the next number.
    let took_over = async {
        while test
            .value::<i64>(
                "with taken as (update outbox set attempt = 2 where state = 'sending' returning id)
                 select count(*) from taken",
            )
            .await
            == 0
        {
            tokio::task::yield_now().await;
        }
    };
    soon("somebody takes it over", took_over).await;
    fenced.await.unwrap().unwrap();
    assert_eq!(outbox(&test).await, ["sending 2"]);
    assert_eq!(outcomes(&test).await, [""; 0]);
}

/// One accepted text, and what posts receipts for it.
async fn accepted_text() -> (TestApp, String) {
    let test = TestApp::start().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    test.ann().texts("HELP").await;
    test.deliver().await;
    let id = test.simulator.ledger().accepted.pop().unwrap().id;
    (test, id)
}

async fn receipt(test: &TestApp, id: &str, status: &str, code: Value) {
    let receipt = json!({"data": {"type": "delivery_receipt", "id": id,
        "attributes": {"level": 2, "status": status, "status_code": code}}});
    assert_eq!(test.post(&receipt).await, 200);
}

async fn delivery(test: &TestApp) -> String {
    test.value(
        "select delivery || coalesce(' / ' || status, '') from carrier_message
         where direction = 'outbound'",
    )
    .await
}

#[tokio::test]
async fn receipts_repeat_and_come_in_any_order_and_an_end_is_an_end() {
    for (last, code, ended) in [
        ("delivered", Value::Null, "delivered / delivered"),
        ("failed", json!("1110"), "failed / failed 1110"),
    ] {
        let (test, id) = accepted_text().await;
        receipt(&test, &id, "message buffered", json!(1003)).await;
        receipt(&test, &id, "message buffered", json!("1003")).await;
        assert_eq!(delivery(&test).await, "sent / message buffered 1003");
        receipt(&test, &id, last, code.clone()).await;
        assert_eq!(delivery(&test).await, ended);
        for (status, code) in [
            ("smsc submit", Value::Null),
            ("delivered", Value::Null),
            ("failed", json!(1110)),
            (last, code),
            ("resurrected", json!(7)),
        ] {
            receipt(&test, &id, status, code).await;
        }
        assert_eq!(delivery(&test).await, ended);
        assert_eq!(outcomes(&test).await.len(), 3, "{:?}", outcomes(&test).await);
    }
}

#[tokio::test]
async fn unknown_words_are_kept_as_they_are_and_mean_that_it_is_on_its_way() {
    let (test, id) = accepted_text().await;
    receipt(&test, &id, "Überraschung", json!(9)).await;
    assert_eq!(delivery(&test).await, "sent / Überraschung 9");
    receipt(&test, &id, "", Value::Null).await;
    receipt(&test, &id, "delivered", Value::Null).await;
    assert_eq!(
        outcomes(&test).await,
        ["accepted", "reported Überraschung 9", "reported ", "delivered delivered"]
    );
}

#[tokio::test]
async fn receipts_that_the_carrier_shuffles_and_doubles_end_right() {
    let test = TestApp::start().await;
    test.faults(Faults { reorder: 1.0, duplicate: 1.0, ..Faults::default() });
    test.ann().texts("HELP").await;
    test.deliver().await;
    assert_eq!(delivery(&test).await, "delivered / delivered");
    let kinds = test.trail().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "accepted").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| *kind == "delivered").count(), 1);
}

#[tokio::test]
async fn a_receipt_for_a_text_that_was_never_tried_settles_nothing() {
    let mut test = TestApp::start().await;
    test.leave_promises();
    test.ann().texts("HELP").await;
    let id: String = test.value("select id::text from outbox").await;
    let url = test.url(&format!("/api/receipt/{{secret}}/{id}"));
    let receipt = json!({"type": "delivery_receipt", "id": "mdr2-made-up",
        "attributes": {"status": "delivered"}});
    let post = test.http.post(url).body(receipt.to_string()).send();
    assert_eq!(post.await.unwrap().status(), 200);
    assert_eq!(outbox(&test).await, ["queued 0"]);
}

#[tokio::test]
async fn the_accounts_limit_is_one_for_all_workers() {
    let test = TestApp::wishing(Wishes {
        settings: &[("MASKLINE_SMS_PER_SECOND", "5")],
        ..Wishes::default()
    })
    .await;
    let other = replica(&test).await;
    for n in 10..30 {
        test.phone(&format!("+120655501{n}")).texts("HELP").await;
    }
    let both = async || {
        let mut sent = 0;
        for _ in 0..3 {
            let steps = [&test.app, &other].map(|app| worker::step(app, &test.carrier));
            sent += join_all(steps).await.into_iter().map(Result::unwrap).sum::<usize>();
        }
        sent
    };
    for second in 0..4 {
        assert_eq!(both().await, 5, "in second {second}");
        test.advance(SignedDuration::from_millis(999));
        assert_eq!(both().await, 0, "before second {second} is over");
        test.advance(SignedDuration::from_millis(1));
    }
    test.simulator.idle().await;
    assert_eq!(test.simulator.ledger().accepted.len(), 20);
}

#[tokio::test]
async fn a_running_worker_wakes_at_once_after_a_commit() {
    let test = TestApp::start().await;
    let mut events = test.simulator.subscribe();
    let worker = tokio::spawn(worker::run(test.app.clone(), test.carrier.clone()));
    // Were it the poll that finds them, ten texts would take half a second each.
    let started = tokio::time::Instant::now();
    let all = async {
        for n in 10..20 {
            test.phone(&format!("+120655501{n}")).texts("HELP").await;
            while test.simulator.ledger().accepted.len() < n - 9 {
                events.recv().await.unwrap();
            }
        }
    };
    soon("the worker wakes", all).await;
    let took = started.elapsed();
    assert!(took < Duration::from_millis(2500), "ten texts took {took:?}: they wait for the poll");

    test.app.draining.cancel();
    soon("the worker drains", worker).await.unwrap();
    test.simulator.idle().await;
}

#[tokio::test]
async fn the_request_has_the_carriers_form_to_the_letter() {
    let carrier = MockServer::start().await;
    let answer = json!({"data": {"type": "message", "id": "mdr2-1"}});
    Mock::given(matchers::method("POST"))
        .and(matchers::path("/v2.2/messages"))
        // simulated:simulated
        .and(matchers::header("authorization", "Basic c2ltdWxhdGVkOnNpbXVsYXRlZA=="))
        .and(matchers::header("content-type", "application/vnd.api+json"))
        .respond_with(ResponseTemplate::new(202).set_body_json(answer))
        .expect(1)
        .mount(&carrier)
        .await;
    // A base with a slash at its end is the same base.
    let test = asking(&format!("{}/", carrier.uri())).await;
    let id: String = test.value("select id::text from outbox").await;
    worker::step(&test.app, &test.carrier).await.unwrap();

    let request = carrier.received_requests().await.unwrap().pop().unwrap();
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    let body = sent["data"]["attributes"]["body"].as_str().unwrap();
    assert!(body.starts_with("Maskline: Hidden numbers"), "{body}");
    assert_eq!(
        sent,
        json!({"data": {"type": "message", "attributes": {
            "to": "+12065550142",
            "from": "+14155550100",
            "body": body,
            "dlr_callback": test.url(&format!("/api/receipt/{{secret}}/{id}")),
        }}})
    );
    let sample: Value = serde_json::from_str(include_str!("../samples/send-request.json")).unwrap();
    assert_eq!(shape(&sent), shape(&sample));
    assert_eq!(outcomes(&test).await, ["accepted"]);
}

/// A document with its texts left out.
fn shape(document: &Value) -> Value {
    match document {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect()
        }
        _ => Value::Null,
    }
}

#[tokio::test]
async fn an_acceptance_that_cannot_be_read_is_unknown() {
    for answer in [
        ResponseTemplate::new(202),
        ResponseTemplate::new(202).set_body_string("<html>"),
        ResponseTemplate::new(202).set_body_json(json!({"data": {"id": ""}})),
        // From something in between, which cannot know whether the carrier accepted.
        ResponseTemplate::new(500),
        ResponseTemplate::new(502),
        ResponseTemplate::new(503).set_body_string("Service Unavailable"),
        ResponseTemplate::new(504).set_body_string("gateway timeout"),
    ] {
        let carrier = MockServer::start().await;
        Mock::given(matchers::any()).respond_with(answer).expect(1).mount(&carrier).await;
        let mut test = asking(&carrier.uri()).await;
        test.leave_promises();
        worker::step(&test.app, &test.carrier).await.unwrap();
        test.advance(SignedDuration::from_hours(24));
        worker::step(&test.app, &test.carrier).await.unwrap();
        assert_eq!(outbox(&test).await, ["unknown 1"]);
    }
}
