//! The SQL of looking: records that may fit, backwards in time.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Query, Standing,
    few::{Few, Place},
    filter::RECEIPTS,
};
use crate::{
    clock::SqlTimestamp,
    ids::{ConversationId, PersonId, RecordId, TextId},
    phone::PhoneNumber,
};

/// A record that fits, as far as its columns tell.
pub(super) struct Candidate {
    pub(super) at: SqlTimestamp,
    pub(super) id: RecordId,
    /// None where it belongs to none.
    pub(super) conversation: Option<ConversationId>,
    /// Whether it and its conversation fit in all else, too, but for the keyword.
    pub(super) is_wanted: bool,
    pub(super) kind: String,
    text: Option<TextId>,
    pub(super) person: Option<PersonId>,
    pub(super) recipient: Option<PersonId>,
    pub(super) masked_number: Option<String>,
    pub(super) author: Option<PersonId>,
    /// The words; none where there is no keyword.
    pub(super) body: Option<Vec<u8>>,
}

/// The next records before this place that may fit, at most so many, newest first.
///
/// What the carrier reported of a text is not wanted by itself where what promised the text can be found:
/// that stands for it.
pub(super) async fn next(
    conn: &mut PgConnection,
    query: &Query,
    among: Option<&Few>,
    place: (Timestamp, RecordId),
    limit: u32,
) -> sqlx::Result<Vec<Candidate>> {
    let mut found = read(conn, query, among, place, limit).await?;
    // Most texts are promised not long before, so that stands among the same records.
    let promised: HashMap<TextId, Timestamp> = found
        .iter()
        .filter(|one| one.is_wanted && matches!(&*one.kind, "relayed" | "answered"))
        .filter_map(|one| Some((one.text?, one.at.to_jiff())))
        .collect();
    for one in found.iter_mut().filter(|one| one.is_report()) {
        let promise = one.text.and_then(|text| promised.get(&text));
        one.is_wanted &= promise.is_none_or(|at| *at > one.at.to_jiff());
    }
    let reports = || found.iter().filter(|one| one.is_wanted && one.is_report());
    if reports().next().is_none() {
        return Ok(found);
    }
    let times: Vec<SqlTimestamp> = reports().map(|one| one.at).collect();
    let ids: Vec<Uuid> = reports().map(|one| one.id.uuid()).collect();
    let texts: Vec<Uuid> = reports().filter_map(|one| one.text).map(TextId::uuid).collect();
    let told: HashSet<RecordId> = sqlx::query_scalar!(
        r#"select report.id as "id!: RecordId"
           from unnest($1::timestamptz[], $2::uuid[], $3::uuid[]) as report (at, id, text_id)
           cross join lateral (
               select p.id
               from audit_record p
               where p.text_id = report.text_id
                   and p.kind in ('relayed', 'answered')
                   and p.at <= report.at and p.at >= coalesce($4::timestamptz, '-infinity')
                   and (not $5 or exists (
                           select from legal_hold h where legal_hold_covers(h, p)))
               limit 1
           ) promise"#,
        times as Vec<SqlTimestamp>,
        &ids,
        &texts,
        query.filter.from.map(ToSqlx::to_sqlx) as _,
        query.filter.held,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .collect();
    for one in &mut found {
        one.is_wanted &= !told.contains(&one.id);
    }
    Ok(found)
}

impl Candidate {
    /// Whether it is what the carrier reported of a text, which names the text only.
    fn is_report(&self) -> bool {
        self.conversation.is_none()
            && self.text.is_some()
            && RECEIPTS.iter().any(|kind| kind.as_str() == self.kind)
    }
}

/// Reads them. Of the parts that are joined, the one that the filter needs is read, each backwards along
/// an index of its own; the others cost nothing.
async fn read(
    conn: &mut PgConnection,
    query: &Query,
    among: Option<&Few>,
    (at, id): (Timestamp, RecordId),
    limit: u32,
) -> sqlx::Result<Vec<Candidate>> {
    let filter = &query.filter;
    let conversations = among.map(Few::ids);
    let (times, ids) = among.filter(|few| !few.alone.is_empty()).map(Few::places).unzip();
    sqlx::query_as!(
        Candidate,
        r#"with candidate as materialized (
               (select r.at, r.id, r as record
                from audit_record r
                where $1::uuid is null and $2::uuid[] is null
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc limit $11)
               union all
               (select r.at, r.id, r
                from audit_record r
                where r.person_id = $1 and $2::uuid[] is null
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc limit $11)
               union all
               (select r.at, r.id, r
                from audit_record r
                where r.recipient_id = $1 and r.person_id is distinct from $1 and $2::uuid[] is null
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc limit $11)
               union all
               (select r.at, r.id, r
                from audit_record r
                where r.author_id = $1 and r.author_id is distinct from r.person_id
                    and r.recipient_id is distinct from $1 and $2::uuid[] is null
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc limit $11)
               union all
               (select r.at, r.id, r
                from audit_record r
                where r.conversation_id = any($2)
                    and ($1::uuid is null or $1 in (r.person_id, r.recipient_id, r.author_id))
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc limit $11)
               union all
               (select r.at, r.id, r
                from unnest($18::timestamptz[], $19::uuid[]) as alone (at, id)
                join audit_record r on r.at = alone.at and r.id = alone.id
                where $18::timestamptz[] is not null
                    and ($1::uuid is null or $1 in (r.person_id, r.recipient_id, r.author_id))
                    and audit_record_fits(r, $3, $4, $5, $6, $7, $8, $9, $10)
                order by r.at desc, r.id desc limit $11)
               order by 1 desc, 2 desc limit $11
           )
           select c.at as "at!", c.id as "id!: RecordId",
               (c.record).conversation_id as "conversation: ConversationId",
               (c.record).text_id as "text: TextId", (c.record).author_id as "author: PersonId",
               (c.record).person_id as "person: PersonId", (c.record).masked_number,
               (c.record).recipient_id as "recipient: PersonId",
               (c.record).kind as "kind!", case when $10 then (c.record).body_sealed end as body,
               coalesce(($12::text is null or exists (
                       select from conversation k
                       where k.id = (c.record).conversation_id and k.state = $12))
                   and (not $13 or exists (
                           select from audit_record f
                           where f.conversation_id = (c.record).conversation_id
                               and f.kind in ('flagged', 'person_reported'))
                       or (c.record).conversation_id is null
                           and (c.record).kind in ('flagged', 'person_reported')
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
                           where l.at = c.at and l.id = c.id and l.index < $17)),
                   false) as "is_wanted!"
           from candidate c
           order by c.at desc, c.id desc"#,
        filter.person as _,
        conversations.as_deref() as _,
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
        times as Option<Vec<SqlTimestamp>>,
        ids as Option<Vec<Uuid>>,
    )
    .fetch_all(conn)
    .await
}

/// The conversations of the text with this id, the carrier's or Maskline's own, and what is on record of
/// it in none. What the carrier reported of a text names the text only.
pub(super) async fn of_text(conn: &mut PgConnection, id: &str) -> sqlx::Result<Few> {
    let found = sqlx::query_as!(
        Place,
        r#"with text as materialized (
               select r.conversation_id, r.text_id, r.at, r.id
               from audit_record r where r.carrier_id = $1
               union
               select r.conversation_id, r.text_id, r.at, r.id
               from audit_record r where r.text_id = $2
           )
           select distinct conversation_id as "conversation: ConversationId",
               case when conversation_id is null then at end as at,
               case when conversation_id is null then id end as "id: RecordId"
           from (
               select conversation_id, at, id from text
               union
               select r.conversation_id, r.at, r.id
               from audit_record r
               where r.text_id = any(array(select text_id from text where text_id is not null))
           ) found
           order by 1, 2, 3"#,
        id,
        id.parse::<Uuid>().ok(),
    )
    .fetch_all(conn)
    .await?;
    Ok(Few::of(found))
}
