//! What happens to conversations when nobody texts.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{Outcome, apply::apply, finish, trail::Origin};
use crate::{
    conversation::{EndReason, effect::Effect, store},
    vault::Pen,
};

/// Warns and ends conversations that are due, as many as this at most; returns how many were looked
/// at. Those that somebody else holds are left for the next time.
pub async fn sweep(
    conn: &mut PgConnection,
    pen: &Pen,
    count: i64,
    now: Timestamp,
) -> sqlx::Result<usize> {
    let due = store::lock_due(conn, count, now).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let before = store::open_among(conn, &due).await?;
    let effects: Vec<Effect> =
        before.iter().flat_map(|conversation| conversation.pass(now)).collect();
    apply(conn, &Origin::Clock, &effects, now).await?;
    let outcome = Outcome { origin: Origin::Clock, effects: &effects, traceparent: None };
    finish(conn, pen, &[outcome], Vec::new(), now).await?;
    let after = store::open_among(conn, &due).await?;
    store::look_again(conn, &after).await?;
    Ok(due.len())
}

/// Ends conversations of which the carrier connects a participant no more, as many as this at most,
/// and tells the others. Returns how many.
pub async fn end_carrier_blocked(
    conn: &mut PgConnection,
    pen: &Pen,
    count: i64,
    now: Timestamp,
) -> sqlx::Result<usize> {
    let blocked = store::lock_carrier_blocked(conn, count).await?;
    let open = store::open_among(conn, &blocked).await?;
    let effects: Vec<Effect> = open
        .iter()
        .flat_map(|conversation| conversation.end_by_itself(EndReason::CarrierBlocked))
        .collect();
    apply(conn, &Origin::Clock, &effects, now).await?;
    let outcome = Outcome { origin: Origin::Clock, effects: &effects, traceparent: None };
    finish(conn, pen, &[outcome], Vec::new(), now).await?;
    store::settle_carrier_blocks(conn).await?;
    Ok(open.len())
}
