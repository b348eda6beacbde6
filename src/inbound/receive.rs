//! Begin, keep the carrier's id, dispatch, commit.

use jiff::Timestamp;
use sqlx::{PgConnection, PgTransaction};

use crate::{
    app::App,
    audit::{self, Kind, Record},
    carrier::wire::{InboundText, Receipt},
    clock::{Clock, SqlTimestamp},
    database, dispatch,
    ids::TextId,
    outbox::receipts,
};

/// How often a text that lost a race is judged again.
const RACES: usize = 3;

/// Takes in one text, exactly once however often it is delivered.
///
/// # Errors
/// The database's. Nothing of the text is kept then, and it must be delivered again.
pub async fn receive(app: &App, text: &InboundText) -> sqlx::Result<()> {
    let mut races = 0;
    let is_new = loop {
        match receive_once(app, text).await {
            Err(error) if is_lost_race(&error) && races < RACES => races += 1,
            received => break received?,
        }
    };
    app.wake.notify_one();
    count(if is_new { "text" } else { "duplicate" });
    Ok(())
}

/// Takes in one text in one transaction; false when it was taken in before.
async fn receive_once(app: &App, text: &InboundText) -> sqlx::Result<bool> {
    let mut tx = begin(app).await?;
    let kept_at = keep(&mut tx, &text.carrier_id, &app.clock).await?;
    if let Some(now) = kept_at {
        dispatch::handle(app, &mut tx, text, now).await?;
    }
    tx.commit().await?;
    Ok(kept_at.is_some())
}

/// Whether somebody else's transaction was first to what this one wanted, as a constraint or a
/// deadlock says: judged again, it sees what the other has done.
fn is_lost_race(error: &sqlx::Error) -> bool {
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
    let mut tx = begin(app).await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let noted = receipts::note(&mut tx, receipt, token, now).await?;
    tx.commit().await?;
    count("receipt");
    metrics::counter!("maskline_receipts_total", "noted" => noted.as_str()).increment(1);
    Ok(())
}

/// Takes in a payload that is neither: what words it has are on record, and no more.
///
/// # Errors
/// The database's.
pub(super) async fn receive_unreadable(app: &App, body: Option<String>) -> sqlx::Result<()> {
    let mut tx = begin(app).await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let record = Record { rule: Some("payload_unreadable"), body, ..Record::of(Kind::Refused) };
    audit::record(&mut tx, &[record], now).await?;
    tx.commit().await?;
    tracing::warn!("a webhook brought neither a message nor a receipt: recorded, not handled");
    count("unreadable");
    Ok(())
}

/// Begins a transaction, on a connection that is alive.
///
/// Connections die unseen while they lie idle, when the database restarts above all. Nothing has
/// been done on one that cannot begin, so the next is tried: the carrier resends four times only,
/// and a pool may hold more dead ones than that.
async fn begin(app: &App) -> sqlx::Result<PgTransaction<'static>> {
    for _ in 0..app.db.options().get_max_connections() {
        match app.db.begin().await {
            Err(error) if is_dead(&error) => {
                tracing::debug!(%error, "a connection had died; taking the next");
            }
            begun => return begun,
        }
    }
    app.db.begin().await
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

/// Counts one delivery by what became of it.
pub(super) fn count(outcome: &'static str) {
    metrics::counter!("maskline_inbound_total", "outcome" => outcome).increment(1);
}

/// Keeps the carrier's id of a text, and tells the time; none when it was kept before. A second
/// delivery that comes while the first is being handled waits here for its commit.
async fn keep(
    conn: &mut PgConnection,
    carrier_id: &str,
    clock: &Clock,
) -> sqlx::Result<Option<Timestamp>> {
    let noted_at = sqlx::query_scalar!(
        "insert into carrier_message (carrier_id, direction, noted_at)
         values ($1, 'inbound', coalesce($2, clock_timestamp()))
         on conflict (carrier_id) do nothing
         returning noted_at",
        carrier_id,
        clock.instead() as _,
    )
    .fetch_optional(conn)
    .await?;
    Ok(noted_at.map(SqlTimestamp::to_jiff))
}
