//! Loads what else a decision depends on: behind the locks, and no more than the command needs.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{Parsed, Taken};
use crate::{
    app::App,
    audit,
    carrier::wire::InboundText,
    code::Code,
    consent,
    conversation::{
        Address, Conversation,
        command::Command,
        facts::{Facts, Failures, Late, Mover},
        store,
    },
    pool::{self, Candidate},
};

/// Completes the facts of a text that was taken in.
pub(super) async fn load(
    app: &App,
    conn: &mut PgConnection,
    sender: Address,
    Parsed { text, command, .. }: &Parsed,
    taken: Taken,
) -> sqlx::Result<Facts> {
    let Taken { at: now, open: loaded, suppressed, blocked_here, given, .. } = taken;
    let person = sender.person;
    let mover = match command {
        Command::MoveCode(code) => mover(conn, code, &loaded).await?,
        _ => None,
    };
    let meets = matches!(command, Command::Join(_) | Command::Reopen | Command::MoveCode(_));
    let unwanted = if meets { store::unwanted(conn, person).await? } else { HashSet::new() };
    let alarm_at = app.settings.code_failures_alarm;
    let failures = match command {
        Command::Join(_) | Command::MoveCode(_) => {
            store::failures(conn, person, alarm_at, now).await?
        }
        _ => Failures { own: 0, all: 0, alarm_at },
    };
    let coded = match command {
        Command::Join(code) => loaded.iter().find(|found| found.code == *code).cloned(),
        _ => None,
    };
    let mut facts = Facts {
        suppressed,
        blocked_here,
        given,
        coded,
        mover,
        open: loaded.into_iter().filter(|found| found.has(person)).collect(),
        past: None,
        unwanted,
        failures,
        numbers: Vec::new(),
        fresh: None,
        has_media: !text.media.is_empty(),
        late: None,
        times: app.settings.times,
        pool: app.settings.pool,
        sender,
    };
    if let Some(sent_at) = text.sent_at {
        facts.late = Some(late(app, conn, &facts, sent_at).await?);
    }
    let is_busy = facts.here().is_some_and(Conversation::is_active);
    if !is_busy && looks_back(command) {
        facts.past = store::past(conn, &facts.sender).await?;
    }
    facts.numbers = match (command, &text.from) {
        (Command::Start | Command::Join(_), _) => numbers(conn, &facts, text, is_busy, now).await?,
        (Command::MoveCode(_), Some(phone)) => {
            pool::candidates(conn, person, phone, None, &facts.pool, now).await?
        }
        _ => Vec::new(),
    };
    Ok(facts)
}

/// What must be known of a text that was sent some time ago.
async fn late(
    app: &App,
    conn: &mut PgConnection,
    facts: &Facts,
    sent_at: Timestamp,
) -> sqlx::Result<Late> {
    let Address { person, through } = &facts.sender;
    let before_here = match facts.here() {
        Some(here) => store::began_after(conn, here.id, sent_at).await?,
        None => false,
    };
    Ok(Late {
        sent_at,
        words: app.settings.late_inbound,
        overtaken: audit::has_received(conn, *person, &through.number, sent_at).await?,
        before_here,
        outspoken: consent::has_spoken(conn, *person, facts.suppressed, sent_at).await?,
    })
}

/// Whose conversations this MOVE code moves.
async fn mover(
    conn: &mut PgConnection,
    code: &Code,
    loaded: &[Conversation],
) -> sqlx::Result<Option<Mover>> {
    let Some((person, expires_at)) = store::mover(conn, code).await? else { return Ok(None) };
    Ok(Some(Mover {
        person,
        expires_at,
        open: loaded.iter().filter(|found| found.has(person)).cloned().collect(),
        unwanted: store::unwanted(conn, person).await?,
    }))
}

/// Whether it matters to this command with whom the sender was last connected here.
fn looks_back(command: &Command) -> bool {
    matches!(
        command,
        Command::Talk { .. }
            | Command::Empty
            | Command::Unstop
            | Command::Yes
            | Command::Reopen
            | Command::Block
            | Command::Report
    )
}

/// The number that was texted as it stands for the sender; all numbers, where that one cannot take
/// a new conversation of theirs.
async fn numbers(
    conn: &mut PgConnection,
    facts: &Facts,
    text: &InboundText,
    is_busy: bool,
    now: Timestamp,
) -> sqlx::Result<Vec<Candidate>> {
    let Some(phone) = &text.from else { return Ok(Vec::new()) };
    let Address { person, through } = &facts.sender;
    let with = facts.coded.as_ref().and_then(|coded| coded.other(*person)).map(|it| it.person);
    if !is_busy {
        let this =
            pool::candidates(conn, *person, phone, Some(through.id), &facts.pool, now).await?;
        if this.iter().any(|number| pool::may_use(number, &facts.pool, with, now)) {
            return Ok(this);
        }
    }
    pool::candidates(conn, *person, phone, None, &facts.pool, now).await
}
