//! The document as YAML that people like to read: what is short stands on one line, long descriptions are wrapped.

use serde_yaml_ng::Value;

/// The longest line, but for a word or a pattern that is longer itself.
const WIDTH: usize = 120;
/// How deep what stands on one line may be nested.
const FLOW_DEPTH: usize = 3;
const FIRST_LINES: &str = "# Derived from the code: change the functions' openapi.rs or their types, then run `make generate`.\n";

/// `document` as YAML.
pub(super) fn of(document: &Value) -> String {
    let mut text = FIRST_LINES.to_owned();
    for (key, value) in document.as_mapping().into_iter().flatten() {
        entry(&mut text, key, value, 0);
    }
    text
}

/// `key: value` on lines of their own.
fn entry(text: &mut String, key: &Value, value: &Value, indent: usize) {
    let key = scalar(key, false);
    let start = format!("{}{key}:", " ".repeat(indent));
    text.push_str(&start);
    rest(
        text,
        value,
        indent,
        start.chars().count(),
        key == "description",
    );
}

/// What follows `key:` or `-`, of which `used` columns are taken.
fn rest(text: &mut String, value: &Value, indent: usize, used: usize, is_prose: bool) {
    let short = flow(value, 0).filter(|short| used + 1 + short.chars().count() <= WIDTH);
    match (short, value) {
        (Some(short), _) => *text += &format!(" {short}\n"),
        (None, Value::Mapping(fields)) => {
            text.push('\n');
            for (key, value) in fields {
                entry(text, key, value, indent + 2);
            }
        }
        (None, Value::Sequence(items)) => {
            text.push('\n');
            for item in items {
                self::item(text, item, indent + 2);
            }
        }
        (None, Value::String(words)) if is_prose || words.contains('\n') => {
            text.push_str(" |\n");
            for line in wrapped(words, WIDTH - indent - 2) {
                let line = format!("{}{line}", " ".repeat(indent + 2));
                *text += &format!("{}\n", line.trim_end());
            }
        }
        (None, other) => *text += &format!(" {}\n", scalar(other, false)),
    }
}

/// `- value`: a mapping begins on the line of the hyphen.
fn item(text: &mut String, value: &Value, indent: usize) {
    let hyphen = format!("{}-", " ".repeat(indent));
    let mut lines = String::new();
    rest(&mut lines, value, indent, hyphen.len(), false);
    let lines = if value.is_mapping() {
        lines.trim_start_matches('\n')
    } else {
        &lines
    };
    let begun = lines.strip_prefix(&" ".repeat(indent + 2));
    match begun {
        Some(first) => *text += &format!("{hyphen} {first}"),
        None => *text += &format!("{hyphen}{lines}"),
    }
}

/// `value` on one line, if it can be and is not too deep for it.
fn flow(value: &Value, depth: usize) -> Option<String> {
    match value {
        Value::Mapping(fields) if depth < FLOW_DEPTH => {
            let fields = fields.iter().map(|(key, value)| {
                let (key, value) = (scalar(key, true), flow(value, depth + 1)?);
                Some(format!("{key}: {value}"))
            });
            let fields = fields.collect::<Option<Vec<_>>>()?.join(", ");
            Some(if fields.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {fields} }}")
            })
        }
        Value::Sequence(items) if depth < FLOW_DEPTH => {
            let items = items.iter().map(|item| flow(item, depth + 1));
            Some(format!(
                "[{}]",
                items.collect::<Option<Vec<_>>>()?.join(", ")
            ))
        }
        Value::Mapping(_) | Value::Sequence(_) => None,
        Value::String(words) if words.contains('\n') => None,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {
            Some(scalar(value, depth > 0))
        }
    }
}

/// A scalar on one line, quoted where it could be taken for something else.
fn scalar(value: &Value, is_in_flow: bool) -> String {
    let Value::String(words) = value else {
        let text = serde_yaml_ng::to_string(value).expect("a scalar is YAML");
        return text.trim_end().to_owned();
    };
    let is_ended = is_in_flow && words.contains([',', '[', ']', '{', '}']);
    // Other readers follow YAML 1.1, where moments and `yes` are no text.
    let is_other = words.starts_with(|c: char| !c.is_alphabetic() && !"/$".contains(c))
        || ["y", "yes", "n", "no", "on", "off"].contains(&words.to_ascii_lowercase().as_str());
    let reads_as_itself =
        || serde_yaml_ng::from_str::<Value>(words).is_ok_and(|read| read == *value);
    if !is_ended && !is_other && !words.contains(['\n', '\t', '"']) && reads_as_itself() {
        words.clone()
    } else {
        serde_json::to_string(words).expect("text is JSON")
    }
}

/// `words` in lines: those that are too long are broken after `width` characters. In CommonMark a line's end is a space.
fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in words.trim_end().lines() {
        // The row of a table is one line, however long.
        if line.chars().count() <= WIDTH || line.starts_with('|') {
            lines.push(line.to_owned());
            continue;
        }
        let mut wrapped = String::new();
        for word in line.split(' ') {
            let length = wrapped.chars().count() + 1 + word.chars().count();
            if !wrapped.is_empty() && length > width {
                lines.push(std::mem::take(&mut wrapped));
            } else if !wrapped.is_empty() {
                wrapped.push(' ');
            }
            wrapped.push_str(word);
        }
        lines.push(wrapped);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, text: &str) {
        let value: Value = serde_yaml_ng::from_str(json).unwrap();
        let written = of(&value);
        assert_eq!(written.strip_prefix(FIRST_LINES), Some(text));
        assert_eq!(serde_yaml_ng::from_str::<Value>(&written).unwrap(), value);
    }

    #[test]
    fn what_is_short_stands_on_one_line() {
        check(
            r##"{"a":{"$ref":"#/b"},"b":["x","y z"],"c":{},"d":null}"##,
            "a: { $ref: \"#/b\" }\nb: [x, y z]\nc: {}\nd: null\n",
        );
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        check(
            r#"{"200":"yes","a":["a, b","true","1","","x: y","'"],"b":"a, b"}"#,
            "\"200\": \"yes\"\na: [\"a, b\", \"true\", \"1\", \"\", \"x: y\", \"'\"]\nb: a, b\n",
        );
    }

    #[test]
    fn what_is_long_is_on_lines_of_its_own() {
        let long = "x".repeat(70);
        check(
            &format!(r#"{{"a":[{{"b":"{long}","c":"{long}"}},["{long}","{long}"]]}}"#),
            &format!("a:\n  - b: {long}\n    c: {long}\n  -\n    - {long}\n    - {long}\n"),
        );
    }

    #[test]
    fn long_descriptions_are_wrapped() {
        let words = ["word"; 40].join(" ");
        let value: Value =
            serde_yaml_ng::from_str(&format!("a: {{ description: {words} }}")).unwrap();
        let written = of(&value);
        assert!(written.lines().all(|line| line.len() <= WIDTH), "{written}");
        let read: Value = serde_yaml_ng::from_str(&written).unwrap();
        let read = read["a"]["description"].as_str().unwrap();
        assert_eq!(read.split_whitespace().collect::<Vec<_>>().join(" "), words);
    }
}
