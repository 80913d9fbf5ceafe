//! The content of a message, of every type that the platform sends, checked before any call. Sources: "Send message",
//! "Message content structure", "Card JSON 1.0 structure", "Card JSON 2.0 structure", "Send messages in batches".
//!
//! What is known to fail is refused; what is merely unknown goes through, because the platform grows: an unknown field, an
//! unknown element of a card, an unknown colour. A closed set is refused only where the platform documents it as one: types of
//! messages, tags of a post, elements that a version of cards gave up.

use std::fmt;

use serde_json::{Map, Value};

use super::problems::{Path, Problems};
use crate::error::{Error, Result};

mod card;
mod fields;
mod keys;
mod limits;
mod links;
mod media;
mod mentions;
mod msg_type;
mod post;
mod reader;
mod sent;

pub use fields::{ContentFields, content_schema};
pub use limits::{MAX_CARD_BYTES, MAX_CARD_ELEMENTS, MAX_DEPTH, MAX_REQUEST_BYTES, MAX_TEXT_BYTES};
pub(super) use links::web_problem;
pub(super) use mentions::problem_in_card as card_markdown_problem;
pub use msg_type::MsgType;
pub use sent::{BroadcastContent, Serialised};

/// What the content is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A new message, or a reply.
    Send,
    /// In place of the content of a sent message: a text or a post (`PUT /im/v1/messages/:id`).
    Edit,
    /// In place of a sent card (`PATCH /im/v1/messages/:id`): only a shared card can be replaced.
    Patch,
}

/// The checked content of a message.
#[derive(Clone, PartialEq)]
pub struct MessageContent {
    msg_type: MsgType,
    content: Map<String, Value>,
}

impl MessageContent {
    /// The content in `fields`, which are those of the body itself.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with every problem, [`Problems::MAX`] at most, each with its place, such as
    /// `content.zh_cn.content[0][1].href`; [`Error::FieldTooLarge`] when the only problem is a size.
    pub fn parse(fields: ContentFields, purpose: Purpose) -> Result<Self> {
        let mut problems = Problems::default();
        let content = Self::check(fields, purpose, &mut problems);
        problems.into_result()?;
        content.ok_or_else(|| Error::internal("content without a problem"))
    }

    /// As [`MessageContent::parse`], for a body with other fields: `None` after adding to `problems`.
    pub fn check(fields: ContentFields, purpose: Purpose, problems: &mut Problems) -> Option<Self> {
        let before = problems.count();
        let given = fields.read(purpose, problems)?;
        let path = Path::of(given.field);
        if given.is_short {
            // What was made from a text has only the text's own problems, and its place is the text.
            let mut inside = Problems::default();
            check_object(given.msg_type, &given.content, &path, purpose, &mut inside);
            problems.add_all_at(&path, inside);
        } else {
            check_object(given.msg_type, &given.content, &path, purpose, problems);
        }
        let checked = Self {
            msg_type: given.msg_type,
            content: given.content,
        };
        if problems.count() == before {
            limits::check_size(checked.msg_type, &checked.text(), &path, problems);
        }
        (problems.count() == before).then_some(checked)
    }

    /// Its type.
    #[must_use]
    pub const fn msg_type(&self) -> MsgType {
        self.msg_type
    }

    /// As `POST /im/v1/messages` takes it: the type, and the content as a text that holds JSON.
    #[must_use]
    pub fn serialised(&self) -> Serialised {
        Serialised {
            msg_type: self.msg_type,
            content: self.text(),
        }
    }

    fn text(&self) -> String {
        serde_json::to_string(&self.content).expect("an object with text keys is JSON")
    }
}

/// Shows nothing of the content: messages do not belong in a log.
impl fmt::Debug for MessageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageContent")
            .field("msg_type", &self.msg_type)
            .finish_non_exhaustive()
    }
}

/// Checks what an object of this type must have.
fn check_object(
    msg_type: MsgType,
    content: &Map<String, Value>,
    path: &Path<'_>,
    purpose: Purpose,
    problems: &mut Problems,
) {
    match msg_type {
        MsgType::Text => media::check_text(content, path, problems),
        MsgType::Post => post::check(content, path, problems),
        MsgType::Image => media::check_image(content, path, problems),
        MsgType::File | MsgType::Audio | MsgType::Sticker => {
            media::check_file(content, path, problems);
        }
        MsgType::Media => media::check_media(content, path, problems),
        MsgType::Interactive => card::check(content, path, purpose, problems),
        MsgType::ShareChat => media::check_share_chat(content, path, problems),
        MsgType::ShareUser => media::check_share_user(content, path, problems),
    }
}

#[cfg(test)]
mod tests;
