//! What a caller posts: the type and the content, or a short form of one kind.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

use super::super::cards;
use super::super::cards::AnyCard;
use super::super::problems::{Path, Problems};
use super::limits::{MAX_DEPTH, MAX_TEXT_BYTES, is_deeper_than, is_text_deeper_than};
use super::{MsgType, Purpose};

/// What to send: `msg_type` with `content`, or one of the short forms `text`, `markdown` and `card`.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = MessageContent)]
pub struct ContentFields {
    /// The type of `content`.
    #[schema(value_type = Option<MsgType>)]
    pub msg_type: Option<String>,
    /// The content of that type, as the platform describes it: the object itself, or a text that holds it as JSON.
    #[schema(schema_with = content_schema, required = false)]
    pub content: Option<Value>,
    /// Short for `{"msg_type": "text", "content": {"text": …}}`.
    #[schema(min_length = 1)]
    pub text: Option<String>,
    /// Short for a post of one paragraph of Markdown.
    #[schema(min_length = 1)]
    pub markdown: Option<String>,
    /// Short for `interactive`: a card in JSON, or one of the service's own kinds, `{"kind": "notification", …}`.
    #[schema(value_type = Option<AnyCard>)]
    pub card: Option<Value>,
}

/// The content of one kind, as an object, and the field of the body that it came from.
pub(super) struct Given {
    pub(super) msg_type: MsgType,
    pub(super) content: Map<String, Value>,
    pub(super) field: &'static str,
    /// Whether it was made from `text`, `markdown` or a card of our own kinds.
    pub(super) is_short: bool,
}

/// The schema of `content`.
#[must_use]
pub fn content_schema() -> utoipa::openapi::schema::Object {
    let schema_type = SchemaType::from_iter([Type::Object, Type::String, Type::Null]);
    ObjectBuilder::new()
        .schema_type(schema_type)
        .description(Some("An object, or a text that holds it as JSON."))
        .build()
}

/// How the right form is told.
const FORMS: &str = "give msg_type with content, or one of text, markdown and card";
/// The language of a post that is made from Markdown. The client shows it in every language when there is no other.
const LANGUAGE: &str = "zh_cn";
/// A content that is a text may be longer than its JSON: white space and escapes.
const MAX_CONTENT_TEXT_BYTES: usize = 4 * MAX_TEXT_BYTES;

impl ContentFields {
    /// The content of the one kind that is given; `None` after adding to `problems`.
    pub(super) fn read(self, purpose: Purpose, problems: &mut Problems) -> Option<Given> {
        let msg_type = match self
            .msg_type
            .as_deref()
            .map(|text| msg_type(text, problems))
        {
            Some(None) => return None,
            Some(Some(msg_type)) => Some(msg_type),
            None => None,
        };
        let kinds = [
            ("content", self.content.is_some()),
            ("text", self.text.is_some()),
            ("markdown", self.markdown.is_some()),
            ("card", self.card.is_some()),
        ];
        let mut kinds = kinds.iter().filter(|(_, is_given)| *is_given);
        let field = match (kinds.next(), kinds.next()) {
            (Some((field, _)), None) => *field,
            (Some((first, _)), Some((second, _))) => {
                problems.add(
                    &Path::of(second),
                    format!("must not be given together with {first}: {FORMS}"),
                );
                return None;
            }
            (None, _) => {
                let field = if msg_type.is_some() {
                    "content"
                } else {
                    "body"
                };
                problems.add(&Path::of(field), format!("is missing: {FORMS}"));
                return None;
            }
        };
        let given = self.of_kind(field, msg_type, problems)?;
        allowed(&given, purpose, problems).then_some(given)
    }

