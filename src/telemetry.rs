//! Logs and metrics. Neither ever holds a number, a body, a code or a secret.

use std::{io::IsTerminal, sync::OnceLock};

use metrics::{Unit, describe_counter, describe_gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterFn, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Starts logging to standard error: for people on a terminal, as JSON elsewhere.
///
/// `RUST_LOG` says how much. Of other crates only warnings are ever let through, since they do
/// not know what must not be said.
pub fn log() {
    let level =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let ours = FilterFn::new(|about: &Metadata<'_>| {
        about.target().starts_with("maskline") || *about.level() <= Level::WARN
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.with_target(false).compact().boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    };
    // A second start, as in tests, keeps the first.
    tracing_subscriber::registry().with(lines.with_filter(ours)).with(level).try_init().ok();
}

/// The metrics of this process, in Prometheus' text format once rendered.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Somebody else's recorder stays; ours then renders nothing.
        metrics::set_global_recorder(recorder).ok();
        describe();
        handle
    })
}

fn describe() {
    describe_counter!("maskline_inbound_total", "Webhook deliveries, by what became of them");
    describe_counter!("maskline_rules_total", "Texts handled, by the rule that fired");
    describe_counter!("maskline_sends_total", "Requests to the carrier, by outcome");
    describe_counter!("maskline_receipts_total", "Delivery receipts, by what they changed");
    describe_counter!(
        "maskline_code_alarm_total",
        "Codes that failed while so many fail that somebody seems to be guessing"
    );
    describe_counter!("maskline_answers_total", "Texts of Maskline's own, by what they say");
    describe_counter!("maskline_tasks_raised_total", "Tasks that staff were given, by kind");
    describe_counter!(
        "maskline_carrier_blocks_total",
        "Pairs of a phone and a number that the carrier blocks, as they became known"
    );
    describe_gauge!(
        "maskline_database_up",
        "1 while the database answers; the outbox is only then looked at"
    );
    describe_gauge!("maskline_outbox_texts", "Texts in the outbox, by state");
    describe_gauge!(
        "maskline_outbox_oldest_seconds",
        Unit::Seconds,
        "Age of the oldest text that waits"
    );
    describe_gauge!("maskline_tasks_open", "Tasks that are open, by kind");
    describe_gauge!("maskline_tasks_overdue", "Tasks that are open and overdue");
    describe_gauge!("maskline_numbers", "Masked numbers, by state");
    describe_gauge!("maskline_pool_places", "People for whom the numbers in service have room");
    describe_gauge!("maskline_pool_places_used", "People who have such a place");
    describe_gauge!(
        "maskline_pool_full_in_days",
        "Days until every place is used; infinite while the pool does not grow"
    );
}
