//! Whether the texts of a number arrive, and what becomes of a number whose texts do not.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::MaskedNumber;
use crate::{
    ids::MaskedNumberId,
    tasks::{self, Kind, Task},
};

/// How far back texts are looked at.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// A number is judged by no fewer texts than this.
const LEAST_TEXTS: i64 = 20;
/// A number fails to reach so many people at least: what fails for fewer may lie with their phones, and
/// anybody can turn a phone off and text it.
const LEAST_PEOPLE: i64 = 5;
/// With so many failures in a hundred texts a number is failing.
const FAILING: i64 = 25;

/// Takes numbers out of service whose texts fail, calls staff for each, and returns them.
///
/// Judged by the texts of the last 24 hours, and of none before the number came into service. The
/// last number in service stays there, however it fares: a text that may fail is better than none.
/// Staff are called for it all the same.
pub async fn quarantine_failing(
    conn: &mut PgConnection,
    now: Timestamp,
) -> sqlx::Result<Vec<MaskedNumber>> {
    let mut quarantined = Vec::new();
    for judged in judge(conn, now).await? {
        let Judged { number, reason, is_kept } = judged;
        let detail =
            if is_kept { format!("{reason}; kept, no other is in service") } else { reason };
        let task = Task {
            masked_number: Some(number.id),
            detail: Some(detail.clone()),
            ..Task::of(Kind::Quarantine)
        };
        let is_new = tasks::raise(conn, &task, now).await?;
        if !is_kept {
            tracing::warn!(number = ?number.number, %detail, "a masked number is quarantined");
            quarantined.push(number);
        } else if is_new {
            tracing::warn!(number = ?number.number, %detail, "a masked number should be quarantined");
        }
    }
    Ok(quarantined)
}

/// A failing number.
struct Judged {
    number: MaskedNumber,
    reason: String,
    /// Whether it stayed in service, as the last one.
    is_kept: bool,
}

/// Finds the numbers that fail and quarantines all but the last number in service, worst first.
///
/// The numbers in service are locked, so that two who judge at once do not each take the other's
/// last one. A text that the carrier refused was never accepted: it counts as a text by its failure.
async fn judge(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<Vec<Judged>> {
    let rows = sqlx::query!(
        r#"with serving as materialized (
               select id, number, greatest(state_since, $1) as since
               from masked_number
               where state = 'in_service'
               order by id
               for no key update
           ),
           counted as (
               select s.id, s.number, f.failed, f.people,
                   t.accepted + greatest(f.failed - t.undelivered, 0) as texts
               from serving s
               cross join lateral (
                   -- Of what an earlier version noted nobody knows whom it was for.
                   select count(*) as failed,
                       count(distinct recipient_id)
                           + count(*) filter (where recipient_id is null) as people
                   from send_failure
                   where masked_number_id = s.id and at >= s.since
               ) f
               cross join lateral (
                   select count(*) as accepted,
                       count(*) filter (where delivery = 'failed') as undelivered
                   from carrier_message
                   where direction = 'outbound' and masked_number_id = s.id
                       and noted_at >= s.since
                       -- A number without failures costs no more than that look.
                       and f.failed > 0
               ) t
           ),
           failing as (
               select id, number, format('%s %% of %s texts failed within 24 h',
                       failed * 100 / texts, texts) as reason,
                   row_number() over (order by failed::float8 / texts desc, id) as place
               from counted
               where texts >= $2 and failed * 100 >= texts * $3 and people >= $5
           ),
           quarantined as (
               update masked_number m
               set state = 'quarantined', state_since = $4, reason = failing.reason
               from failing
               where m.id = failing.id and failing.place < (select count(*) from serving)
               returning m.id
           )
           select id as "id!: MaskedNumberId", number as "number!", reason as "reason!",
               id not in (select id from quarantined) as "is_kept!"
           from failing
           order by place"#,
        now.saturating_sub(WINDOW).unwrap_or(Timestamp::MIN).to_sqlx() as _,
        LEAST_TEXTS,
        FAILING,
        now.to_sqlx() as _,
        LEAST_PEOPLE,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let number = MaskedNumber { id: row.id, number: super::read_number(&row.number)? };
            Ok(Judged { number, reason: row.reason, is_kept: row.is_kept })
        })
        .collect()
}
