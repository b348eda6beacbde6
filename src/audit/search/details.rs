//! What is told of a conversation that was found.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cursor, Found, Query};
use crate::{
    audit::reader::Reader,
    ids::{ConversationId, PersonId, RecordId},
    phone::PhoneNumber,
};

/// A conversation as it is read. Of its records that fit, the oldest first, the four lists hold an
/// element each.
struct Row {
    conversation: ConversationId,
    times: Vec<i64>,
    ids: Vec<RecordId>,
    authors: Vec<Option<PersonId>>,
    /// No words where there is no keyword.
    bodies: Vec<Option<Vec<u8>>>,
    masked_numbers: Vec<String>,
    seats: Vec<PersonId>,
    others: Vec<PersonId>,
    state: Option<String>,
    has_media: bool,
    is_flagged: bool,
    is_held: bool,
}

/// Reads what is told of these conversations, in their order. One of which nothing fits is left out.
pub(super) async fn of(
    conn: &mut PgConnection,
    query: &Query,
    reader: &mut Reader<'_>,
    ids: &[ConversationId],
) -> sqlx::Result<Vec<Found>> {
    let rows = read(conn, query, ids).await?;
    let authors = rows.iter().flat_map(|row| row.authors.iter().flatten().copied());
    reader.meet(conn, authors).await?;
    Ok(rows.into_iter().filter_map(|row| found(row, query, reader)).collect())
}

async fn read(
    conn: &mut PgConnection,
    query: &Query,
    ids: &[ConversationId],
) -> sqlx::Result<Vec<Row>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let filter = &query.filter;
    sqlx::query_as!(
        Row,
        r#"select c.id as "conversation!: ConversationId", all_of.times as "times!",
               all_of.ids as "ids!: Vec<RecordId>",
               all_of.authors as "authors!: Vec<Option<PersonId>>",
               all_of.bodies as "bodies!: Vec<Option<Vec<u8>>>",
               all_of.masked_numbers as "masked_numbers!",
               array(select p.person_id from participant p
                   where p.conversation_id = c.id order by p.seat) as "seats!: Vec<PersonId>",
               all_of.others as "others!: Vec<PersonId>", k.state as "state?",
               all_of.has_media as "has_media!",
               all_of.is_flagged or exists (
                   select from task t where t.conversation_id = c.id) as "is_flagged!",
               all_of.is_held as "is_held!"
           from unnest($1::uuid[]) with ordinality as c (id, place)
           cross join lateral (
               select coalesce(array_agg((extract(epoch from r.at) * 1000000)::bigint
                       order by r.at, r.id) filter (where r.fits), '{}') as times,
                   coalesce(array_agg(r.id order by r.at, r.id) filter (where r.fits), '{}') as ids,
                   coalesce(array_agg(case when $9 then r.author_id end
                       order by r.at, r.id) filter (where r.fits), '{}') as authors,
                   coalesce(array_agg(case when $9 then r.body_sealed end
                       order by r.at, r.id) filter (where r.fits), '{}') as bodies,
                   coalesce(array_agg(distinct r.masked_number)
                       filter (where r.masked_number is not null), '{}') as masked_numbers,
                   coalesce(array_agg(distinct r.person_id)
                       filter (where r.person_id is not null), '{}')
                       || coalesce(array_agg(distinct r.recipient_id)
                           filter (where r.recipient_id is not null), '{}') as others,
                   coalesce(bool_or(r.media_sealed is not null), false) as has_media,
                   coalesce(bool_or(r.kind in ('flagged', 'person_reported')), false) as is_flagged,
                   coalesce(bool_or(r.is_held), false) as is_held
               from (
                   select a.*, held.is_held,
                       coalesce(audit_record_fits(a, $3, $13, $4, $5, $6, $7, $8, $9), false)
                           and ($2::uuid is null
                               or coalesce($2 in (a.person_id, a.recipient_id, a.author_id), false))
                           and (not $10 or held.is_held)
                           and ($11::text[] is null or a.kind = any($12) or exists (
                                   select from audit_record d
                                   where d.text_id = a.text_id and d.kind = any($11)
                                       and d.at >= a.at))
                           as fits
                   from audit_record a
                   cross join lateral (
                       select exists (select from legal_hold h where legal_hold_covers(h, a))
                           as is_held
                   ) held
                   where a.conversation_id = c.id
               ) r
           ) all_of
           left join conversation k on k.id = c.id
           order by c.place"#,
        &ids,
        filter.person as _,
        query.until.to_sqlx() as _,
        filter.from.map(ToSqlx::to_sqlx) as _,
        filter.masked_number.as_ref().map(PhoneNumber::as_str),
        query.looked_at.as_deref() as _,
        filter.rule,
        filter.with_media,
        query.keyword.is_some(),
        filter.held,
        query.receipts.as_deref() as _,
        query.kinds.as_deref() as _,
        Uuid::nil(),
    )
    .fetch_all(conn)
    .await
}

/// Counts what fits, of which the keyword is looked for only here.
fn found(row: Row, query: &Query, reader: &Reader<'_>) -> Option<Found> {
    let is_hit = |n: usize| {
        let Some(keyword) = &query.keyword else { return true };
        let (body, author) = (row.bodies.get(n), row.authors.get(n).copied().flatten());
        let words = body.and_then(|body| reader.words(author, row.ids[n], body.as_deref()?).ok());
        words.is_some_and(|words| keyword.stands_in(&words))
    };
    let hits: Vec<usize> = (0..row.ids.len()).filter(|n| is_hit(*n)).collect();
    let at = |n: &usize| Timestamp::from_microsecond(*row.times.get(*n)?).ok();
    let (first, last) = (at(hits.first()?)?, at(hits.last()?)?);
    let cursor = Cursor { at: last, id: row.ids[*hits.last()?], until: query.until };
    let mut people = row.seats;
    for other in row.others {
        if !people.contains(&other) {
            people.push(other);
        }
    }
    Some(Found {
        conversation: Some(row.conversation),
        record: None,
        kind: None,
        rule: None,
        first,
        last,
        records: hits.len() as u64,
        masked_numbers: row.masked_numbers,
        people,
        state: row.state,
        has_media: row.has_media,
        is_flagged: row.is_flagged,
        is_held: row.is_held,
        cursor,
    })
}
