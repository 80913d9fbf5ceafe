//! Metrics in CloudWatch embedded metric format: JSON lines on standard output that CloudWatch Logs turns into metrics.
//!
//! Format: the "Specification: Embedded metric format" page of the Amazon CloudWatch user guide; at most 100 values in an
//! array, at most 30 dimensions.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::clock::{Clock, SystemClock};

/// The CloudWatch namespace of every metric.
pub const NAMESPACE: &str = "LarkService";
/// CloudWatch accepts at most this many values in one array.
const MAX_VALUES: usize = 100;
/// A histogram keeps at most this many values between two flushes; further ones are dropped.
const MAX_SAMPLES: usize = 10_000;

/// Collects metrics until [`EmfRecorder::flush`].
#[derive(Clone, Debug, Default)]
pub struct EmfRecorder {
    series: Arc<Mutex<HashMap<Key, Series>>>,
}

/// Names and values of a series' labels, by name.
type Labels<'k> = Vec<(&'k str, &'k str)>;

/// A metric and its values since the last flush.
struct Gathered<'k> {
    name: &'k str,
    unit: &'static str,
    values: &'k [f64],
}

/// One line, serialized directly: building a map for each invocation would take longer than what it measures.
struct Line<'l> {
    now: i64,
    labels: &'l [(&'l str, &'l str)],
    /// Names, units and values.
    metrics: &'l [(&'l str, &'static str, &'l [f64])],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        for (name, value) in self.labels {
            line.serialize_entry(name, value)?;
        }
        for (name, _, values) in self.metrics {
            match values {
                [value] => line.serialize_entry(name, value)?,
                values => line.serialize_entry(name, values)?,
            }
        }
        line.serialize_entry("_aws", &Directives(self))?;
        line.end()
    }
}

/// Tells CloudWatch which members of a line are metrics and dimensions.
struct Directives<'l>(&'l Line<'l>);

impl Serialize for Directives<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Definition<'d> {
            name: &'d str,
            unit: &'static str,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Namespace<'d> {
            namespace: &'static str,
            dimensions: [Vec<&'d str>; 1],
            metrics: Vec<Definition<'d>>,
        }
        let Line {
            now,
            labels,
            metrics,
        } = *self.0;
        let definitions = metrics
            .iter()
            .map(|(name, unit, _)| Definition { name, unit });
        let namespace = Namespace {
            namespace: NAMESPACE,
            dimensions: [labels.iter().map(|(name, _)| *name).collect()],
            metrics: definitions.collect(),
        };
        let mut directives = serializer.serialize_struct("Directives", 2)?;
        directives.serialize_field("Timestamp", &now)?;
        directives.serialize_field("CloudWatchMetrics", &[namespace])?;
        directives.end()
    }
}

#[derive(Clone, Debug)]
enum Series {
    Counter(Arc<CounterCell>),
    Gauge(Arc<GaugeCell>),
    Histogram(Arc<HistogramCell>),
}

#[derive(Debug, Default)]
struct CounterCell(AtomicU64);

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

/// The last value that was set, until it is written.
#[derive(Debug, Default)]
struct GaugeCell(Mutex<Option<f64>>);

impl GaugeCell {
    fn update(&self, change: impl FnOnce(f64) -> f64) {
        let mut value = self.0.lock().expect("no panic while holding a gauge");
        *value = Some(change(value.unwrap_or_default()));
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.update(|old| old + value);
    }

    fn decrement(&self, value: f64) {
        self.update(|old| old - value);
    }

    fn set(&self, value: f64) {
        self.update(|_| value);
    }
}

#[derive(Debug, Default)]
struct HistogramCell(Mutex<Vec<f64>>);

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        let mut samples = self.0.lock().expect("no panic while holding a histogram");
        if samples.len() < MAX_SAMPLES {
            samples.push(value);
        }
    }
}

impl Series {
    /// The values since the last call.
    fn take(&self) -> Vec<f64> {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "counts between two flushes are far below 2^52"
            )]
            Self::Counter(cell) => Some(cell.0.swap(0, Ordering::Relaxed) as f64)
                .filter(|n| *n > 0.0)
                .into_iter()
                .collect(),
            Self::Gauge(cell) => cell
                .0
                .lock()
                .expect("no panic while holding a gauge")
                .take()
                .into_iter()
                .collect(),
            Self::Histogram(cell) => {
                std::mem::take(&mut *cell.0.lock().expect("no panic while holding a histogram"))
            }
        }
    }

    const fn unit(&self) -> &'static str {
        match self {
            Self::Counter(_) => "Count",
            Self::Gauge(_) => "None",
            Self::Histogram(_) => "Seconds",
        }
    }
}

