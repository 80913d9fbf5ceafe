//! Cards: JSON 1.0 and 2.0, templates, card entities. Errors are 230099 with a code of the card service.

use serde_json::Value;

use super::{Context, Fields, KeyUse};
use crate::answer::ApiError;
use crate::im::messages::error;

/// The most components of a card.
const COMPONENTS_MAX: usize = 200;

const GENERIC: i64 = 11_310;
const BAD_PERSON: i64 = 100_290;
const NO_TEMPLATE: i64 = 200_380;
const BAD_IMAGE: i64 = 200_570;
const UNPARSABLE: i64 = 200_621;
const BAD_VARIABLES: i64 = 200_732;
const BAD_TAG: i64 = 200_861;

/// Components that both versions have, and parts of components that have a tag.
const TAGS: &[&str] = &[
    "a",
    "audio",
    "avatar",
    "button",
    "chart",
    "checker",
    "column",
    "column_set",
    "custom_icon",
    "date_picker",
    "div",
    "fallback_text",
    "form",
    "hr",
    "img",
    "img_combination",
    "input",
    "interactive_container",
    "lark_md",
    "markdown",
    "multi_select_person",
    "multi_select_static",
    "overflow",
    "person",
    "person_list",
    "picker_datetime",
    "picker_time",
    "plain_text",
    "select_img",
    "select_person",
    "select_static",
    "standard_icon",
    "table",
    "text_tag",
];
const TAGS_OF_1_0: &[&str] = &["action", "note"];
const TAGS_OF_2_0: &[&str] = &["collapsible_panel"];

/// A card that is not even JSON.
pub(super) fn unparsable() -> ApiError {
    failed(UNPARSABLE, "parse card json err", "")
}

pub(super) fn check(context: &Context<'_>, card: &Fields) -> Result<(), ApiError> {
    match (card.get("type").and_then(Value::as_str), card.get("data")) {
        (Some("template"), Some(data)) => check_template(data),
        (Some("card"), Some(data)) => check_entity(data),
        (Some(_) | None, _) => check_json(context, card),
    }
}

/// Whether everybody sees the same card, so that it can be changed (`config.update_multi`). A template or a card entity
/// counts as such.
pub(crate) fn is_shared(content: &str) -> bool {
    let Ok(card) = serde_json::from_str::<Value>(content) else {
        return false;
    };
    if card.get("data").is_some() {
        return true;
    }
    let given = card
        .pointer("/config/update_multi")
        .and_then(Value::as_bool);
    given.unwrap_or(is_2_0(&card["schema"]))
}

/// Every well-formed id is that of an existing template.
fn check_template(data: &Value) -> Result<(), ApiError> {
    let id = data["template_id"].as_str().unwrap_or_default();
    if !id.starts_with("AAq") && !id.starts_with("ctp_") {
        return Err(failed(NO_TEMPLATE, "template does not exist", id));
    }
    let variables = &data["template_variable"];
    match variables.is_null() || variables.is_object() {
        true => Ok(()),
        false => Err(failed(
            BAD_VARIABLES,
            "template variables are not an object",
            &variables.to_string(),
        )),
    }
}

fn check_entity(data: &Value) -> Result<(), ApiError> {
    let id = data["card_id"].as_str().unwrap_or_default();
    let is_id = (1..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    match is_id {
        true => Ok(()),
        false => Err(failed(GENERIC, "card does not exist", id)),
    }
}

fn check_json(context: &Context<'_>, card: &Fields) -> Result<(), ApiError> {
    let is_2_0 = is_2_0(card.get("schema").unwrap_or(&Value::Null));
    let body = match is_2_0 {
        true => card.get("body").and_then(|body| body.get("elements")),
        false => card.get("elements").or_else(|| card.get("i18n_elements")),
    };
    let header = card.get("header").filter(|header| !header.is_null());
    let has_content = body.is_some_and(|body| body.is_array() || body.is_object() && !is_2_0);
    if !has_content || header.is_some_and(|header| !header.is_object()) {
        return Err(failed(UNPARSABLE, "parse card json err", "elements"));
    }
    let mut components = count(context, header, is_2_0)?;
    components += match (is_2_0, body) {
        // Everybody sees one language.
        (false, Some(Value::Object(languages))) => {
            let mut longest = 0;
            for language in languages.values() {
                longest = longest.max(count(context, Some(language), is_2_0)?);
            }
            longest
        }
        (true | false, body) => count(context, body, is_2_0)?,
    };
    match components > COMPONENTS_MAX {
        true => Err(failed(GENERIC, "the card has too many elements", "")),
        false => Ok(()),
    }
}

/// Checks a part of a card and counts its components.
fn count(context: &Context<'_>, part: Option<&Value>, is_2_0: bool) -> Result<usize, ApiError> {
    let mut components = 0;
    if let Some(part) = part {
        check_part(context, part, is_2_0, &mut components)?;
    }
    Ok(components)
}

fn check_part(
    context: &Context<'_>,
    part: &Value,
    is_2_0: bool,
    components: &mut usize,
) -> Result<(), ApiError> {
    let fields = match part {
        Value::Array(parts) => {
            return parts
                .iter()
                .try_for_each(|part| check_part(context, part, is_2_0, components));
        }
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Ok(()),
    };
    if let Some(tag) = fields.get("tag").and_then(Value::as_str) {
        check_tag(tag, is_2_0)?;
        *components += usize::from(!matches!(tag, "plain_text" | "lark_md" | "standard_icon"));
        check_image(context, fields)?;
        if matches!(tag, "lark_md" | "markdown") {
            let text = fields.get("content").and_then(Value::as_str);
            check_mentions(context, text.unwrap_or_default())?;
        }
    }
    // What a button sends back, a chart's specification and the rows of a table are data.
    let is_data = |name: &str| matches!(name, "value" | "behaviors" | "chart_spec" | "rows");
    let inner = fields.iter().filter(|(name, _)| !is_data(name));
    for (_, part) in inner {
        check_part(context, part, is_2_0, components)?;
    }
    Ok(())
}

fn check_tag(tag: &str, is_2_0: bool) -> Result<(), ApiError> {
    let own = if is_2_0 { TAGS_OF_2_0 } else { TAGS_OF_1_0 };
    if TAGS.contains(&tag) || own.contains(&tag) {
        return Ok(());
    }
    let code = if is_2_0 { BAD_TAG } else { UNPARSABLE };
    Err(failed(code, "not support tag", tag))
}

fn check_image(context: &Context<'_>, fields: &Fields) -> Result<(), ApiError> {
    match fields.get("img_key").and_then(Value::as_str) {
        Some(key) if context.check_key(key, KeyUse::Image).is_err() => {
            Err(failed(BAD_IMAGE, "invalid image keys", key))
        }
        Some(_) | None => Ok(()),
    }
}

/// `<at id=ou_x></at>`, with or without quotes.
fn check_mentions(context: &Context<'_>, text: &str) -> Result<(), ApiError> {
    for after in text.split("<at id=").skip(1) {
        let id = after.split('>').next().unwrap_or_default();
        let id = id.trim_matches(['"', '\'', ' ', '/']);
        if id != "all" && context.user(id).is_none() {
            return Err(failed(BAD_PERSON, "invalid person", id));
        }
    }
    Ok(())
}

fn is_2_0(schema: &Value) -> bool {
    schema.as_str() == Some("2.0")
}

/// The form is the platform's.
fn failed(code: i64, msg: &str, value: &str) -> ApiError {
    let msg = format!(
        "Failed to create card content, ext=ErrCode: {code}; ErrMsg: {msg}; ErrorValue: {value}; "
    );
    error(230_099, msg)
}
