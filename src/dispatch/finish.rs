//! Writes down what was decided and applied: the texts that it promises, and the records of it.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{
    apply,
    trail::{self, Origin},
};
use crate::{
    audit::Record,
    conversation::effect::Effect,
    outbox::{self, Promise},
    vault::Pen,
};

/// What was decided and applied, and what brought it about.
pub(super) struct Outcome<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) effects: &'a [Effect],
    /// The trace of the text, where one is written.
    pub(super) traceparent: Option<&'a str>,
}

/// Promises the texts of what was decided, records all of it in one statement, and calls staff.
pub(super) async fn finish(
    conn: &mut PgConnection,
    pen: &Pen,
    outcomes: &[Outcome<'_>],
    mut records: Vec<Record>,
    now: Timestamp,
) -> sqlx::Result<()> {
    let mut promises = Vec::new();
    for Outcome { origin, effects, traceparent } in outcomes {
        records.extend(trail::records(effects, origin));
        let (texts, kept): (Vec<_>, Vec<_>) =
            trail::promises(effects, origin, pen, now).into_iter().unzip();
        records.extend(kept);
        let traceparent = traceparent.map(str::to_owned);
        promises.extend(
            texts.into_iter().map(|text| Promise { traceparent: traceparent.clone(), ..text }),
        );
    }
    for answer in promises.iter().filter_map(|promise| promise.answer) {
        metrics::counter!("maskline_answers_total", "answer" => answer).increment(1);
    }
    outbox::promise(conn, &promises, &records, now).await?;
    for Outcome { origin, effects, .. } in outcomes {
        apply::keep_pictures(conn, origin, &promises, now).await?;
        apply::redirect(conn, origin, effects).await?;
        apply::call_staff(conn, origin, effects, now).await?;
    }
    Ok(())
}
