//! Begin, dispatch, commit.

use std::slice;

use sqlx::{Connection, PgTransaction};

use super::desk::Desk;
use crate::{
    app::App,
    audit::{self, Kind, Record},
    carrier::wire::{InboundText, Receipt},
    database,
    dispatch::{self, Parsed},
    ids::TextId,
    outbox::receipts,
};

/// How often a text that lost a race is judged again.
const RACES: usize = 3;
/// Begins a transaction that does not wait long for a lock.
const IMPATIENTLY: &str = "begin; set local lock_timeout = '250ms'";

/// Takes in one text by itself, exactly once however often it is delivered.
///
/// # Errors
/// The database's. Nothing of the text is kept then, and it must be delivered again.
pub async fn receive(app: &App, text: InboundText) -> sqlx::Result<()> {
    receive_alone(app, &Desk::new(app.db.clone()), &Parsed::from(text)).await
}

/// The same for one that was read already.
pub(super) async fn receive_alone(app: &App, desk: &Desk, text: &Parsed) -> sqlx::Result<()> {
    let new = take_in_alone(app, desk, text).await?;
    count_texts(1, new);
    Ok(())
}

/// Takes in one text that the webhook never brought and the carrier's list did; false when it was
/// taken in before. It comes through the same door, and is judged by when it was sent.
///
/// # Errors
/// The database's. Nothing of the text is kept then.
pub async fn receive_late(app: &App, text: InboundText) -> sqlx::Result<bool> {
    let desk = Desk::new(app.db.clone());
    Ok(take_in_alone(app, &desk, &Parsed::from(text)).await? == 1)
}

async fn take_in_alone(app: &App, desk: &Desk, text: &Parsed) -> sqlx::Result<usize> {
    let mut races = 0;
    loop {
        match take_in(app, desk, slice::from_ref(text), "begin").await {
            Err(error) if is_lost_race(&error) && races < RACES => races += 1,
            taken => return taken,
        }
    }
}

/// Takes in a party of texts. Others wait until it is done, so it does not wait long for a lock.
pub(super) async fn receive_together(app: &App, desk: &Desk, texts: &[Parsed]) -> sqlx::Result<()> {
    let new = take_in(app, desk, texts, IMPATIENTLY).await?;
    count_texts(texts.len(), new);
    Ok(())
}

fn count_texts(all: usize, new: usize) {
    count("text", new);
    count("duplicate", all - new);
}

/// Takes in texts in one transaction: all of them are committed, or none. There is no other way in;
/// one text is a slice of one. `begin_with` says how long it waits for a lock. Returns how many were new.
async fn take_in(
    app: &App,
    desk: &Desk,
    texts: &[Parsed],
    begin_with: &'static str,
) -> sqlx::Result<usize> {
    let mut tried = 0;
    let new = loop {
        let mut ready = desk.take().await?;
        tried += 1;
        let mut tx = match ready.conn.begin_with(begin_with).await {
            Err(error) if is_dead(&error) && tried <= desk.most() => {
                tracing::debug!(%error, "a connection had died; taking the next");
                continue;
            }
            begun => begun?,
        };
        let new = dispatch::handle(app, &mut tx, texts).await?;
        tx.commit().await?;
        desk.keep(ready);
        break new;
    };
    app.wake.notify_one();
    if texts.iter().any(|one| !one.text.media.is_empty()) {
        app.pictures.notify_one();
    }
    Ok(new)
}

/// Whether somebody else's transaction was first to what this one wanted, as a constraint or a
/// deadlock says, or as the row of a sender who was forgotten meanwhile: judged again, it sees what the
/// other has done.
fn is_lost_race(error: &sqlx::Error) -> bool {
    if matches!(error, sqlx::Error::RowNotFound) {
        return true;
    }
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "23505" | "40001" | "40P01"))
}

/// Takes in word of a text that we sent. `token` is the text that the URL named.
///
/// # Errors
/// The database's.
pub async fn receive_receipt(
    app: &App,
    receipt: &Receipt,
    token: Option<TextId>,
) -> sqlx::Result<()> {
    let mut tx = begin(app, "begin").await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let noted = receipts::note(&mut tx, &app.pen, receipt, token, now).await?;
    tx.commit().await?;
    count("receipt", 1);
    metrics::counter!("maskline_receipts_total", "noted" => noted.as_str()).increment(1);
    Ok(())
}

/// Takes in a payload that is neither: what words it has are on record, and no more.
///
/// # Errors
/// The database's.
pub(super) async fn receive_unreadable(app: &App, body: Option<String>) -> sqlx::Result<()> {
    let mut tx = begin(app, "begin").await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let record = Record { rule: Some("payload_unreadable"), ..Record::of(Kind::Refused) };
    let record = match body {
        Some(words) => record.saying(app.pen.vault.own(), &words),
        None => record,
    };
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    tracing::warn!("a webhook brought neither a message nor a receipt: recorded, not handled");
    count("unreadable", 1);
    Ok(())
}

/// Begins a transaction, on a connection that is alive.
///
/// Connections die unseen while they lie idle, when the database restarts above all. Nothing has
/// been done on one that cannot begin, so the next is tried: the carrier resends four times only,
/// and a pool may hold more dead ones than that.
async fn begin(app: &App, with: &'static str) -> sqlx::Result<PgTransaction<'static>> {
    for _ in 0..app.db.options().get_max_connections() {
        match app.db.begin_with(with).await {
            Err(error) if is_dead(&error) => {
                tracing::debug!(%error, "a connection had died; taking the next");
            }
            begun => return begun,
        }
    }
    app.db.begin_with(with).await
}

/// Whether the connection had ended, as PostgreSQL says of one that it ends (class 57P) or as
/// nobody says.
fn is_dead(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// Counts deliveries by what became of them.
pub(super) fn count(outcome: &'static str, deliveries: usize) {
    metrics::counter!("maskline_inbound_total", "outcome" => outcome).increment(deliveries as u64);
}
