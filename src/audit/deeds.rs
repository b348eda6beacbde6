//! What staff did and looked at, for whoever watches them.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;

use crate::ids::{ConversationId, PersonId, RecordId};

/// How many are on a page.
pub const PAGE: usize = 50;

/// Something that a member of staff did.
#[derive(Debug, Serialize)]
pub struct Deed {
    /// The record's id.
    pub id: RecordId,
    /// When.
    pub at: Timestamp,
    /// What, in one word.
    pub rule: Option<String>,
    /// Who, from where, and what came of it.
    pub detail: Option<String>,
    /// Whom it was about.
    pub person: Option<PersonId>,
    /// Which conversation it was about.
    pub conversation: Option<ConversationId>,
}

/// Lists what staff did, the newest in front, one more than there are on a page. Those come after
/// the record `before`, are by whoever's name begins with `by`, and did what begins with `what`.
///
/// # Errors
/// The database's.
pub async fn list(
    conn: &mut PgConnection,
    by: &str,
    what: &str,
    before: Option<(Timestamp, RecordId)>,
) -> sqlx::Result<Vec<Deed>> {
    let (at, id) = before.unzip();
    let rows = sqlx::query!(
        r#"select id as "id: RecordId", at, rule, detail, person_id as "person: PersonId",
               conversation_id as "conversation: ConversationId"
           from audit_record
           where kind = 'staff'
               and ($1::timestamptz is null or (at, id) < ($1, $2::uuid))
               and ($3 = '' or starts_with(lower(detail), 'by ' || lower($3)))
               and ($4 = '' or starts_with(rule, $4))
           order by at desc, id desc
           limit $5"#,
        at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        id as _,
        by,
        what,
        i64::try_from(PAGE + 1).unwrap_or(i64::MAX),
    )
    .fetch_all(conn)
    .await?;
    let deeds = rows.into_iter().map(|row| Deed {
        id: row.id,
        at: row.at.to_jiff(),
        rule: row.rule,
        detail: row.detail,
        person: row.person,
        conversation: row.conversation,
    });
    Ok(deeds.collect())
}
