//! The elements of a card, from the root down.

use std::collections::HashSet;

use serde_json::Value;

use super::super::super::problems::{Path, Problems};
use super::super::keys::Upload;
use super::super::media::required_key;
use super::super::reader::{Object, kind_of};
use super::{Version, controls, form, texts};

/// The longest `element_id`. Source: "Card JSON 2.0 structure".
const MAX_ELEMENT_ID_BYTES: usize = 20;

/// The elements of one card, as far as they were seen.
pub(super) struct Elements<'c> {
    version: Version,
    element_ids: HashSet<&'c str>,
    /// Of what a form submits.
    pub(super) names: HashSet<&'c str>,
}

/// Where an element is.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) is_in_form: bool,
    is_in_container: bool,
}

impl<'c> Elements<'c> {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            element_ids: HashSet::new(),
            names: HashSet::new(),
        }
    }

    /// Checks the elements at the root of a card.
    pub(super) fn check_root(
        &mut self,
        entries: &'c [Value],
        path: &Path<'_>,
        problems: &mut Problems,
    ) {
        self.check_all(entries, path, Place::default(), problems);
    }

    fn check_all(
        &mut self,
        entries: &'c [Value],
        path: &Path<'_>,
        place: Place,
        problems: &mut Problems,
    ) {
        for (at, entry) in entries.iter().enumerate() {
            if problems.is_full() {
                return;
            }
            self.check_value(entry, &path.index(at), place, problems);
        }
    }

    /// Content is at most [`super::super::MAX_DEPTH`] deep, and so is the recursion.
    fn check_value(
        &mut self,
        value: &'c Value,
        path: &Path<'_>,
        place: Place,
        problems: &mut Problems,
    ) {
        match value {
            Value::Object(fields) => {
                let element = Object { fields, path };
                // The text is looked up in `fields`, which live as long as the card.
                if element.text("tag", problems).is_some()
                    && let Some(Value::String(tag)) = fields.get("tag")
                {
                    self.check_element(fields, path, tag, place, problems);
                }
            }
            Value::Array(_) => problems.add(
                path,
                "must be an element, an object with a tag, not an array: a card has no paragraphs",
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => problems.add(
                path,
                format!(
                    "must be an element, an object with a tag, not {}",
                    kind_of(value)
                ),
            ),
        }
    }

    fn check_element(
        &mut self,
        fields: &'c serde_json::Map<String, Value>,
        path: &Path<'_>,
        tag: &'c str,
        place: Place,
        problems: &mut Problems,
    ) {
        let element = Object { fields, path };
        if let Some(wrong) = misplaced(tag, self.version, place) {
            problems.add(&path.field("tag"), wrong);
            return;
        }
        if self.version == Version::V2 {
            self.check_element_id(fields, path, problems);
        }
        check_content(element, tag, problems);
        controls::check(element, tag, problems);
        if place.is_in_form {
            form::check_name(self, fields, path, tag, problems);
        }
        if tag == "form" {
            form::check(element, problems);
        }
        self.check_inside(fields, path, tag, place, problems);
    }

    /// What lies in the element: of an unknown element too.
    fn check_inside(
        &mut self,
        fields: &'c serde_json::Map<String, Value>,
        path: &Path<'_>,
        tag: &str,
        place: Place,
        problems: &mut Problems,
    ) {
        let inside = Place {
            is_in_form: place.is_in_form || tag == "form",
            is_in_container: true,
        };
        let element = Object { fields, path };
        if tag == "column_set" && !fields.contains_key("columns") {
            problems.add(
                &path.field("columns"),
                "is missing: must be an array of columns",
            );
        }
        let name = match tag {
            "column_set" => "columns",
            "action" => "actions",
            _ => "elements",
        };
        // Looked up in `fields`, which live as long as the card.
        if element.optional_array(name, problems).is_some()
            && let Some(Value::Array(entries)) = fields.get(name)
        {
            self.check_all(entries, &path.field(name), inside, problems);
        }
        if let Some(extra) = fields.get("extra").filter(|_| tag == "div") {
            self.check_value(extra, &path.field("extra"), inside, problems);
        }
    }

    fn check_element_id(
        &mut self,
        fields: &'c serde_json::Map<String, Value>,
        path: &Path<'_>,
        problems: &mut Problems,
    ) {
        let Some(id) = fields.get("element_id") else {
            return;
        };
        let path = path.field("element_id");
        let Some(id) = id.as_str().filter(|id| is_element_id(id)) else {
            problems.add(
                &path,
                "must be a letter and then letters, digits or `_`, at most 20 characters in all",
            );
            return;
        };
        if !self.element_ids.insert(id) {
            problems.add(&path, "must be unique in the card: another element has it");
        }
    }
}

