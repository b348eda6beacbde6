//! The SQL of months that staff ask to have removed. What became of each stands there by the owner's hand.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    audit::{Record, retain::Month},
    clock::SqlTimestamp,
    console::request::{self, Decision, Request, after},
    ids::{RemovalRequestId, StaffId},
};

/// For how long the owner may act on what was granted.
const OPEN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Months that somebody asks to have removed, as staff see it.
#[derive(Debug)]
pub(in crate::console) struct Removal {
    pub(super) id: RemovalRequestId,
    pub(in crate::console) request: Request,
    pub(super) months: Vec<Named>,
}

/// One of the months.
#[derive(Debug)]
pub(super) struct Named {
    /// Such as 2026-03.
    pub(super) name: String,
    /// How many records it had when somebody asked.
    pub(super) records: i64,
    /// When it was removed, and how many records went with it.
    pub(super) gone: Option<(Timestamp, i64)>,
    /// Whether that was by this request.
    pub(super) is_done: bool,
    /// When the owner last left it where it is, and why.
    pub(super) stayed: Option<(Timestamp, String)>,
}

impl Removal {
    /// The names of its months.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.months.iter().map(|month| month.name.as_str()).collect();
        names.join(", ")
    }

    /// Whether all of its months are gone.
    pub(super) fn is_done(&self) -> bool {
        self.months.iter().all(|month| month.gone.is_some())
    }

    /// Whether it speaks of this month, and waits or may still be carried out.
    pub(super) fn claims(&self, name: &str, now: Timestamp) -> bool {
        let stands = self.request.waits(now) || self.request.is_open(now);
        stands && self.months.iter().any(|month| month.name == name)
    }
}

