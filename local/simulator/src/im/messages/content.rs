//! The content of a message, checked as the platform would ("Message content" in its reference).

pub(crate) mod card;
mod mentions;
mod post;

use serde_json::{Map, Value};

use super::{error, invalid};
use crate::answer::ApiError;
use crate::chats::Chat as Group;
use crate::digest;
use crate::directory::ids::{self, Decoded};
use crate::directory::people::Profile;
use crate::endpoint::Call;
use crate::media::UploadKind;
use crate::messages::{Chat, Mention, MessageType};
use crate::platform::Platform;

use mentions::MentionIds;

/// The largest requests, in bytes. For KB the platform does not say whether it counts by 1,000 or 1,024.
const TEXT_MAX: usize = 150 * 1024;
const POST_MAX: usize = 30 * 1024;

/// A content that was checked.
pub(crate) struct Content {
    pub(crate) message_type: MessageType,
    /// As it is read back.
    pub(crate) text: String,
    /// SHA-256 of what was sent.
    pub(crate) sha256: String,
    pub(crate) mentions: Vec<Mention>,
}

/// Who sends a content, and where to.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(super) platform: &'a Platform,
    pub(super) call: &'a Call<'a>,
    /// `None` for a batch message, which goes to people.
    chat: Option<&'a Chat>,
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyUse {
    Image,
    File,
    Audio,
    Media,
    Sticker,
}

type Fields = Map<String, Value>;

/// Checks a content of this type.
pub(crate) fn read(
    context: &Context<'_>,
    msg_type: &str,
    content: &str,
) -> Result<Content, ApiError> {
    let message_type = MessageType::parse(msg_type).ok_or_else(|| invalid("invalid msg_type"))?;
    check_size(message_type, context.call.request.body.len())?;
    let fields = match serde_json::from_str(content) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) if message_type == MessageType::Interactive => {
            return Err(card::unparsable());
        }
        Ok(_) | Err(_) => return Err(invalid("content is not a string in json format")),
    };
    let mut mentions = MentionIds::default();
    let text = match message_type {
        MessageType::Text => text(context, fields, &mut mentions)?,
        MessageType::Post => post::read(context, &fields, &mut mentions)?,
        MessageType::Interactive => {
            card::check(context, &fields)?;
            content.to_owned()
        }
        MessageType::Image
        | MessageType::File
        | MessageType::Audio
        | MessageType::Media
        | MessageType::Sticker
        | MessageType::ShareChat
        | MessageType::ShareUser
        | MessageType::System => {
            check_fields(context, message_type, &fields)?;
            Value::Object(fields).to_string()
        }
    };
    Ok(Content {
        message_type,
        text,
        sha256: digest::sha256_hex(content),
        mentions: mentions.found(),
    })
}

impl<'a> Context<'a> {
    pub(crate) fn new(platform: &'a Platform, call: &'a Call<'a>, chat: Option<&'a Chat>) -> Self {
        Self {
            platform,
            call,
            chat,
        }
    }

    /// A user by open_id, union_id or user_id, as in mentions.
    pub(super) fn user(&self, id: &str) -> Option<Profile> {
        let app_id = &self.call.app.app_id;
        let n = match ids::decode_open_id(app_id, id) {
            Some(Decoded::Number(n)) => Some(n),
            Some(Decoded::Foreign(_)) | None => None,
        };
        let n = n
            .or_else(|| ids::decode_union_id(id))
            .or_else(|| ids::decode_user_id(id))?;
        self.platform.directory.profile(n)
    }

    /// Whether the app may send the upload with this key, for this use.
    pub(super) fn check_key(&self, key: &str, key_use: KeyUse) -> Result<(), ApiError> {
        let Some(upload) = self.platform.media.get(key) else {
            // Stickers cannot be uploaded: bots pass on the keys of those that they receive.
            let is_sticker = key_use == KeyUse::Sticker && key.starts_with("file_");
            return match is_sticker {
                true => Ok(()),
                false => Err(invalid(format!("invalid key: {key}"))),
            };
        };
        if *upload.app_id != *self.call.app.app_id {
            return Err(error(230_017, "Bot is NOT the owner of the resource."));
        }
        let fits = match (&upload.kind, key_use) {
            (UploadKind::Image { is_avatar, .. }, KeyUse::Image) => !is_avatar,
            (UploadKind::File { file_type, .. }, KeyUse::Audio) => file_type == "opus",
            (UploadKind::File { file_type, .. }, KeyUse::Media) => file_type == "mp4",
            (UploadKind::File { file_type, .. }, KeyUse::File) => {
                !matches!(file_type.as_str(), "opus" | "mp4")
            }
            (UploadKind::Image { .. } | UploadKind::File { .. }, _) => false,
        };
        match fits {
            true => Ok(()),
            false => Err(error(
                230_055,
                "The type of file upload does not match the type of message being sent.",
            )),
        }
    }
}

