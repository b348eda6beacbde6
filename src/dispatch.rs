//! The hall: every text comes through here, whoever brought it in; so does what time does, and what
//! staff say.
//!
//! Parse, load, decide, write, on the caller's transaction. The only writer of conversation state.

mod apply;
mod facts;
mod staff;
mod sweep;
mod trail;

use jiff::Timestamp;
use sqlx::PgConnection;

use self::{apply::apply, trail::Origin};
pub use self::{
    staff::{opt_in, opt_out},
    sweep::{end_carrier_blocked, sweep},
};
use crate::{
    app::App,
    audit::{self, Kind, Record},
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
    outbox, people,
    pool::{self, Ends, MaskedNumber},
    texts::Brand,
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
    let ends = match &text.to {
        Some(to) => pool::find_both(conn, to, text.from.as_ref()).await?,
        None => Ends { to: None, is_from_ours: false },
    };
    let Some(number) = ends.to else {
        tracing::warn!(to = ?text.to, "a text came to a number that is not in the pool: recorded only");
        return refuse(conn, text, "not_our_number", None, now).await;
    };
    let Some(from) = &text.from else {
        return refuse(conn, text, "sender_unreadable", Some(number), now).await;
    };
    if ends.is_from_ours {
        // Two masked numbers that answer each other would never stop.
        return refuse(conn, text, "own_number", Some(number), now).await;
    }
    let command = command::parse(&text.body);
    if command == Command::Reopen {
        // An opt out of the other's must not cross this one's consent to go on.
        store::lock_pair(conn, from, number.id).await?;
    }
    let person = people::lock(conn, from, now).await?;
    let sender = Address { person, through: number };
    let mut facts = facts::load(app, conn, sender, text, &command, now).await?;
    let decision = judge(app, conn, &mut facts, text, &command, now).await?;
    metrics::counter!("maskline_rules_total", "rule" => decision.rule.as_str()).increment(1);
    let origin = Origin::Text { text, sender: &facts.sender, decision: &decision };
    finish(conn, &app.settings.brand, &origin, &decision.effects, now).await
}

/// Decides, and applies the decision to the state.
///
/// A new conversation needs a code of its own, and only the unique index knows whether a drawn one
/// is. So on a clash another is drawn and the decision made again, a bounded number of times.
async fn judge(
    app: &App,
    conn: &mut PgConnection,
    facts: &mut Facts,
    text: &InboundText,
    command: &Command,
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
        let origin = Origin::Text { text, sender: &facts.sender, decision: &decision };
        if apply(conn, &origin, &decision.effects, now).await? {
            return Ok(decision);
        }
    }
    facts.fresh = None;
    let decision = decide(facts, command, now);
    let origin = Origin::Text { text, sender: &facts.sender, decision: &decision };
    apply(conn, &origin, &decision.effects, now).await?;
    Ok(decision)
}

/// Promises the texts of what was decided and applied, records all of it, and calls staff.
async fn finish(
    conn: &mut PgConnection,
    brand: &Brand,
    origin: &Origin<'_>,
    effects: &[Effect],
    now: Timestamp,
) -> sqlx::Result<()> {
    let promises = trail::promises(effects, origin, brand, now);
    for answer in promises.iter().filter_map(|promise| promise.answer) {
        metrics::counter!("maskline_answers_total", "answer" => answer).increment(1);
    }
    outbox::promise(conn, &promises, origin.carrier_id(), now).await?;
    apply::redirect(conn, origin, effects).await?;
    audit::record(conn, &trail::records(effects, origin, promises), now).await?;
    apply::call_staff(conn, origin, effects, now).await
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
