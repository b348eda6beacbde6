//! What staff say about a person, outside of any text.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{
    Outcome,
    apply::apply,
    finish,
    trail::{self, Origin},
};
use crate::{
    audit,
    consent::{Channel, Evidence},
    conversation::{decide, effect::Effect, store},
    ids::PersonId,
    vault::{Author, Pen},
};

/// Silences a person as their own text would, without a confirmation: what is queued for them is
/// dropped, their conversations end, the others are told.
///
/// The caller holds the person's lock. Returns how many conversations ended.
pub async fn opt_out(
    conn: &mut PgConnection,
    pen: &Pen,
    (person, author): (PersonId, &Author),
    (channel, evidence): (Channel, Option<String>),
    now: Timestamp,
) -> sqlx::Result<usize> {
    let locked = store::lock(conn, person).await?;
    let open = store::open_among(conn, &locked).await?;
    let effects = decide::opt_out(&open, person);
    let evidence = evidence.map(|words| Evidence::Words(author.clone(), words));
    let origin = Origin::Staff { rule: "staff_opt_out", person, channel, evidence };
    apply(conn, &origin, &effects, now).await?;
    let outcome = Outcome { origin, effects: &effects, traceparent: None };
    finish(conn, pen, &[outcome], Vec::new(), now).await?;
    Ok(open.len())
}

/// Lets a person be texted again; `reason` is what proves that they may be.
///
/// The caller holds the person's lock.
pub async fn opt_in(
    conn: &mut PgConnection,
    (person, author): (PersonId, &Author),
    reason: String,
    now: Timestamp,
) -> sqlx::Result<()> {
    let (channel, evidence) = (Channel::Staff, Some(Evidence::Words(author.clone(), reason)));
    let origin = Origin::Staff { rule: "staff_opt_in", person, channel, evidence };
    let effects = [Effect::Lift(person)];
    apply(conn, &origin, &effects, now).await?;
    audit::record(conn, &trail::records(&effects, &origin), now).await
}
