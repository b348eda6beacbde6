//! What goes wrong with the carrier is counted: each figure after one case of it.

use jiff::SignedDuration;
use maskline::carrier::simulator::Faults;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

use crate::{
    lanes::{busy, half_a_minute},
    reconcile::{minutes, started, webhook},
    support::{TestApp, Wishes},
};

/// The carrier accepts, and neither its answer nor a receipt comes.
fn silent() -> Faults {
    Faults { drop: 1.0, lose_receipt: 1.0, ..Faults::default() }
}

/// The lines that a scrape shows of these figures.
fn shown(scraped: &str, name: &str) -> Vec<String> {
    scraped.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

/// Receipts come of all that was accepted with these words.
async fn receipts(test: &TestApp, words: &str) {
    for sent in test.simulator.ledger().accepted {
        if sent.body == words {
            let receipt = json!({"id": sent.id, "type": "delivery_receipt",
                "attributes": {"status": "delivered"}});
            test.http.post(sent.dlr_callback.unwrap()).json(&receipt).send().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_text_that_the_webhook_never_brought_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _mine = metrics::set_default_local_recorder(&recorder);
    let test = started().await;
    let (ann, _) = test.conversation().await;
    webhook(&test, false);
    ann.texts("never brought").await;
    webhook(&test, true);
    minutes(&test, 4).await;
    assert_eq!(
        shown(&recorder.handle().render(), "maskline_reconciled_inbound_total"),
        ["maskline_reconciled_inbound_total{outcome=\"text\"} 1"]
    );
}

#[tokio::test]
async fn an_unknown_outcome_is_counted_by_what_settled_it() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _mine = metrics::set_default_local_recorder(&recorder);
    let mut test = started().await;
    test.leave_promises();
    let (ann, _) = test.conversation().await;
    let settled = || shown(&recorder.handle().render(), "maskline_unknown_total");
    let line = |by: &str| format!("maskline_unknown_total{{settled_by=\"{by}\"}} 1");
    assert_eq!(settled(), [""; 0]);
    test.faults(silent());
    ann.texts("its receipt comes").await;
    test.deliver().await;
    assert_eq!(settled(), [""; 0]);
    receipts(&test, "its receipt comes").await;
    assert_eq!(settled(), [line("receipt")]);
    ann.texts("the list shows it").await;
    test.deliver().await;
    minutes(&test, 1).await;
    assert!(settled().contains(&line("list")), "{:?}", settled());
    ann.texts("nobody knows").await;
    test.deliver().await;
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    assert!(settled().contains(&line("park")), "{:?}", settled());
}

#[tokio::test]
async fn a_second_acceptance_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _mine = metrics::set_default_local_recorder(&recorder);
    let settings = [("MASKLINE_UNKNOWN", "resend")];
    let test = TestApp::wishing(Wishes { settings: &settings, ..Wishes::default() }).await;
    let (ann, _) = test.conversation().await;
    test.faults(silent());
    ann.texts("was it heard?").await;
    test.deliver().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    test.advance(SignedDuration::from_mins(5));
    test.deliver().await;
    let twice = || shown(&recorder.handle().render(), "maskline_accepted_twice_total");
    assert_eq!(twice(), [""; 0]);
    receipts(&test, "was it heard?").await;
    assert_eq!(twice(), ["maskline_accepted_twice_total 1"]);
    let resent = "maskline_unknown_total{settled_by=\"resend\"}";
    assert_eq!(shown(&recorder.handle().render(), resent), [format!("{resent} 1")]);
}

#[tokio::test]
async fn a_lane_that_goes_on_without_a_text_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _mine = metrics::set_default_local_recorder(&recorder);
    let (_carrier, test) = busy(false).await;
    for n in 0..11 {
        half_a_minute(&test, n).await;
    }
    let name = "maskline_lanes_passed_total";
    assert_eq!(shown(&recorder.handle().render(), name), [format!("{name} 1")]);
}
