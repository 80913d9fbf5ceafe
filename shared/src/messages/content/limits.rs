//! How large content may be. Source: "Send message": the request of a text 150 KB, of a post or a card 30 KB. Whether a KB is
//! 1,024 bytes, and how much of the request counts, is not said (unverified): a KB is taken as 1,024 bytes and the content
//! alone is measured, so that nothing is refused here that the platform would take.

use serde_json::Value;

use super::super::problems::{Path, Problems};
use super::MsgType;

/// The largest content of a text, and of every type without a limit of its own, in bytes of its JSON.
pub const MAX_TEXT_BYTES: usize = 150 * 1024;
/// The largest content of a post or a card, in bytes of its JSON.
pub const MAX_CARD_BYTES: usize = 30 * 1024;
/// The largest body of a request with content: room for the largest text with its characters escaped, also within a text that
/// holds JSON, and for a thousand receivers.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;
/// The deepest content: a card may nest containers five deep, each of a few levels of JSON.
pub const MAX_DEPTH: usize = 64;
/// The most elements of a card, texts included. Source: "Card JSON 2.0 structure"; 1.0 is refused with code 11310 beyond it.
pub const MAX_CARD_ELEMENTS: usize = 200;

/// Checks the size of `text`, the JSON of content.
pub(super) fn check_size(msg_type: MsgType, text: &str, path: &Path<'_>, problems: &mut Problems) {
    let (max, what) = match msg_type {
        MsgType::Post => (MAX_CARD_BYTES, "post"),
        MsgType::Interactive => (MAX_CARD_BYTES, "card"),
        MsgType::Text
        | MsgType::Image
        | MsgType::File
        | MsgType::Audio
        | MsgType::Media
        | MsgType::Sticker
        | MsgType::ShareChat
        | MsgType::ShareUser => (MAX_TEXT_BYTES, "text"),
    };
    if text.len() > max {
        problems.add_too_large(
            path,
            format!(
                "must be at most {max} bytes as JSON, the most that the platform takes of a {what}; it is {} bytes",
                text.len()
            ),
        );
    }
}

/// Whether `value` nests deeper than `max`: an object or an array in itself is 1 deep. Without recursion.
pub(super) fn is_deeper_than(value: &Value, max: usize) -> bool {
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        match value {
            Value::Array(_) | Value::Object(_) if depth > max => return true,
            Value::Array(entries) => open.extend(entries.iter().map(|it| (it, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|it| (it, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}

/// Whether the JSON in `text` nests deeper than `max`, by its brackets outside of strings: asked before anything is parsed.
pub(super) fn is_text_deeper_than(text: &str, max: usize) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_the_same_in_text_and_tree() {
        let check = |json: &str, depth: usize| {
            let value: Value = serde_json::from_str(json).unwrap();
            for max in 0..6 {
                assert_eq!(is_deeper_than(&value, max), depth > max, "{json} {max}");
                assert_eq!(is_text_deeper_than(json, max), depth > max, "{json} {max}");
            }
        };
        check("1", 0);
        check("{}", 1);
        check(r#"{"a":[1,{"b":2}]}"#, 3);
        check(r#"["[[[[", "\"[[[[", {"\\":[]}]"#, 3);
    }

    #[test]
    fn a_hostile_text_is_judged_without_being_parsed() {
        assert!(is_text_deeper_than(&"[".repeat(1_000_000), MAX_DEPTH));
        assert!(!is_text_deeper_than(&"]".repeat(1_000_000), MAX_DEPTH));
    }
}
