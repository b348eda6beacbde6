//! Loads what a decision depends on: behind the locks, and no more than the command needs.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::PgConnection;

use crate::{
    app::App,
    carrier::wire::InboundText,
    code::Code,
    consent,
    conversation::{
        Address, Conversation,
        command::Command,
        facts::{Facts, Failures, Mover},
        store::{self, Named},
    },
    pool::{self, Candidate},
};

/// Locks what the text may change, and loads the facts.
pub(super) async fn load(
    app: &App,
    conn: &mut PgConnection,
    sender: Address,
    text: &InboundText,
    command: &Command,
    now: Timestamp,
) -> sqlx::Result<Facts> {
    let person = sender.person;
    let named = match command {
        Command::Join(code) => Named { by_code: Some(code), ..Named::default() },
        Command::MoveCode(code) => Named { by_move_code: Some(code), ..Named::default() },
        _ => Named::default(),
    };
    let loaded = lock_and_load(conn, &sender, named, command).await?;
    let mover = match named.by_move_code {
        Some(code) => mover(conn, code, &loaded).await?,
        None => None,
    };
    let standing = consent::standing(conn, person, sender.through.id).await?;
    let meets = matches!(command, Command::Join(_) | Command::Reopen | Command::MoveCode(_));
    let unwanted = if meets { store::unwanted(conn, person).await? } else { HashSet::new() };
    let alarm_at = app.settings.code_failures_alarm;
    let failures = match command {
        Command::Join(_) | Command::MoveCode(_) => {
            store::failures(conn, person, alarm_at, now).await?
        }
        _ => Failures { own: 0, all: 0, alarm_at },
    };
    let mut facts = Facts {
        suppressed: standing.suppressed,
        blocked_here: standing.blocked_here,
        given: standing.given,
        coded: loaded.iter().find(|found| Some(&found.code) == named.by_code).cloned(),
        mover,
        open: loaded.into_iter().filter(|found| found.has(person)).collect(),
        past: None,
        unwanted,
        failures,
        numbers: Vec::new(),
        fresh: None,
        has_media: !text.media.is_empty(),
        times: app.settings.times,
        pool: app.settings.pool,
        sender,
    };
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

/// Locks the conversations that the text may concern, and loads those that are open.
async fn lock_and_load(
    conn: &mut PgConnection,
    sender: &Address,
    named: Named<'_>,
    command: &Command,
) -> sqlx::Result<Vec<Conversation>> {
    // First, and seen by whoever comes second: a BLOCK must not cross the other's consent to go on.
    if matches!(command, Command::Reopen | Command::Block | Command::Report) {
        store::lock_past(conn, sender).await?;
    }
    let locked = store::lock(conn, sender.person, named).await?;
    store::open_among(conn, &locked).await
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
