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
        match self.fields.get(name)? {
            Value::String(text) => Some(text),
            other => {
                let found = kind_of(other);
                problems.add(
                    &self.path.field(name),
                    format!("must be a text, not {found}"),
                );
                None
            }
        }
    }

    /// The object in the field `name`, if it is there.
    pub(super) fn optional_object(
        &self,
        name: &str,
        problems: &mut Problems,
    ) -> Option<&'v Map<String, Value>> {
        match self.fields.get(name)? {
            Value::Object(fields) => Some(fields),
            other => {
                let found = kind_of(other);
                problems.add(
                    &self.path.field(name),
                    format!("must be an object, not {found}"),
                );
                None
            }
        }
    }

    /// The array in the field `name`, if it is there.
    pub(super) fn optional_array(
        &self,
        name: &str,
        problems: &mut Problems,
    ) -> Option<&'v [Value]> {
        match self.fields.get(name)? {
            Value::Array(entries) => Some(entries),
            other => {
                let found = kind_of(other);
                problems.add(
                    &self.path.field(name),
                    format!("must be an array, not {found}"),
                );
                None
            }
        }
    }

    /// Adds a problem when the field `name` is there and no boolean.
    pub(super) fn optional_bool(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        match self.fields.get(name)? {
            Value::Bool(value) => Some(*value),
            other => {
                let found = kind_of(other);
                problems.add(
                    &self.path.field(name),
                    format!("must be true or false, not {found}"),
                );
                None
            }
        }
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
