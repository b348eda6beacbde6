//! What staff must look at, and until when.
//!
//! Raised in the transaction of what called for it. What is asked for already is not asked for twice.

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Weekday, tz::TimeZone};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::ids::{ConversationId, MaskedNumberId, PersonId, TaskId};

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
}

impl Kind {
    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SoftOptOut => "soft_opt_out",
            Self::Report => "report",
            Self::CarrierBlock => "carrier_block",
            Self::Guessing => "guessing",
            Self::Quarantine => "quarantine",
            Self::Pool => "pool",
        }
    }

    /// Until when it must be looked at.
    pub fn due(self, raised_at: Timestamp) -> Timestamp {
        match self {
            Self::SoftOptOut | Self::CarrierBlock => business_days(raised_at, 10),
            Self::Report | Self::Quarantine | Self::Pool => business_days(raised_at, 1),
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
