//! Legal holds: what must not be erased or removed while a matter goes on. They win over everything.
//!
//! One person asks for a release, and another approves it: another account, where both have signed in.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    clock::SqlTimestamp,
    ids::{ConversationId, HoldId, PersonId, StaffId},
};

/// What a hold covers: all of which everything holds that is set. Where nothing is, everything.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// What this person wrote or was sent.
    pub person: Option<PersonId>,
    /// What happened in this conversation.
    pub conversation: Option<ConversationId>,
    /// What went through this masked number.
    pub masked_number: Option<String>,
    /// What happened then or later.
    pub from: Option<Timestamp>,
    /// What happened before.
    pub until: Option<Timestamp>,
}

/// Who asks for a release, or approves it.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// As they are called, or say on the command line that they are.
    pub name: &'a str,
    /// With which account, if they signed in.
    pub account: Option<StaffId>,
}

/// A hold as staff see it.
#[derive(Debug, Serialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// What it is for.
    pub matter: String,
    /// Whose records.
    pub person: Option<PersonId>,
    /// Those of which conversation.
    pub conversation: Option<ConversationId>,
    /// Through which masked number.
    pub masked_number: Option<String>,
    /// From when on.
    pub from: Option<Timestamp>,
    /// Before when.
    pub until: Option<Timestamp>,
    /// Who placed it.
    pub placed_by: String,
    /// When.
    pub placed_at: Timestamp,
    /// Who asks for its release.
    pub asked_by: Option<String>,
    /// With which account, if they signed in.
    #[serde(skip)]
    pub asked_account: Option<StaffId>,
    /// Why.
    pub reason: Option<String>,
    /// Who approved that.
    pub released_by: Option<String>,
    /// When.
    pub released_at: Option<Timestamp>,
}

impl Hold {
    /// Whether this is who asks for its release.
    pub fn is_asked_by(&self, by: By<'_>) -> bool {
        let name = self.asked_by.as_ref().map(|name| name.trim().to_lowercase());
        is_same(self.asked_account, by.account, || name == Some(by.name.trim().to_lowercase()))
    }
}

/// Whether two are the same: by their accounts, or, where one has none, by their names.
fn is_same(one: Option<StaffId>, other: Option<StaffId>, names: impl FnOnce() -> bool) -> bool {
    one.zip(other).map_or_else(names, |(one, other)| one == other)
}

/// Why a hold was not released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such hold, or it was released.
    #[error("there is no such hold in force: see `maskline holds list`")]
    Gone,
    /// Nobody has asked for it.
    #[error("nobody has asked for its release: `maskline holds release` does, with a reason")]
    NotAsked,
    /// The same person asks and approves.
    #[error("a release takes two people: somebody other than who asked for it must approve it")]
    SamePerson,
}

