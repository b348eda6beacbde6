//! What is few: where hardly any conversation, and hardly any record of none, can fit, only those are
//! read, and not the whole trail backwards.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Query, Standing};
use crate::{
    clock::SqlTimestamp,
    ids::{ConversationId, RecordId},
};

/// How many are few. More than these are met soon on the way back through the trail.
const FEW: i64 = 1_000;

/// Conversations, and records that belong to none.
#[derive(Debug, Default)]
pub(super) struct Few {
    pub(super) conversations: Vec<ConversationId>,
    /// By their times and ids.
    pub(super) alone: Vec<(Timestamp, RecordId)>,
}

/// Among what is looked; among everything where there is nothing.
pub(super) type Among = Option<Few>;

/// Where a record belongs: to a conversation, or else to its own place in the trail.
pub(super) struct Place {
    pub(super) conversation: Option<ConversationId>,
    pub(super) at: Option<SqlTimestamp>,
    pub(super) id: Option<RecordId>,
}

impl Few {
    /// A conversation and nothing else.
    pub(super) fn one(conversation: ConversationId) -> Self {
        Self { conversations: vec![conversation], alone: Vec::new() }
    }

    pub(super) fn of(found: Vec<Place>) -> Self {
        let mut few = Self::default();
        for place in found {
            match (place.conversation, place.at, place.id) {
                (Some(conversation), ..) => few.conversations.push(conversation),
                (None, Some(at), Some(id)) => few.alone.push((at.to_jiff(), id)),
                _ => {}
            }
        }
        few
    }

    /// The ids of the conversations.
    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.conversations.iter().map(|id| id.uuid()).collect()
    }

    /// The times and the ids of the records that belong to no conversation.
    pub(super) fn places(&self) -> (Vec<SqlTimestamp>, Vec<Uuid>) {
        self.alone.iter().map(|(at, id)| (at.to_sqlx(), id.uuid())).unzip()
    }
}

/// All that can fit, where it is little. What else is asked of it is not looked at.
pub(super) async fn among(conn: &mut PgConnection, query: &Query) -> sqlx::Result<Among> {
    let (filter, mut among) = (&query.filter, None);
    if let Some(state) = filter.state {
        meet(&mut among, standing(conn, state).await?);
    }
    if filter.flagged {
        meet(&mut among, flagged(conn).await?);
    }
    if filter.held {
        meet(&mut among, held(conn).await?);
    }
    if query.receipts.is_some() {
        meet(&mut among, told(conn, query).await?);
    }
    Ok(among)
}

/// Leaves what is among these, too; all where these are not few.
fn meet(among: &mut Among, found: Vec<Place>) {
    if i64::try_from(found.len()).is_ok_and(|count| count <= FEW) {
        let found = Few::of(found);
        match among {
            Some(few) => {
                few.conversations.retain(|id| found.conversations.contains(id));
                few.alone.retain(|place| found.alone.contains(place));
            }
            None => *among = Some(found),
        }
    }
}

/// What belongs to no conversation stands nowhere.
async fn standing(conn: &mut PgConnection, state: Standing) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"select id as "conversation?: ConversationId", null::timestamptz as at,
               null::uuid as "id: RecordId"
           from conversation where state = $1 limit $2"#,
        state.as_str(),
        FEW + 1,
    )
    .fetch_all(conn)
    .await
}

async fn flagged(conn: &mut PgConnection) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"with flag as materialized (
               select r.conversation_id, r.at, r.id
               from audit_record r
               where r.kind = any('{flagged, person_reported}')
               limit $1
           ), called as materialized (
               select t.conversation_id
               from task t
               where t.conversation_id is not null
               limit $1
           )
           select distinct conversation_id as "conversation: ConversationId",
               case when conversation_id is null then at end as at,
               case when conversation_id is null then id end as "id: RecordId"
           from (
               select conversation_id, at, id from flag
               union all
               select conversation_id, null, null from called
           ) flagged
           union all
           -- More than few, however many conversations they are of.
           select gen_random_uuid(), null, null
           from generate_series(1, $1::bigint)
           where greatest((select count(*) from flag), (select count(*) from called)) >= $1"#,
        FEW + 1,
    )
    .fetch_all(conn)
    .await
}

/// A hold that names neither conversation nor person nor number covers any: that is not little.
async fn held(conn: &mut PgConnection) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"with hold as materialized (
               select conversation_id,
                   case when conversation_id is null then person_id end as person_id,
                   case when conversation_id is null and person_id is null then masked_number end
                       as masked_number
               from legal_hold
               where released_at is null
           )
           select distinct conversation_id as "conversation: ConversationId",
               case when conversation_id is null then at end as at,
               case when conversation_id is null then id end as "id: RecordId"
           from (
               (select conversation_id, null::timestamptz as at, null::uuid as id
                from hold
                where conversation_id is not null)
               union all
               (select gen_random_uuid(), null, null
                from hold h
                cross join generate_series(1, $1::bigint)
                where h.conversation_id is null and h.person_id is null and h.masked_number is null
                limit $1)
               union all
               (select r.conversation_id, r.at, r.id
                from audit_record r
                where r.person_id = any(array(select person_id from hold)))
               union all
               (select r.conversation_id, r.at, r.id
                from audit_record r
                where r.recipient_id = any(array(select person_id from hold)))
               union all
               (select r.conversation_id, r.at, r.id
                from audit_record r
                where r.author_id = any(array(select person_id from hold))
                    and r.author_id is distinct from r.person_id)
               union all
               (select r.conversation_id, r.at, r.id
                from audit_record r
                where r.masked_number = any(array(select masked_number from hold)))
           ) held
           limit $1"#,
        FEW + 1,
    )
    .fetch_all(conn)
    .await
}

/// What is on record with the kinds that are asked for, and the texts of which the carrier reported that.
async fn told(conn: &mut PgConnection, query: &Query) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"with told as materialized (
               select r.conversation_id, r.text_id, r.at, r.id
               from audit_record r
               where r.kind = any($1) and r.at >= coalesce($2::timestamptz, '-infinity')
               limit $3
           )
           select distinct conversation_id as "conversation: ConversationId",
               case when conversation_id is null then at end as at,
               case when conversation_id is null then id end as "id: RecordId"
           from (
               select conversation_id, at, id from told
               union all
               select r.conversation_id, r.at, r.id
               from audit_record r
               where r.text_id = any(array(select text_id from told where text_id is not null))
           ) found
           union all
           -- More than few, however many conversations they are of.
           select gen_random_uuid(), null, null from told where (select count(*) from told) >= $3"#,
        query.kinds.as_deref() as _,
        query.filter.from.map(ToSqlx::to_sqlx) as _,
        FEW + 1,
    )
    .fetch_all(conn)
    .await
}
