//! The hall: every text comes through here, whoever brought it in.
//!
//! Parse, load, decide, write, on the caller's transaction. The only writer of conversation state.

mod trail;

use jiff::Timestamp;
use sqlx::PgConnection;

use crate::{
    app::App,
    audit::{self, Kind, Record},
    carrier::wire::InboundText,
    code::Code,
    command, consent,
    conversation::{
        Address,
        command::Command,
        decide::{Decision, Effect, Facts, Fresh, decide},
        store,
    },
    ids::ConversationId,
    outbox, people,
    pool::{self, MaskedNumber},
};

/// How often a code is drawn before the sender is asked to try later. With a million open codes
/// even one clash in a start has a chance of 3 in a million.
const DRAWS: usize = 5;

/// Handles one text: decides what it does and writes that down, all on this transaction.
///
/// # Errors
/// Only the database's; whatever the text says, it is recorded.
pub async fn handle(
    app: &App,
    conn: &mut PgConnection,
    text: &InboundText,
    now: Timestamp,
) -> sqlx::Result<()> {
    let number = match &text.to {
        Some(to) => pool::find(conn, to).await?,
        None => None,
    };
    let Some(number) = number else {
        tracing::warn!(to = ?text.to, "a text came to a number that is not in the pool: recorded only");
        return refuse(conn, text, "not_our_number", None, now).await;
    };
    let Some(from) = &text.from else {
        return refuse(conn, text, "sender_unreadable", Some(number), now).await;
    };
    if pool::find(conn, from).await?.is_some() {
        // Two masked numbers that answer each other would never stop.
        return refuse(conn, text, "own_number", Some(number), now).await;
    }
    let command = command::parse(&text.body);
    let person = people::lock(conn, from, now).await?;
    let sender = Address { person, through: number };
    let mut facts = load(conn, sender, text, &command).await?;
    let decision = judge(app, conn, &mut facts, &command, now).await?;
    metrics::counter!("maskline_rules_total", "rule" => decision.rule.as_str()).increment(1);

    let promises = trail::promises(&decision, text, &app.settings.brand);
    outbox::promise(conn, &promises, &text.carrier_id, now).await?;
    audit::record(conn, &trail::records(&decision, &facts.sender, text, promises), now).await
}

/// Decides, and applies the decision to the state.
///
/// A new conversation needs a code of its own, and only the unique index knows whether a drawn one
/// is. So on a clash another is drawn and the decision made again, a bounded number of times.
async fn judge(
    app: &App,
    conn: &mut PgConnection,
    facts: &mut Facts,
    command: &Command,
    now: Timestamp,
) -> sqlx::Result<Decision> {
    let draws = if matches!(command, Command::Start) { DRAWS } else { 0 };
    for _ in 0..draws {
        let code = app.randomness.draw_code().map_err(std::io::Error::other)?;
        facts.fresh = Some(Fresh { id: ConversationId::new(), code });
        let decision = decide(facts, command, now);
        if apply(conn, &facts.sender, &decision, now).await? {
            return Ok(decision);
        }
    }
    facts.fresh = None;
    let decision = decide(facts, command, now);
    apply(conn, &facts.sender, &decision, now).await?;
    Ok(decision)
}

/// Applies a decision to the state; false when the code it opens a conversation with is taken.
async fn apply(
    conn: &mut PgConnection,
    sender: &Address,
    decision: &Decision,
    now: Timestamp,
) -> sqlx::Result<bool> {
    for effect in &decision.effects {
        match effect {
            Effect::Open { fresh, expires_at } => {
                if !store::open(conn, fresh, *expires_at, now).await? {
                    return Ok(false);
                }
                store::seat(conn, fresh.id, 1, sender, now).await?;
            }
            Effect::Join(id) => {
                store::activate(conn, *id).await?;
                store::seat(conn, *id, 2, sender, now).await?;
            }
            Effect::End(id, reason) => store::end(conn, *id, *reason, now).await?,
            Effect::Suppress => {
                consent::suppress(conn, sender.person, decision.rule.as_str(), now).await?;
                outbox::drop_queued(conn, sender.person, now).await?;
            }
            Effect::Lift => consent::lift(conn, sender.person).await?,
            Effect::Say { to, answer, .. } if answer.at_most_every().is_some() => {
                consent::note_given(conn, to.person, answer.name(), now).await?;
            }
            Effect::Say { .. } | Effect::Relay { .. } => {}
        }
    }
    Ok(true)
}

async fn load(
    conn: &mut PgConnection,
    sender: Address,
    text: &InboundText,
    command: &Command,
) -> sqlx::Result<Facts> {
    let person = sender.person;
    let code = named(command);
    store::lock(conn, person, code).await?;
    let (coded, open) = store::load(conn, person, code).await?.into_iter().fold(
        (None, Vec::new()),
        |(mut coded, mut open), conversation| {
            if Some(&conversation.code) == code {
                coded = Some(conversation.clone());
            }
            if conversation.has(person) {
                open.push(conversation);
            }
            (coded, open)
        },
    );
    let standing = consent::standing(conn, person).await?;
    Ok(Facts {
        sender,
        suppressed: standing.suppressed,
        open,
        coded,
        fresh: None,
        given: standing.given,
        has_media: !text.media.is_empty(),
    })
}

fn named(command: &Command) -> Option<&Code> {
    match command {
        Command::Join(code) | Command::EndCode(code) | Command::LeaveCode(code) => Some(code),
        _ => None,
    }
}

/// Records a text that nobody can be answered for, with the number that was texted if it is ours.
async fn refuse(
    conn: &mut PgConnection,
    text: &InboundText,
    why: &'static str,
    texted: Option<MaskedNumber>,
    now: Timestamp,
) -> sqlx::Result<()> {
    metrics::counter!("maskline_rules_total", "rule" => why).increment(1);
    let masked_number = texted.map(|texted| texted.number);
    let record = Record { rule: Some(why), masked_number, ..trail::inbound(Kind::Refused, text) };
    audit::record(conn, &[record], now).await
}
