//! Sends of which nobody knew whether the carrier has them, and receipts that never came.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::PgConnection;

use super::matching::{AFTER, BEFORE, pair};
use crate::{
    app::App,
    carrier::{Sent, wire::Receipt},
    database,
    outbox::{self, Unsettled, receipts},
};

/// Settles what these messages of the account show, all that the carrier lists within this time.
pub(super) async fn settle(
    app: &App,
    listed: &[Sent],
    (from, to): (Timestamp, Timestamp),
) -> sqlx::Result<()> {
    if listed.is_empty() {
        return Ok(());
    }
    let from = from.saturating_sub(AFTER).unwrap_or(Timestamp::MIN);
    let to = to.saturating_add(BEFORE).unwrap_or(Timestamp::MAX);
    let mut conn = app.db.acquire().await?;
    // In this order: what is under way in the first and accepted by the second is known in that.
    let texts = outbox::unsettled(&mut conn, &app.pen.vault, from, to).await?;
    let known = known(&mut conn, listed).await?;
    drop(conn);

    let free: Vec<Sent> =
        listed.iter().filter(|sent| !known.contains_key(&sent.carrier_id)).cloned().collect();
    let mut ended: Vec<&Receipt> = listed
        .iter()
        .filter(|sent| known.get(&sent.carrier_id).is_some_and(|is_open| *is_open))
        .filter_map(end)
        .collect();
    for (text, sent) in pair(&texts, &free) {
        if accept(app, text, &sent.carrier_id).await? {
            tracing::info!(id = %text.id, "the carrier's list shows a text of which nobody knew");
            metrics::counter!("maskline_reconciled_sends_total").increment(1);
            ended.extend(end(sent));
        }
    }
    for receipt in ended {
        note(app, receipt).await?;
    }
    Ok(())
}

/// The last word on a message, if it has been said.
fn end(sent: &Sent) -> Option<&Receipt> {
    sent.receipts.iter().find(|it| matches!(it.status.as_str(), "delivered" | "failed"))
}

/// Which of these messages are texts of ours, and whether their last word has not come yet.
async fn known(conn: &mut PgConnection, listed: &[Sent]) -> sqlx::Result<HashMap<String, bool>> {
    let ids: Vec<String> = listed.iter().map(|sent| sent.carrier_id.clone()).collect();
    let known = sqlx::query!(
        r#"select carrier_id, coalesce(delivery = 'sent', false) as "is_open!"
           from carrier_message
           where carrier_id = any($1)"#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(known.into_iter().map(|row| (row.carrier_id, row.is_open)).collect())
}

async fn accept(app: &App, text: &Unsettled, carrier_id: &str) -> sqlx::Result<bool> {
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let accepted = outbox::accept_found(&mut tx, text, carrier_id, now).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(accepted)
}

async fn note(app: &App, receipt: &Receipt) -> sqlx::Result<()> {
    let mut tx = app.db.begin().await?;
    let now = database::time(&mut tx, &app.clock).await?;
    let noted = receipts::note(&mut tx, &app.pen, receipt, None, now).await?;
    tx.commit().await?;
    metrics::counter!("maskline_receipts_total", "noted" => noted.as_str()).increment(1);
    Ok(())
}
