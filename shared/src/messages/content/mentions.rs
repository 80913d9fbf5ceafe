//! Mentions in texts and in the Markdown of posts: `<at user_id="ou_…">name</at>`, or `all`. In cards the syntax is another:
//! `<at id=ou_…></at>`. Source: "Message content structure".

/// The longest id in a mention.
const MAX_ID_BYTES: usize = 64;
/// The right form, as errors tell it.
const RIGHT: &str =
    "a mention is `<at user_id=\"ou_…\">name</at>`, or `<at user_id=\"all\"></at>` for everybody";

/// What is wrong with the first wrong mention in `text`.
pub(super) fn problem(text: &str) -> Option<String> {
    let mut from = 0;
    while let Some(start) = next(text, from) {
        match mention(&text[start..]) {
            Ok(length) => from = start + length,
            Err(wrong) => {
                let at = text[..start].chars().count() + 1;
                return Some(format!("has {wrong} at character {at}: {RIGHT}"));
            }
        }
    }
    None
}

/// What is wrong with Markdown of a card that mentions somebody as a text does.
pub(crate) fn problem_in_card(markdown: &str) -> Option<&'static str> {
    let mut from = 0;
    while let Some(start) = next(markdown, from) {
        let rest = markdown[start + 3..].trim_start();
        if rest.starts_with("user_id") {
            return Some(
                "has a mention in the syntax of texts: in a card it is `<at id=ou_…></at>`, or `<at id=all></at>` for everybody",
            );
        }
        from = start + 3;
    }
    None
}

/// Where the next mention begins, from `from` on: `<at` that is no part of a longer word.
fn next(text: &str, from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let start = from + text.get(from..)?.find("<at")?;
        let after = text[start + 3..].chars().next();
        if after.is_some_and(|c| c.is_whitespace() || matches!(c, '>' | '/')) {
            return Some(start);
        }
        from = start + 3;
    }
}

/// The length of the mention that `text` begins with, or what is wrong with it.
fn mention(text: &str) -> Result<usize, String> {
    let inside = &text[3..];
    let end = inside
        .find('>')
        .filter(|end| !inside[..*end].contains('<'))
        .ok_or("a mention without `>`")?;
    let attributes = inside[..end].trim();
    if attributes.ends_with('/') {
        return Err("a mention without `</at>`".to_owned());
    }
    user_id(attributes)?;
    let content = 3 + end + 1;
    let close = text[content..]
        .find("</at>")
        .ok_or("a mention without `</at>`")?;
    if next(&text[content..content + close], 0).is_some() {
        return Err("a mention without `</at>`".to_owned());
    }
    Ok(content + close + "</at>".len())
}

/// Checks that `attributes` name one user, or everybody.
fn user_id(attributes: &str) -> Result<(), String> {
    if attributes.is_empty() {
        return Err("a mention without user_id".to_owned());
    }
    let (name, value) = attributes
        .split_once('=')
        .ok_or("a mention without user_id")?;
    let name = name.trim();
    if name != "user_id" {
        return Err(match name {
            "id" | "ids" => "the mention of a card (`<at id=…>`)".to_owned(),
            _ => "a mention with another attribute than user_id".to_owned(),
        });
    }
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.split_once('"'))
        .or_else(|| {
            value
                .strip_prefix('\'')
                .and_then(|rest| rest.split_once('\''))
        });
    let (id, rest) = quoted.ok_or("a mention whose user_id is not in quotes")?;
    if !rest.trim().is_empty() {
        return Err("a mention with another attribute than user_id".to_owned());
    }
    match id_problem(id) {
        Some(wrong) => Err(format!("a mention whose user_id {wrong}")),
        None => Ok(()),
    }
}

/// What is wrong with `id` as the user of a mention: an open_id, a union_id, a user_id, or `all`.
pub(super) fn id_problem(id: &str) -> Option<&'static str> {
    let is_plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte));
    if id.is_empty() {
        return Some("is empty");
    }
    if id.starts_with("oc_") {
        return Some("is a chat: only users can be mentioned");
    }
    if !is_plain || id.len() > MAX_ID_BYTES || matches!(id, "ou_" | "on_") {
        return Some("is no id of a user: an open_id `ou_…`, a union_id, a user_id, or all");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_is_accepted_and_so_is_what_is_none() {
        for text in [
            "hi",
            "<at user_id=\"ou_1\">Tom</at> and <at user_id=\"all\"></at>",
            "<at user_id='on_1'>Tom</at>",
            "<at  user_id = \"7d8a6e6d\" >群 <b>x</b></at>",
            "<attempt> <at_exit> <atomic/>",
            "<at",
        ] {
            assert_eq!(problem(text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_mention_is_told_with_its_place() {
        let told = problem("嗨 <at user_id=\"ou_1\">Tom").unwrap();
        assert!(
            told.starts_with("has a mention without `</at>` at character 3"),
            "{told}"
        );
        let told = problem("<at user_id=\"ou_1\"></at><at id=all></at>").unwrap();
        assert!(
            told.contains("the mention of a card (`<at id=…>`) at character 25"),
            "{told}"
        );
    }
}