impl EmfRecorder {
    /// Writes what was collected since the last call, a line per set of labels; nothing if nothing was collected.
    pub fn flush(&self, out: &mut impl Write) {
        let now = SystemClock.now().as_millis();
        let gathered: Vec<(Key, &'static str, Vec<f64>)> = {
            let series = self
                .series
                .lock()
                .expect("no panic while holding the metrics");
            let gathered = series.iter().filter_map(|(key, series)| {
                let values = series.take();
                // Most series have nothing new.
                (!values.is_empty()).then(|| (key.clone(), series.unit(), values))
            });
            gathered.collect()
        };
        let mut lines: BTreeMap<Labels<'_>, Vec<Gathered<'_>>> = BTreeMap::new();
        for (key, unit, values) in &gathered {
            let labels = key.labels().map(|label| (label.key(), label.value()));
            let mut labels: Labels<'_> = labels.collect();
            labels.sort_unstable();
            lines.entry(labels).or_default().push(Gathered {
                name: key.name(),
                unit,
                values,
            });
        }
        let mut text = Vec::new();
        for (labels, mut metrics) in lines {
            metrics.sort_unstable_by_key(|gathered| gathered.name);
            write_lines(&mut text, now, &labels, &metrics);
        }
        // In one write: otherwise each line would be a system call. Metrics are not worth failing an invocation for.
        let _ = out.write_all(&text);
    }
}

/// Writes as many lines as needed, with at most [`MAX_VALUES`] values of each metric per line.
fn write_lines(text: &mut Vec<u8>, now: i64, labels: &[(&str, &str)], metrics: &[Gathered<'_>]) {
    let longest = metrics.iter().map(|gathered| gathered.values.len()).max();
    for begin in (0..longest.unwrap_or(0)).step_by(MAX_VALUES) {
        let parts = metrics.iter().filter_map(|gathered| {
            let end = gathered.values.len().min(begin + MAX_VALUES);
            let values = gathered.values.get(begin..end)?;
            (!values.is_empty()).then_some((gathered.name, gathered.unit, values))
        });
        let metrics: Vec<_> = parts.collect();
        let line = Line {
            now,
            labels,
            metrics: &metrics,
        };
        serde_json::to_writer(&mut *text, &line).expect("a line is plain data");
        text.push(b'\n');
    }
}

impl Recorder for EmfRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.series(key, || Series::Counter(Arc::default())) {
            Series::Counter(cell) => Counter::from_arc(cell),
            Series::Gauge(_) | Series::Histogram(_) => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.series(key, || Series::Gauge(Arc::default())) {
            Series::Gauge(cell) => Gauge::from_arc(cell),
            Series::Counter(_) | Series::Histogram(_) => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.series(key, || Series::Histogram(Arc::default())) {
            Series::Histogram(cell) => Histogram::from_arc(cell),
            Series::Counter(_) | Series::Gauge(_) => Histogram::noop(),
        }
    }
}

impl EmfRecorder {
    fn series(&self, key: &Key, make: impl FnOnce() -> Series) -> Series {
        let mut series = self
            .series
            .lock()
            .expect("no panic while holding the metrics");
        if let Some(found) = series.get(key) {
            return found.clone();
        }
        series.entry(key.clone()).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn flushed(recorder: &EmfRecorder) -> Vec<Value> {
        let mut out = Vec::new();
        recorder.flush(&mut out);
        String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn metrics_of_equal_labels_share_a_line_and_leave_once() {
        let recorder = EmfRecorder::default();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("calls", "kind" => "tenant").increment(2);
            metrics::histogram!("took", "kind" => "tenant").record(0.5);
            metrics::counter!("calls", "kind" => "app").increment(1);
        });
        let lines = flushed(&recorder);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["calls"], json!(2.0));
        assert_eq!(lines[1]["took"], json!(0.5));
        assert_eq!(
            lines[1]["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["kind"]])
        );
        assert_eq!(flushed(&recorder), Vec::<Value>::new());
    }

    #[test]
    fn no_line_carries_more_values_than_cloudwatch_takes() {
        let recorder = EmfRecorder::default();
        metrics::with_local_recorder(&recorder, || {
            (0..250).for_each(|n| metrics::histogram!("took").record(f64::from(n)));
        });
        let counts: Vec<_> = flushed(&recorder)
            .iter()
            .map(|line| line["took"].as_array().unwrap().len())
            .collect();
        assert_eq!(counts, [100, 100, 50]);
    }
}