/// Places a hold.
pub async fn place(
    conn: &mut PgConnection,
    matter: &str,
    scope: &Scope,
    by: &str,
    now: Timestamp,
) -> sqlx::Result<HoldId> {
    let id = HoldId::new();
    sqlx::query!(
        "insert into legal_hold (id, matter, person_id, conversation_id, masked_number, from_at,
             until_at, placed_by, placed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id as _,
        matter,
        scope.person as _,
        scope.conversation as _,
        scope.masked_number,
        scope.from.map(ToSqlx::to_sqlx) as _,
        scope.until.map(ToSqlx::to_sqlx) as _,
        by,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// Lists the holds in force, oldest first, and with `all` those that were released, too.
pub async fn list(conn: &mut PgConnection, all: bool) -> sqlx::Result<Vec<Hold>> {
    let rows = sqlx::query!(
        r#"select id as "id: HoldId", matter, person_id as "person: PersonId",
               conversation_id as "conversation: ConversationId", masked_number, from_at, until_at,
               placed_by, placed_at, asked_by, asked_account as "asked_account: StaffId", reason,
               released_by, released_at
           from legal_hold
           where released_at is null or $1
           order by placed_at, id"#,
        all,
    )
    .fetch_all(conn)
    .await?;
    let holds = rows.into_iter().map(|row| Hold {
        id: row.id,
        matter: row.matter,
        person: row.person,
        conversation: row.conversation,
        masked_number: row.masked_number,
        from: row.from_at.map(SqlTimestamp::to_jiff),
        until: row.until_at.map(SqlTimestamp::to_jiff),
        placed_by: row.placed_by,
        placed_at: row.placed_at.to_jiff(),
        asked_by: row.asked_by,
        asked_account: row.asked_account,
        reason: row.reason,
        released_by: row.released_by,
        released_at: row.released_at.map(SqlTimestamp::to_jiff),
    });
    Ok(holds.collect())
}

/// Asks for the release of a hold, in place of who asked before. It stays in force.
pub async fn ask_release(
    conn: &mut PgConnection,
    id: HoldId,
    reason: &str,
    by: By<'_>,
    now: Timestamp,
) -> sqlx::Result<Result<(), Refusal>> {
    let asked = sqlx::query!(
        "update legal_hold set asked_by = $2, asked_at = $3, reason = $4, asked_account = $5
         where id = $1 and released_at is null",
        id as _,
        by.name,
        now.to_sqlx() as _,
        reason,
        by.account as _,
    )
    .execute(conn)
    .await?;
    Ok(if asked.rows_affected() == 1 { Ok(()) } else { Err(Refusal::Gone) })
}

/// Releases a hold for which somebody else has asked that. Returns its matter.
pub async fn approve_release(
    conn: &mut PgConnection,
    id: HoldId,
    by: By<'_>,
    now: Timestamp,
) -> sqlx::Result<Result<String, Refusal>> {
    let hold = sqlx::query!(
        r#"select matter, asked_by, asked_account as "account: StaffId",
               lower(btrim(asked_by)) = lower(btrim($2::text)) as "is_same_name"
           from legal_hold
           where id = $1 and released_at is null
           for update"#,
        id as _,
        by.name,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let matter = match hold {
        None => return Ok(Err(Refusal::Gone)),
        Some(hold) if hold.asked_by.is_none() => return Ok(Err(Refusal::NotAsked)),
        Some(hold) if is_same(hold.account, by.account, || hold.is_same_name == Some(true)) => {
            return Ok(Err(Refusal::SamePerson));
        }
        Some(hold) => hold.matter,
    };
    sqlx::query!(
        "update legal_hold set released_by = $2, released_at = $3, released_account = $4
         where id = $1",
        id as _,
        by.name,
        now.to_sqlx() as _,
        by.account as _,
    )
    .execute(conn)
    .await?;
    Ok(Ok(matter))
}

/// Lets nobody place or release a hold until commit.
pub async fn freeze(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table legal_hold in share mode").execute(conn).await?;
    Ok(())
}

/// The matters whose holds cover something that this person wrote, was sent or did.
pub async fn on_person(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select h.matter
         from legal_hold h
         where h.released_at is null
             and (h.person_id = $1
                 or exists (
                     select from participant p
                     where p.person_id = $1 and p.conversation_id = h.conversation_id
                         and h.person_id is null and h.masked_number is null
                         and h.from_at is null and h.until_at is null
                 )
                 or exists (
                     select from audit_record r
                     where $1 in (r.person_id, r.recipient_id, r.author_id)
                         and legal_hold_covers(h, r)
                 ))
         order by h.placed_at",
        person as _,
    )
    .fetch_all(conn)
    .await
}

/// The matters whose holds cover a record between these times.
pub async fn on_time(
    conn: &mut PgConnection,
    from: Timestamp,
    until: Timestamp,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select h.matter
         from legal_hold h
         where exists (
             select from audit_record r
             where r.at >= $1 and r.at < $2 and legal_hold_covers(h, r)
         )
         order by h.placed_at",
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await
}
