//! Schemas as they are shown: without what only Rust has.

use serde_yaml_ng::{Mapping, Value};

/// `schema`, and those in it, without the widths of numbers, without defaults of null, which stand for absent, and with a
/// reference in place of a choice of one.
pub(super) fn plain(schema: Value) -> Value {
    match schema {
        Value::Mapping(fields) => {
            let mut plain_fields = Mapping::new();
            for (key, value) in fields {
                match (key.as_str(), &value) {
                    (Some("format"), Value::String(width)) if is_width(width) => {}
                    (Some("default"), Value::Null) => {}
                    (Some("oneOf"), Value::Sequence(choices)) if choices.len() == 1 => {
                        let only = plain(choices[0].clone());
                        plain_fields.extend(only.as_mapping().cloned().unwrap_or_default());
                    }
                    _ => {
                        plain_fields.insert(key, plain(value));
                    }
                }
            }
            plain_fields.into()
        }
        Value::Sequence(all) => all.into_iter().map(plain).collect::<Vec<_>>().into(),
        scalar @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Tagged(_)) => scalar,
    }
}

fn is_width(format: &str) -> bool {
    ["int32", "int64", "float", "double"].contains(&format)
}
