//! Posts: paragraphs of nodes, in one or more languages.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::mentions::MentionIds;
use super::{Context, Fields, KeyUse, required};
use crate::answer::ApiError;
use crate::im::messages::invalid;

/// Checks a post. It is read back in its first language only, without the language's name.
pub(super) fn read(
    context: &Context<'_>,
    fields: &Fields,
    mentions: &mut MentionIds,
) -> Result<String, ApiError> {
    // Sorted: the order of a map depends on how its crate was built.
    let languages: BTreeMap<_, _> = fields.iter().collect();
    let mut read_back = None;
    for (language, post) in languages {
        let is_language = language.len() == 5 && language.as_bytes()[2] == b'_';
        if !is_language {
            return Err(invalid(format!("{language} is not a language")));
        }
        let mut own_mentions = MentionIds::default();
        let post = read_language(context, post, &mut own_mentions)?;
        if read_back.is_none() {
            (read_back, *mentions) = (Some(post), own_mentions);
        }
    }
    let post = read_back.ok_or_else(|| invalid("the post has no language"))?;
    Ok(post.to_string())
}

fn read_language(
    context: &Context<'_>,
    post: &Value,
    mentions: &mut MentionIds,
) -> Result<Value, ApiError> {
    let post = object(post)?;
    let title = match post.get("title") {
        None | Some(Value::Null) => "",
        Some(Value::String(title)) => title,
        Some(_) => return Err(invalid("title is not a string")),
    };
    let paragraphs = array(post.get("content"))?;
    if title.is_empty()
        && paragraphs
            .iter()
            .all(|it| it.as_array().is_some_and(Vec::is_empty))
    {
        return Err(invalid("the post is empty"));
    }
    let mut content = Vec::new();
    for paragraph in paragraphs {
        let nodes = array(Some(paragraph))?;
        let mut read = Vec::new();
        for node in nodes {
            let node = object(node)?;
            let is_alone = nodes.len() == 1;
            read.push(read_node(context, node, is_alone, mentions)?);
        }
        content.push(read);
    }
    Ok(json!({ "title": title, "content": content }))
}

fn read_node(
    context: &Context<'_>,
    node: &Fields,
    is_alone: bool,
    mentions: &mut MentionIds,
) -> Result<Value, ApiError> {
    let alone = |tag: &str| match is_alone {
        true => Ok(()),
        false => Err(invalid(format!("{tag} must be alone in its paragraph"))),
    };
    let same = || Ok(Value::Object(node.clone()));
    match required(node, "tag")? {
        "text" => {
            required(node, "text")?;
            same()
        }
        "a" => {
            required(node, "text")?;
            required(node, "href")?;
            same()
        }
        "at" => {
            let user_id = required(node, "user_id")?;
            let key = mentions.key(context, user_id);
            let key = key.ok_or_else(|| invalid(format!("invalid user_id: {user_id}")))?;
            let name = context
                .user(user_id)
                .map_or_else(String::new, |user| user.name);
            Ok(json!({ "tag": "at", "user_id": key, "user_name": name, "style": [] }))
        }
        "img" => {
            alone("img")?;
            context.check_key(required(node, "image_key")?, KeyUse::Image)?;
            same()
        }
        "media" => {
            alone("media")?;
            context.check_key(required(node, "file_key")?, KeyUse::Media)?;
            if node.contains_key("image_key") {
                context.check_key(required(node, "image_key")?, KeyUse::Image)?;
            }
            same()
        }
        "emotion" => {
            required(node, "emoji_type")?;
            same()
        }
        "code_block" => {
            required(node, "text")?;
            same()
        }
        "hr" => same(),
        // Markdown is converted to other nodes.
        "md" => {
            alone("md")?;
            let text = mentions.in_text(context, required(node, "text")?);
            Ok(json!({ "tag": "text", "text": text, "style": [] }))
        }
        tag => Err(invalid(format!("unknown tag: {tag}"))),
    }
}

fn object(value: &Value) -> Result<&Fields, ApiError> {
    value
        .as_object()
        .ok_or_else(|| invalid("a part of the post is not an object"))
}

fn array(value: Option<&Value>) -> Result<&Vec<Value>, ApiError> {
    value
        .and_then(Value::as_array)
        .ok_or_else(|| invalid("content of the post is not a list of lists"))
}
