//! The SQL of what people ask for.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::{
    audit::Record,
    clock::SqlTimestamp,
    console::request::{self, Decision, Request, after},
    ids::{PersonId, StaffId, SubjectRequestId},
};

/// For how long an export can be saved once it is granted.
pub(super) const OPEN: SignedDuration = SignedDuration::from_hours(1);

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::console) enum Kind {
    /// A copy of all there is of them.
    Export,
    /// To be forgotten.
    Erasure,
}

impl Kind {
    /// The name under which it is stored.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Erasure => "erasure",
        }
    }

    /// What that is, in words.
    pub(super) fn said(self) -> &'static str {
        match self {
            Self::Export => "A copy of all there is of them",
            Self::Erasure => "To be forgotten",
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        [Self::Export, Self::Erasure].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What somebody asks for, as staff see it.
#[derive(Debug)]
pub(in crate::console) struct Wish {
    pub(super) id: SubjectRequestId,
    pub(super) person: PersonId,
    pub(super) kind: Kind,
    pub(in crate::console) request: Request,
}

/// What is asked for, and why.
pub(super) struct Ask {
    pub(super) person: PersonId,
    pub(super) kind: Kind,
    pub(super) reason: String,
    pub(super) matter: String,
}

/// Notes what is asked for; none where the same is waiting already.
pub(super) async fn ask(
    conn: &mut PgConnection,
    ask: &Ask,
    by: StaffId,
    now: Timestamp,
    lapses_at: Timestamp,
) -> sqlx::Result<Option<SubjectRequestId>> {
    sqlx::query_scalar!(
        r#"insert into subject_request (id, person_id, kind, reason, matter, asked_by, asked_at,
               lapses_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8)
           on conflict do nothing
           returning id as "id: SubjectRequestId""#,
        SubjectRequestId::new() as _,
        ask.person as _,
        ask.kind.as_str(),
        ask.reason,
        ask.matter,
        by as _,
        now.to_sqlx() as _,
        lapses_at.to_sqlx() as _,
    )
    .fetch_optional(conn)
    .await
}

/// Lists the last hundred, those that wait in front.
pub(in crate::console) async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Wish>> {
    read(conn, None, None).await
}

/// Lists those about one person.
pub(super) async fn about(conn: &mut PgConnection, person: PersonId) -> sqlx::Result<Vec<Wish>> {
    read(conn, None, Some(person)).await
}

/// Finds one.
pub(super) async fn find(
    conn: &mut PgConnection,
    id: SubjectRequestId,
) -> sqlx::Result<Option<Wish>> {
    Ok(read(conn, Some(id), None).await?.pop())
}

async fn read(
    conn: &mut PgConnection,
    id: Option<SubjectRequestId>,
    person: Option<PersonId>,
) -> sqlx::Result<Vec<Wish>> {
    let rows = sqlx::query!(
        r#"select r.id, r.person_id, r.kind, r.reason, r.matter, r.asked_by,
               asker.name as asked_name, r.asked_at, r.lapses_at,
               decider.name as "decided_name?",
               r.decided_at as "decided_at: SqlTimestamp", r.is_granted,
               r.open_until as "open_until: SqlTimestamp"
           from subject_request r
           join staff asker on asker.id = r.asked_by
           left join staff decider on decider.id = r.decided_by
           where ($1::uuid is null or r.id = $1) and ($2::uuid is null or r.person_id = $2)
           order by r.decided_at is null and r.lapsed_at is null desc, r.asked_at desc, r.id desc
           limit 100"#,
        id as _,
        person as _,
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().filter_map(|row| {
        let decided_at = row.decided_at.map(SqlTimestamp::to_jiff);
        let request = Request {
            matter: row.matter,
            reason: row.reason,
            asker: row.asked_by.into(),
            asked_by: row.asked_name,
            asked_at: SqlTimestamp::to_jiff(row.asked_at),
            lapses_at: SqlTimestamp::to_jiff(row.lapses_at),
            decision: Decision::of(row.decided_name, decided_at, row.is_granted),
            open_until: row.open_until.map(SqlTimestamp::to_jiff),
        };
        let (id, person) = (row.id.into(), row.person_id.into());
        Some(Wish { id, person, kind: Kind::read(&row.kind)?, request })
    });
    Ok(read.collect())
}

/// Grants or refuses it; false where it is decided, lapsed, or one's own.
pub(super) async fn decide(
    conn: &mut PgConnection,
    wish: &Wish,
    by: StaffId,
    is_granted: bool,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let opens = is_granted && wish.kind == Kind::Export;
    let open_until = opens.then(|| after(now, OPEN));
    let decided = sqlx::query!(
        "update subject_request
         set decided_by = $2, decided_at = $3, is_granted = $4, open_until = $5
         where id = $1 and decided_at is null and asked_by <> $2 and lapsed_at is null
             and lapses_at > $3",
        wish.id as _,
        by as _,
        now.to_sqlx() as _,
        is_granted,
        open_until.map(ToSqlx::to_sqlx) as _,
    )
    .execute(conn)
    .await?;
    Ok(decided.rows_affected() == 1)
}

/// Notes what nobody decided in time, and says so for the trail.
pub(in crate::console) async fn lapse(
    conn: &mut PgConnection,
    now: Timestamp,
) -> sqlx::Result<Vec<Record>> {
    let lapsed = sqlx::query!(
        r#"update subject_request r set lapsed_at = $1
           from staff asker
           where asker.id = r.asked_by and r.decided_at is null and r.lapsed_at is null
               and r.lapses_at <= $1
           returning r.id as "id: SubjectRequestId", r.person_id as "person: PersonId", r.kind,
               asker.name"#,
        now.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let record = lapsed.into_iter().map(|row| Record {
        person: Some(row.person),
        ..request::lapsed("subject_lapse", format_args!("{} {}", row.kind, row.id), &row.name)
    });
    Ok(record.collect())
}
