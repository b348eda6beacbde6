//! What staff must look at, and until when.
//!
//! Raised in the transaction of what called for it. What is asked for already is not asked for twice.

mod list;

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Weekday, tz::TimeZone};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::ids::{ConversationId, MaskedNumberId, PersonId, TaskId};

pub use self::list::{Listed, list, places, some};

/// Why staff are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words that may mean an opt out, inside a longer text. To be honoured within 10 business days
    /// (47 CFR 64.1200(a)(10)).
    SoftOptOut,
    /// A participant reported the other.
    Report,
    /// The carrier refuses to connect a pair: the phone texted STOP to it, not to us.
    CarrierBlock,
    /// Many codes failed within an hour.
    Guessing,
    /// A masked number was taken out of service because its texts fail.
    Quarantine,
    /// The pool of masked numbers runs out.
    Pool,
    /// Nobody knows whether a text arrived.
    Unknown,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SoftOptOut,
        Self::Report,
        Self::CarrierBlock,
        Self::Guessing,
        Self::Quarantine,
        Self::Pool,
        Self::Unknown,
    ];

    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SoftOptOut => "soft_opt_out",
            Self::Report => "report",
            Self::CarrierBlock => "carrier_block",
            Self::Guessing => "guessing",
            Self::Quarantine => "quarantine",
            Self::Pool => "pool",
            Self::Unknown => "unknown",
        }
    }

    /// Until when it must be looked at.
    pub fn due(self, raised_at: Timestamp) -> Timestamp {
        match self {
            Self::SoftOptOut | Self::CarrierBlock => business_days(raised_at, 10),
            Self::Report | Self::Quarantine | Self::Pool | Self::Unknown => {
                business_days(raised_at, 1)
            }
            Self::Guessing => {
                raised_at.saturating_add(SignedDuration::from_hours(1)).unwrap_or(raised_at)
            }
        }
    }
}

/// Something for staff to look at.
#[derive(Debug, Clone)]
pub struct Task {
    /// Why.
    pub kind: Kind,
    /// Whom it is about.
    pub person: Option<PersonId>,
    /// Which conversation it is about. Its records of the trail are kept with the task.
    pub conversation: Option<ConversationId>,
    /// Which masked number it is about.
    pub masked_number: Option<MaskedNumberId>,
    /// The carrier's id of the text that raised it.
    pub carrier_id: Option<String>,
    /// More about it. Never a number, a code or somebody's words.
    pub detail: Option<String>,
}

impl Task {
    /// A task of this kind that says nothing else yet.
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            person: None,
            conversation: None,
            masked_number: None,
            carrier_id: None,
            detail: None,
        }
    }
}

/// Raises a task, unless the same is open already; true when it is new.
pub async fn raise(conn: &mut PgConnection, task: &Task, now: Timestamp) -> sqlx::Result<bool> {
    let raised = sqlx::query!(
        "insert into task (id, kind, person_id, conversation_id, masked_number_id, carrier_id,
             transcript, detail, raised_at, due_at)
         values ($1, $2, $3, $4, $5, $6,
             array(select id from audit_record where conversation_id = $4 order by at, id),
             $7, $8, $9)
         on conflict (kind, person_id, conversation_id, masked_number_id)
             where closed_at is null do nothing",
        TaskId::new() as _,
        task.kind.as_str(),
        task.person as _,
        task.conversation as _,
        task.masked_number as _,
        task.carrier_id,
        task.detail,
        now.to_sqlx() as _,
        task.kind.due(now).to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    let is_new = raised.rows_affected() == 1;
    if is_new {
        metrics::counter!("maskline_tasks_raised_total", "kind" => task.kind.as_str()).increment(1);
    }
    Ok(is_new)
}

/// What came of closing a task.
#[derive(Debug)]
pub enum Closed {
    /// It was open, and is closed.
    Now(About),
    /// It was closed before, and stays as it is.
    Before,
    /// There is no such task.
    Never,
}

/// What a task was about.
#[derive(Debug)]
pub struct About {
    /// Why staff were called.
    pub kind: String,
    /// The person.
    pub person: Option<PersonId>,
    /// The conversation.
    pub conversation: Option<ConversationId>,
    /// The masked number.
    pub masked_number: Option<String>,
}

/// Closes an open task.
pub async fn close(
    conn: &mut PgConnection,
    id: TaskId,
    outcome: &str,
    now: Timestamp,
) -> sqlx::Result<Closed> {
    let closed = sqlx::query!(
        r#"with closed as (
               update task set closed_at = $2, outcome = $3
               where id = $1 and closed_at is null
               returning kind, person_id, conversation_id, masked_number_id
           )
           select c.kind, c.person_id, c.conversation_id, m.number as "number?"
           from closed c
           left join masked_number m on m.id = c.masked_number_id"#,
        id as _,
        now.to_sqlx() as _,
        outcome,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(task) = closed {
        return Ok(Closed::Now(About {
            kind: task.kind,
            person: task.person_id,
            conversation: task.conversation_id,
            masked_number: task.number,
        }));
    }
    let exists = sqlx::query_scalar!(
        r#"select exists (select from task where id = $1) as "exists!""#,
        id as _,
    )
    .fetch_one(conn)
    .await?;
    Ok(if exists { Closed::Before } else { Closed::Never })
}

/// How many tasks of each kind are open, and how many of those overdue by the database's clock.
pub async fn open(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, i64, i64)>> {
    let rows = sqlx::query!(
        r#"select kind, count(*) as "open!",
               count(*) filter (where due_at < clock_timestamp()) as "overdue!"
           from task
           where closed_at is null
           group by kind"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.open, row.overdue)).collect())
}

/// The same time of day so many business days later, Monday to Friday in UTC. Holidays count as
/// business days, so that nothing comes due later than it may.
fn business_days(from: Timestamp, days: u32) -> Timestamp {
    let mut day = from.to_zoned(TimeZone::UTC);
    let mut left = days;
    while left > 0 {
        let Ok(next) = day.checked_add(1.day()) else { return Timestamp::MAX };
        day = next;
        if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            left -= 1;
        }
    }
    day.timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weekend_is_no_business_day() {
        let table = [
            ("2026-11-20T09:30:00Z", 1, "2026-11-23T09:30:00Z"),
            ("2026-11-20T09:30:00Z", 10, "2026-12-04T09:30:00Z"),
            ("2026-11-22T23:00:00Z", 1, "2026-11-23T23:00:00Z"),
            ("2026-12-31T00:00:00Z", 2, "2027-01-04T00:00:00Z"),
        ];
        for (from, days, due) in table {
            assert_eq!(business_days(from.parse().unwrap(), days).to_string(), due);
        }
        assert_eq!(business_days(Timestamp::MAX, 3), Timestamp::MAX);
    }
}
