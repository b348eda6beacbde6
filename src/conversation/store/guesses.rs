//! The SQL of codes that did not work: rows, so that all replicas count alike.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::{
    conversation::{facts::Failures, time::after},
    ids::PersonId,
};

/// How long a failed code counts.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// Counts the codes that failed within the last hour, a person's own and everybody's up
/// to the alarm.
pub async fn failures(
    conn: &mut PgConnection,
    person: PersonId,
    alarm_at: u32,
    now: Timestamp,
) -> sqlx::Result<Failures> {
    let row = sqlx::query!(
        r#"select (select count(*) from code_failure where person_id = $1 and at > $2) as "own!",
               (select count(*) from (
                   select from code_failure where at > $2 limit $3
               ) recent) as "all!""#,
        person as _,
        after(now, -WINDOW).to_sqlx() as _,
        i64::from(alarm_at),
    )
    .fetch_one(conn)
    .await?;
    let count = |rows| u32::try_from(rows).unwrap_or(u32::MAX);
    Ok(Failures { own: count(row.own), all: count(row.all), alarm_at })
}

/// Counts one more.
pub async fn count_failure(
    conn: &mut PgConnection,
    person: PersonId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into code_failure (person_id, at) values ($1, $2)",
        person as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets what counts no more, and MOVE codes that work no more.
pub async fn forget_failures(conn: &mut PgConnection, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query!(
        "with failures as (delete from code_failure where at <= $1)
         delete from move_code where expires_at <= $2",
        after(now, -WINDOW).to_sqlx() as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
