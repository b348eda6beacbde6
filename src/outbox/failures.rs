//! What a final failure says about the pair or the masked number, beside the text itself.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::dropped;
use crate::{
    audit::{self, Kind, Record},
    consent::{self, Channel, Event, EventKind, Evidence},
    ids::{MaskedNumberId, PersonId},
    tasks::{self, Task},
};

/// Flowroute's code for a phone that texted STOP to our number: nothing more reaches it from there.
pub(super) const STOPPED: u32 = 1110;

/// A text of ours that the carrier refused or failed with that code.
#[derive(Debug)]
pub(super) struct Stopped<'a> {
    /// Whom it was for. The caller holds their lock.
    pub(super) person: PersonId,
    /// The masked number that they texted STOP to.
    pub(super) number: MaskedNumberId,
    /// How we were told.
    pub(super) rule: &'static str,
    /// What names the text.
    pub(super) evidence: String,
    /// The carrier's id of it, if it got one.
    pub(super) carrier_id: Option<&'a str>,
    /// When it left.
    pub(super) left_at: Timestamp,
}

/// Notes that the carrier blocks a pair, drops what is queued for it and calls staff.
///
/// Nothing more happens when that is known: each text that was under way says it again.
pub(super) async fn block(
    conn: &mut PgConnection,
    stopped: Stopped<'_>,
    now: Timestamp,
) -> sqlx::Result<()> {
    let Stopped { person, number, carrier_id, left_at, .. } = stopped;
    let event = Event {
        person,
        kind: EventKind::CarrierBlocked,
        masked_number: Some(number),
        rule: stopped.rule,
        channel: Channel::Carrier,
        evidence: Some(Evidence::Id(stopped.evidence.clone())),
    };
    if !consent::block(conn, &event, left_at, now).await? {
        return Ok(());
    }
    record_block(conn, &stopped, now).await?;
    dropped::drop_blocked(conn, person, number, now).await?;
    let task = Task {
        person: Some(person),
        masked_number: Some(number),
        carrier_id: carrier_id.map(str::to_owned),
        ..Task::of(tasks::Kind::CarrierBlock)
    };
    tasks::raise(conn, &task, now).await?;
    metrics::counter!("maskline_carrier_blocks_total").increment(1);
    tracing::warn!(%person, "a phone texted STOP to a masked number at the carrier: staff are called");
    Ok(())
}

async fn record_block(
    conn: &mut PgConnection,
    stopped: &Stopped<'_>,
    now: Timestamp,
) -> sqlx::Result<()> {
    let number =
        sqlx::query_scalar!("select number from masked_number where id = $1", stopped.number as _)
            .fetch_one(&mut *conn)
            .await?;
    let record = Record {
        rule: Some(stopped.rule),
        person: Some(stopped.person),
        masked_number: number.parse().ok(),
        carrier_id: stopped.carrier_id.map(str::to_owned),
        ..Record::of(Kind::CarrierBlocked)
    };
    audit::record(conn, &[record], now).await
}

/// Notes a failure that may lie with the masked number, or with the phone. `why` is a word or two,
/// such as `refused 422`.
pub(super) async fn note(
    conn: &mut PgConnection,
    (person, number): (PersonId, MaskedNumberId),
    why: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into send_failure (masked_number_id, at, why, recipient_id)
         values ($1, $2, $3, $4)",
        number as _,
        now.to_sqlx() as _,
        why,
        person as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
