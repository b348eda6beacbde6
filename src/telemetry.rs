//! Logs, metrics and traces. None ever holds a number, a body, a code or a secret.

#[cfg(feature = "otel")]
mod traces;

use std::{io::IsTerminal, sync::OnceLock, time::Duration};

use jiff::Timestamp;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata, Span, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterFn, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::tasks;

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
    let all = tracing_subscriber::registry().with(lines.with_filter(ours)).with(level);
    #[cfg(feature = "otel")]
    let (traces, is_wrong) = traces::layer().map_or((None, true), |traces| (traces, false));
    #[cfg(feature = "otel")]
    let all = all.with(traces);
    // A second start, as in tests, keeps the first.
    all.try_init().ok();
    #[cfg(feature = "otel")]
    if is_wrong {
        tracing::warn!("no traces are sent: look at the OTEL_* variables");
    }
}

/// Lets traces that wait leave before the process ends.
pub fn finish() {
    #[cfg(feature = "otel")]
    traces::finish();
}

/// The trace that is being written here, as W3C's `traceparent`; none where none is.
pub fn traceparent() -> Option<String> {
    #[cfg(feature = "otel")]
    return traces::traceparent();
    #[cfg(not(feature = "otel"))]
    None
}

/// A span that goes on with this trace, however long ago and in whichever process it began.
pub fn going_on(traceparent: Option<&str>) -> Span {
    #[cfg(feature = "otel")]
    if let Some(traceparent) = traceparent {
        return traces::going_on(traceparent);
    }
    #[cfg(not(feature = "otel"))]
    let _ = traceparent;
    Span::none()
}

/// How often single times are counted into their histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// The bounds of what takes time, in seconds: from a webhook's milliseconds to a night's backlog.
const SECONDS: [f64; 18] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1800.0, 7200.0,
];

/// The counters whose first event is to be told (docs/grafana/alerts.yml), by the labels asked for.
const COUNTED_FROM_ZERO: &[(&str, &[(&str, &str)])] = &[
    ("maskline_accepted_twice_total", &[]),
    ("maskline_lanes_passed_total", &[]),
    ("maskline_carrier_blocks_total", &[]),
    ("maskline_code_alarm_total", &[]),
    ("maskline_console_glass_broken_total", &[]),
    ("maskline_inbound_total", &[("outcome", "unavailable")]),
    ("maskline_sends_total", &[("outcome", "gave_up")]),
    ("maskline_reconciled_inbound_total", &[("outcome", "text")]),
    ("maskline_reconciled_inbound_total", &[("outcome", "failed")]),
    ("maskline_media_total", &[("outcome", "wrong_host")]),
    ("maskline_media_total", &[("outcome", "gave_up")]),
    ("maskline_answers_total", &[("answer", "no_number")]),
    ("maskline_rules_total", &[("rule", "not_our_number")]),
];

/// The metrics of this process, in Prometheus' text format once rendered.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        // Refused are none but empty bounds.
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).unwrap_or_default();
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Somebody else's recorder stays; ours then renders nothing.
        metrics::set_global_recorder(recorder).ok();
        describe();
        handle
    })
}

/// Lets what was measured go into the figures now and then: until it does, or somebody reads
/// `/metrics`, every single time of a histogram is kept.
pub async fn keep_up() {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics().run_upkeep();
    }
}