fn is_element_id(id: &str) -> bool {
    id.len() <= MAX_ELEMENT_ID_BYTES
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Why an element with this tag cannot be here.
fn misplaced(tag: &str, version: Version, place: Place) -> Option<&'static str> {
    match (tag, version) {
        ("note", Version::V2) => Some(
            "must not be note: the schema 2.0 has none; use a div whose text has \"text_size\": \"notation\" and \"text_color\": \"grey\"",
        ),
        ("action", Version::V2) => Some(
            "must not be action: the schema 2.0 has none; put the buttons into elements, or into the columns of a column_set",
        ),
        ("form", _) if place.is_in_container => Some(
            "must not be form here: a form stands at the root of the card, in no other element",
        ),
        ("table", _) if place.is_in_container => Some(
            "must not be table here: a table stands at the root of the card, in no other element",
        ),
        ("multi_select_static" | "multi_select_person", _) if !place.is_in_form => {
            Some("must not be here: a choice of several stands in a form")
        }
        ("text" | "a" | "at" | "md" | "emotion", _) => Some(
            "must be the tag of an element, such as markdown, div, img or button; this one is of a post (msg_type post)",
        ),
        _ => None,
    }
}

/// Checks what elements that show something must have.
fn check_content(element: Object<'_>, tag: &str, problems: &mut Problems) {
    match tag {
        "markdown" | "plain_text" | "lark_md" => texts::check_content(element, problems),
        "div" => check_div(element, problems),
        "img" => required_key(element, "img_key", Upload::Image, problems),
        "img_combination" => check_images(element, problems),
        "person" => {
            element.full_text("user_id", problems);
        }
        "chart" => {
            if !element.fields.contains_key("chart_spec") {
                problems.add(
                    &element.path.field("chart_spec"),
                    "is missing: must be the definition of a chart, an object",
                );
            }
            element.optional_object("chart_spec", problems);
        }
        "table" => {
            for name in ["columns", "rows"] {
                if !element.fields.contains_key(name) {
                    problems.add(&element.path.field(name), "is missing: must be an array");
                }
                element.optional_array(name, problems);
            }
        }
        _ => {}
    }
}

fn check_div(element: Object<'_>, problems: &mut Problems) {
    texts::check(element, "text", problems);
    let Some(entries) = element.optional_array("fields", problems) else {
        return;
    };
    let path = element.path.field("fields");
    for (at, entry) in entries.iter().enumerate() {
        let path = path.index(at);
        match entry.as_object() {
            Some(fields) if fields.contains_key("text") => {
                texts::check(Object::new(fields, &path), "text", problems);
            }
            Some(_) | None => problems.add(
                &path,
                "must be an object such as {\"is_short\": true, \"text\": {\"tag\": \"lark_md\", \"content\": …}}",
            ),
        }
    }
}

fn check_images(element: Object<'_>, problems: &mut Problems) {
    let Some(entries) = element.optional_array("img_list", problems) else {
        return;
    };
    let path = element.path.field("img_list");
    for (at, entry) in entries.iter().enumerate() {
        let path = path.index(at);
        match entry.as_object() {
            Some(fields) => {
                required_key(
                    Object::new(fields, &path),
                    "img_key",
                    Upload::Image,
                    problems,
                );
            }
            None => problems.add(&path, "must be an object with img_key"),
        }
    }
}
