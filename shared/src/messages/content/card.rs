//! Cards: JSON 1.0, JSON 2.0, a template by id, an entity by id. Sources: "Card JSON 1.0 structure", "Card JSON 2.0 structure",
//! "Card JSON 2.0 release notes".
//!
//! The platform grows, and a card that is valid tomorrow must not be refused here. So an unknown element goes through, and
//! refused is what the documents rule out: elements that 2.0 gave up, nodes of posts, nestings and missing fields that the
//! platform answers with an error.

use serde_json::{Map, Value};

use super::super::problems::{Path, Problems};
use super::Purpose;
use super::limits::MAX_CARD_ELEMENTS;
use super::reader::{Object, kind_of};

mod controls;
mod elements;
mod form;
mod texts;

use elements::Elements;

/// Which structure a card has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    V1,
    V2,
}

/// The longest id of a template or an entity.
const MAX_ID_BYTES: usize = 64;
/// The longest id of an entity: digits. Source: "Create card entity".
const MAX_CARD_ID_BYTES: usize = 20;
/// Keys under which a card holds data of the caller, in which a `tag` means nothing.
const DATA: [&str; 5] = [
    "value",
    "behaviors",
    "chart_spec",
    "rows",
    "template_variable",
];

/// Checks a card.
pub(super) fn check(
    content: &Map<String, Value>,
    path: &Path<'_>,
    purpose: Purpose,
    problems: &mut Problems,
) {
    let card = Object::new(content, path);
    if content.contains_key("type") {
        check_reference(card, problems);
        return;
    }
    if is_wrapped(content) {
        problems.add(
            &path.field("card"),
            "must be left out: what is in it belongs here itself",
        );
        return;
    }
    let Some(version) = version(card, problems) else {
        return;
    };
    check_config(card, version, purpose, problems);
    check_header(card, problems);
    check_card_link(card, problems);
    match version {
        Version::V1 => check_v1(card, problems),
        Version::V2 => check_v2(card, problems),
    }
    let elements = count_elements(content);
    if elements > MAX_CARD_ELEMENTS {
        problems.add(
            path,
            format!(
                "must have at most {MAX_CARD_ELEMENTS} elements, texts included; it has {elements}"
            ),
        );
    }
}

/// Whether the card lies under `card`, as robots with a webhook take it.
fn is_wrapped(content: &Map<String, Value>) -> bool {
    content.get("card").is_some_and(Value::is_object)
        && !["schema", "header", "elements", "body"]
            .iter()
            .any(|name| content.contains_key(*name))
}

fn version(card: Object<'_>, problems: &mut Problems) -> Option<Version> {
    let path = card.path.field("schema");
    match card.fields.get("schema") {
        None if card.fields.contains_key("body") => {
            problems.add(
                &path,
                "is missing: a card with a body is of the schema \"2.0\"",
            );
            None
        }
        None => Some(Version::V1),
        Some(Value::String(text)) if text == "1.0" => Some(Version::V1),
        Some(Value::String(text)) if text == "2.0" => Some(Version::V2),
        Some(_) => {
            problems.add(
                &path,
                "must be the text \"2.0\", or \"1.0\", which is what a card without it has",
            );
            None
        }
    }
}

/// A template or an entity: `{"type": …, "data": {…}}`.
fn check_reference(card: Object<'_>, problems: &mut Problems) {
    let Some(kind) = card.text("type", problems) else {
        return;
    };
    let is_template = match kind {
        "template" => true,
        "card" => false,
        _ => {
            problems.add(
                &card.path.field("type"),
                "must be template or card; a card in JSON has no type",
            );
            return;
        }
    };
    let path = card.path.field("data");
    if !card.fields.contains_key("data") {
        let wanted = if is_template {
            "template_id"
        } else {
            "card_id"
        };
        problems.add(
            &path,
            format!("is missing: must be an object with {wanted}"),
        );
        return;
    }
    let Some(data) = card.optional_object("data", problems) else {
        return;
    };
    let data = Object::new(data, &path);
    if is_template {
        check_template(data, problems);
    } else {
        check_entity(data, problems);
    }
}

fn check_template(data: Object<'_>, problems: &mut Problems) {
    let id = data.text("template_id", problems);
    if id.is_some_and(|id| !crate::ids::is_identifier(id, MAX_ID_BYTES)) {
        problems.add(
            &data.path.field("template_id"),
            "must be the id of a template, such as AAqCmD8A2xxxx: letters, digits, `_` or `-`, 64 at most",
        );
    }
    let version = data.optional_text("template_version_name", problems);
    let is_version = |text: &str| {
        let numbers: Vec<_> = text.split('.').collect();
        let is_number = |it: &&str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit());
        numbers.len() == 3 && numbers.iter().all(is_number) && text.len() <= MAX_ID_BYTES
    };
    if version.is_some_and(|text| !is_version(text)) {
        problems.add(
            &data.path.field("template_version_name"),
            "must be a version such as 1.0.0; without it the newest is sent",
        );
    }
    data.optional_object("template_variable", problems);
}

fn check_entity(data: Object<'_>, problems: &mut Problems) {
    let id = data.text("card_id", problems);
    let is_id = |id: &str| {
        (1..=MAX_CARD_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit())
    };
    if id.is_some_and(|id| !is_id(id)) {
        problems.add(
            &data.path.field("card_id"),
            "must be the id of a card entity: 1 to 20 digits, as a text",
        );
    }
}

