//! Records that belong to no conversation: what somebody texted who is in none, and what they were
//! answered; opt-outs; what strangers sent; what staff did.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cursor, Found, Query, batch::Candidate};
use crate::{
    clock::SqlTimestamp,
    ids::{PersonId, RecordId},
};

/// Whether it tells what staff did. What they wrote about it is shown by no log, so it is not looked
/// through either.
pub(super) fn is_deed(one: &Candidate) -> bool {
    one.conversation.is_none() && one.kind == "staff"
}

/// Reads what is told of these records, in any order.
pub(super) async fn of(
    conn: &mut PgConnection,
    query: &Query,
    places: &[(Timestamp, RecordId)],
) -> sqlx::Result<Vec<Found>> {
    let (times, ids): (Vec<SqlTimestamp>, Vec<Uuid>) =
        places.iter().map(|(at, id)| (at.to_sqlx(), id.uuid())).unzip();
    let rows = sqlx::query!(
        r#"select r.at, r.id as "id: RecordId", r.kind, r.rule, r.person_id as "person: PersonId",
               r.recipient_id as "recipient: PersonId", r.masked_number,
               r.media_sealed is not null as "has_media!",
               exists (select from legal_hold h where legal_hold_covers(h, r)) as "is_held!"
           from unnest($1::timestamptz[], $2::uuid[]) as place (at, id)
           join audit_record r on r.at = place.at and r.id = place.id"#,
        times as Vec<SqlTimestamp>,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().map(|row| {
        let at = row.at.to_jiff();
        let mut people: Vec<PersonId> = row.person.into_iter().chain(row.recipient).collect();
        people.dedup();
        Found {
            conversation: None,
            record: Some(row.id),
            is_flagged: matches!(&*row.kind, "flagged" | "person_reported"),
            kind: Some(row.kind),
            rule: row.rule,
            first: at,
            last: at,
            records: 1,
            masked_numbers: row.masked_number.into_iter().collect(),
            people,
            state: None,
            has_media: row.has_media,
            is_held: row.is_held,
            cursor: Cursor { at, id: row.id, until: query.until },
        }
    });
    Ok(found.collect())
}
