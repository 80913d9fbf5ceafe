//! Content in the forms in which the platform takes it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MsgType;

/// Content as `POST /im/v1/messages` takes it. A job keeps it in this form.
#[derive(Clone, Eq, PartialEq, Deserialize, Serialize)]
pub struct Serialised {
    /// The type.
    pub msg_type: MsgType,
    /// A JSON object as text.
    pub content: String,
}

/// Content as `POST /message/v4/batch_send` takes it: `msg_type` with `content`, or with `card`. The fields belong into that
/// call's body.
#[derive(Clone, PartialEq, Serialize)]
pub struct BroadcastContent {
    /// The type.
    pub msg_type: MsgType,
    /// Everything but a card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Map<String, Value>>,
    /// A card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<Map<String, Value>>,
}

impl Serialised {
    /// The same as an object for `message/v4/batch_send`. That API is older: a post lies under `post`, a chat is
    /// `share_chat_id`. `None` for what it does not take or does not show as it was meant: types other than texts, posts,
    /// images, chats and cards; Markdown and styles in a post; styles in a text; a card entity, which can be sent only once.
    /// Sources: "Send messages in batches", "Message content structure".
    #[must_use]
    pub fn broadcast(&self) -> Option<BroadcastContent> {
        let mut content: Map<String, Value> = serde_json::from_str(&self.content).ok()?;
        let mut card = None;
        let content = match self.msg_type {
            MsgType::Text | MsgType::Post if is_styled(&self.content) => return None,
            MsgType::Text | MsgType::Image => Some(content),
            MsgType::Post => Some(Map::from_iter([("post".to_owned(), content.into())])),
            MsgType::ShareChat => {
                let chat_id = content.remove("chat_id")?;
                Some(Map::from_iter([("share_chat_id".to_owned(), chat_id)]))
            }
            MsgType::Interactive if content.get("type").is_some_and(|it| it == "card") => {
                return None;
            }
            MsgType::Interactive => {
                card = Some(content);
                None
            }
            MsgType::File
            | MsgType::Audio
            | MsgType::Media
            | MsgType::Sticker
            | MsgType::ShareUser => return None,
        };
        Some(BroadcastContent {
            msg_type: self.msg_type,
            content,
            card,
        })
    }
}

/// Whether the JSON of a text or a post has what only a single message shows: rather once too often than shown raw.
fn is_styled(json: &str) -> bool {
    [
        "**",
        "<b>",
        "<i>",
        "<u>",
        "<s>",
        "\"style\":[\"",
        "\"tag\":\"md\"",
    ]
    .iter()
    .any(|sign| json.contains(sign))
}

/// Shows nothing of the content.
impl fmt::Debug for Serialised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serialised")
            .field("msg_type", &self.msg_type)
            .field("content_bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// Shows nothing of the content.
impl fmt::Debug for BroadcastContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastContent")
            .field("msg_type", &self.msg_type)
            .finish_non_exhaustive()
    }
}
