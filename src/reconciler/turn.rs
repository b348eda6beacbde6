//! Whose turn it is, and how far the list has been read: one row in the database, by its time.
//!
//! A turn is a lease. Who was paused beyond its end finds that it is another's and stops; what it
//! took in till then does no harm, since every message is taken in once.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;

use crate::{app::App, clock::SqlTimestamp};

/// How long somebody has a turn unless they go on: longer than one list and what is in it takes.
const LEASE: SignedDuration = SignedDuration::from_mins(3);
/// How long after a round the next one begins.
const EVERY: SignedDuration = SignedDuration::from_mins(1);
/// The same once some text is unknown for so long: the list may show it by now.
const SOON: SignedDuration = SignedDuration::from_secs(10);
/// How much before the watermark is listed again: the list may show a message late.
const OVERLAP: SignedDuration = SignedDuration::from_mins(15);

/// Somebody's turn.
#[derive(Debug)]
pub(super) struct Turn {
    /// When it began, by the database's time.
    pub(super) now: Timestamp,
    /// From when on to list.
    pub(super) from: Timestamp,
    /// Until when it lasts; also what tells it from anybody else's.
    until: SqlTimestamp,
}

/// Takes a turn; none when it is another's, or too early. Tells in the metrics how far the list has
/// been read, by whomever.
pub(super) async fn take(app: &App) -> sqlx::Result<Option<Turn>> {
    let mut conn = app.db.acquire().await?;
    let seconds = |span: SignedDuration| span.as_secs_f64();
    // What lies beyond any lease or wait set now was written by a clock that has been set back.
    let taken = sqlx::query!(
        r#"update reconciliation r
           set leased_until = t.now + make_interval(secs => $2),
               watermark = coalesce(r.watermark, t.now)
           from (select coalesce($1, clock_timestamp()) as now) t
           where (r.leased_until is null
                   or r.leased_until not between t.now and t.now + 2 * make_interval(secs => $2))
               and (r.listed_at is null
                   or r.listed_at <= t.now - make_interval(secs => $3)
                   or r.listed_at > t.now
                   or exists (
                       select from outbox o
                       where o.state = 'unknown' and o.passed_at is null
                           and coalesce(o.unknown_since, o.tried_at, o.due_at)
                                   + make_interval(secs => $4)
                               between r.listed_at and t.now
                   ))
           returning t.now as "now!: SqlTimestamp", r.watermark as "watermark!: SqlTimestamp",
               r.leased_until as "until!: SqlTimestamp""#,
        app.clock.instead() as _,
        seconds(LEASE),
        seconds(EVERY),
        seconds(SOON),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(taken) = taken else {
        let behind = sqlx::query_scalar!(
            "select extract(epoch from coalesce($1, clock_timestamp()) - watermark)::float8
             from reconciliation",
            app.clock.instead() as _,
        );
        if let Some(behind) = behind.fetch_one(&mut *conn).await? {
            metrics::gauge!("maskline_reconciler_behind_seconds").set(behind);
        }
        return Ok(None);
    };
    let (now, watermark) = (taken.now.to_jiff(), taken.watermark.to_jiff());
    // A watermark that lies ahead was set by a clock that was so much ahead: as much is listed again.
    let back = now.duration_since(watermark).abs() + OVERLAP;
    let from = now.saturating_sub(back).unwrap_or(Timestamp::MIN);
    Ok(Some(Turn { now, from, until: taken.until }))
}

/// Moves the watermark, never back, and keeps the turn; false when it is another's by now.
pub(super) async fn go_on(app: &App, turn: &mut Turn, watermark: Timestamp) -> sqlx::Result<bool> {
    let until = sqlx::query_scalar!(
        r#"update reconciliation
           set watermark = greatest(watermark, $3),
               leased_until = coalesce($1, clock_timestamp()) + make_interval(secs => $4)
           where leased_until = $2
           returning leased_until as "until!""#,
        app.clock.instead() as _,
        turn.until as _,
        watermark.to_sqlx() as _,
        LEASE.as_secs_f64(),
    )
    .fetch_optional(&app.db)
    .await?;
    if let Some(until) = until {
        turn.until = until;
    }
    Ok(until.is_some())
}

/// Ends the turn, unless it is another's by now.
pub(super) async fn end(app: &App, turn: &Turn) -> sqlx::Result<()> {
    sqlx::query!(
        "update reconciliation
         set leased_until = null, listed_at = coalesce($1, clock_timestamp())
         where leased_until = $2",
        app.clock.instead() as _,
        turn.until as _,
    )
    .execute(&app.db)
    .await?;
    Ok(())
}
