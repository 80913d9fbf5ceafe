//! What people click and fill in. Sources: the pages of the components under "Interactive components".

use serde_json::Value;

use super::super::super::problems::{Path, Problems};
use super::super::reader::{Object, kind_of};
use super::texts;

/// Checks what an element that somebody operates must have.
pub(super) fn check(element: Object<'_>, tag: &str, problems: &mut Problems) {
    match tag {
        "button" => {
            texts::check(element, "text", problems);
            check_addresses(element, problems);
        }
        "select_static" | "multi_select_static" | "overflow" => {
            texts::check(element, "placeholder", problems);
            check_options(element, problems);
        }
        "input"
        | "select_person"
        | "multi_select_person"
        | "date_picker"
        | "picker_time"
        | "picker_datetime" => {
            texts::check(element, "placeholder", problems);
            texts::check(element, "label", problems);
        }
        "checker" => texts::check(element, "text", problems),
        _ => {}
    }
    check_behaviors(element, problems);
}

fn check_addresses(element: Object<'_>, problems: &mut Problems) {
    texts::check_addresses(element, problems);
    let path = element.path.field("multi_url");
    if let Some(fields) = element.optional_object("multi_url", problems) {
        texts::check_addresses(Object::new(fields, &path), problems);
    }
}

fn check_options(element: Object<'_>, problems: &mut Problems) {
    let Some(options) = element.optional_array("options", problems) else {
        return;
    };
    let path = element.path.field("options");
    for (at, option) in options.iter().enumerate() {
        let path = path.index(at);
        let Value::Object(fields) = option else {
            problems.add(
                &path,
                format!(
                    "must be an object with text and value, not {}",
                    kind_of(option)
                ),
            );
            continue;
        };
        let option = Object::new(fields, &path);
        texts::check(option, "text", problems);
        option.optional_text("value", problems);
    }
}

fn check_behaviors(element: Object<'_>, problems: &mut Problems) {
    let Some(behaviors) = element.optional_array("behaviors", problems) else {
        return;
    };
    let path = element.path.field("behaviors");
    for (at, behavior) in behaviors.iter().enumerate() {
        check_behavior(behavior, &path.index(at), problems);
    }
}

fn check_behavior(behavior: &Value, path: &Path<'_>, problems: &mut Problems) {
    let Value::Object(fields) = behavior else {
        problems.add(
            path,
            "must be an object such as {\"type\": \"open_url\", \"default_url\": …} or {\"type\": \"callback\", \"value\": {…}}",
        );
        return;
    };
    let behavior = Object::new(fields, path);
    let Some(kind) = behavior.text("type", problems) else {
        return;
    };
    match kind {
        "open_url" => {
            let names = ["default_url", "pc_url", "ios_url", "android_url"];
            if !names.iter().any(|name| fields.contains_key(*name)) {
                problems.add(
                    &path.field("default_url"),
                    "is missing: must be the address that is opened",
                );
            }
            texts::check_addresses(behavior, problems);
        }
        "callback" => {
            let value = fields.get("value");
            let is_wrong = value.is_some_and(|value| !value.is_object() && !value.is_string());
            if is_wrong {
                problems.add(
                    &path.field("value"),
                    "must be an object, which comes back with the callback",
                );
            }
        }
        _ => {}
    }
}