/// Notes which version runs, and since when. What an alert waits for is counted from zero: a counter
/// that appears with its first event shows no increase.
pub fn started(now: Timestamp) {
    for kind in tasks::Kind::ALL {
        metrics::counter!("maskline_tasks_raised_total", "kind" => kind.as_str()).increment(0);
    }
    for (name, labels) in COUNTED_FROM_ZERO {
        metrics::counter!(*name, *labels).increment(0);
    }
    metrics::gauge!("maskline_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics::gauge!("maskline_process_start_time_seconds").set(now.as_duration().as_secs_f64());
}

fn describe() {
    describe_of_process();
    describe_of_trail();
    describe_of_console();
    describe_histogram!(
        "maskline_webhook_seconds",
        Unit::Seconds,
        "How long the carrier waited for the answer to a webhook, by status"
    );
    describe_histogram!(
        "maskline_outbox_wait_seconds",
        Unit::Seconds,
        "From a text's commit until its worker took it"
    );
    describe_histogram!(
        "maskline_send_seconds",
        Unit::Seconds,
        "How long the carrier took to answer a send"
    );
    describe_histogram!(
        "maskline_accept_seconds",
        Unit::Seconds,
        "From a text's commit until the carrier had accepted it"
    );
    describe_counter!("maskline_inbound_total", "Webhook deliveries, by what became of them");
    describe_histogram!("maskline_commit_texts", "Texts that shared a commit");
    describe_counter!("maskline_rules_total", "Texts handled, by the rule that fired");
    describe_counter!("maskline_sends_total", "Requests to the carrier, by outcome");
    describe_counter!("maskline_receipts_total", "Delivery receipts, by what they changed");
    describe_counter!(
        "maskline_code_alarm_total",
        "Codes that failed while so many fail that somebody seems to be guessing"
    );
    describe_counter!(
        "maskline_storage_errors_total",
        "Times that the storage of pictures did not work, by what was done and why"
    );
    describe_counter!("maskline_answers_total", "Texts of Maskline's own, by what they say");
    describe_counter!("maskline_tasks_raised_total", "Tasks that staff were given, by kind");
    describe_counter!(
        "maskline_carrier_blocks_total",
        "Pairs of a phone and a number that the carrier blocks, as they became known"
    );
    describe_counter!(
        "maskline_unknown_total",
        "Texts of which nobody knew whether the carrier had them, by what settled them"
    );
    describe_counter!("maskline_accepted_twice_total", "Texts that the carrier accepted twice");
    describe_counter!(
        "maskline_lanes_passed_total",
        "Lanes that went on without a text that was not accepted, or had no pictures, for long"
    );
    describe_counter!(
        "maskline_reconciled_inbound_total",
        "Texts that only the carrier's list brought, by what became of them"
    );
    describe_counter!(
        "maskline_reconciled_sends_total",
        "Texts of which nobody knew, and which the carrier's list showed"
    );
    describe_counter!("maskline_reconciler_runs_total", "Rounds of the reconciler, by outcome");
    describe_counter!("maskline_media_total", "Pictures that came in, by what became of them");
    describe_counter!(
        "maskline_media_bytes_total",
        Unit::Bytes,
        "Bytes of pictures that were stored to be passed on"
    );
    describe_gauge!(
        "maskline_reconciler_behind_seconds",
        Unit::Seconds,
        "Up to how long ago all that the carrier lists is in the database"
    );
    describe_gauge!("maskline_outbox_texts", "Texts in the outbox, by state");
    describe_gauge!("maskline_lanes_waiting", "Lanes with a text that waits");
    describe_gauge!(
        "maskline_outbox_oldest_seconds",
        Unit::Seconds,
        "Age of the oldest text that waits"
    );
    describe_gauge!("maskline_tasks_open", "Tasks that are open, by kind");
    describe_gauge!("maskline_tasks_overdue", "Tasks that are open and overdue");
    describe_gauge!("maskline_exports", "Exports of the console that wait, by state");
    describe_gauge!(
        "maskline_exports_oldest_seconds",
        Unit::Seconds,
        "Age of the oldest export that waits"
    );
    describe_gauge!("maskline_numbers", "Masked numbers, by state");
    describe_gauge!("maskline_pool_places", "People for whom the numbers in service have room");
    describe_gauge!("maskline_pool_places_used", "People who have such a place");
    describe_gauge!(
        "maskline_pool_full_in_days",
        "Days until every place is used; infinite while the pool does not grow"
    );
}

fn describe_of_trail() {
    describe_counter!("maskline_audit_sealed_total", "Records of the audit trail that were sealed");
    describe_gauge!("maskline_audit_unsealed_records", "Records that are not sealed yet");
    describe_gauge!(
        "maskline_audit_unsealed_seconds",
        Unit::Seconds,
        "For how long the oldest of them has waited"
    );
    describe_gauge!(
        "maskline_audit_unsigned_seconds",
        Unit::Seconds,
        "For how long what is sealed has waited for a signed checkpoint"
    );
    describe_gauge!(
        "maskline_audit_signing_refused",
        "Whether nothing is signed because the trail is not what was signed before"
    );
    describe_counter!(
        "maskline_audit_publish_failures_total",
        "Tries to publish a checkpoint that failed, by the kind of the place"
    );
}

fn describe_of_console() {
    describe_counter!(
        "maskline_console_sign_in_failures_total",
        "Times that signing in to the console failed"
    );
    describe_counter!(
        "maskline_console_glass_broken_total",
        "Times that real numbers were shown without an approval"
    );
}

fn describe_of_process() {
    describe_gauge!("maskline_build_info", "1, with the version that runs");
    describe_gauge!(
        "maskline_process_start_time_seconds",
        Unit::Seconds,
        "When the process started, in seconds since 1970"
    );
    describe_gauge!(
        "maskline_database_up",
        "1 while the database answers; the outbox is only then looked at"
    );
    describe_gauge!(
        "maskline_database_connections",
        "Connections to the database that are open, in use or idle"
    );
}
