//! What a decision promises, and what the trail says of it.

use serde_json::json;

use crate::{
    audit::{Kind, Record},
    carrier::wire::InboundText,
    conversation::{
        Address,
        decide::{Decision, Effect},
    },
    ids::TextId,
    outbox::Promise,
    texts::Brand,
};

/// The texts that a decision promises, in their order.
pub(super) fn promises(decision: &Decision, text: &InboundText, brand: &Brand) -> Vec<Promise> {
    let promise = |effect: &Effect| match effect {
        Effect::Relay { conversation, to } => Some(Promise {
            id: TextId::new(),
            conversation: Some(*conversation),
            to: to.person,
            through: to.through.id,
            answer: None,
            body: text.body.clone(),
            despite_optout: false,
        }),
        Effect::Say { to, conversation, answer, despite_optout } => Some(Promise {
            id: TextId::new(),
            conversation: *conversation,
            to: to.person,
            through: to.through.id,
            answer: Some(answer.name()),
            body: answer.render(brand),
            despite_optout: *despite_optout,
        }),
        _ => None,
    };
    decision.effects.iter().filter_map(promise).collect()
}

/// The records of a text, of what it changed, and of what was promised because of it.
pub(super) fn records(
    decision: &Decision,
    sender: &Address,
    text: &InboundText,
    promises: Vec<Promise>,
) -> Vec<Record> {
    let by_sender = |kind| Record {
        person: Some(sender.person),
        masked_number: Some(sender.through.number.clone()),
        ..inbound(kind, text)
    };
    let turn = |effect: &Effect| {
        let (kind, conversation, detail) = match effect {
            Effect::Open { fresh, .. } => (Kind::Opened, Some(fresh.id), None),
            Effect::Join(id) => (Kind::Joined, Some(*id), None),
            Effect::End(id, reason) => (Kind::Ended, Some(*id), Some(reason.as_str().to_owned())),
            Effect::Suppress => (Kind::OptedOut, None, None),
            Effect::Lift => (Kind::OptedIn, None, None),
            Effect::Relay { .. } | Effect::Say { .. } => return None,
        };
        Some(Record { conversation, detail, body: None, media: None, ..by_sender(kind) })
    };
    let received = Record {
        rule: Some(decision.rule.as_str()),
        conversation: decision.conversation,
        ..by_sender(Kind::Received)
    };
    let recipients = decision.effects.iter().filter_map(recipient);
    let kept = recipients.zip(promises).map(|(to, promise)| Record {
        rule: promise.answer,
        conversation: promise.conversation,
        person: promise.answer.is_none().then_some(sender.person),
        recipient: Some(to.person),
        masked_number: Some(to.through.number.clone()),
        carrier_id: Some(text.carrier_id.clone()),
        text: Some(promise.id),
        body: Some(promise.body),
        ..Record::of(if promise.answer.is_none() { Kind::Relayed } else { Kind::Answered })
    });
    std::iter::once(received).chain(decision.effects.iter().filter_map(turn)).chain(kept).collect()
}

/// Whom an effect texts, if it texts anybody.
fn recipient(effect: &Effect) -> Option<&Address> {
    match effect {
        Effect::Relay { to, .. } | Effect::Say { to, .. } => Some(to),
        _ => None,
    }
}

/// The record of a text that came in.
pub(super) fn inbound(kind: Kind, text: &InboundText) -> Record {
    Record {
        carrier_id: Some(text.carrier_id.clone()),
        body: Some(text.body.clone()),
        media: (!text.media.is_empty()).then(|| json!(text.media)),
        ..Record::of(kind)
    }
}
