//! Texts and addresses within cards.

use serde_json::Value;

use super::super::super::problems::Problems;
use super::super::reader::{Object, kind_of};
use super::super::{links, mentions};

/// How a text is told.
const RIGHT: &str = "an object such as {\"tag\": \"plain_text\", \"content\": …}";

/// Checks the text in the field `name` of `element`, if it is there: `plain_text` or `lark_md`.
pub(super) fn check(element: Object<'_>, name: &str, problems: &mut Problems) {
    let path = element.path.field(name);
    let fields = match element.fields.get(name) {
        None => return,
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            problems.add(&path, format!("must be {RIGHT}, not {}", kind_of(other)));
            return;
        }
    };
    let text = Object::new(fields, &path);
    match text.text("tag", problems) {
        None => {}
        Some("plain_text" | "lark_md") => check_content(text, problems),
        Some(_) => problems.add(&path.field("tag"), "must be plain_text or lark_md"),
    }
}

/// Checks the content of a text, or of Markdown: there, or in the languages of `i18n_content` or `i18n`.
pub(super) fn check_content(text: Object<'_>, problems: &mut Problems) {
    let has_languages = ["i18n_content", "i18n"]
        .iter()
        .any(|name| text.fields.contains_key(*name));
    let content = if has_languages {
        text.optional_text("content", problems)
    } else {
        text.text("content", problems)
    };
    let is_plain = text.fields.get("tag").is_some_and(|it| it == "plain_text");
    if is_plain {
        return;
    }
    if let Some(wrong) = content.and_then(mentions::problem_in_card) {
        problems.add(&text.path.field("content"), wrong);
    }
}

/// Checks the addresses that `element` opens, for each kind of client.
pub(super) fn check_addresses(element: Object<'_>, problems: &mut Problems) {
    for name in ["url", "default_url", "pc_url", "ios_url", "android_url"] {
        let address = element.optional_text(name, problems);
        let wrong = address
            .filter(|address| !address.is_empty())
            .and_then(links::card_problem);
        if let Some(wrong) = wrong {
            problems.add(&element.path.field(name), wrong);
        }
    }
}
