//! The types of messages.

use serde::{Deserialize, Serialize};

use crate::schema::{describe, one_of};

/// The type of a message, in the platform's words. `system` is left out: it needs a permission of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MsgType {
    /// Text with mentions.
    Text,
    /// Rich text in paragraphs.
    Post,
    /// A picture that was uploaded.
    Image,
    /// A file that was uploaded.
    File,
    /// A voice message, an uploaded file of the type `opus`.
    Audio,
    /// A video, an uploaded file of the type `mp4`.
    Media,
    /// A sticker that was received before.
    Sticker,
    /// A card.
    Interactive,
    /// The business card of a chat.
    ShareChat,
    /// The business card of a user.
    ShareUser,
}

describe!(
    MsgType,
    "MsgType",
    one_of(
        "The type of a message. `interactive` is a card.",
        MsgType::ALL.map(MsgType::as_str),
    )
);

impl MsgType {
    /// Every type.
    pub const ALL: [Self; 10] = [
        Self::Text,
        Self::Post,
        Self::Image,
        Self::File,
        Self::Audio,
        Self::Media,
        Self::Sticker,
        Self::Interactive,
        Self::ShareChat,
        Self::ShareUser,
    ];

    /// The type in the platform's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Post => "post",
            Self::Image => "image",
            Self::File => "file",
            Self::Audio => "audio",
            Self::Media => "media",
            Self::Sticker => "sticker",
            Self::Interactive => "interactive",
            Self::ShareChat => "share_chat",
            Self::ShareUser => "share_user",
        }
    }

    /// The type that `text` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|msg_type| msg_type.as_str() == text)
    }
}
