//! Forgetting one person.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{Outcome, apply::apply, finish, trail::Origin};
use crate::{
    audit::{self, Kind, Record, extract, holds},
    consent::{self, Channel},
    conversation::{decide, store},
    ids::PersonId,
    media, outbox, people,
    vault::Pen,
};

/// What was done to forget somebody.
#[derive(Debug, Clone)]
pub enum Erased {
    /// They were forgotten.
    Now {
        /// How many conversations ended.
        conversations: usize,
        /// How many texts by them or for them were dropped.
        texts: usize,
        /// How many pictures are removed from the storage by the next round.
        pictures: u64,
        /// Whether their opt-out is heeded from now on by the tag of their number.
        is_silent: bool,
    },
    /// Legal holds keep what there is of them; these are their matters.
    Held(Vec<String>),
    /// They were forgotten before, or there never was such a person.
    Gone,
}

/// Forgets a person: ends their conversations as if they had left, drops what waits, marks their
/// pictures, and destroys their key, so that nobody can read what they wrote. All records stay. A
/// legal hold wins.
pub async fn erase(
    conn: &mut PgConnection,
    pen: &Pen,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<Erased> {
    let Some(before) = people::about(conn, person).await?.filter(|it| it.erased_at.is_none())
    else {
        return Ok(Erased::Gone);
    };
    // No hold comes in between.
    holds::freeze(conn).await?;
    let held = holds::on_person(conn, person).await?;
    if !held.is_empty() {
        return Ok(Erased::Held(held));
    }
    let locked = store::lock(conn, person).await?;
    let open = store::open_among(conn, &locked).await?;
    let texts = outbox::drop_erased(conn, person, now).await?;
    let pictures = media::erase(conn, person).await?;
    let effects = decide::erase(&open, person);
    let origin =
        Origin::Staff { rule: "staff_erase", person, channel: Channel::Staff, evidence: None };
    apply(conn, &origin, &effects, now).await?;
    let outcome = Outcome { origin, effects: &effects, traceparent: None };
    finish(conn, pen, &[outcome], Vec::new(), now).await?;
    store::forget_offer(conn, person).await?;
    let tasks = close_tasks(conn, person, now).await?;
    let is_silent = consent::outlive(conn, person).await?;
    let exports = extract::spoil(conn, now).await?;
    let detail = format!(
        "{} records by them, {} to them; {} conversations ended, {texts} texts dropped, {pictures} \
         pictures, {} entries on consent, {tasks} tasks closed, {exports} exports for staff; {}",
        before.records_by,
        before.records_to,
        open.len(),
        before.consents,
        if is_silent { "their opt-out is heeded" } else { "no opt-out" },
    );
    let record = Record { person: Some(person), detail: Some(detail), ..Record::of(Kind::Erased) };
    audit::record(conn, &[record], now).await?;
    // Last: the tag is unique, so this waits for all who refer to the person.
    people::destroy(conn, person, now).await?;
    Ok(Erased::Now { conversations: open.len(), texts, pictures, is_silent })
}

/// Closes what staff were to do for somebody who is forgotten, and counts it. What they reported stays
/// open.
async fn close_tasks(
    conn: &mut PgConnection,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let closed = sqlx::query!(
        "update task set closed_at = $2, outcome = 'the person was erased'
         where person_id = $1 and closed_at is null and kind in ('soft_opt_out', 'carrier_block')",
        person as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(closed.rows_affected())
}
