//! One message, and what it is sent with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::directory::ids;

/// A chat in a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Chat {
    pub(crate) tenant: Arc<str>,
    pub(crate) place: Place,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// The group chat with this number.
    Group(u32),
    /// The chat between an app's bot and a user.
    Direct { app_id: Arc<str>, user: u32 },
}

impl Chat {
    pub(crate) fn id(&self) -> String {
        match &self.place {
            Place::Group(n) => ids::chat_id(*n),
            Place::Direct { app_id, user } => ids::p2p_chat_id(app_id, *user),
        }
    }

    /// The only person in the chat.
    pub(crate) fn person(&self) -> Option<u32> {
        match self.place {
            Place::Group(_) => None,
            Place::Direct { user, .. } => Some(user),
        }
    }
}

/// `msg_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageType {
    Text,
    Post,
    Image,
    File,
    Audio,
    Media,
    Sticker,
    Interactive,
    ShareChat,
    ShareUser,
    System,
}

impl MessageType {
    const ALL: [(Self, &str); 11] = [
        (Self::Text, "text"),
        (Self::Post, "post"),
        (Self::Image, "image"),
        (Self::File, "file"),
        (Self::Audio, "audio"),
        (Self::Media, "media"),
        (Self::Sticker, "sticker"),
        (Self::Interactive, "interactive"),
        (Self::ShareChat, "share_chat"),
        (Self::ShareUser, "share_user"),
        (Self::System, "system"),
    ];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, own)| *own == name).map(|(kind, _)| kind)
    }

    pub(crate) fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }
}

/// The call that a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    Create,
    Reply,
    Forward,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Reply => "reply",
            Self::Forward => "forward",
        }
    }
}

/// What a caller's `uuid` is unique for: an app in a tenant and a kind of call; for a forward, the target too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Uuid {
    pub(crate) app_id: Arc<str>,
    pub(crate) tenant: Arc<str>,
    pub(crate) origin: Origin,
    pub(crate) target: Option<Chat>,
    pub(crate) uuid: Arc<str>,
}

/// A user who is mentioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// What stands for the user in the content, such as `@_user_1`.
    pub(crate) key: String,
    pub(crate) user: u32,
    pub(crate) name: String,
}

/// A message that was validated.
pub(crate) struct Draft {
    pub(crate) app_id: Arc<str>,
    pub(crate) chat: Chat,
    pub(crate) uuid: Option<Uuid>,
    pub(crate) origin: Origin,
    pub(crate) message_type: MessageType,
    /// As it is read back: mentions are keys.
    pub(crate) content: Arc<str>,
    /// Of the content as it was sent.
    pub(crate) content_sha256: Arc<str>,
    pub(crate) mentions: Vec<Mention>,
    /// The message that this one replies to.
    pub(crate) parent: Option<Arc<Message>>,
    /// The thread, by the number of its first message.
    pub(crate) thread: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) app_id: Arc<str>,
    pub(crate) chat: Chat,
    pub(crate) uuid: Option<Uuid>,
    pub(crate) origin: Origin,
    pub(crate) message_type: MessageType,
    pub(crate) content: Arc<str>,
    pub(crate) content_sha256: Arc<str>,
    pub(crate) mentions: Vec<Mention>,
    pub(crate) parent: Option<u64>,
    pub(crate) root: Option<u64>,
    pub(crate) thread: Option<u64>,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
    /// How many times it was edited.
    pub(crate) edits: u32,
    pub(crate) is_recalled: bool,
    /// When its card was changed last, those of the last second.
    pub(crate) card_changes_ms: Vec<u64>,
    /// Who has read it, by the user's number, and when.
    pub(crate) readers: BTreeMap<u32, u64>,
    /// In the order in which they were added.
    pub(crate) reactions: Vec<Reaction>,
    reactions_added: u64,
    /// Numbers of the users for whom it is urgent.
    pub(crate) urgent_for: BTreeSet<u32>,
}

/// A reaction of an app's bot.
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub(crate) number: u64,
    pub(crate) app_id: Arc<str>,
    pub(crate) emoji: Arc<str>,
    pub(crate) at_ms: u64,
}

const REACTION: &str = "rx_";

impl Reaction {
    pub(crate) fn id(&self) -> String {
        ids::numbered(REACTION, self.number)
    }

    pub(crate) fn decode_id(id: &str) -> Option<u64> {
        ids::decode_numbered(REACTION, id)
    }
}

const MESSAGE: &str = "om_";
const THREAD: &str = "omt_";

impl Message {
    pub(super) fn new(number: u64, draft: Draft, now_ms: u64) -> Self {
        let parent = draft.parent.as_ref().map(|parent| parent.number);
        let root = draft.parent.as_ref().and_then(|parent| parent.root);
        Self {
            number,
            app_id: draft.app_id,
            chat: draft.chat,
            uuid: draft.uuid,
            origin: draft.origin,
            message_type: draft.message_type,
            content: draft.content,
            content_sha256: draft.content_sha256,
            mentions: draft.mentions,
            root: root.or(parent),
            parent,
            thread: draft.thread,
            created_ms: now_ms,
            updated_ms: now_ms,
            edits: 0,
            is_recalled: false,
            card_changes_ms: Vec::new(),
            readers: BTreeMap::new(),
            reactions: Vec::new(),
            reactions_added: 0,
            urgent_for: BTreeSet::new(),
        }
    }

    /// Adds a reaction, unless the app has the same already.
    pub(crate) fn react(&mut self, app_id: &str, emoji: &str, now_ms: u64) {
        let is_same = |it: &Reaction| *it.app_id == *app_id && *it.emoji == *emoji;
        if self.reactions.iter().any(is_same) {
            return;
        }
        self.reactions_added += 1;
        self.reactions.push(Reaction {
            number: self.number << 10 | self.reactions_added,
            app_id: app_id.into(),
            emoji: emoji.into(),
            at_ms: now_ms,
        });
    }

    pub(crate) fn id(&self) -> String {
        Self::id_of(self.number)
    }

    pub(crate) fn id_of(number: u64) -> String {
        ids::numbered(MESSAGE, number)
    }

    pub(crate) fn decode_id(id: &str) -> Option<u64> {
        ids::decode_numbered(MESSAGE, id)
    }

    /// The id of the thread that begins with a message.
    pub(crate) fn thread_id_of(number: u64) -> String {
        ids::numbered(THREAD, number)
    }

    /// The number of the first message in a thread.
    pub(crate) fn decode_thread_id(id: &str) -> Option<u64> {
        ids::decode_numbered(THREAD, id)
    }
}
