//! The SQL of looking: records that may fit, backwards in time.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Query, Standing};
use crate::{
    clock::SqlTimestamp,
    ids::{ConversationId, PersonId, RecordId},
    phone::PhoneNumber,
};

/// A record that fits, as far as its columns tell.
pub(super) struct Candidate {
    pub(super) at: SqlTimestamp,
    pub(super) id: RecordId,
    pub(super) conversation: ConversationId,
    /// Whether it and its conversation fit in all else, too, but for the keyword.
    pub(super) is_wanted: bool,
    pub(super) author: Option<PersonId>,
    /// The words; none where there is no keyword.
    pub(super) body: Option<Vec<u8>>,
}

/// The next records before this place that may fit, at most so many, newest first.
///
/// Of the parts that are joined, the one that the filter needs is read, each backwards along an index
/// of its own; the others cost nothing.
pub(super) async fn next(
    conn: &mut PgConnection,
    query: &Query,
    among: Option<&[ConversationId]>,
    (at, id): (Timestamp, RecordId),
    limit: u32,
) -> sqlx::Result<Vec<Candidate>> {
    let filter = &query.filter;
    let among: Option<Vec<Uuid>> = among.map(|ids| ids.iter().map(|id| id.uuid()).collect());
    sqlx::query_as!(
        Candidate,
        r#"with candidate as materialized (
               (select r.at, r.id, r as record
                from audit_record r
                where $1::uuid is null and $2::uuid[] is null
                    and r.conversation_id is not null
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc
                limit $11)
               union all
               (select r.at, r.id, r
                from audit_record r
                where r.person_id = $1 and $2::uuid[] is null and r.conversation_id is not null
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc
                limit $11)
               union all
               (select r.at, r.id, r
                from audit_record r
                where r.recipient_id = $1 and r.person_id is distinct from $1
                    and $2::uuid[] is null and r.conversation_id is not null
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc
                limit $11)
               union all
               (select r.at, r.id, r
                from audit_record r
                where r.author_id = $1 and r.author_id is distinct from r.person_id
                    and r.recipient_id is distinct from $1
                    and $2::uuid[] is null and r.conversation_id is not null
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc
                limit $11)
               union all
               (select r.at, r.id, r
                from audit_record r
                where r.conversation_id = any($2)
                    and ($1::uuid is null or $1 in (r.person_id, r.recipient_id, r.author_id))
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc
                limit $11)
               order by 1 desc, 2 desc
               limit $11
           )
           select c.at as "at!", c.id as "id!: RecordId",
               (c.record).conversation_id as "conversation!: ConversationId",
               (c.record).author_id as "author: PersonId",
               case when $10 then (c.record).body_sealed end as body,
               ($12::text is null or exists (
                       select from conversation k
                       where k.id = (c.record).conversation_id and k.state = $12))
                   and (not $13 or exists (
                           select from audit_record f
                           where f.conversation_id = (c.record).conversation_id
                               and f.kind in ('flagged', 'person_reported'))
                       or (c.record).conversation_id in (
                           select t.conversation_id from task t where t.conversation_id is not null))
                   and (not $14 or exists (
                           select from legal_hold h where legal_hold_covers(h, c.record)))
                   and ($15::text[] is null or (c.record).kind = any($16) or exists (
                           select from audit_record d
                           where d.text_id = (c.record).text_id and d.kind = any($15)
                               and d.at >= c.at))
                   and ($17::bigint is null or exists (
                           select from audit_leaf l
                           where l.at = c.at and l.id = c.id and l.index < $17))
                   as "is_wanted!"
           from candidate c
           order by c.at desc, c.id desc"#,
        filter.person as _,
        among.as_deref() as _,
        at.to_sqlx() as _,
        id as _,
        filter.from.map(ToSqlx::to_sqlx) as _,
        filter.masked_number.as_ref().map(PhoneNumber::as_str),
        query.looked_at.as_deref() as _,
        filter.rule,
        filter.with_media,
        query.keyword.is_some(),
        i64::from(limit),
        filter.state.map(Standing::as_str),
        filter.flagged,
        filter.held,
        query.receipts.as_deref() as _,
        query.kinds.as_deref() as _,
        query.covered,
    )
    .fetch_all(conn)
    .await
}

/// The conversations of the text with this id, the carrier's or Maskline's own. What the carrier
/// reported of a text names the text only.
pub(super) async fn of_text(
    conn: &mut PgConnection,
    id: &str,
) -> sqlx::Result<Vec<ConversationId>> {
    sqlx::query_scalar!(
        r#"with text as materialized (
               select r.conversation_id, r.text_id from audit_record r where r.carrier_id = $1
               union
               select r.conversation_id, r.text_id from audit_record r where r.text_id = $2
           )
           select conversation_id as "id!: ConversationId"
           from text
           where conversation_id is not null
           union
           select r.conversation_id
           from audit_record r
           where r.text_id = any(array(select text_id from text where text_id is not null))
               and r.conversation_id is not null
           order by 1"#,
        id,
        id.parse::<Uuid>().ok(),
    )
    .fetch_all(conn)
    .await
}
