//! Applies what was decided to the state, and calls staff where that is part of it.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::trail::Origin;
use crate::{
    consent::{self, Event, EventKind},
    conversation::{
        Address,
        effect::{Effect, noted_as},
        store,
    },
    ids::{MaskedNumberId, PersonId},
    media::{self, Album},
    outbox::{self, Promise},
    tasks::{self, Task},
};

/// Applies effects to the state; false when the code that one of them needs is taken.
pub(super) async fn apply(
    conn: &mut PgConnection,
    origin: &Origin<'_>,
    effects: &[Effect],
    now: Timestamp,
) -> sqlx::Result<bool> {
    for effect in effects {
        match effect {
            Effect::Open { fresh, terms, starter } => {
                if !store::open(conn, fresh, terms, None, now).await? {
                    return Ok(false);
                }
                store::seat(conn, fresh.id, 1, starter, now).await?;
                note(conn, origin, EventKind::Granted, starter.person, None, now).await?;
            }
            Effect::Reopen { fresh, terms, of, seats: [asked, agreed] } => {
                if !store::open(conn, fresh, terms, Some(*of), now).await? {
                    return Ok(false);
                }
                store::seat(conn, fresh.id, 1, asked, now).await?;
                store::seat(conn, fresh.id, 2, agreed, now).await?;
                store::activate(conn, fresh.id, now).await?;
                note(conn, origin, EventKind::Granted, agreed.person, None, now).await?;
            }
            Effect::OfferMove { person, code, expires_at } => {
                if !store::offer_move(conn, *person, code, *expires_at).await? {
                    return Ok(false);
                }
            }
            other => apply_one(conn, origin, other, now).await?,
        }
    }
    Ok(true)
}

/// Applies an effect that needs no code.
async fn apply_one(
    conn: &mut PgConnection,
    origin: &Origin<'_>,
    effect: &Effect,
    now: Timestamp,
) -> sqlx::Result<()> {
    match effect {
        Effect::Join(id, joiner) => {
            store::activate(conn, *id, now).await?;
            store::seat(conn, *id, 2, joiner, now).await?;
            note(conn, origin, EventKind::Granted, joiner.person, None, now).await
        }
        Effect::End(id, reason) => store::end(conn, *id, *reason, now).await,
        Effect::Warn(id) => store::warned(conn, *id, now).await,
        Effect::Extend(id) => store::touch(conn, *id, now).await,
        Effect::AskToReopen(id, person) => store::ask_to_reopen(conn, *id, *person, now).await,
        Effect::Suppress(person) => {
            note(conn, origin, EventKind::Revoked, *person, None, now).await?;
            outbox::drop_queued(conn, *person, now).await
        }
        Effect::Lift(person) => note(conn, origin, EventKind::Granted, *person, None, now).await,
        Effect::CarrierLift(Address { person, through }) => {
            note(conn, origin, EventKind::CarrierLifted, *person, Some(through.id), now).await
        }
        Effect::Flag { person, .. } => {
            note(conn, origin, EventKind::Flagged, *person, None, now).await
        }
        Effect::Block { person, other, .. } => {
            store::block(conn, *person, *other, now).await?;
            outbox::drop_words(conn, *person, *other, now).await
        }
        Effect::CountFailure(person) => store::count_failure(conn, *person, now).await,
        Effect::Move { from, to, conversations } => {
            store::move_to(conn, *from, *to, conversations, now).await?;
            note(conn, origin, EventKind::Granted, *to, None, now).await
        }
        Effect::Say { to, answer, .. } if answer.at_most_every().is_some() => {
            consent::note_given(conn, to.person, &noted_as(answer, to), now).await
        }
        // A relay is promised with the rest, and begins the silence anew there.
        Effect::Relay { .. }
        | Effect::AlarmGuesses
        | Effect::Say { .. }
        | Effect::Open { .. }
        | Effect::Reopen { .. }
        | Effect::OfferMove { .. } => Ok(()),
    }
}

/// Writes an entry of the ledger of consent.
async fn note(
    conn: &mut PgConnection,
    origin: &Origin<'_>,
    kind: EventKind,
    person: PersonId,
    masked_number: Option<MaskedNumberId>,
    now: Timestamp,
) -> sqlx::Result<()> {
    let event = Event {
        person,
        kind,
        masked_number,
        rule: origin.rule(),
        channel: origin.channel(),
        evidence: origin.evidence(),
    };
    consent::append(conn, &event, now).await
}

/// Sends to a new phone what is queued for the old one. After the promises: the first text that the
/// new phone gets says who we are.
pub(super) async fn redirect(
    conn: &mut PgConnection,
    origin: &Origin<'_>,
    effects: &[Effect],
) -> sqlx::Result<()> {
    for effect in effects {
        if let Effect::Move { from, to, conversations } = effect {
            outbox::redirect(conn, *from, *to, conversations, origin.carrier_id()).await?;
        }
    }
    Ok(())
}

/// Keeps the pictures of what was promised, to be fetched once this is committed.
pub(super) async fn keep_pictures(
    conn: &mut PgConnection,
    origin: &Origin<'_>,
    promises: &[Promise],
    now: Timestamp,
) -> sqlx::Result<()> {
    let Origin::Text { text, sender, author, .. } = origin else { return Ok(()) };
    let theirs = promises.iter().filter(|one| one.cause.as_ref() == Some(&text.carrier_id));
    for promise in theirs.filter(|promise| promise.pictures) {
        let album = Album {
            text: promise.id,
            sender: sender.person,
            through: sender.through.id,
            conversation: promise.conversation,
        };
        media::keep(conn, &album, author, &text.media, now).await?;
    }
    Ok(())
}

/// Raises the tasks that effects call for. After the records, which a task lists.
pub(super) async fn call_staff(
    conn: &mut PgConnection,
    origin: &Origin<'_>,
    effects: &[Effect],
    now: Timestamp,
) -> sqlx::Result<()> {
    for effect in effects {
        let task = match effect {
            Effect::Flag { person, conversation, plea } => Task {
                person: Some(*person),
                conversation: *conversation,
                detail: Some((*plea).to_owned()),
                ..Task::of(tasks::Kind::SoftOptOut)
            },
            Effect::AlarmGuesses => {
                metrics::counter!("maskline_code_alarm_total").increment(1);
                // It may be many people's doing, so it is about none of them.
                Task::of(tasks::Kind::Guessing)
            }
            Effect::Block { person, report: Some(conversation), .. } => Task {
                person: Some(*person),
                conversation: Some(*conversation),
                ..Task::of(tasks::Kind::Report)
            },
            _ => continue,
        };
        let carrier_id = origin.carrier_id().map(str::to_owned);
        if tasks::raise(conn, &Task { carrier_id, ..task }, now).await?
            && *effect == Effect::AlarmGuesses
        {
            tracing::error!(
                "so many codes failed within an hour that somebody seems to be guessing: staff are called"
            );
        }
    }
    Ok(())
}
