//! What a decision promises, and what the trail says of it.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    audit::{Kind, Record},
    carrier::wire::{InboundText, Media},
    consent::Channel,
    conversation::{
        Address,
        command::Rule,
        effect::{Decision, Effect},
        time,
    },
    ids::{ConversationId, PersonId, TextId},
    outbox::Promise,
    texts::{self, Brand},
};

/// What brought a decision about.
pub(super) enum Origin<'a> {
    /// A text.
    Text { text: &'a InboundText, sender: &'a Address, decision: &'a Decision },
    /// Time, or what the carrier reported: nobody's word.
    Clock,
    /// A member of staff.
    Staff { rule: &'static str, person: PersonId, channel: Channel, evidence: Option<String> },
}

impl Origin<'_> {
    /// The carrier's id of the text.
    pub(super) fn carrier_id(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(&text.carrier_id),
            Self::Clock | Self::Staff { .. } => None,
        }
    }

    /// The rule for the ledger of consent.
    pub(super) fn rule(&self) -> &'static str {
        match self {
            Self::Text { decision, .. } => decision.rule.as_str(),
            Self::Clock => "clock",
            Self::Staff { rule, .. } => rule,
        }
    }

    /// How it came in.
    pub(super) fn channel(&self) -> Channel {
        match self {
            Self::Text { .. } => Channel::Text,
            Self::Clock => Channel::Carrier,
            Self::Staff { channel, .. } => *channel,
        }
    }

    /// What proves it.
    pub(super) fn evidence(&self) -> Option<&str> {
        match self {
            Self::Staff { evidence, .. } => evidence.as_deref(),
            _ => self.carrier_id(),
        }
    }

    /// A record of this kind, by whoever brought it about.
    fn record(&self, kind: Kind) -> Record {
        match self {
            Self::Text { text, sender, .. } => Record {
                person: Some(sender.person),
                masked_number: Some(sender.through.number.clone()),
                carrier_id: Some(text.carrier_id.clone()),
                ..Record::of(kind)
            },
            Self::Clock => Record::of(kind),
            Self::Staff { rule, person, .. } => {
                Record { rule: Some(rule), person: Some(*person), ..Record::of(kind) }
            }
        }
    }
}

/// The texts that effects promise, in their order.
pub(super) fn promises(
    effects: &[Effect],
    origin: &Origin<'_>,
    brand: &Brand,
    now: Timestamp,
) -> Vec<Promise> {
    let body = match origin {
        // Blanks beside a picture are no words that could go without it.
        Origin::Text { decision, .. } if decision.rule == Rule::Empty => "",
        Origin::Text { text, .. } => text.body.as_str(),
        Origin::Clock | Origin::Staff { .. } => "",
    };
    let cause = origin.carrier_id().map(str::to_owned);
    let promise = |effect: &Effect| match effect {
        Effect::Relay { conversation, to, sent_at, pictures } => Some(Promise {
            id: TextId::new(),
            cause: cause.clone(),
            conversation: Some(*conversation),
            to: to.person,
            through: to.through.id,
            answer: None,
            body: sent_at.map_or_else(|| body.to_owned(), |at| texts::delayed(body, at)),
            despite_optout: false,
            give_up_at: None,
            urgent: false,
            once: false,
            pictures: *pictures,
        }),
        Effect::Say { to, conversation, answer, despite_optout } => Some(Promise {
            id: TextId::new(),
            cause: cause.clone(),
            conversation: *conversation,
            to: to.person,
            through: to.through.id,
            answer: Some(answer.name()),
            body: answer.render(brand),
            despite_optout: *despite_optout,
            give_up_at: answer.of_no_use_after().map(|after| time::after(now, after)),
            urgent: answer.is_urgent(),
            once: answer.is_said_once(),
            pictures: false,
        }),
        _ => None,
    };
    effects.iter().filter_map(promise).collect()
}