fn check_config(card: Object<'_>, version: Version, purpose: Purpose, problems: &mut Problems) {
    let path = card.path.field("config");
    let field = path.field("update_multi");
    let config = card.optional_object("config", problems);
    let is_shared = match config {
        Some(config) => Object::new(config, &path).optional_bool("update_multi", problems),
        None => None,
    };
    match (version, purpose, is_shared) {
        (Version::V2, _, Some(false)) => {
            problems.add(
                &field,
                "must be true or absent: cards of the schema 2.0 are always shared",
            );
        }
        (Version::V1, Purpose::Patch, Some(false) | None) => problems.add(
            &field,
            "must be true: only a shared card can be replaced, the one before and this one",
        ),
        (Version::V1, Purpose::Patch, Some(true))
        | (Version::V1, Purpose::Send | Purpose::Edit, _)
        | (Version::V2, _, Some(true) | None) => {}
    }
}

fn check_header(card: Object<'_>, problems: &mut Problems) {
    let Some(header) = card.optional_object("header", problems) else {
        return;
    };
    let path = card.path.field("header");
    let header = Object::new(header, &path);
    if header.fields.contains_key("title") {
        texts::check(header, "title", problems);
    } else if !header.fields.is_empty() {
        problems.add(
            &path.field("title"),
            "is missing: must be an object such as {\"tag\": \"plain_text\", \"content\": …}",
        );
    }
    texts::check(header, "subtitle", problems);
    header.optional_text("template", problems);
    header.optional_array("text_tag_list", problems);
}

fn check_card_link(card: Object<'_>, problems: &mut Problems) {
    let Some(link) = card.optional_object("card_link", problems) else {
        return;
    };
    let path = card.path.field("card_link");
    texts::check_addresses(Object::new(link, &path), problems);
}

fn check_v1(card: Object<'_>, problems: &mut Problems) {
    if card.fields.contains_key("body") {
        problems.add(
            &card.path.field("body"),
            "must be left out: a body is of the schema \"2.0\"; a card of 1.0 has elements",
        );
        return;
    }
    let has_content = ["elements", "i18n_elements", "header"]
        .iter()
        .any(|name| card.fields.contains_key(*name));
    if !has_content {
        problems.add(
            &card.path.field("elements"),
            "is missing: a card has elements, or, with \"schema\": \"2.0\", a body with elements",
        );
    }
    let mut elements = Elements::new(Version::V1);
    let path = card.path.field("elements");
    if let Some(entries) = card.optional_array("elements", problems) {
        elements.check_root(entries, &path, problems);
    }
    let Some(languages) = card.optional_object("i18n_elements", problems) else {
        return;
    };
    let path = card.path.field("i18n_elements");
    for (language, entries) in languages {
        let path = path.field(language);
        let Some(entries) = entries.as_array() else {
            let found = kind_of(entries);
            problems.add(&path, format!("must be an array of elements, not {found}"));
            continue;
        };
        // Each language is the whole card: a name may come back in the next.
        Elements::new(Version::V1).check_root(entries, &path, problems);
    }
}

fn check_v2(card: Object<'_>, problems: &mut Problems) {
    for (name, right) in [
        (
            "elements",
            "must be in body: {\"schema\": \"2.0\", \"body\": {\"elements\": […]}}",
        ),
        (
            "i18n_elements",
            "must be left out: cards of the schema 2.0 have i18n_content in each text instead",
        ),
    ] {
        if card.fields.contains_key(name) {
            problems.add(&card.path.field(name), right);
        }
    }
    let path = card.path.field("body");
    if !card.fields.contains_key("body") {
        if !card.fields.contains_key("header") {
            problems.add(&path, "is missing: must be an object with elements");
        }
        return;
    }
    let Some(body) = card.optional_object("body", problems) else {
        return;
    };
    let body = Object::new(body, &path);
    let path = path.field("elements");
    if !body.fields.contains_key("elements") {
        problems.add(&path, "is missing: must be an array of elements");
        return;
    }
    if let Some(entries) = body.optional_array("elements", problems) {
        Elements::new(Version::V2).check_root(entries, &path, problems);
    }
}

/// How many objects with a tag there are; one language of several. Without recursion.
fn count_elements(content: &Map<String, Value>) -> usize {
    let mut count = 0;
    let mut longest_language = 0;
    let mut open: Vec<&Value> = Vec::new();
    for (name, value) in content {
        if let (true, Value::Object(languages)) = (name == "i18n_elements", value) {
            let counts = languages.values().map(|language| count_in(vec![language]));
            longest_language = counts.max().unwrap_or(0);
        } else {
            open.push(value);
        }
    }
    count += count_in(open);
    count + longest_language
}

fn count_in(mut open: Vec<&Value>) -> usize {
    let mut count = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Array(entries) => open.extend(entries),
            Value::Object(fields) => {
                count += usize::from(fields.get("tag").is_some_and(Value::is_string));
                let inside = fields
                    .iter()
                    .filter(|(name, _)| !DATA.contains(&name.as_str()));
                open.extend(inside.map(|(_, value)| value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    count
}
