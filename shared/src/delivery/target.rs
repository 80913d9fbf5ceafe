//! Where a message goes: to a person, to a chat, or below another message.

use serde::{Deserialize, Serialize};

use crate::lark::messages::{self, Address, MessageId, Sent};
use crate::lark::{Receiver, Request};

/// Where a message goes.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Target {
    /// Below another message. First: an [`Address`] has none of its fields.
    Reply(Reply),
    /// To a person or a chat.
    Address(Address),
}

/// Below which message, and where that is.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Reply {
    /// The message that is replied to.
    pub reply_to: MessageId,
    /// Whether the reply begins a thread.
    #[serde(default)]
    pub in_thread: bool,
    /// The chat that the message is in, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// Whom the message was sent to, if this service sent it: a reply goes to the same receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<Address>,
}

impl From<Address> for Target {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl Target {
    /// What [`Target::id`] is an id of: `open_id`, `chat_id` or `message_id`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address(address) => address.kind(),
            Self::Reply(_) => "message_id",
        }
    }

    /// The receiver's id; of a reply that of the message.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Address(address) => address.id(),
            Self::Reply(reply) => reply.reply_to.as_str(),
        }
    }

    /// The chat that the message will be in, if that is known beforehand.
    #[must_use]
    pub fn chat_id(&self) -> Option<&str> {
        match self {
            Self::Address(Address::ChatId(id)) => Some(id),
            Self::Address(Address::OpenId(_)) => None,
            Self::Reply(reply) => reply.chat_id.as_deref(),
        }
    }

    /// The receiver, as kind and id: what goes to the same one comes in order. A reply goes to the receiver of its message, or to
    /// its chat; if neither is known, replies to one message come in order.
    pub(super) fn receiver(&self) -> (&'static str, &str) {
        match self.address() {
            Some(address) => (address.kind(), address.id()),
            None => match self.chat_id() {
                Some(chat_id) => ("chat_id", chat_id),
                None => (self.kind(), self.id()),
            },
        }
    }

    /// Whom the message is sent to, in the platform's terms, if that is known.
    pub(super) const fn address(&self) -> Option<&Address> {
        match self {
            Self::Address(address) => Some(address),
            Self::Reply(reply) => reply.sent_to.as_ref(),
        }
    }

    /// The call that sends `msg_type` with `content` there.
    pub(super) fn request(&self, msg_type: &str, content: &str, uuid: &str) -> Request<Sent> {
        match self {
            Self::Address(address) => messages::create(address, msg_type, content, uuid),
            Self::Reply(reply) => messages::reply(
                &reply.reply_to,
                reply.in_thread,
                reply.receivers(),
                msg_type,
                content,
                uuid,
            ),
        }
    }
}

impl Reply {
    /// Whose limits it counts against.
    fn receivers(&self) -> Vec<Receiver> {
        let address = self.sent_to.as_ref();
        let chat = self.chat_id.as_ref();
        match (address, chat) {
            (Some(address), _) => vec![address.receiver()],
            (None, Some(chat_id)) => vec![Receiver::Chat(chat_id.clone())],
            (None, None) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_was_written_also_before_there_were_replies() {
        let reply = |sent_to| {
            Target::Reply(Reply {
                reply_to: MessageId::parse("om_1").unwrap(),
                in_thread: true,
                chat_id: Some("oc_1".to_owned()),
                sent_to,
            })
        };
        for target in [
            reply(None),
            reply(Some(Address::OpenId("ou_1".to_owned()))),
            Address::OpenId("ou_1".to_owned()).into(),
        ] {
            let text = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<Target>(&text).unwrap(), target);
        }
        let old = r#"{"type":"chat_id","id":"oc_1"}"#;
        let old: Target = serde_json::from_str(old).unwrap();
        assert_eq!(old, Address::ChatId("oc_1".to_owned()).into());
        for broken in ["{}", "null", r#"{"type":"reply","id":"om_1"}"#] {
            assert!(serde_json::from_str::<Target>(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_reply_goes_to_the_receiver_of_its_message() {
        let reply = |chat_id: Option<&str>, sent_to: Option<Address>| {
            Target::Reply(Reply {
                reply_to: MessageId::parse("om_1").unwrap(),
                in_thread: false,
                chat_id: chat_id.map(str::to_owned),
                sent_to,
            })
        };
        let person = Address::OpenId("ou_1".to_owned());
        let rows = [
            (reply(Some("oc_1"), Some(person)), ("open_id", "ou_1")),
            (reply(Some("oc_1"), None), ("chat_id", "oc_1")),
            (reply(None, None), ("message_id", "om_1")),
        ];
        for (target, receiver) in rows {
            assert_eq!(target.receiver(), receiver);
        }
    }
}