/// Lets nobody else ask until commit: no month is asked for twice.
pub(super) async fn take_turns(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('removal_request')) as done")
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// Notes what is asked for.
pub(super) async fn ask(
    conn: &mut PgConnection,
    months: &[&Month],
    (matter, reason): (&str, &str),
    by: StaffId,
    (now, lapses_at): (Timestamp, Timestamp),
) -> sqlx::Result<RemovalRequestId> {
    let id = RemovalRequestId::new();
    sqlx::query!(
        "insert into removal_request (id, reason, matter, asked_by, asked_at, lapses_at)
         values ($1, $2, $3, $4, $5, $6)",
        id as _,
        reason,
        matter,
        by as _,
        now.to_sqlx() as _,
        lapses_at.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    let firsts: Vec<String> = months.iter().map(|month| format!("{}-01", month.name)).collect();
    let records: Vec<i64> = months.iter().map(|month| month.records).collect();
    sqlx::query!(
        "insert into removal_month (request_id, month, records)
         select $1, month::date, records from unnest($2::text[], $3::bigint[]) it (month, records)",
        id as _,
        &firsts,
        &records,
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// Lists the last twenty, those that wait or may still be carried out in front.
pub(in crate::console) async fn list(
    conn: &mut PgConnection,
    now: Timestamp,
) -> sqlx::Result<Vec<Removal>> {
    read(conn, None, now).await
}

/// Finds one.
pub(super) async fn find(
    conn: &mut PgConnection,
    id: RemovalRequestId,
    now: Timestamp,
) -> sqlx::Result<Option<Removal>> {
    Ok(read(conn, Some(id), now).await?.pop())
}

async fn read(
    conn: &mut PgConnection,
    id: Option<RemovalRequestId>,
    now: Timestamp,
) -> sqlx::Result<Vec<Removal>> {
    let rows = sqlx::query!(
        r#"select r.id, r.reason, r.matter, r.asked_by, asker.name as asked_name, r.asked_at,
               r.lapses_at, decider.name as "decided_name?",
               r.decided_at as "decided_at: SqlTimestamp", r.is_granted,
               r.open_until as "open_until: SqlTimestamp"
           from removal_request r
           join staff asker on asker.id = r.asked_by
           left join staff decider on decider.id = r.decided_by
           where $1::uuid is null or r.id = $1
           order by r.decided_at is null and r.lapsed_at is null desc,
               coalesce(r.open_until > $2, false) desc, r.asked_at desc, r.id desc
           limit 20"#,
        id as _,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut removals: Vec<Removal> = rows
        .into_iter()
        .map(|row| {
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
            Removal { id: row.id, request, months: Vec::new() }
        })
        .collect();
    let ids: Vec<Uuid> = removals.iter().map(|removal| removal.id.uuid()).collect();
    for (id, month) in months(conn, &ids).await? {
        if let Some(removal) = removals.iter_mut().find(|removal| removal.id == id) {
            removal.months.push(month);
        }
    }
    Ok(removals)
}

/// The months of these, and what became of each.
async fn months(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<Vec<(RemovalRequestId, Named)>> {
    let rows = sqlx::query!(
        r#"select m.request_id, to_char(m.month, 'YYYY-MM') as "name!", m.records,
               m.stayed_at as "stayed_at: SqlTimestamp", m.stayed_because,
               gone.at as "gone_at?: SqlTimestamp", gone.records as "gone_records?",
               coalesce(gone.request_id = m.request_id, false) as "is_done!"
           from removal_month m
           left join audit_removal gone on gone.month = m.month
           where m.request_id = any($1)
           order by m.month"#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let named = rows.into_iter().map(|row| {
        let month = Named {
            name: row.name,
            records: row.records,
            gone: row.gone_at.map(SqlTimestamp::to_jiff).zip(row.gone_records),
            is_done: row.is_done,
            stayed: row.stayed_at.map(SqlTimestamp::to_jiff).zip(row.stayed_because),
        };
        (row.request_id, month)
    });
    Ok(named.collect())
}

/// A month that was removed.
pub(super) struct Gone {
    pub(super) name: String,
    pub(super) records: i64,
    pub(super) at: Timestamp,
    /// The case, who asked and who granted it, where it was removed by a request.
    pub(super) request: Option<(String, String, String)>,
}

/// Lists the newest hundred months that were removed.
pub(super) async fn gone(conn: &mut PgConnection) -> sqlx::Result<Vec<Gone>> {
    let rows = sqlx::query!(
        r#"select to_char(gone.month, 'YYYY-MM') as "name!", gone.records, gone.at,
               r.matter as "matter?", asker.name as "asked_by?", granter.name as "granted_by?"
           from audit_removal gone
           left join removal_request r on r.id = gone.request_id
           left join staff asker on asker.id = r.asked_by
           left join staff granter on granter.id = r.decided_by
           order by gone.month desc
           limit 100"#
    )
    .fetch_all(conn)
    .await?;
    let gone = rows.into_iter().map(|row| Gone {
        name: row.name,
        records: row.records,
        at: row.at.to_jiff(),
        request: row.matter.zip(row.asked_by).zip(row.granted_by).map(|((a, b), c)| (a, b, c)),
    });
    Ok(gone.collect())
}

/// Grants or refuses it; false where it is decided, lapsed, or one's own.
pub(super) async fn decide(
    conn: &mut PgConnection,
    id: RemovalRequestId,
    by: StaffId,
    is_granted: bool,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let open_until = is_granted.then(|| after(now, OPEN));
    let decided = sqlx::query!(
        "update removal_request
         set decided_by = $2, decided_at = $3, is_granted = $4, open_until = $5
         where id = $1 and decided_at is null and asked_by <> $2 and lapsed_at is null
             and lapses_at > $3",
        id as _,
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
        r#"update removal_request r set lapsed_at = $1
           from staff asker
           where asker.id = r.asked_by and r.decided_at is null and r.lapsed_at is null
               and r.lapses_at <= $1
           returning r.id as "id: RemovalRequestId", asker.name"#,
        now.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let record = lapsed.into_iter().map(|row| {
        request::lapsed("retention_lapse", format_args!("removal {}", row.id), &row.name)
    });
    Ok(record.collect())
}
