//! Messages: the platform's `im/v1/messages` family. Sources: "Send message", "Get the content of the specified message", "Recall
//! message". All of it needs the app's bot to be switched on.

use serde::{Deserialize, Serialize};

use super::apis::IM_MESSAGE_CREATE;
use super::{Receiver, Request};
use crate::error::LarkFailure;
use crate::ids::is_identifier;

/// The longest `uuid`, in characters.
pub const MAX_UUID: usize = 50;

/// The longest id of a message that is believed.
const MAX_ID_BYTES: usize = 128;

/// Whom a message goes to, in the platform's terms.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Address {
    /// A user, as the sending app knows them.
    OpenId(String),
    /// A chat.
    ChatId(String),
}

impl Address {
    /// The platform's `receive_id_type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OpenId(_) => "open_id",
            Self::ChatId(_) => "chat_id",
        }
    }

    /// Whose limit a message to it counts against.
    #[must_use]
    pub fn receiver(&self) -> Receiver {
        match self {
            Self::OpenId(id) => Receiver::Person(id.clone()),
            Self::ChatId(id) => Receiver::Chat(id.clone()),
        }
    }

    /// The platform's `receive_id`.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::OpenId(id) | Self::ChatId(id) => id,
        }
    }
}

/// A message that the platform took.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Sent {
    /// Its id, `om_…`.
    pub message_id: String,
    /// The chat that it is in; of a message to a user, the chat between the bot and the user.
    #[serde(default)]
    pub chat_id: Option<String>,
    /// When the platform made it, in milliseconds since the Unix epoch, as digits.
    #[serde(default)]
    pub create_time: Option<String>,
    /// The platform's id of the call.
    #[serde(default)]
    pub log_id: Option<String>,
}

#[derive(Serialize)]
struct Create<'m> {
    receive_id: &'m str,
    msg_type: &'m str,
    content: &'m str,
    uuid: &'m str,
}

/// Sends a message of `msg_type` with `content`, JSON as text. Of calls with the same `uuid`, of at most [`MAX_UUID`] characters, one
/// within an hour makes a message; what a later one answers is not documented.
///
/// It is sent once: whoever repeats it must know when the first call with its `uuid` was.
#[must_use]
pub fn create(to: &Address, msg_type: &str, content: &str, uuid: &str) -> Request<Sent> {
    let body = Create {
        receive_id: to.id(),
        msg_type,
        content,
        uuid,
    };
    Request::post(IM_MESSAGE_CREATE, &["open-apis", "im", "v1", "messages"])
        .query("receive_id_type", to.kind())
        .to(to.receiver())
        .json(&body)
        .reading(|answer| {
            let data: Data = answer.json()?;
            let sent = data.data.filter(|sent| is_id(&sent.message_id));
            let sent = sent.ok_or_else(|| LarkFailure::lacking("message_id"))?;
            Ok(Sent {
                log_id: answer.log_id(),
                ..sent
            })
        })
}

/// Whether `text` can be a message's id.
fn is_id(text: &str) -> bool {
    is_identifier(text, MAX_ID_BYTES)
}

#[derive(Deserialize)]
struct Data {
    data: Option<Sent>,
}
