//! Posts: rich text by language, in paragraphs of nodes. Source: "Message content structure", which lists the tags as a closed
//! set.

use serde_json::{Map, Value};

use super::super::problems::{Path, Problems};
use super::keys::Upload;
use super::media::{optional_key, required_key};
use super::reader::{Object, kind_of};
use super::{links, mentions};

/// The tags of a post.
const TAGS: &str = "text, a, at, img, media, emotion, code_block, hr and md";
/// The longest name of an emoji.
const MAX_EMOJI_BYTES: usize = 64;

/// Checks the languages of a post.
pub(super) fn check(content: &Map<String, Value>, path: &Path<'_>, problems: &mut Problems) {
    if content.is_empty() {
        problems.add(
            path,
            "must have at least one language, such as {\"zh_cn\": {\"title\": …, \"content\": [[…]]}}",
        );
    }
    for (language, post) in content {
        if problems.is_full() {
            return;
        }
        let path = path.field(language);
        if let Some(wrong) = language_problem(language) {
            problems.add(&path, wrong);
            continue;
        }
        if let Some(post) = post.as_object() {
            check_language(Object::new(post, &path), problems);
        } else {
            let found = kind_of(post);
            problems.add(
                &path,
                format!("must be an object with content, not {found}"),
            );
        }
    }
}

/// What is wrong with the name of a language: two letters, `_`, two letters.
fn language_problem(name: &str) -> Option<&'static str> {
    let is_language = name.len() == 5
        && name.bytes().enumerate().all(|(at, byte)| match at {
            2 => byte == b'_',
            _ => byte.is_ascii_lowercase(),
        });
    if is_language {
        return None;
    }
    Some(match name {
        "post" => {
            "must be left out: what is in it belongs here itself (other APIs of the platform take it under `post`, this one does not)"
        }
        "content" | "title" => {
            "must be in a language, such as {\"zh_cn\": {\"title\": …, \"content\": [[…]]}}"
        }
        _ => "must be a language such as zh_cn, en_us or ja_jp",
    })
}

fn check_language(post: Object<'_>, problems: &mut Problems) {
    post.optional_text("title", problems);
    let path = post.path.field("content");
    if !post.fields.contains_key("content") {
        problems.add(&path, "is missing: must be an array of paragraphs");
        return;
    }
    let Some(paragraphs) = post.optional_array("content", problems) else {
        return;
    };
    let mut nodes = 0;
    for (at, paragraph) in paragraphs.iter().enumerate() {
        if problems.is_full() {
            return;
        }
        let path = path.index(at);
        let Value::Array(paragraph) = paragraph else {
            problems.add(
                &path,
                format!(
                    "must be a paragraph, an array of nodes such as [{{\"tag\": \"text\", \"text\": \"hi\"}}], not {}",
                    kind_of(paragraph)
                ),
            );
            nodes += 1;
            continue;
        };
        nodes += paragraph.len();
        check_paragraph(paragraph, &path, problems);
    }
    if nodes == 0 {
        problems.add(&path, "must not be empty: give at least one node");
    }
}

fn check_paragraph(paragraph: &[Value], path: &Path<'_>, problems: &mut Problems) {
    for (at, node) in paragraph.iter().enumerate() {
        if problems.is_full() {
            return;
        }
        let path = path.index(at);
        let Value::Object(fields) = node else {
            let found = kind_of(node);
            problems.add(
                &path,
                format!("must be a node, an object with a tag, not {found}"),
            );
            continue;
        };
        let node = Object::new(fields, &path);
        let Some(tag) = node.text("tag", problems) else {
            continue;
        };
        if paragraph.len() > 1 && matches!(tag, "img" | "media" | "md") {
            problems.add(
                &path,
                format!("must be alone in its paragraph: {tag} is a paragraph of its own"),
            );
        }
        check_node(node, tag, problems);
    }
}

fn check_node(node: Object<'_>, tag: &str, problems: &mut Problems) {
    match tag {
        "text" => {
            node.text("text", problems);
            node.optional_bool("un_escape", problems);
            check_style(node, problems);
        }
        "a" => {
            node.text("text", problems);
            check_href(node, problems);
            check_style(node, problems);
        }
        "at" => {
            let id = node.text("user_id", problems);
            if let Some(wrong) = id.and_then(mentions::id_problem) {
                problems.add(&node.path.field("user_id"), wrong);
            }
            check_style(node, problems);
        }
        "img" => required_key(node, "image_key", Upload::Image, problems),
        "media" => {
            required_key(node, "file_key", Upload::File, problems);
            optional_key(node, "image_key", Upload::Image, problems);
        }
        "emotion" => check_emotion(node, problems),
        "code_block" => {
            node.text("text", problems);
            node.optional_text("language", problems);
        }
        "hr" => {}
        "md" => {
            let text = node.full_text("text", problems);
            if let Some(wrong) = text.and_then(mentions::problem) {
                problems.add(&node.path.field("text"), wrong);
            }
        }
        _ => problems.add(&node.path.field("tag"), unknown_tag(tag)),
    }
}

fn unknown_tag(tag: &str) -> String {
    let hint = match tag {
        "markdown" | "lark_md" => ": Markdown in a post is md",
        "plain_text" | "div" => ": that is of a card; in a post it is text",
        "link" => ": a link is a",
        "image" => ": a picture is img",
        "video" => ": a video is media",
        "emoji" => ": an emoji is emotion",
        "mention" => ": a mention is at",
        "code" | "pre" => ": code is code_block",
        "button" | "action" | "note" => ": that is of a card, which is of the type interactive",
        _ => "",
    };
    format!("must be one of {TAGS}{hint}")
}

fn check_href(node: Object<'_>, problems: &mut Problems) {
    let href = node.text("href", problems);
    if let Some(wrong) = href.and_then(links::web_problem) {
        problems.add(&node.path.field("href"), wrong);
    }
}

fn check_emotion(node: Object<'_>, problems: &mut Problems) {
    let emoji = node.text("emoji_type", problems);
    let is_wrong = emoji.is_some_and(|emoji| !crate::ids::is_identifier(emoji, MAX_EMOJI_BYTES));
    if is_wrong {
        problems.add(
            &node.path.field("emoji_type"),
            "must be the platform's name of an emoji, such as SMILE",
        );
    }
}

/// Texts: `bold`, `italic`, `underline`, `lineThrough`. The platform ignores others.
fn check_style(node: Object<'_>, problems: &mut Problems) {
    let Some(styles) = node.optional_array("style", problems) else {
        return;
    };
    let path = node.path.field("style");
    for (at, style) in styles.iter().enumerate() {
        if !style.is_string() {
            let found = kind_of(style);
            problems.add(
                &path.index(at),
                format!(
                    "must be a text such as bold, italic, underline or lineThrough, not {found}"
                ),
            );
        }
    }
}
