//! Traces by OpenTelemetry: of requests by their route as declared, of dispatching and of sending.
//!
//! Set by the standard variables; without an endpoint in `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` nothing is traced. What a span says is what a log line may.

use std::sync::OnceLock;

use opentelemetry::{
    Context,
    trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
    },
};
use opentelemetry_otlp::{
    ExporterBuildError, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    SpanExporter,
};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::FilterFn, registry::LookupSpan};

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// What takes spans to the collector; none where no collector is named.
///
/// # Errors
/// When the variables do not lead to one. The error quotes them: it is not for the log.
pub(super) fn layer<S>() -> Result<Option<impl Layer<S>>, ExporterBuildError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let is_set = |name| !variable(name).is_empty();
    if !is_set(OTEL_EXPORTER_OTLP_ENDPOINT) && !is_set(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) {
        return Ok(None);
    }
    rustls::crypto::ring::default_provider().install_default().ok();
    let exporter = SpanExporter::builder().with_http().build()?;
    let resource = Resource::builder();
    let resource =
        if is_set("OTEL_SERVICE_NAME") { resource } else { resource.with_service_name("maskline") };
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    let tracer = PROVIDER.get_or_init(|| provider).tracer("maskline");
    // Spans alone: what is said within them stands in the log.
    let ours = FilterFn::new(|about: &Metadata<'_>| {
        about.is_span() && about.target().starts_with("maskline")
    });
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    Ok(Some(layer.with_location(false).with_threads(false).with_filter(ours)))
}

/// The trace of the span that we are in, if it is written.
pub(super) fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let here = span.span_context();
    (here.is_valid() && here.is_sampled())
        .then(|| format!("00-{}-{}-01", here.trace_id(), here.span_id()))
}

/// A span within the one that this names; one that begins a trace where it names none.
pub(super) fn going_on(traceparent: &str) -> Span {
    let span = tracing::info_span!("deliver");
    if let Some(parent) = read(traceparent) {
        span.set_parent(Context::new().with_remote_span_context(parent)).ok();
    }
    span
}

fn read(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    Some(SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE))
}

/// Sends what waits.
pub(super) fn finish() {
    if let Some(provider) = PROVIDER.get() {
        provider.shutdown().ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "these variables are OpenTelemetry's, not ours")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
