//! The hall: every text comes through here, whoever brought it in; so does what time does, and what
//! staff say.
//!
//! Take in, decide, write, on the caller's transaction. The only writer of conversation state.

mod apply;
mod erase;
mod facts;
mod finish;
mod staff;
mod sweep;
mod take_in;
mod trail;

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::PgConnection;

use self::{
    apply::apply,
    finish::{Outcome, finish},
    take_in::Taken,
    trail::Origin,
};
pub use self::{
    erase::{Erased, erase},
    staff::{opt_in, opt_out},
    sweep::{end_carrier_blocked, sweep},
    take_in::note_sent,
};
use crate::{
    app::App,
    carrier::wire::InboundText,
    command,
    conversation::{
        Address,
        command::Command,
        decide::decide,
        effect::{Decision, Effect, Fresh},
        facts::Facts,
        store,
    },
    ids::ConversationId,
    pool::MaskedNumber,
    telemetry,
    vault::Author,
};

/// How often a code is drawn before the sender is asked to try later. With a million open codes
/// even one clash in a start has a chance of 3 in a million.
const DRAWS: usize = 5;

/// A text and what it asks for.
#[derive(Debug)]
pub struct Parsed {
    /// The text.
    pub text: InboundText,
    command: Command,
    /// The trace that it came in by, where one is written.
    traceparent: Option<String>,
}

impl Parsed {
    /// Reads what a text asks for.
    pub fn from(text: InboundText) -> Self {
        let command = command::parse(&text.body);
        Self { text, command, traceparent: telemetry::traceparent() }
    }

    /// Its id and when it was sent, where the carrier's list tells.
    fn sent(&self) -> Option<(String, Timestamp)> {
        Some((self.text.carrier_id.clone(), self.text.sent_at?))
    }

    /// Whether it may share its transaction with others: words are passed on and change little,
    /// while a command locks and loads more.
    pub fn may_share(&self) -> bool {
        matches!(self.command, Command::Talk { .. } | Command::Empty | Command::Yes)
    }
}

/// What came of one text: it is decided, and its effects on the state are applied.
struct Judged {
    /// Its place in the slice.
    place: usize,
    sender: Address,
    author: Author,
    decision: Decision,
}

/// Handles texts that share a transaction: takes them in, decides what each does, and writes that
/// down. Returns how many were new.
///
/// They are judged one after another, as if each had come alone. The caller sees to it that no two
/// are by the same sender, and that a text that may not share comes alone.
///
/// # Errors
/// Only the database's; whatever the texts say, they are recorded.
#[cfg_attr(feature = "otel", tracing::instrument(name = "dispatch", skip_all))]
pub async fn handle(app: &App, conn: &mut PgConnection, texts: &[Parsed]) -> sqlx::Result<usize> {
    let taken = take_in::take_in(conn, &app.pen.vault, texts, app.clock.instead()).await?;
    if taken.iter().any(|one| one.has_lost_sender(texts)) {
        return Err(sqlx::Error::RowNotFound);
    }
    let Some(now) = taken.first().map(|first| first.at) else { return Ok(0) };
    let listed: Vec<_> = texts.iter().filter_map(Parsed::sent).collect();
    if !listed.is_empty() {
        note_sent(conn, &listed).await?;
    }
    let count = taken.len();
    let (mut judged, mut refused) = (Vec::with_capacity(count), Vec::new());
    let mut changed = HashSet::new();
    for mut one in taken {
        let Some(parsed) = texts.get(one.place) else { continue };
        if one.open.iter().any(|conversation| changed.contains(&conversation.id)) {
            // A text before it has changed what was loaded for it.
            let ids: Vec<_> = one.open.iter().map(|conversation| conversation.id.uuid()).collect();
            one.open = store::open_among(conn, &ids).await?;
        }
        match seat(&one, parsed) {
            Err(why) => {
                metrics::counter!("maskline_rules_total", "rule" => why).increment(1);
                refused.push(trail::refused(&parsed.text, &app.pen, why, one.number.is_some()));
            }
            Ok((sender, author)) => {
                let place = one.place;
                let mut facts = facts::load(app, conn, sender, parsed, one).await?;
                let decision = judge(app, conn, &mut facts, (parsed, &author), now).await?;
                let rule = decision.rule.as_str();
                metrics::counter!("maskline_rules_total", "rule" => rule).increment(1);
                changed.extend(decision.effects.iter().filter_map(Effect::ends));
                judged.push(Judged { place, sender: facts.sender, author, decision });
            }
        }
    }
    let outcomes: Vec<Outcome<'_>> = judged
        .iter()
        .filter_map(|Judged { place, sender, author, decision }| {
            let Parsed { text, traceparent, .. } = texts.get(*place)?;
            let origin = Origin::Text { text, sender, author, decision };
            let traceparent = traceparent.as_deref();
            Some(Outcome { origin, effects: &decision.effects, traceparent })
        })
        .collect();
    finish(conn, &app.pen, &outcomes, refused, now).await?;
    Ok(count)
}

/// Where the sender of a text is reached; else why nobody can be answered for it.
fn seat(taken: &Taken, Parsed { text, .. }: &Parsed) -> Result<(Address, Author), &'static str> {
    let Some((id, number)) = taken.number.zip(text.to.clone()) else {
        tracing::warn!(to = ?text.to, "a text came to a number that is not in the pool: recorded only");
        return Err("not_our_number");
    };
    if text.from.is_none() {
        return Err("sender_unreadable");
    }
    // Two masked numbers that answer each other would never stop.
    let (person, author) =
        taken.person.clone().filter(|_| !taken.is_from_ours).ok_or("own_number")?;
    Ok((Address { person, through: MaskedNumber { id, number } }, author))
}

/// Decides, and applies the decision to the state.
///
/// A new conversation needs a code of its own, and only the unique index knows whether a drawn one
/// is. So on a clash another is drawn and the decision made again, a bounded number of times.
async fn judge(
    app: &App,
    conn: &mut PgConnection,
    facts: &mut Facts,
    (Parsed { text, command, .. }, author): (&Parsed, &Author),
    now: Timestamp,
) -> sqlx::Result<Decision> {
    let draws = match command {
        Command::Start | Command::Reopen | Command::Move => DRAWS,
        _ => 0,
    };
    for _ in 0..draws {
        let code = app.randomness.draw_code().map_err(std::io::Error::other)?;
        facts.fresh = Some(Fresh { id: ConversationId::new(), code });
        let decision = decide(facts, command, now);
        let origin = Origin::Text { text, sender: &facts.sender, author, decision: &decision };
        if apply(conn, &origin, &decision.effects, now).await? {
            return Ok(decision);
        }
    }
    facts.fresh = None;
    let decision = decide(facts, command, now);
    let origin = Origin::Text { text, sender: &facts.sender, author, decision: &decision };
    apply(conn, &origin, &decision.effects, now).await?;
    Ok(decision)
}
