//! The SQL of exports as staff see them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::{
    audit::{
        Record,
        extract::{Count, Kind},
    },
    clock::SqlTimestamp,
    console::{
        request::{self, Decision, Request},
        search::Expression,
        staff::Role,
    },
    ids::{ExportId, StaffId},
    vault::{Field, FileKey, Vault},
};

/// Where an export stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::console) enum State {
    /// Somebody else must approve it.
    Asked,
    Refused,
    /// A worker takes it next.
    Waiting,
    Running,
    /// Its file can be downloaded.
    Done,
    Failed,
    /// Its file is gone.
    Expired,
}

impl State {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Asked, "asked"),
        (Self::Refused, "refused"),
        (Self::Waiting, "waiting"),
        (Self::Running, "running"),
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Expired, "expired"),
    ];

    fn read(word: &str) -> sqlx::Result<Self> {
        let found = Self::ALL.into_iter().find(|(_, name)| *name == word);
        let unknown = || sqlx::Error::Decode(format!("no state is called {word}").into());
        found.map(|(state, _)| state).ok_or_else(unknown)
    }
}

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) scope: &'a Expression,
    pub(super) format: Kind,
    pub(super) reason: &'a str,
    pub(super) matter: &'a str,
    /// How many records the checkpoint counts that it is of.
    pub(super) covered: i64,
    pub(super) lapses_at: Timestamp,
}

/// An export.
pub(in crate::console) struct Job {
    pub(super) id: ExportId,
    pub(in crate::console) state: State,
    pub(super) scope: Expression,
    pub(super) format: Kind,
    /// What is open until a time is its file.
    pub(in crate::console) request: Request,
    pub(super) covered: i64,
    /// Of whoever asked.
    pub(super) role: Role,
    /// Whether somebody has counted how much it would hold, and how much that is.
    pub(super) is_counted: bool,
    pub(super) count: Option<Count>,
    /// Why it came to nothing, in words.
    pub(super) problem: Option<String>,
    pub(super) conversations: i64,
    pub(super) conversations_in_all: Option<i64>,
    pub(super) records: i64,
    pub(super) bytes: Option<i64>,
    pub(super) sha256: Option<String>,
    pub(super) ended_at: Option<Timestamp>,
    /// Where its file lies and what opens it, while it is written and until it is gone.
    pub(super) file: Option<(String, FileKey)>,
    pub(super) pieces: i32,
}

impl Job {
    /// Whether its file can be downloaded at this time.
    pub(in crate::console) fn is_ready(&self, now: Timestamp) -> bool {
        self.state == State::Done && self.request.is_open(now)
    }

    /// Whether its page changes without whoever looks at it.
    pub(super) fn may_change(&self, now: Timestamp) -> bool {
        self.request.waits(now) || self.is_under_way()
    }

    /// Whether it goes on by itself.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.state, State::Waiting | State::Running)
    }
}

/// Notes what is asked for.
pub(super) async fn ask(
    conn: &mut PgConnection,
    vault: &Vault,
    ask: &Ask<'_>,
    by: StaffId,
    now: Timestamp,
) -> sqlx::Result<ExportId> {
    let id = ExportId::new();
    let scope = serde_json::to_vec(&(ask.scope.to_text(), &ask.scope.words));
    let scope = scope.map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "insert into export_job (id, state, scope_sealed, format, reason, matter, checkpoint_size,
             asked_by, asked_at, lapses_at)
         values ($1, 'asked', $2, $3, $4, $5, $6, $7, $8, $9)",
        id as _,
        vault.own().seal(Field::ExportScope, id, &scope).to_bytes(),
        ask.format.as_str(),
        ask.reason,
        ask.matter,
        ask.covered,
        by as _,
        now.to_sqlx() as _,
        ask.lapses_at.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// Lists the last hundred, those that wait for an approver in front; of one account, where one is
/// given.
pub(in crate::console) async fn list(
    conn: &mut PgConnection,
    vault: &Vault,
    of: Option<StaffId>,
) -> sqlx::Result<Vec<Job>> {
    read(conn, vault, None, of).await
}

/// Finds one.
pub(super) async fn find(
    conn: &mut PgConnection,
    vault: &Vault,
    id: ExportId,
) -> sqlx::Result<Option<Job>> {
    Ok(read(conn, vault, Some(id), None).await?.pop())
}