/// The records of what came in, of what it changed, and of what was promised because of it.
pub(super) fn records(
    effects: &[Effect],
    origin: &Origin<'_>,
    promises: &[Promise],
) -> Vec<Record> {
    let received = match origin {
        Origin::Text { text, sender, decision } => Some(Record {
            rule: Some(decision.rule.as_str()),
            conversation: decision.conversation,
            person: Some(sender.person),
            masked_number: Some(sender.through.number.clone()),
            ..inbound(Kind::Received, text)
        }),
        Origin::Clock | Origin::Staff { .. } => None,
    };
    let turns = effects.iter().flat_map(|effect| turns(effect, origin));
    let recipients = effects.iter().filter_map(Effect::recipient);
    let kept = recipients.zip(promises).map(|(to, promise)| {
        let kind = if promise.answer.is_none() { Kind::Relayed } else { Kind::Answered };
        let record = origin.record(kind);
        Record {
            rule: promise.answer,
            conversation: promise.conversation,
            person: record.person.filter(|_| promise.answer.is_none()),
            recipient: Some(to.person),
            masked_number: Some(to.through.number.clone()),
            text: Some(promise.id),
            body: Some(promise.body.clone()),
            ..record
        }
    });
    received.into_iter().chain(turns).chain(kept).collect()
}

/// The records of what an effect changes.
fn turns(effect: &Effect, origin: &Origin<'_>) -> Vec<Record> {
    let turn = |kind, conversation: Option<ConversationId>, detail: Option<String>| {
        vec![Record { conversation, detail, ..origin.record(kind) }]
    };
    let between = |kind, person: PersonId, other: PersonId, conversation| Record {
        conversation,
        person: Some(person),
        recipient: Some(other),
        ..origin.record(kind)
    };
    match effect {
        Effect::Open { fresh, .. } => turn(Kind::Opened, Some(fresh.id), None),
        Effect::Join(id, _) => turn(Kind::Joined, Some(*id), None),
        Effect::Reopen { fresh, of, .. } => {
            turn(Kind::Reopened, Some(fresh.id), Some(of.to_string()))
        }
        Effect::End(id, reason) => turn(Kind::Ended, Some(*id), Some(reason.as_str().to_owned())),
        Effect::Warn(id) => turn(Kind::Warned, Some(*id), None),
        Effect::Extend(id) => turn(Kind::Extended, Some(*id), None),
        Effect::AskToReopen(id, _) => turn(Kind::ReopenAsked, Some(*id), None),
        Effect::Suppress(person) => {
            vec![Record { person: Some(*person), ..origin.record(Kind::OptedOut) }]
        }
        Effect::Lift(person) => {
            vec![Record { person: Some(*person), ..origin.record(Kind::OptedIn) }]
        }
        Effect::CarrierLift(_) => turn(Kind::CarrierLifted, None, None),
        Effect::Flag { conversation, plea, .. } => {
            turn(Kind::Flagged, *conversation, Some((*plea).to_owned()))
        }
        Effect::Block { person, other, report } => {
            let kind = if report.is_some() { Kind::PersonReported } else { Kind::Blocked };
            vec![between(kind, *person, *other, *report)]
        }
        Effect::CountFailure(_) => turn(Kind::CodeFailed, None, None),
        Effect::OfferMove { .. } => turn(Kind::MoveOffered, None, None),
        Effect::Move { from, to, conversations } => {
            let moved = |id: &ConversationId| between(Kind::Moved, *from, *to, Some(*id));
            conversations.iter().map(moved).collect()
        }
        Effect::AlarmGuesses | Effect::Relay { .. } | Effect::Say { .. } => Vec::new(),
    }
}

/// The record of a text that nobody can be answered for, and whether it came to a number of ours.
pub(super) fn refused(text: &InboundText, why: &'static str, is_ours: bool) -> Record {
    let masked_number = text.to.clone().filter(|_| is_ours);
    Record { rule: Some(why), masked_number, ..inbound(Kind::Refused, text) }
}

/// The record of a text that came in.
fn inbound(kind: Kind, text: &InboundText) -> Record {
    Record {
        carrier_id: Some(text.carrier_id.clone()),
        body: Some(text.body.clone()),
        media: (!text.media.is_empty()).then(|| text.media.iter().map(unsigned).collect()),
        detail: text.sent_at.map(|at| format!("reconciled, sent {at}")),
        ..Record::of(kind)
    }
}

/// What is on record of a picture: not the signature in its URL, which opens the original.
fn unsigned(media: &Media) -> Value {
    let url = media.url.split(['?', '#']).next().unwrap_or_default();
    json!(Media { url: url.to_owned(), ..media.clone() })
}
