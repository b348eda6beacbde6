//! Phones that are turned off: what fails for a few of them says nothing about a masked number.

use maskline::{carrier::simulator::Faults, sweeper};
use serde_json::json;

use crate::support::TestApp;

async fn states(test: &TestApp) -> Vec<String> {
    sweeper::look_at_pool(&test.app).await.unwrap();
    test.column("select state from masked_number order by number").await
}

/// Sends what waits, and has the carrier report that none of it reached its phone.
async fn deliver_in_vain(test: &TestApp) {
    test.deliver().await;
    let sent = "select carrier_id from carrier_message where delivery = 'sent'";
    for id in test.column(sent).await {
        let attributes = json!({"status": "failed", "status_code": 1002});
        let receipt = json!({"id": id, "type": "delivery_receipt", "attributes": attributes});
        assert_eq!(test.post(&receipt).await, 200);
    }
}

#[tokio::test]
async fn one_dead_phone_puts_no_number_out_of_service_and_many_do() {
    let test = TestApp::start().await;
    let (ann, _ben) = test.conversation().await;
    test.faults(Faults { lose_receipt: 1.0, ..Faults::default() });
    for n in 0..30 {
        ann.texts(&format!("are you there? {n}")).await;
    }
    deliver_in_vain(&test).await;
    assert_eq!(test.value::<i64>("select count(*) from send_failure").await, 30);
    assert_eq!(states(&test).await, ["in_service"; 2]);
    for n in 0..5 {
        test.phone(&format!("+1206555013{n}")).texts("HELP").await;
    }
    deliver_in_vain(&test).await;
    assert_eq!(states(&test).await, ["quarantined", "in_service"]);
    test.deliver().await;
}
