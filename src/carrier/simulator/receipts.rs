//! Delivery receipts: what becomes of an accepted text, told step by step.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    activity::Busy,
    faults::ReceiptFate,
    ledger::Message,
    problem::JSON_API,
    shared::Shared,
    webhooks::{Webhook, deliver},
    wire,
};

/// How many receipts a text has.
pub(super) const RECEIPTS: usize = 3;

/// One step of a text on its way to the phone, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Receipt {
    Submitted,
    Buffered,
    Delivered,
    Failed,
}

impl Receipt {
    pub(super) fn level(self) -> u8 {
        if self == Self::Submitted { 1 } else { 2 }
    }

    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Submitted => "smsc submit",
            Self::Buffered => "message buffered",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// A number in one and a string in the other: so the samples have it.
    pub(super) fn code(self) -> Value {
        match self {
            Self::Submitted | Self::Delivered => Value::Null,
            Self::Buffered => json!(1003),
            Self::Failed => json!("1110"),
        }
    }

    pub(super) fn description(self) -> Option<&'static str> {
        match self {
            Self::Submitted => Some("Message has been sent"),
            Self::Buffered => Some("Message accepted by Carrier"),
            Self::Delivered => None,
            Self::Failed => Some("Message accepted by the SMSC but the phone rejected the message"),
        }
    }
}

/// The receipts of one message, planned when it is accepted.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) message: Message,
    pub(super) fail: bool,
    pub(super) fates: [ReceiptFate; RECEIPTS],
    /// Where they go; without it the account did not ask for any.
    pub(super) url: Option<String>,
    /// Whether the first has the wrapped shape; from then on they alternate.
    pub(super) wrapped_first: bool,
}

/// Posts the receipts one after the other. Only one that is held back lets the next go first, and
/// one that must be sent again keeps none waiting.
pub(super) async fn run(shared: Arc<Shared>, plan: Plan, busy: Busy) {
    let Plan { message, fail, fates, url, wrapped_first } = plan;
    let last = if fail { Receipt::Failed } else { Receipt::Delivered };
    let steps = [Receipt::Submitted, Receipt::Buffered, last];
    let mut wrapped = wrapped_first;
    for (receipt, fate) in steps.into_iter().zip(fates) {
        let at = shared.settings.clock.now();
        shared.state().book.happened(&message.id, receipt, at);
        if let Some(url) = url.clone().filter(|_| !fate.lose) {
            let webhook = webhook(&message, receipt, at, wrapped, url, &shared.url);
            give(&shared, &message.id, receipt, webhook, fate).await;
        }
        wrapped = !wrapped;
    }
    drop(busy);
}

async fn give(
    shared: &Arc<Shared>,
    id: &str,
    receipt: Receipt,
    webhook: Webhook,
    fate: ReceiptFate,
) {
    let turn = shared.state().receipts.turn(fate.webhook.reorder);
    let is_held = turn.is_held();
    let busy = shared.activity.begin();
    let (own, id) = (Arc::clone(shared), id.to_owned());
    let posting = async move {
        let turn = turn.come(own.settings.hold).await;
        own.state().book.posted(&id, receipt);
        deliver(&own, webhook, fate.webhook, turn, busy).await;
    };
    if is_held {
        shared.spawn(posting);
    } else {
        posting.await;
    }
}

fn webhook(
    message: &Message,
    receipt: Receipt,
    at: Timestamp,
    wrapped: bool,
    url: String,
    base: &str,
) -> Webhook {
    if wrapped {
        Webhook::new(url, JSON_API, &wire::wrapped_receipt(message, receipt, at, base))
    } else {
        Webhook::new(url, "application/json", &wire::unwrapped_receipt(message, receipt))
    }
}
