//! Texts that the webhook never brought.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::PgConnection;

use crate::{
    app::App, carrier::wire::InboundText, clock::SqlTimestamp, dispatch, inbound,
    phone::PhoneNumber,
};
use jiff_sqlx::ToSqlx;

/// Takes in those of these texts that are not in the database, in their order. All must be so old that
/// the webhook brings them no more.
pub(super) async fn take_in(app: &App, listed: &[(InboundText, Timestamp)]) -> sqlx::Result<()> {
    if listed.is_empty() {
        return Ok(());
    }
    let mut conn = app.db.acquire().await?;
    let unseen = unseen(&mut conn, listed).await?;
    if unseen.is_empty() {
        return Ok(());
    }
    let is_unseen = |text: &InboundText| unseen.contains(&text.carrier_id);
    let senders: HashSet<&PhoneNumber> = listed
        .iter()
        .filter(|(text, _)| is_unseen(text))
        .filter_map(|it| it.0.from.as_ref())
        .collect();
    let theirs = listed
        .iter()
        .filter(|(text, _)| text.from.as_ref().is_some_and(|from| senders.contains(from)));
    let times: Vec<_> = theirs.map(|(text, at)| (text.carrier_id.clone(), *at)).collect();
    dispatch::note_sent(&mut conn, &times).await?;
    drop(conn);

    let count = unseen.len();
    tracing::warn!(count, "the webhook did not bring all texts: the carrier's list has more");
    for (text, at) in listed.iter().filter(|(text, _)| is_unseen(text)) {
        let text = InboundText { sent_at: Some(*at), ..text.clone() };
        let id = text.carrier_id.clone();
        let outcome = match inbound::receive_late(app, text).await {
            Ok(true) => "text",
            Ok(false) => "duplicate",
            Err(error) if is_its_own(&error) => {
                // The next rounds try it again, as long as the overlap shows it.
                tracing::error!(%error, id, "a text of the list cannot be kept");
                "failed"
            }
            Err(error) => return Err(error),
        };
        metrics::counter!("maskline_reconciled_inbound_total", "outcome" => outcome).increment(1);
    }
    Ok(())
}

/// Whether the database finds fault with this text alone, by its values: others need not wait.
fn is_its_own(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// The carrier's ids of those texts that are not in the database, and were sent to a number that was
/// in the pool then. Other numbers of the account are not our business.
async fn unseen(
    conn: &mut PgConnection,
    listed: &[(InboundText, Timestamp)],
) -> sqlx::Result<HashSet<String>> {
    let ids: Vec<String> = listed.iter().map(|(text, _)| text.carrier_id.clone()).collect();
    let numbers: Vec<Option<String>> =
        listed.iter().map(|(text, _)| text.to.clone().map(String::from)).collect();
    let times: Vec<SqlTimestamp> = listed.iter().map(|(_, at)| at.to_sqlx()).collect();
    let unseen = sqlx::query_scalar!(
        r#"select listed.carrier_id as "id!"
           from unnest($1::text[], $2::text[], $3::timestamptz[])
               as listed (carrier_id, number, sent_at)
           join masked_number m on m.number = listed.number and m.added_at <= listed.sent_at
           where not exists (select from carrier_message c where c.carrier_id = listed.carrier_id)"#,
        &ids,
        &numbers as _,
        &times as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(unseen.into_iter().collect())
}
