//! What the checks of all types ask of an object.

use serde_json::{Map, Value};

use super::super::problems::{Path, Problems};

/// A JSON object and where it is.
#[derive(Clone, Copy)]
pub(super) struct Object<'v> {
    pub(super) fields: &'v Map<String, Value>,
    pub(super) path: &'v Path<'v>,
}

impl<'v> Object<'v> {
    pub(super) const fn new(fields: &'v Map<String, Value>, path: &'v Path<'v>) -> Self {
        Self { fields, path }
    }

    /// The text in the field `name`, which may be empty and must be there; `None` after adding to `problems`.
    pub(super) fn text(&self, name: &str, problems: &mut Problems) -> Option<&'v str> {
        if self.fields.get(name).is_none() {
            problems.add(&self.path.field(name), "is missing: must be a text");
            return None;
        }
        self.optional_text(name, problems)
    }

    /// The text in the field `name`, which must be there and have more than white space in it.
    pub(super) fn full_text(&self, name: &str, problems: &mut Problems) -> Option<&'v str> {
        let text = self.text(name, problems)?;
        if text.trim().is_empty() {
            problems.add(&self.path.field(name), "must not be empty");
            return None;
        }
        Some(text)
    }

    /// The text in the field `name`, if it is there.
    pub(super) fn optional_text(&self, name: &str, problems: &mut Problems) -> Option<&'v str> {
        self.optional(name, "a text", Value::as_str, problems)
    }

    /// The object in the field `name`, if it is there.
    pub(super) fn optional_object(
        &self,
        name: &str,
        problems: &mut Problems,
    ) -> Option<&'v Map<String, Value>> {
        self.optional(name, "an object", Value::as_object, problems)
    }

    /// The array in the field `name`, if it is there.
    pub(super) fn optional_array(
        &self,
        name: &str,
        problems: &mut Problems,
    ) -> Option<&'v [Value]> {
        let read = |value: &'v Value| value.as_array().map(Vec::as_slice);
        self.optional(name, "an array", read, problems)
    }

    /// The boolean in the field `name`, if it is there.
    pub(super) fn optional_bool(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        self.optional(name, "true or false", Value::as_bool, problems)
    }

    fn optional<T>(
        &self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&'v Value) -> Option<T>,
        problems: &mut Problems,
    ) -> Option<T> {
        let value = self.fields.get(name)?;
        let found = read(value);
        if found.is_none() {
            problems.add(
                &self.path.field(name),
                format!("must be {wanted}, not {}", kind_of(value)),
            );
        }
        found
    }
}

/// What `value` is, in words.
pub(super) const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
