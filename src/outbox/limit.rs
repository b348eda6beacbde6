//! The carrier's limits on texts a second, SMS and MMS apart, shared by all workers through a row each.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::{clock::SqlTimestamp, config::Settings};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// When texts last left, and how many each time, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recent(Vec<(Timestamp, usize)>);

impl Recent {
    /// Takes the times as stored, in any order.
    pub fn new(mut times: Vec<(Timestamp, usize)>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// How many texts may leave now, so that never more than this many leave within a second.
    ///
    /// A time a little ahead, from a replica whose clock is, counts like one a little ago. One far
    /// ahead, left by a clock that was set back since, does not: it would stop everything.
    pub fn free(&self, per_second: u32, now: Timestamp) -> usize {
        let within = self.0.iter().filter(|(left, _)| is_within(*left, now));
        let count = within.map(|(_, count)| count).sum();
        (per_second as usize).saturating_sub(count)
    }

    /// When the next text may leave, if none may now.
    pub fn next(&self, per_second: u32, now: Timestamp) -> Option<Timestamp> {
        if self.free(per_second, now) > 0 {
            return None;
        }
        let (oldest, _) = self.0.iter().find(|(left, _)| is_within(*left, now))?;
        oldest.checked_add(SECOND).ok()
    }

    /// Notes that this many leave now, and forgets what no longer counts.
    pub fn note(&mut self, count: usize, now: Timestamp) -> &[(Timestamp, usize)] {
        self.0.retain(|(left, _)| is_within(*left, now));
        self.0.push((now, count));
        &self.0
    }
}

fn is_within(left: Timestamp, now: Timestamp) -> bool {
    now.duration_since(left).abs() < SECOND
}

/// What the carrier limits apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text of words alone.
    Sms,
    /// A text with pictures.
    Mms,
}

/// Both limits, locked.
#[derive(Debug)]
pub(super) struct Limits {
    sms: Recent,
    mms: Recent,
    sms_per_second: u32,
    mms_per_second: u32,
    /// The time behind the lock.
    pub(super) now: Timestamp,
}

impl Limits {
    fn of(&self, kind: Kind) -> (&Recent, u32) {
        match kind {
            Kind::Sms => (&self.sms, self.sms_per_second),
            Kind::Mms => (&self.mms, self.mms_per_second),
        }
    }

    /// How many texts of this kind may leave now.
    pub(super) fn free(&self, kind: Kind) -> usize {
        let (recent, per_second) = self.of(kind);
        recent.free(per_second, self.now)
    }

    /// How long until a limit that is used up lets the next text go.
    pub(super) fn next(&self) -> Option<Duration> {
        let next = |kind| {
            let (recent, per_second) = self.of(kind);
            recent.next(per_second, self.now)
        };
        let first = [Kind::Sms, Kind::Mms].into_iter().filter_map(next).min()?;
        Some(Duration::try_from(first.duration_since(self.now)).unwrap_or_default())
    }

    /// Notes that so many leave now.
    pub(super) async fn note(
        &mut self,
        conn: &mut PgConnection,
        sms: usize,
        mms: usize,
    ) -> sqlx::Result<()> {
        if sms > 0 {
            write(conn, "sms", self.sms.note(sms, self.now)).await?;
        }
        if mms > 0 {
            write(conn, "mms", self.mms.note(mms, self.now)).await?;
        }
        Ok(())
    }
}

/// Locks the rows of both limits, always in the same order, so that one worker at a time hands out
/// what they allow, and tells the time behind the lock: `instead`, or else the database's. All
/// workers must mean the same time.
pub(super) async fn lock(
    conn: &mut PgConnection,
    settings: &Settings,
    instead: Option<SqlTimestamp>,
) -> sqlx::Result<Limits> {
    // The time is asked for outside: another worker may have kept the lock for a while.
    let rows = sqlx::query!(
        r#"with locked as materialized (
               select kind, recent, counts from send_limit order by kind for update
           )
           select kind as "kind!", recent as "recent!: Vec<SqlTimestamp>", counts,
               coalesce($1, clock_timestamp()) as "now!"
           from locked"#,
        instead as _,
    )
    .fetch_all(conn)
    .await?;
    let mut limits = Limits {
        sms: Recent::default(),
        mms: Recent::default(),
        sms_per_second: settings.sms_per_second,
        mms_per_second: settings.mms_per_second,
        now: Timestamp::MIN,
    };
    for row in rows {
        let recent = read(&row.recent, &row.counts.unwrap_or_default());
        limits.now = limits.now.max(row.now.to_jiff());
        match row.kind.as_str() {
            "mms" => limits.mms = recent,
            _ => limits.sms = recent,
        }
    }
    Ok(limits)
}

/// Each time counts once where the counts are not those of these times.
fn read(times: &[SqlTimestamp], counts: &[i32]) -> Recent {
    let is_counted = counts.len() == times.len();
    let count = |place: usize| {
        let count = counts.get(place).filter(|_| is_counted);
        count.and_then(|count| usize::try_from(*count).ok()).unwrap_or(1)
    };
    let times = times.iter().enumerate();
    Recent::new(times.map(|(place, time)| (time.to_jiff(), count(place))).collect())
}

async fn write(
    conn: &mut PgConnection,
    kind: &str,
    recent: &[(Timestamp, usize)],
) -> sqlx::Result<()> {
    let (times, counts): (Vec<SqlTimestamp>, Vec<i32>) = recent
        .iter()
        .map(|(time, count)| (time.to_sqlx(), i32::try_from(*count).unwrap_or(i32::MAX)))
        .unzip();
    sqlx::query!(
        "update send_limit set recent = $2, counts = $3 where kind = $1",
        kind,
        &times as _,
        &counts,
    )
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
        let recent = Recent::new(vec![(at(3_600_000), 5)]);
        assert_eq!(recent.free(5, at(0)), 5);
    }

    #[test]
    fn times_without_counts_of_their_own_count_once_each() {
        let times = [at(0), at(1), at(2)].map(ToSqlx::to_sqlx);
        let free = |counts: &[i32]| read(&times, counts).free(10, at(3));
        assert_eq!((free(&[]), free(&[4, 4]), free(&[1, 2, 3])), (7, 7, 4));
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_within_any_second(
            steps in prop::collection::vec((0_i64..600, 1_usize..9), 1..200),
            per_second in 1_u32..8,
        ) {
            let (mut recent, mut now, mut left) = (Recent::default(), 0, Vec::new());
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
