//! The carrier's limit on texts a second, shared by all workers through one row.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::clock::SqlTimestamp;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// When texts last left, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent(Vec<Timestamp>);

impl Recent {
    /// Takes the times as stored, in any order.
    pub fn new(mut times: Vec<Timestamp>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// How many texts may leave now, so that never more than this many leave within a second.
    ///
    /// A time a little ahead, from a replica whose clock is, counts like one a little ago. One far
    /// ahead, left by a clock that was set back since, does not: it would stop everything.
    pub fn free(&self, per_second: u32, now: Timestamp) -> usize {
        let within = self.0.iter().filter(|left| is_within(**left, now)).count();
        (per_second as usize).saturating_sub(within)
    }

    /// When the next text may leave, if none may now.
    pub fn next(&self, per_second: u32, now: Timestamp) -> Option<Timestamp> {
        if self.free(per_second, now) > 0 {
            return None;
        }
        let oldest = self.0.iter().find(|left| is_within(**left, now))?;
        oldest.checked_add(SECOND).ok()
    }

    /// Notes that this many leave now, and forgets what no longer counts.
    pub fn note(&mut self, count: usize, now: Timestamp) -> &[Timestamp] {
        self.0.retain(|left| is_within(*left, now));
        self.0.extend(std::iter::repeat_n(now, count));
        &self.0
    }
}

fn is_within(left: Timestamp, now: Timestamp) -> bool {
    now.duration_since(left).abs() < SECOND
}

/// Locks the row of the SMS limit, so that one worker at a time hands out what it allows, and tells
/// the time behind the lock: `instead`, or else the database's. All workers must mean the same time.
pub(super) async fn lock(
    conn: &mut PgConnection,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<(Recent, Timestamp)> {
    // The time is asked for outside: another worker may have kept the lock for a while.
    let row = sqlx::query!(
        r#"with locked as materialized (
               select recent from send_limit where kind = 'sms' for update
           )
           select recent as "recent!: Vec<SqlTimestamp>", coalesce($1, clock_timestamp()) as "now!"
           from locked"#,
        instead as _,
    )
    .fetch_one(conn)
    .await?;
    let recent = row.recent.into_iter().map(SqlTimestamp::to_jiff).collect();
    Ok((Recent::new(recent), row.now.to_jiff()))
}

/// Writes the row of the SMS limit.
pub(super) async fn write(conn: &mut PgConnection, recent: &[Timestamp]) -> sqlx::Result<()> {
    let recent: Vec<SqlTimestamp> = recent.iter().map(|time| time.to_sqlx()).collect();
    sqlx::query!("update send_limit set recent = $1 where kind = 'sms'", &recent as _)
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn a_clock_set_back_does_not_stop_the_texts() {
        let recent = Recent::new(vec![at(3_600_000); 5]);
        assert_eq!(recent.free(5, at(0)), 5);
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_within_any_second(
            steps in prop::collection::vec((0_i64..600, 1_usize..9), 1..200),
            per_second in 1_u32..8,
        ) {
            let (mut recent, mut now, mut left) = (Recent::new(Vec::new()), 0, Vec::new());
            for (pause, wanted) in steps {
                now += pause;
                let free = recent.free(per_second, at(now)).min(wanted);
                prop_assert_eq!(
                    recent.next(per_second, at(now)).is_none(),
                    recent.free(per_second, at(now)) > 0
                );
                recent.note(free, at(now));
                left.extend(std::iter::repeat_n(now, free));
            }
            for (index, start) in left.iter().enumerate() {
                let within = left[index..].iter().take_while(|time| **time - start < 1000).count();
                prop_assert!(within <= per_second as usize);
            }
        }
    }
}