fn check_size(message_type: MessageType, request_bytes: usize) -> Result<(), ApiError> {
    let max = match message_type {
        MessageType::Text => TEXT_MAX,
        MessageType::Post | MessageType::Interactive => POST_MAX,
        MessageType::Image
        | MessageType::File
        | MessageType::Audio
        | MessageType::Media
        | MessageType::Sticker
        | MessageType::ShareChat
        | MessageType::ShareUser
        | MessageType::System => return Ok(()),
    };
    match request_bytes > max {
        true => Err(error(
            230_025,
            "The length of the message content reaches its limit.",
        )),
        false => Ok(()),
    }
}

fn text(
    context: &Context<'_>,
    mut fields: Fields,
    mentions: &mut MentionIds,
) -> Result<String, ApiError> {
    let text = required(&fields, "text")?;
    if text.trim().is_empty() {
        return Err(invalid("the text is empty"));
    }
    let text = mentions.in_text(context, text);
    fields.insert("text".to_owned(), text.into());
    Ok(Value::Object(fields).to_string())
}

fn check_fields(
    context: &Context<'_>,
    message_type: MessageType,
    fields: &Fields,
) -> Result<(), ApiError> {
    let key = |name, key_use| context.check_key(required(fields, name)?, key_use);
    match message_type {
        MessageType::Image => key("image_key", KeyUse::Image),
        MessageType::File => key("file_key", KeyUse::File),
        MessageType::Audio => key("file_key", KeyUse::Audio),
        MessageType::Sticker => key("file_key", KeyUse::Sticker),
        MessageType::Media => {
            key("file_key", KeyUse::Media)?;
            match fields.contains_key("image_key") {
                true => key("image_key", KeyUse::Image),
                false => Ok(()),
            }
        }
        MessageType::ShareChat => check_shared_chat(context, required(fields, "chat_id")?),
        MessageType::ShareUser => check_shared_user(context, required(fields, "user_id")?),
        MessageType::System => check_system(context, fields),
        // They have modules of their own.
        MessageType::Text | MessageType::Post | MessageType::Interactive => Ok(()),
    }
}

/// The bot must be in the chat that it shares.
fn check_shared_chat(context: &Context<'_>, chat_id: &str) -> Result<(), ApiError> {
    let app_id = &context.call.app.app_id;
    if ids::decode_p2p_chat_id(app_id, chat_id).is_some() {
        return Err(error(230_015, "A p2p chat cannot be shared."));
    }
    let group = ids::decode_chat_id(chat_id).and_then(|n| context.platform.chats.get(n));
    match group {
        Some(Group { is_dissolved, .. }) if is_dissolved => {
            Err(error(232_009, "The chat has been dissolved."))
        }
        Some(group) if group.has_bot => Ok(()),
        Some(_) => Err(super::outside()),
        None => Err(invalid("invalid chat_id")),
    }
}

/// Only by open_id.
fn check_shared_user(context: &Context<'_>, open_id: &str) -> Result<(), ApiError> {
    let is_open_id = open_id.starts_with("ou_");
    match is_open_id && context.user(open_id).is_some() {
        true => Ok(()),
        false => Err(invalid("invalid user_id")),
    }
}

/// A dividing line, only in a chat with a person.
fn check_system(context: &Context<'_>, fields: &Fields) -> Result<(), ApiError> {
    if context.chat.is_none_or(|chat| chat.person().is_none()) {
        return Err(invalid("system messages are for p2p chats only"));
    }
    match required(fields, "type")? {
        "divider" => Ok(()),
        _ => Err(invalid("invalid type of a system message")),
    }
}

/// A text that must be there.
pub(super) fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, ApiError> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(format!("{name} is not a string"))),
        None => Err(invalid(format!("{name} is required"))),
    }
}
