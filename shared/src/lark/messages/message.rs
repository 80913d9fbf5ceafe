//! A message as the platform shows it. Source: "Get the content of the specified message".

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::Personal;

/// A message, as the platform shows it. Its `Debug` shows nothing of the content.
#[derive(Clone, Deserialize)]
pub struct PlatformMessage {
    /// Its id.
    pub message_id: String,
    /// The first message of the replies that it belongs to.
    #[serde(default)]
    pub root_id: Option<String>,
    /// The message that it replies to.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// The thread that it is in.
    #[serde(default)]
    pub thread_id: Option<String>,
    /// `text`, `post`, `interactive`, …
    #[serde(default)]
    pub msg_type: Option<String>,
    /// When it was made: milliseconds since the Unix epoch, as digits.
    #[serde(default)]
    pub create_time: Option<String>,
    /// When it was changed last, in the same form.
    #[serde(default)]
    pub update_time: Option<String>,
    #[serde(default)]
    deleted: Option<bool>,
    #[serde(default)]
    updated: Option<bool>,
    /// The chat that it is in.
    #[serde(default)]
    pub chat_id: Option<String>,
    /// Who sent it.
    #[serde(default)]
    pub sender: Option<MessageSender>,
    /// What it says.
    #[serde(default)]
    body: Option<Body>,
    /// Who is mentioned.
    #[serde(default)]
    pub mentions: Option<Vec<Mention>>,
}

/// Who sent a message.
#[derive(Clone, Debug, Deserialize)]
pub struct MessageSender {
    /// The app's or the user's id.
    #[serde(default)]
    pub id: Option<String>,
    /// `app_id` or `open_id`.
    #[serde(default)]
    pub id_type: Option<String>,
    /// `app`, `user`, `anonymous` or `unknown`.
    #[serde(default)]
    pub sender_type: Option<String>,
    /// The tenant.
    #[serde(default)]
    pub tenant_key: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Body {
    #[serde(default)]
    content: Option<String>,
}

/// Somebody who is mentioned.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Mention {
    /// What stands for them in the content, such as `@_user_1`.
    #[serde(default)]
    pub key: Option<String>,
    /// Their id.
    #[serde(default)]
    pub id: Option<String>,
    /// Which id it is.
    #[serde(default)]
    pub id_type: Option<String>,
    /// Their name.
    #[serde(default)]
    pub name: Option<Personal>,
    /// Their tenant.
    #[serde(default)]
    pub tenant_key: Option<String>,
}

impl PlatformMessage {
    /// What it says: JSON as text, or for one that was recalled a sentence.
    #[must_use]
    pub fn content(&self) -> Option<&str> {
        self.body.as_ref()?.content.as_deref()
    }

    /// Whether it was recalled.
    #[must_use]
    pub fn is_recalled(&self) -> bool {
        self.deleted.unwrap_or_default()
    }

    /// Whether it was edited.
    #[must_use]
    pub fn is_edited(&self) -> bool {
        self.updated.unwrap_or_default()
    }

    /// When it was made.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        moment(self.create_time.as_deref())
    }

    /// When it was changed last.
    #[must_use]
    pub fn updated_at(&self) -> Option<Timestamp> {
        moment(self.update_time.as_deref())
    }

    /// Whether the app `app_id` sent it.
    #[must_use]
    pub fn is_by(&self, app_id: &str) -> bool {
        let sender = self.sender.as_ref();
        sender.is_some_and(|it| it.id.as_deref() == Some(app_id))
    }

    /// Whether the app `app_id` may have sent it: the platform does not say that another one did.
    #[must_use]
    pub fn may_be_by(&self, app_id: &str) -> bool {
        let sender = self.sender.as_ref().and_then(|it| it.id.as_deref());
        sender.is_none_or(|id| id == app_id)
    }

    /// Whether what it says is the JSON `content`, whatever the order of fields and the spaces between them.
    #[must_use]
    pub fn says(&self, msg_type: &str, content: &str) -> bool {
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        self.msg_type.as_deref() == Some(msg_type)
            && self
                .content()
                .and_then(read)
                .is_some_and(|own| read(content) == Some(own))
    }
}

/// Shows nothing of the content.
impl std::fmt::Debug for PlatformMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlatformMessage")
            .field("message_id", &self.message_id)
            .field("msg_type", &self.msg_type)
            .finish_non_exhaustive()
    }
}

fn moment(millis: Option<&str>) -> Option<Timestamp> {
    millis?.parse().ok().map(Timestamp::from_millis)
}