    fn of_kind(
        self,
        field: &'static str,
        msg_type: Option<MsgType>,
        problems: &mut Problems,
    ) -> Option<Given> {
        let path = Path::of(field);
        let (own_type, content) = if let Some(text) = self.text {
            (MsgType::Text, object(json!({ "text": text })))
        } else if let Some(markdown) = self.markdown {
            let paragraph = json!([[{ "tag": "md", "text": markdown }]]);
            let post = object(json!({ LANGUAGE: { "content": paragraph } }));
            (MsgType::Post, post)
        } else if let Some(card) = self.card {
            (MsgType::Interactive, read_object(card, &path, problems)?)
        } else {
            let Some(msg_type) = msg_type else {
                problems.add(
                    &Path::of("msg_type"),
                    format!("is missing: content is of one of the types {}", types()),
                );
                return None;
            };
            (msg_type, read_object(self.content?, &path, problems)?)
        };
        if msg_type.is_some_and(|msg_type| msg_type != own_type) {
            problems.add(
                &Path::of("msg_type"),
                format!(
                    "must be {}, or absent: {field} is short for that",
                    own_type.as_str()
                ),
            );
            return None;
        }
        let is_ours = own_type == MsgType::Interactive && content.contains_key("kind");
        let content = if is_ours {
            cards::build(content, &path, problems)?
        } else {
            content
        };
        Some(Given {
            msg_type: own_type,
            content,
            field,
            is_short: is_ours || matches!(field, "text" | "markdown"),
        })
    }
}

fn types() -> String {
    MsgType::ALL.map(MsgType::as_str).join(", ")
}

fn msg_type(text: &str, problems: &mut Problems) -> Option<MsgType> {
    let found = MsgType::parse(text);
    if found.is_none() {
        let hint = match text {
            "card" => ": a card is of the type interactive",
            "markdown" | "md" => ": Markdown is a post, or the field markdown",
            "video" => ": a video is of the type media",
            "voice" => ": a voice message is of the type audio",
            _ => "",
        };
        problems.add(
            &Path::of("msg_type"),
            format!("must be one of {}{hint}", types()),
        );
    }
    found
}

/// Whether content of this type may be used so.
fn allowed(given: &Given, purpose: Purpose, problems: &mut Problems) -> bool {
    let (is_allowed, right) = match purpose {
        Purpose::Send => (true, ""),
        Purpose::Edit => (
            matches!(given.msg_type, MsgType::Text | MsgType::Post),
            "must be a text or a post: the platform edits no other type of message, and replaces a card by a card",
        ),
        Purpose::Patch => (
            given.msg_type == MsgType::Interactive,
            "must be a card: it is to replace one",
        ),
    };
    if !is_allowed {
        let field = if given.field == "content" {
            "msg_type"
        } else {
            given.field
        };
        problems.add(&Path::of(field), right);
    }
    is_allowed
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// The object that `value` is, or holds as text.
fn read_object(
    value: Value,
    path: &Path<'_>,
    problems: &mut Problems,
) -> Option<Map<String, Value>> {
    let value = match value {
        Value::String(text) => parse(&text, path, problems)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value
        }
    };
    let Value::Object(object) = value else {
        problems.add(
            path,
            "must be a JSON object, or a text that holds one, such as {\"text\": \"hi\"} for a text",
        );
        return None;
    };
    let value = Value::Object(object);
    if is_deeper_than(&value, MAX_DEPTH) {
        problems.add(path, too_deep());
        return None;
    }
    Some(self::object(value))
}

fn too_deep() -> String {
    format!("must not nest objects and arrays deeper than {MAX_DEPTH}")
}

fn parse(text: &str, path: &Path<'_>, problems: &mut Problems) -> Option<Value> {
    if text.len() > MAX_CONTENT_TEXT_BYTES {
        problems.add_too_large(
            path,
            format!("must be at most {MAX_CONTENT_TEXT_BYTES} bytes of JSON"),
        );
        return None;
    }
    if is_text_deeper_than(text, MAX_DEPTH) {
        problems.add(path, too_deep());
        return None;
    }
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.add(
                path,
                format!(
                    "must be an object, or a text that holds one as JSON; this text is no JSON at line {} column {}",
                    error.line(),
                    error.column()
                ),
            );
            None
        }
    }
}