async fn read(
    conn: &mut PgConnection,
    vault: &Vault,
    id: Option<ExportId>,
    of: Option<StaffId>,
) -> sqlx::Result<Vec<Job>> {
    let rows = sqlx::query!(
        r#"select e.id, e.state, e.scope_sealed, e.format, e.reason, e.matter, e.checkpoint_size,
               e.asked_by, asker.name as asked_name, asker.role, e.asked_at,
               e.lapses_at,
               decider.name as "decided_name?", e.decided_at as "decided_at: SqlTimestamp",
               e.problem, e.conversations, e.conversations_in_all, e.records, e.bytes, e.sha256,
               e.ended_at as "ended_at: SqlTimestamp", e.expires_at as "expires_at: SqlTimestamp",
               e.storage_key, e.key_sealed, e.pieces, e.counted_at is not null as "is_counted!",
               e.counted_conversations, e.counted_records
           from export_job e
           join staff asker on asker.id = e.asked_by
           left join staff decider on decider.id = e.decided_by
           where ($1::uuid is null or e.id = $1) and ($2::uuid is null or e.asked_by = $2)
           order by e.state = 'asked' and e.lapsed_at is null desc, e.asked_at desc, e.id desc
           limit 100"#,
        id as _,
        of as _,
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().map(|row| {
        // That one does not open keeps nobody from seeing the others.
        let key = row.key_sealed.and_then(|it| FileKey::open(vault.own(), row.id, &it).ok());
        let state = State::read(&row.state)?;
        let decided_at = row.decided_at.map(SqlTimestamp::to_jiff);
        let is_granted = Some(state != State::Refused);
        let request = Request {
            matter: row.matter,
            reason: row.reason,
            asker: row.asked_by,
            asked_by: row.asked_name,
            asked_at: row.asked_at.to_jiff(),
            lapses_at: row.lapses_at.to_jiff(),
            decision: Decision::of(row.decided_name, decided_at, is_granted),
            open_until: row.expires_at.map(SqlTimestamp::to_jiff),
        };
        let count = row.counted_conversations.zip(row.counted_records);
        Ok(Job {
            id: row.id,
            state,
            request,
            scope: scope(vault, row.id, &row.scope_sealed)?,
            format: format(&row.format)?,
            covered: row.checkpoint_size,
            role: Role::read(&row.role)?,
            is_counted: row.is_counted,
            count: count.map(|(conversations, records)| Count { conversations, records }),
            problem: row.problem,
            conversations: row.conversations,
            conversations_in_all: row.conversations_in_all,
            records: row.records,
            bytes: row.bytes,
            sha256: row.sha256,
            ended_at: row.ended_at.map(SqlTimestamp::to_jiff),
            file: row.storage_key.zip(key),
            pieces: row.pieces,
        })
    });
    read.collect()
}

fn scope(vault: &Vault, id: ExportId, sealed: &[u8]) -> sqlx::Result<Expression> {
    let json = vault.own().open(Field::ExportScope, id, sealed)?;
    let read = serde_json::from_slice::<(String, String)>(&json);
    let (terms, words) = read.map_err(|error| sqlx::Error::Decode(error.into()))?;
    let mut scope: Expression = terms.parse().map_err(decode)?;
    scope.words = words;
    Ok(scope)
}

fn format(word: &str) -> sqlx::Result<Kind> {
    let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
    found.ok_or_else(|| decode(format!("no format is called {word}")))
}

fn decode(error: String) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// Decides on what somebody else has asked for; false where it is decided, lapsed, or one's own.
pub(super) async fn decide(
    conn: &mut PgConnection,
    id: ExportId,
    by: StaffId,
    is_granted: bool,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let decided = sqlx::query!(
        "update export_job
         set state = case when $4 then 'waiting' else 'refused' end, decided_by = $2,
             decided_at = $3,
             ended_at = case when $4 then null else $3::timestamptz end
         where id = $1 and state = 'asked' and asked_by <> $2 and lapsed_at is null
             and lapses_at > $3",
        id as _,
        by as _,
        now.to_sqlx() as _,
        is_granted,
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
        r#"update export_job e set lapsed_at = $1
           from staff asker
           where asker.id = e.asked_by and e.state = 'asked' and e.lapsed_at is null
               and e.lapses_at <= $1
           returning e.id as "id: ExportId", asker.name"#,
        now.to_sqlx() as _,
    )
    .fetch_all(conn)
    .await?;
    let record = lapsed
        .into_iter()
        .map(|row| request::lapsed("export_lapse", format_args!("export {}", row.id), &row.name));
    Ok(record.collect())
}
