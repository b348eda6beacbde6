//! Records that belong to no conversation: what somebody texted who is in none, and what they were
//! answered; opt-outs; what strangers sent; what staff did.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cursor, Found, Query, batch::Candidate};
use crate::{
    clock::SqlTimestamp,
    ids::{ConversationId, PersonId, RecordId},
};

/// A record that belongs to no conversation, and where it stands in an export.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::audit) struct Alone {
    pub(in crate::audit) shelf: Shelf,
    pub(in crate::audit) at: Timestamp,
    pub(in crate::audit) id: RecordId,
}

/// Where a record stands in an export, one shelf after the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::audit) enum Shelf {
    /// A conversation.
    Conversation(ConversationId),
    /// Whoever did it or was meant, in none.
    Person(PersonId),
    /// The masked number that a stranger texted.
    Number(String),
    /// What staff did.
    Staff,
    /// All else.
    Rest,
}

impl Alone {
    pub(super) fn of(one: &Candidate) -> Self {
        let shelf = match (one.person.or(one.recipient), &one.masked_number) {
            _ if is_deed(one) => Shelf::Staff,
            (Some(person), _) => Shelf::Person(person),
            (None, Some(number)) => Shelf::Number(number.clone()),
            (None, None) => Shelf::Rest,
        };
        Self { shelf, at: one.at.to_jiff(), id: one.id }
    }
}

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

/// The same records and what became of the texts among them, each once, in the order of their shelves. What
/// the carrier reported of a text stands with it.
pub(in crate::audit) async fn with_fates(
    conn: &mut PgConnection,
    query: &Query,
    alone: &[Alone],
) -> sqlx::Result<Vec<Alone>> {
    let (from, until) = query.times();
    let mut all = Vec::new();
    for some in alone.chunks(1_000) {
        let (times, ids): (Vec<SqlTimestamp>, Vec<Uuid>) =
            some.iter().map(|one| (one.at.to_sqlx(), one.id.uuid())).unzip();
        let fates = sqlx::query!(
            r#"select p.id as "of!: RecordId", r.at, r.id as "id: RecordId"
               from unnest($1::timestamptz[], $2::uuid[]) as place (at, id)
               join audit_record p on p.at = place.at and p.id = place.id
                   and p.kind in ('relayed', 'answered')
               join audit_record r on r.text_id = p.text_id and r.conversation_id is null
                   and r.at >= coalesce($3::timestamptz, '-infinity')
                   and r.at < coalesce($4::timestamptz, 'infinity')"#,
            times as Vec<SqlTimestamp>,
            &ids,
            from.map(ToSqlx::to_sqlx) as _,
            until.map(ToSqlx::to_sqlx) as _,
        )
        .fetch_all(&mut *conn)
        .await?;
        let shelves: HashMap<RecordId, &Shelf> =
            some.iter().map(|one| (one.id, &one.shelf)).collect();
        all.extend(fates.into_iter().filter_map(|fate| {
            let shelf = (*shelves.get(&fate.of)?).clone();
            Some(Alone { shelf, at: fate.at.to_jiff(), id: fate.id })
        }));
        all.extend(some.iter().cloned());
    }
    // By its text a report has a better shelf than by itself: those come first.
    all.sort_unstable_by(|a, b| (a.at, a.id, &a.shelf).cmp(&(b.at, b.id, &b.shelf)));
    all.dedup_by_key(|one| (one.at, one.id));
    all.sort_unstable();
    Ok(all)
}
