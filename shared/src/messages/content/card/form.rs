//! Forms. Source: "Form container": what is in a form is submitted by name, with a button.

use serde_json::{Map, Value};

use super::super::super::problems::{Path, Problems};
use super::super::reader::Object;
use super::elements::Elements;

/// What a form submits, and so has a name that is unique in the card.
const NAMED: [&str; 11] = [
    "input",
    "button",
    "select_static",
    "multi_select_static",
    "select_person",
    "multi_select_person",
    "date_picker",
    "picker_time",
    "picker_datetime",
    "select_img",
    "checker",
];

/// Checks a form itself.
pub(super) fn check(form: Object<'_>, problems: &mut Problems) {
    form.full_text("name", problems);
    let path = form.path.field("elements");
    let Some(elements) = form.fields.get("elements") else {
        problems.add(&path, "is missing: must be an array of elements");
        return;
    };
    if elements.is_array() && !has_submit(elements) {
        problems.add(
            &path,
            "must have a button with \"form_action_type\": \"submit\", and a name: without it nobody can submit the form",
        );
    }
}

/// Checks the name of an element in a form.
pub(super) fn check_name<'c>(
    elements: &mut Elements<'c>,
    fields: &'c Map<String, Value>,
    path: &Path<'_>,
    tag: &str,
    problems: &mut Problems,
) {
    if !NAMED.contains(&tag) {
        return;
    }
    let path = path.field("name");
    match fields.get("name") {
        Some(Value::String(name)) if !name.trim().is_empty() => {
            if !elements.names.insert(name) {
                problems.add(
                    &path,
                    "must be unique in the card: another element of a form has it",
                );
            }
        }
        _ => problems.add(
            &path,
            "must be a text: what is in a form is submitted under its name",
        ),
    }
}

/// Whether a button submits the form. Without recursion.
fn has_submit(elements: &Value) -> bool {
    let mut open = vec![elements];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(entries) => open.extend(entries),
            Value::Object(fields) => {
                let is = |name: &str, wanted: &str| fields.get(name).is_some_and(|it| it == wanted);
                let is_submit =
                    is("form_action_type", "submit") || is("action_type", "form_submit");
                if is("tag", "button") && is_submit {
                    return true;
                }
                open.extend(fields.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}
