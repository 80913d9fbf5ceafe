//! Logs, metrics and the span of an invocation.
//!
//! Logs are JSON lines on standard output. Metrics go through one facade, [`metrics`]: on Lambda they are written as
//! CloudWatch embedded metric format to standard output, on the local host as Prometheus text.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

pub mod emf;
pub mod metrics;
#[cfg(feature = "embedded")]
pub mod prometheus;
mod span_fields;

static EMF: OnceLock<emf::EmfRecorder> = OnceLock::new();

/// Starts logs at `level` and metrics in CloudWatch embedded metric format, as a function does on Lambda. A second call has no
/// effect.
pub fn init_for_lambda(level: LevelFilter) {
    if init_logs(level, BoxMakeWriter::new(std::io::stdout)).is_err() {
        return;
    }
    let recorder = EMF.get_or_init(emf::EmfRecorder::default).clone();
    // An existing recorder stays; then `flush` finds nothing to write.
    let _ = ::metrics::set_global_recorder(recorder);
}

/// Starts logs at `level`, written to `writer`.
///
/// # Errors
/// When logs were already started.
pub fn init_logs(level: LevelFilter, writer: BoxMakeWriter) -> Result<(), TryInitError> {
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_target(false)
        .fmt_fields(span_fields::SpanFields)
        .with_writer(writer);
    // One filter for all layers: a per-layer filter would be evaluated again for each span of a line.
    tracing_subscriber::registry()
        .with(filter(level))
        .with(json)
        .try_init()
}

/// Our own lines from `level` on. Libraries may warn, but not log what they send: some of it is personal.
fn filter(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("lark_service", level)
}

/// Whether this is the process's first invocation: `true` once.
pub fn is_cold_start() -> bool {
    static IS_WARM: AtomicBool = AtomicBool::new(false);
    !IS_WARM.swap(true, Ordering::Relaxed)
}

/// `length` in milliseconds, to the microsecond, for a log line.
#[must_use]
pub fn millis(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e6).round() / 1e3
}

/// Writes the metrics gathered since the last call to standard output: once per invocation, before the answer leaves,
/// since the process may be frozen right after. Does nothing where metrics are scraped.
pub fn flush() {
    if let Some(recorder) = EMF.get() {
        recorder.flush(&mut std::io::stdout().lock());
    }
}
