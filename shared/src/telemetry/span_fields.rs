//! The fields of a span as JSON, serialized once.
//!
//! `tracing_subscriber` itself puts them through a sorted map, and parses and writes all of them again for each field that is
//! recorded later: more work than most requests.

use std::fmt;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

/// Keeps a span's fields as the text of one JSON object, in the order in which they are recorded.
#[derive(Debug)]
pub(super) struct SpanFields;

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut object = Object("{}".to_owned());
        fields.record(&mut object);
        writer.write_str(&object.0)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut object = Object(std::mem::take(&mut current.fields));
        fields.record(&mut object);
        current.fields = object.0;
        Ok(())
    }
}

/// The text of a JSON object.
struct Object(String);

impl Object {
    fn put(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        let member = serde_json::to_string(value).expect("a field's value is plain data");
        // The text so far ends with a brace, which moves to the new end.
        let is_first = self.0 == "{}";
        self.0.pop();
        if !is_first {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(field.name());
        self.0.push_str("\":");
        self.0.push_str(&member);
        self.0.push('}');
    }
}

impl Visit for Object {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::sync::Arc;

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// The spans of the one line that `log` writes.
    fn spans(log: impl FnOnce()) -> Value {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .with_span_list(true)
            .fmt_fields(SpanFields)
            .with_writer(Arc::clone(&file));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let (mut file, mut line) = (&*file, String::new());
        file.rewind().unwrap();
        file.read_to_string(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        line["spans"].clone()
    }

    #[test]
    fn what_is_recorded_later_stands_beside_the_first_fields() {
        let found = spans(|| {
            let later = tracing::field::Empty;
            let span = tracing::info_span!(
                "s",
                id = "a \"b\"",
                n = 2_u64,
                cold = true,
                app = later,
                none = later
            );
            span.record("app", "cli_a");
            span.in_scope(|| tracing::info!("line"));
        });
        let fields = json!({"name": "s", "id": "a \"b\"", "n": 2, "cold": true, "app": "cli_a"});
        assert_eq!(found, json!([fields]));
    }

    #[test]
    fn a_span_may_begin_without_fields() {
        let found = spans(|| {
            let span = tracing::info_span!("s", error = tracing::field::Empty);
            span.record("error", tracing::field::debug("broken"));
            span.in_scope(|| tracing::info!("line"));
        });
        assert_eq!(found, json!([{"name": "s", "error": "\"broken\""}]));
    }
}
