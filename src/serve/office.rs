//! The private listener: whether the process lives, whether it may be given work, what it counts.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use jiff::Timestamp;
use sqlx::Connection as _;

use super::Role;
use crate::{
    app::App,
    audit::behind,
    console::{self, exports::figures},
    database,
    http::Problem,
    outbox::backlog,
    tasks, telemetry,
};

/// How long the database may take for a look that nothing depends on.
const GLANCE: Duration = Duration::from_secs(2);

/// The private listener's routes, of a process that has these roles.
pub(super) fn routes(app: App, roles: &[Role]) -> Router {
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let roles = Arc::<str>::from(roles.join(" "));
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(move |State(app)| ready(app, roles.clone())))
        .route("/metrics", get(metrics))
        .with_state(app.clone())
        .merge(console::routes(app))
}

/// Ready while the database answers, its schema fits, and nothing is being shut down; for what, it
/// says too.
async fn ready(app: App, roles: Arc<str>) -> Result<String, Problem> {
    let not_ready = |why: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
    if app.draining.is_cancelled() {
        return Err(not_ready("draining"));
    }
    let pending = tokio::time::timeout(GLANCE, database::pending_migrations(&app.db)).await;
    match pending {
        Ok(Ok(0)) => Ok(format!("ready: {roles}\n")),
        Ok(Ok(_)) => Err(not_ready("migrations are not applied: run `maskline migrate`")),
        Ok(Err(_)) | Err(_) => Err(not_ready("the database cannot be reached")),
    }
}

async fn metrics(State(app): State<App>) -> String {
    let now = app.clock.now();
    let (open, idle) = (app.db.size(), u32::try_from(app.db.num_idle()).unwrap_or(u32::MAX));
    for (state, count) in [("in_use", open.saturating_sub(idle)), ("idle", idle)] {
        metrics::gauge!("maskline_database_connections", "state" => state).set(count);
    }
    let is_up = seen(async { app.db.acquire().await?.ping().await }).await.is_some();
    metrics::gauge!("maskline_database_up").set(f64::from(u8::from(is_up)));
    if is_up {
        say_backlog(&app, now).await;
        say_tasks(&app).await;
        say_exports(&app, now).await;
        say_how_far_behind(&app).await;
    }
    telemetry::metrics().render()
}

/// What a look brought; nothing where it takes too long, say because much waits. The figures then stay
/// as they were last seen, and nobody takes the database for gone.
async fn seen<T>(look: impl Future<Output = sqlx::Result<T>>) -> Option<T> {
    tokio::time::timeout(GLANCE, look).await.ok()?.ok()
}

/// Says what stands in the outbox, and how long the oldest text of each state has waited.
async fn say_backlog(app: &App, now: Timestamp) {
    let look = async { backlog::waiting_lanes(&mut *app.db.acquire().await?).await };
    if let Some(lanes) = seen(look).await {
        metrics::gauge!("maskline_lanes_waiting").set(figure(lanes));
    }
    let look = async { backlog::states(&mut *app.db.acquire().await?).await };
    let Some(backlog) = seen(look).await else { return };
    for state in ["queued", "sending", "unknown"] {
        let found = backlog.iter().find(|(name, ..)| name == state);
        let age = found.and_then(|(.., oldest)| *oldest).map(|oldest| now.duration_since(oldest));
        let age = age.map_or(0.0, |age| age.as_secs_f64());
        metrics::gauge!("maskline_outbox_texts", "state" => state)
            .set(figure(found.map_or(0, |(_, count, _)| *count)));
        metrics::gauge!("maskline_outbox_oldest_seconds", "state" => state).set(age);
    }
}

/// Says how many tasks are open, and how many of them overdue.
async fn say_tasks(app: &App) {
    let look = async { tasks::open(&mut *app.db.acquire().await?).await };
    let Some(tasks) = seen(look).await else { return };
    for kind in tasks::Kind::ALL.map(tasks::Kind::as_str) {
        let open = tasks.iter().find(|(name, ..)| name == kind).map_or(0, |(_, open, _)| *open);
        metrics::gauge!("maskline_tasks_open", "kind" => kind).set(figure(open));
    }
    let overdue = tasks.iter().map(|(.., overdue)| overdue).sum();
    metrics::gauge!("maskline_tasks_overdue").set(figure(overdue));
}

/// Says how many exports wait, and for how long.
async fn say_exports(app: &App, now: Timestamp) {
    let look = async { figures::states(&mut *app.db.acquire().await?).await };
    let Some(exports) = seen(look).await else { return };
    for state in figures::WAITING {
        let found = exports.iter().find(|(name, ..)| name == state);
        let age = found.map_or(0.0, |(.., oldest)| now.duration_since(*oldest).as_secs_f64());
        metrics::gauge!("maskline_exports", "state" => state)
            .set(figure(found.map_or(0, |(_, count, _)| *count)));
        metrics::gauge!("maskline_exports_oldest_seconds", "state" => state).set(age);
    }
}

/// Says how far the seal is behind.
async fn say_how_far_behind(app: &App) {
    let look = async { behind::behind(&mut *app.db.acquire().await?).await };
    let Some(behind) = seen(look).await else { return };
    metrics::gauge!("maskline_audit_unsealed_records").set(figure(behind.records));
    metrics::gauge!("maskline_audit_unsealed_seconds").set(behind.seconds);
    // Without a key nothing ever is, which is known.
    let is_signed = app.settings.audit.signer.is_some();
    let unsigned = if is_signed { behind.unsigned_seconds } else { 0.0 };
    metrics::gauge!("maskline_audit_unsigned_seconds").set(unsigned);
    metrics::gauge!("maskline_audit_signing_refused")
        .set(figure(i64::from(behind.refused_since.is_some())));
}

/// A count as a gauge wants it.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn figure(count: i64) -> f64 {
    count as f64
}
