//! The SQL of reveals.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    audit::Record,
    clock::SqlTimestamp,
    console::request::{self, Decision, Request, after},
    ids::{ConversationId, PersonId, RevealId, StaffId},
};

/// Whose numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::console) enum Whose {
    /// One person's.
    Person(PersonId),
    /// Those of everybody in a conversation.
    Conversation(ConversationId),
}

/// What is asked for.
pub(super) struct Ask {
    pub(super) whose: Whose,
    pub(super) reason: String,
    pub(super) matter: String,
    pub(super) minutes: i32,
    /// It is opened at once, and somebody reviews that.
    pub(super) breaks_glass: bool,
}

/// A reveal as staff see it.
#[derive(Debug)]
pub(in crate::console) struct Reveal {
    pub(super) id: RevealId,
    pub(super) whose: Whose,
    pub(in crate::console) request: Request,
    pub(super) minutes: i32,
    pub(super) is_glass_broken: bool,
    pub(super) reviewed_by: Option<String>,
    pub(super) review: Option<String>,
}

impl Reveal {
    /// Whether somebody must review it.
    pub(in crate::console) fn is_red(&self) -> bool {
        self.is_glass_broken && self.reviewed_by.is_none()
    }
}

/// Notes what is asked for.
pub(super) async fn ask(
    conn: &mut PgConnection,
    ask: &Ask,
    by: StaffId,
    now: Timestamp,
    lapses_at: Timestamp,
) -> sqlx::Result<RevealId> {
    let id = RevealId::new();
    let (person, conversation) = match ask.whose {
        Whose::Person(id) => (Some(id), None),
        Whose::Conversation(id) => (None, Some(id)),
    };
    let open_until = ask.breaks_glass.then(|| after(now, minutes(ask.minutes)));
    sqlx::query!(
        "insert into reveal (id, person_id, conversation_id, reason, matter, minutes, asked_by,
             asked_at, lapses_at, is_glass_broken, open_until)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        id as _,
        person as _,
        conversation as _,
        ask.reason,
        ask.matter,
        ask.minutes,
        by as _,
        now.to_sqlx() as _,
        lapses_at.to_sqlx() as _,
        ask.breaks_glass,
        open_until.map(ToSqlx::to_sqlx) as _,
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// Lists the last hundred, those that wait for somebody in front.
pub(in crate::console) async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Reveal>> {
    read(conn, None).await
}

/// Finds one.
pub(super) async fn find(conn: &mut PgConnection, id: RevealId) -> sqlx::Result<Option<Reveal>> {
    Ok(read(conn, Some(id)).await?.pop())
}

async fn read(conn: &mut PgConnection, id: Option<RevealId>) -> sqlx::Result<Vec<Reveal>> {
    let rows = sqlx::query!(
        r#"select r.id, r.person_id, r.conversation_id, r.reason, r.matter, r.minutes,
               r.asked_by, asker.name as asked_name, r.asked_at, r.lapses_at,
               r.is_glass_broken,
               decider.name as "decided_name?", r.decided_at as "decided_at: SqlTimestamp",
               r.is_granted,
               r.open_until as "open_until: SqlTimestamp",
               reviewer.name as "reviewed_name?", r.review
           from reveal r
           join staff asker on asker.id = r.asked_by
           left join staff decider on decider.id = r.decided_by
           left join staff reviewer on reviewer.id = r.reviewed_by
           where $1::uuid is null or r.id = $1
           order by r.is_glass_broken and r.reviewed_at is null desc,
               not r.is_glass_broken and r.decided_at is null and r.lapsed_at is null desc,
               r.asked_at desc, r.id desc
           limit 100"#,
        id as _,
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().filter_map(|row| {
        let person: Option<Uuid> = row.person_id;
        let conversation: Option<Uuid> = row.conversation_id;
        let whose = person
            .map(|id| Whose::Person(id.into()))
            .or(conversation.map(|id| Whose::Conversation(id.into())))?;
        let decided_at = row.decided_at.map(SqlTimestamp::to_jiff);
        let request = Request {
            matter: row.matter,
            reason: row.reason,
            asker: row.asked_by,
            asked_by: row.asked_name,
            asked_at: row.asked_at.to_jiff(),
            lapses_at: row.lapses_at.to_jiff(),
            decision: Decision::of(row.decided_name, decided_at, row.is_granted),
            open_until: row.open_until.map(SqlTimestamp::to_jiff),
        };
        Some(Reveal {
            id: row.id,
            whose,
            request,
            minutes: row.minutes,
            is_glass_broken: row.is_glass_broken,
            reviewed_by: row.reviewed_name,
            review: row.review,
        })
    });
    Ok(read.collect())
}

/// Decides on what somebody else has asked for; false where it is decided, lapsed, or one's own.
pub(super) async fn decide(
    conn: &mut PgConnection,
    reveal: &Reveal,
    by: StaffId,
    is_granted: bool,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let open_until = is_granted.then(|| after(now, minutes(reveal.minutes)));
    let decided = sqlx::query!(
        "update reveal set decided_by = $2, decided_at = $3, is_granted = $4, open_until = $5
         where id = $1 and decided_at is null and not is_glass_broken and asked_by <> $2
             and lapsed_at is null and lapses_at > $3",
        reveal.id as _,
        by as _,
        now.to_sqlx() as _,
        is_granted,
        open_until.map(ToSqlx::to_sqlx) as _,
    )
    .execute(conn)
    .await?;
    Ok(decided.rows_affected() == 1)
}

/// Reviews that somebody else has broken the glass; false where that was done, or it is one's own.
pub(super) async fn review(
    conn: &mut PgConnection,
    id: RevealId,
    by: StaffId,
    words: &str,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let reviewed = sqlx::query!(
        "update reveal set reviewed_by = $2, reviewed_at = $3, review = $4
         where id = $1 and is_glass_broken and reviewed_at is null and asked_by <> $2",
        id as _,
        by as _,
        now.to_sqlx() as _,
        words,
    )
    .execute(conn)
    .await?;
    Ok(reviewed.rows_affected() == 1)
}

/// Whose numbers those are: one, or everybody who ever was in the conversation.
pub(super) async fn people(conn: &mut PgConnection, whose: Whose) -> sqlx::Result<Vec<PersonId>> {
    match whose {
        Whose::Person(id) => Ok(vec![id]),
        Whose::Conversation(id) => {
            sqlx::query_scalar!(
                "select person_id from participant where conversation_id = $1 order by seat",
                id as _,
            )
            .fetch_all(conn)
            .await
        }
    }
}

fn minutes(count: i32) -> SignedDuration {
    SignedDuration::from_mins(count.into())
}

/// Notes what nobody decided in time, and says so for the trail.
pub(in crate::console) async fn lapse(
    conn: &mut PgConnection,
    now: Timestamp,
) -> sqlx::Result<Vec<Record>> {
    let lapsed = sqlx::query!(
        r#"update reveal r set lapsed_at = $1
           from staff asker
           where asker.id = r.asked_by and r.decided_at is null and not r.is_glass_broken
               and r.lapsed_at is null and r.lapses_at <= $1
           returning r.id as "id: RevealId", r.person_id as "person: PersonId",
               r.conversation_id as "conversation: ConversationId", asker.name"#,
        now.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let record = lapsed.into_iter().map(|row| Record {
        person: row.person,
        conversation: row.conversation,
        ..request::lapsed("reveal_lapse", format_args!("reveal {}", row.id), &row.name)
    });
    Ok(record.collect())
}
