//! What a decision promises, and what the trail says of it.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    audit::{Kind, Record},
    carrier::wire::{InboundText, Media},
    consent::{Channel, Evidence},
    conversation::{
        Address,
        command::Rule,
        effect::{Decision, Effect},
        time,
    },
    ids::{ConversationId, PersonId, TextId},
    outbox::{self, Promise},
    texts,
    vault::{Author, Pen},
};

/// What brought a decision about.
pub(super) enum Origin<'a> {
    /// A text.
    Text { text: &'a InboundText, sender: &'a Address, author: &'a Author, decision: &'a Decision },
    /// Time, or what the carrier reported: nobody's word.
    Clock,
    /// A member of staff.
    Staff { rule: &'static str, person: PersonId, channel: Channel, evidence: Option<Evidence> },
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
    pub(super) fn evidence(&self) -> Option<Evidence> {
        match self {
            Self::Staff { evidence, .. } => evidence.clone(),
            _ => self.carrier_id().map(|id| Evidence::Id(id.to_owned())),
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

/// The texts that effects promise, in their order, each with its record.
pub(super) fn promises(
    effects: &[Effect],
    origin: &Origin<'_>,
    pen: &Pen,
    now: Timestamp,
) -> Vec<(Promise, Record)> {
    let own = pen.vault.own();
    let (body, author) = match origin {
        // Blanks beside a picture are no words that could go without it.
        Origin::Text { decision, author, .. } if decision.rule == Rule::Empty => ("", *author),
        Origin::Text { text, author, .. } => (text.body.as_str(), *author),
        Origin::Clock | Origin::Staff { .. } => ("", own),
    };
    let cause = origin.carrier_id().map(str::to_owned);
    let promise = |effect: &Effect| {
        let id = TextId::new();
        match effect {
            Effect::Relay { conversation, to, sent_at, pictures } => {
                let words = sent_at.map_or_else(|| body.to_owned(), |at| texts::delayed(body, at));
                let promise = Promise {
                    id,
                    cause: cause.clone(),
                    conversation: Some(*conversation),
                    to: to.person,
                    through: to.through.id,
                    answer: None,
                    body: outbox::seal(author, id, &words),
                    despite_optout: false,
                    give_up_at: None,
                    urgent: false,
                    once: false,
                    pictures: *pictures,
                    traceparent: None,
                };
                let record = kept(&promise, to, origin.record(Kind::Relayed));
                Some((promise, record.saying(author, &words)))
            }
            Effect::Say { to, conversation, answer, despite_optout } => {
                let words = answer.render(&pen.brand);
                let promise = Promise {
                    id,
                    cause: cause.clone(),
                    conversation: *conversation,
                    to: to.person,
                    through: to.through.id,
                    answer: Some(answer.name()),
                    body: outbox::seal(own, id, &words),
                    despite_optout: *despite_optout,
                    give_up_at: answer.of_no_use_after().map(|after| time::after(now, after)),
                    urgent: answer.is_urgent(),
                    once: answer.is_said_once(),
                    pictures: false,
                    traceparent: None,
                };
                let record = kept(&promise, to, origin.record(Kind::Answered));
                Some((promise, record.saying(own, &words)))
            }
            _ => None,
        }
    };
    effects.iter().filter_map(promise).collect()
}

/// The record of a promised text, without its words.
fn kept(promise: &Promise, to: &Address, record: Record) -> Record {
    Record {
        rule: promise.answer,
        conversation: promise.conversation,
        person: record.person.filter(|_| promise.answer.is_none()),
        recipient: Some(to.person),
        masked_number: Some(to.through.number.clone()),
        text: Some(promise.id),
        ..record
    }
}

/// The records of what came in, and of what it changed.
pub(super) fn records(effects: &[Effect], origin: &Origin<'_>) -> Vec<Record> {
    let received = match origin {
        Origin::Text { text, sender, author, decision } => Some(Record {
            rule: Some(decision.rule.as_str()),
            conversation: decision.conversation,
            person: Some(sender.person),
            masked_number: Some(sender.through.number.clone()),
            ..inbound(Kind::Received, text, author)
        }),
        Origin::Clock | Origin::Staff { .. } => None,
    };
    let turns = effects.iter().flat_map(|effect| turns(effect, origin));
    received.into_iter().chain(turns).collect()
}

/// The records of what an effect changes.
fn turns(effect: &Effect, origin: &Origin<'_>) -> Vec<Record> {
    let turn = |kind, conversation: Option<ConversationId>, detail: Option<String>| {
        vec![Record { conversation, detail, ..origin.record(kind) }]
    };
    // On which number: it need not be the one that was texted.
    let seated = |kind, id: ConversationId, seat: &Address| Record {
        conversation: Some(id),
        person: Some(seat.person),
        masked_number: Some(seat.through.number.clone()),
        ..origin.record(kind)
    };
    let between = |kind, person: PersonId, other: PersonId, conversation| Record {
        conversation,
        person: Some(person),
        recipient: Some(other),
        ..origin.record(kind)
    };
    match effect {
        Effect::Open { fresh, starter, .. } => vec![seated(Kind::Opened, fresh.id, starter)],
        Effect::Join(id, joiner) => vec![seated(Kind::Joined, *id, joiner)],
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
pub(super) fn refused(text: &InboundText, pen: &Pen, why: &'static str, is_ours: bool) -> Record {
    let masked_number = text.to.clone().filter(|_| is_ours);
    let record = inbound(Kind::Refused, text, pen.vault.own());
    Record { rule: Some(why), masked_number, ..record }
}

/// The record of a text that came in.
fn inbound(kind: Kind, text: &InboundText, author: &Author) -> Record {
    let record = Record {
        carrier_id: Some(text.carrier_id.clone()),
        detail: text.sent_at.map(|at| format!("reconciled, sent {at}")),
        ..Record::of(kind)
    };
    let record = record.saying(author, &text.body);
    if text.media.is_empty() {
        return record;
    }
    record.showing(author, &text.media.iter().map(unsigned).collect())
}

/// What is on record of a picture: not the signature in its URL, which opens the original.
fn unsigned(media: &Media) -> Value {
    let url = media.url.split(['?', '#']).next().unwrap_or_default();
    json!(Media { url: url.to_owned(), ..media.clone() })
}
