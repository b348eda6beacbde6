//! How full the pool is, how fast it fills, and when it will be full.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::state::{self, NumberState};
use crate::{
    config::PoolSettings,
    tasks::{self, Kind, Task},
};

/// Over how many days the growth is averaged.
const DAYS: u32 = 7;
/// With fewer days left than this, the pool is short.
const SHORT_DAYS: f64 = 14.0;
/// With more of its places used than this, in per cent, the pool is short.
const SHORT_SHARE: f64 = 80.0;

/// How full the pool is. A place is room for one person in an open conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// The places on all numbers in service.
    pub places: i64,
    /// Those that are used.
    pub used: i64,
    /// By how many people in open conversations the last seven days have grown.
    pub grown: i64,
}

impl Forecast {
    /// How many more places are used each day than are given back.
    #[expect(clippy::cast_precision_loss, reason = "people are fewer than 2^52")]
    pub fn growth_per_day(&self) -> f64 {
        self.grown as f64 / f64::from(DAYS)
    }

    /// In how many days the pool is full; none at this rate.
    #[expect(clippy::cast_precision_loss, reason = "places are fewer than 2^52")]
    pub fn full_in_days(&self) -> Option<f64> {
        let free = self.places - self.used;
        if free <= 0 {
            Some(0.0)
        } else if self.grown > 0 {
            Some(free as f64 / self.growth_per_day())
        } else {
            None
        }
    }

    /// How many per cent of the places are used; all of them when there are none.
    #[expect(clippy::cast_precision_loss, reason = "places are fewer than 2^52")]
    pub fn used_share(&self) -> f64 {
        if self.places == 0 { 100.0 } else { self.used as f64 * 100.0 / self.places as f64 }
    }

    /// Whether numbers must be added soon.
    pub fn is_short(&self) -> bool {
        self.full_in_days().is_some_and(|days| days < SHORT_DAYS) || self.used_share() > SHORT_SHARE
    }

    /// When the pool will be full, as a clause.
    pub fn outlook(&self) -> String {
        match self.full_in_days() {
            _ if self.places == 0 => "no number is in service".into(),
            Some(days) if days <= 0.0 => "the pool is full".into(),
            Some(days) if days < 1.0 => "at this rate the pool is full within a day".into(),
            Some(days) if days < 2.0 => "at this rate the pool is full in 1 day".into(),
            Some(days) => format!("at this rate the pool is full in {} days", days.floor()),
            None => "not at this rate".into(),
        }
    }
}

/// Reads how full the pool is and how it has grown. It counts every seat that is taken, so it is for
/// whoever looks now and then, not for the way of a text.
pub async fn forecast(
    conn: &mut PgConnection,
    settings: &PoolSettings,
    now: Timestamp,
) -> sqlx::Result<Forecast> {
    let since = now.saturating_sub(SignedDuration::from_hours(24 * i64::from(DAYS)));
    let since = since.unwrap_or(Timestamp::MIN);
    // A number may carry more people than it has places, when there were more before.
    let read = sqlx::query!(
        r#"select
               (select count(*) * $1::bigint from masked_number where state = 'in_service')
                   as "places!",
               (select coalesce(sum(least(open.people, $1::bigint)), 0)::bigint
                from masked_number m
                cross join lateral (
                    select count(*) as people
                    from participant p
                    where p.masked_number_id = m.id and p.left_at is null
                ) as open
                where m.state = 'in_service') as "used!",
               (select count(*) filter (where joined_at > $2)
                    - count(*) filter (where left_at > $2)
                from participant
                where joined_at > $2 or left_at > $2) as "grown!""#,
        i64::from(settings.capacity),
        since.to_sqlx() as _,
    )
    .fetch_one(conn)
    .await?;
    Ok(Forecast { places: read.places, used: read.used, grown: read.grown })
}

/// Looks how full the pool is: sets its gauges, and calls staff once when it runs short. True when
/// they are called now.
pub async fn look(
    conn: &mut PgConnection,
    settings: &PoolSettings,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let forecast = forecast(conn, settings, now).await?;
    show(&forecast, &state::count_states(conn).await?);
    if !forecast.is_short() {
        return Ok(false);
    }
    let Forecast { places, used, .. } = forecast;
    let detail = format!("{used} of {places} places are used; {}", forecast.outlook());
    let task = Task { detail: Some(detail), ..Task::of(Kind::Pool) };
    let is_new = tasks::raise(conn, &task, now).await?;
    if is_new {
        tracing::warn!(
            places,
            used,
            outlook = forecast.outlook(),
            "the pool of masked numbers runs short: `maskline numbers add` more"
        );
    }
    Ok(is_new)
}

/// Sets the gauges of the pool.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn show(forecast: &Forecast, counts: &[(NumberState, i64)]) {
    for state in NumberState::ALL {
        let count = counts.iter().find(|(counted, _)| *counted == state).map_or(0, |found| found.1);
        metrics::gauge!("maskline_numbers", "state" => state.as_str()).set(count as f64);
    }
    metrics::gauge!("maskline_pool_places").set(forecast.places as f64);
    metrics::gauge!("maskline_pool_places_used").set(forecast.used as f64);
    let days = forecast.full_in_days().unwrap_or(f64::INFINITY);
    metrics::gauge!("maskline_pool_full_in_days").set(days);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_is_less_than_two_weeks_or_more_than_four_fifths() {
        let full = "at this rate the pool is full";
        let table = [
            ((1000, 0, 0), None, false, "not at this rate".to_owned()),
            ((1000, 800, -7), None, false, "not at this rate".to_owned()),
            ((1000, 801, -7), None, true, "not at this rate".to_owned()),
            ((1000, 300, 350), Some(14.0), false, format!("{full} in 14 days")),
            ((1000, 301, 350), Some(13.98), true, format!("{full} in 13 days")),
            ((1000, 0, 7000), Some(1.0), true, format!("{full} in 1 day")),
            ((1000, 0, 14000), Some(0.5), true, format!("{full} within a day")),
            ((1000, 1000, 0), Some(0.0), true, "the pool is full".to_owned()),
            ((1000, 1000, -9), Some(0.0), true, "the pool is full".to_owned()),
            ((0, 0, 0), Some(0.0), true, "no number is in service".to_owned()),
        ];
        for ((places, used, grown), days, short, outlook) in table {
            let forecast = Forecast { places, used, grown };
            assert_eq!(forecast.full_in_days(), days, "{forecast:?}");
            assert_eq!((forecast.is_short(), forecast.outlook()), (short, outlook), "{forecast:?}");
        }
    }
}
