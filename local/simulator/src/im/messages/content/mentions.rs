//! Mentions: `<at user_id="…">name</at>` in texts, nodes in posts. They are read back as `@_user_1`, `@_user_2`, ….

use super::Context;
use crate::messages::Mention;

/// Who is mentioned in a message, in order.
#[derive(Default)]
pub(crate) struct MentionIds(Vec<Mention>);

const ALL: &str = "@_all";

impl MentionIds {
    pub(crate) fn found(self) -> Vec<Mention> {
        self.0
    }

    /// What stands for the user, or for everybody, in the content; `None` if there is no such user.
    pub(super) fn key(&mut self, context: &Context<'_>, user_id: &str) -> Option<String> {
        if user_id == "all" {
            return Some(ALL.to_owned());
        }
        let profile = context.user(user_id)?;
        let key = format!("@_user_{}", self.0.len() + 1);
        self.0.push(Mention {
            key: key.clone(),
            user: profile.n,
            name: profile.name,
        });
        Some(key)
    }

    /// The text with its mentions replaced. One of an unknown user stays as it is.
    pub(super) fn in_text(&mut self, context: &Context<'_>, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("<at ") {
            let (before, at) = rest.split_at(start);
            replaced.push_str(before);
            let found = tag(at).and_then(|(user_id, length)| {
                let key = self.key(context, user_id)?;
                Some((key, length))
            });
            let length = match found {
                Some((key, length)) => {
                    replaced.push_str(&key);
                    length
                }
                None => {
                    replaced.push_str("<at ");
                    "<at ".len()
                }
            };
            rest = &at[length..];
        }
        replaced + rest
    }
}

/// The user_id of the tag at the beginning of a text, and the tag's length with its end.
fn tag(text: &str) -> Option<(&str, usize)> {
    const END: &str = "</at>";
    let (head, _) = text.split_once('>')?;
    let end = text.find(END)?;
    if end < head.len() {
        return None;
    }
    let (_, value) = head.split_once("user_id=")?;
    let quote = value
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''))?;
    let user_id = value[1..].split(quote).next()?;
    Some((user_id, end + END.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_quoted_id_and_an_end() {
        let whole = r#"<at user_id="ou_1">Tom & Co</at> hello"#;
        assert_eq!(tag(whole), Some(("ou_1", whole.len() - " hello".len())));
        assert_eq!(tag("<at user_id='all'></at>"), Some(("all", 23)));
        for other in [
            "<at user_id=ou_1></at>",
            "<at user_id=\"ou_1\">",
            "<at id=\"ou_1\"></at>",
            "<at </at> user_id=\"a\">",
        ] {
            assert_eq!(tag(other), None, "{other}");
        }
    }
}
