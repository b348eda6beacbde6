//! What time does to texts that wait, put right again.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::{lanes, settler, unknown};
use crate::app::App;

/// What was mended.
pub(super) struct Mended {
    abandoned: usize,
    decided: usize,
    passed: usize,
    late: usize,
}

/// Mends what time has done: leases that ended, outcomes that stay unknown, lanes that are stuck.
pub(super) async fn mend(
    conn: &mut PgConnection,
    app: &App,
    now: Timestamp,
) -> sqlx::Result<Mended> {
    let abandoned = unknown::abandon_expired(conn, now).await?;
    let decided = unknown::decide(conn, app, now).await?;
    let passed = if settler::accepts(app) { lanes::pass_stuck(conn, now).await? } else { 0 };
    let late = lanes::pass_held(conn, now).await?;
    lanes::mend_times(conn, now).await?;
    Ok(Mended { abandoned, decided, passed, late })
}

impl Mended {
    /// Tells what was done, once it is committed.
    pub(super) fn report(&self) {
        let Self { abandoned, decided, passed, late } = *self;
        if abandoned > 0 {
            tracing::warn!(
                abandoned,
                "texts were being sent when their worker stopped: unknown now"
            );
        }
        if decided > 0 {
            tracing::warn!(
                decided,
                "nobody knows of texts whether the carrier has them: done as set"
            );
        }
        if passed + late > 0 {
            metrics::counter!("maskline_lanes_passed_total").increment((passed + late) as u64);
        }
        if passed > 0 {
            tracing::warn!(passed, "lanes go on without texts that the carrier does not accept");
        }
        if late > 0 {
            tracing::warn!(late, "lanes go on without texts whose pictures are not ready");
        }
    }
}
