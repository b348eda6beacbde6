//! Conversations that are few: where hardly any can fit, only their records are read, and not the
//! whole trail backwards.

use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{Among, Query, Standing};
use crate::ids::ConversationId;

/// How many are few. More than these are met soon on the way back through the trail.
const FEW: i64 = 1_000;

/// All conversations that can fit, where they are few. What else is asked of them is not looked at.
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

/// Leaves those that are among these, too; all where these are not few.
fn meet(among: &mut Among, found: Vec<ConversationId>) {
    if i64::try_from(found.len()).is_ok_and(|count| count <= FEW) {
        match among {
            Some(ids) => ids.retain(|id| found.contains(id)),
            None => *among = Some(found),
        }
    }
}

async fn standing(conn: &mut PgConnection, state: Standing) -> sqlx::Result<Vec<ConversationId>> {
    sqlx::query_scalar!(
        r#"select id as "id: ConversationId" from conversation where state = $1 limit $2"#,
        state.as_str(),
        FEW + 1,
    )
    .fetch_all(conn)
    .await
}

async fn flagged(conn: &mut PgConnection) -> sqlx::Result<Vec<ConversationId>> {
    sqlx::query_scalar!(
        r#"select conversation_id as "id!: ConversationId"
           from (
               (select r.conversation_id
                from audit_record r
                where r.kind = any('{flagged, person_reported}') and r.conversation_id is not null
                limit $1)
               union
               (select t.conversation_id
                from task t
                where t.conversation_id is not null
                limit $1)
           ) flagged"#,
        FEW + 1,
    )
    .fetch_all(conn)
    .await
}

/// A hold that names neither conversation nor person nor number covers any.
async fn held(conn: &mut PgConnection) -> sqlx::Result<Vec<ConversationId>> {
    sqlx::query_scalar!(
        r#"with hold as materialized (
               select conversation_id,
                   case when conversation_id is null then person_id end as person_id,
                   case when conversation_id is null and person_id is null then masked_number end
                       as masked_number
               from legal_hold
               where released_at is null
           )
           select distinct id as "id!: ConversationId"
           from (
               (select conversation_id as id from hold)
               union all
               (select c.id
                from hold h
                cross join conversation c
                where h.conversation_id is null and h.person_id is null and h.masked_number is null
                limit $1)
               union all
               (select r.conversation_id
                from audit_record r
                where r.person_id = any(array(select person_id from hold)))
               union all
               (select r.conversation_id
                from audit_record r
                where r.recipient_id = any(array(select person_id from hold)))
               union all
               (select r.conversation_id
                from audit_record r
                where r.author_id = any(array(select person_id from hold))
                    and r.author_id is distinct from r.person_id)
               union all
               (select r.conversation_id
                from audit_record r
                where r.masked_number = any(array(select masked_number from hold)))
           ) held
           where id is not null
           limit $1"#,
        FEW + 1,
    )
    .fetch_all(conn)
    .await
}

/// Those with a record of the kinds that are asked for, or of whose texts the carrier reported that.
async fn told(conn: &mut PgConnection, query: &Query) -> sqlx::Result<Vec<ConversationId>> {
    sqlx::query_scalar!(
        r#"with told as materialized (
               select r.conversation_id, r.text_id
               from audit_record r
               where r.kind = any($1) and r.at >= coalesce($2::timestamptz, '-infinity')
               limit $3
           )
           select id as "id!: ConversationId"
           from (
               select conversation_id as id from told
               union
               select r.conversation_id
               from audit_record r
               where r.text_id = any(array(select text_id from told where text_id is not null))
           ) found
           where id is not null
           union all
           -- More than few, however many conversations they are of.
           select gen_random_uuid() from told where (select count(*) from told) >= $3"#,
        query.kinds.as_deref() as _,
        query.filter.from.map(ToSqlx::to_sqlx) as _,
        FEW + 1,
    )
    .fetch_all(conn)
    .await
}
