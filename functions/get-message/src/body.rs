//! What goes out.

use lark_service::lark::messages::PlatformMessage;
use serde::Serialize;
use utoipa::ToSchema;

/// A message, as the platform has it. What the platform does not tell is absent.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageView {
    message_id: String,
    /// The first message of the replies that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    root_id: Option<String>,
    /// The message that it replies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    /// The thread that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
    /// The chat that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_id: Option<String>,
    /// The platform's type of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    msg_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    /// Whether it was recalled: then it has no content.
    is_recalled: bool,
    /// Whether it was edited.
    is_edited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<SenderView>,
    /// The platform's content of that type, JSON in a text. People are mentioned as `@_user_1`, …, and `mentions` says who they are;
    /// Markdown reads otherwise than it was sent. A card is as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<MentionView>,
}

/// Who sent a message.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageSender)]
struct SenderView {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// `app_id` or `open_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    id_type: Option<String>,
    /// `app`, `user`, `anonymous` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_type: Option<String>,
}

/// Somebody who is mentioned.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageMention)]
struct MentionView {
    /// What stands for them in the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Their `open_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl MessageView {
    pub(crate) fn of(message: PlatformMessage) -> Self {
        let content = message.content().filter(|_| !message.is_recalled());
        let sender = message.sender.as_ref().map(|sender| SenderView {
            id: sender.id.clone(),
            id_type: sender.id_type.clone(),
            sender_type: sender.sender_type.clone(),
        });
        let mentions = message
            .mentions
            .iter()
            .flatten()
            .map(|mention| MentionView {
                key: mention.key.clone(),
                id: mention.id.clone(),
                name: mention.name.as_ref().map(|name| name.reveal().to_owned()),
            });
        Self {
            content: content.map(str::to_owned),
            sender,
            mentions: mentions.collect(),
            created_at: message.created_at().map(|at| at.to_string()),
            updated_at: message.updated_at().map(|at| at.to_string()),
            is_recalled: message.is_recalled(),
            is_edited: message.is_edited(),
            message_id: message.message_id,
            root_id: message.root_id,
            parent_id: message.parent_id,
            thread_id: message.thread_id,
            chat_id: message.chat_id,
            msg_type: message.msg_type,
        }
    }
}
