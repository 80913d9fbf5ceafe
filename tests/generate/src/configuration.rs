//! `docs/configuration.md` and the sample environment, from the table of variables.

use lark_service::config::{Fallback, Part, Row, VARIABLES};
use serde_json::Value;

use crate::markdown;

pub(crate) fn store() -> String {
    table(Part::Store)
}

pub(crate) fn cache() -> String {
    table(Part::Cache)
}

pub(crate) fn queue() -> String {
    table(Part::Queue)
}

pub(crate) fn platform() -> String {
    table(Part::Platform)
}

pub(crate) fn behaviour() -> String {
    table(Part::Behaviour)
}

pub(crate) fn aws() -> String {
    table(Part::Aws)
}

/// `events/env.json`: the block that `sam local invoke --env-vars` gives to every function.
pub(crate) fn sample_environment() -> String {
    let samples = VARIABLES
        .iter()
        .filter_map(|row| Some((row.name, row.sample?)));
    let lines: Vec<_> = samples
        .map(|(name, sample)| format!("    \"{name}\": {}", Value::from(sample)))
        .collect();
    format!(
        "{{\n  \"Parameters\": {{\n{}\n  }}\n}}\n",
        lines.join(",\n")
    )
}

/// The variables of `part`.
fn table(part: Part) -> String {
    let rows = VARIABLES.iter().filter(|row| row.part == part);
    let head = "| variable | unit or form | default | meaning |\n| --- | --- | --- | --- |\n";
    head.to_owned() + &rows.map(line).collect::<String>()
}

fn line(row: &Row) -> String {
    let default = match row.default {
        Fallback::Value(value) => match value.parse() {
            Ok(number) => number_of(row.form, number),
            Err(_) => format!("`{value}`"),
        },
        Fallback::Otherwise(words) => words.to_owned(),
    };
    let meaning = markdown::lines(row.meaning).join(" ");
    format!(
        "| `{}` | {} | {default} | {meaning} |\n",
        row.name, row.form
    )
}

/// Bytes in MiB too.
fn number_of(form: &str, number: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if form.starts_with("bytes") && number.is_multiple_of(MIB) {
        format!("{number} ({} MiB)", number / MIB)
    } else {
        number.to_string()
    }
}
