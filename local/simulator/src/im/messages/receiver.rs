//! The chat that a message goes to.

use super::{check_access, error};
use crate::answer::ApiError;
use crate::directory::ids;
use crate::directory::people::Profile;
use crate::endpoint::Call;
use crate::messages::{Chat, Message, Place};
use crate::platform::Platform;
use crate::user_lookup;
use crate::user_object::UserIdType;

/// `receive_id_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveIdType {
    Open,
    Union,
    User,
    Email,
    Chat,
    Thread,
}

/// Where a message goes: a chat, and perhaps a thread in it.
pub(super) struct Receiver {
    pub(super) chat: Chat,
    pub(super) thread: Option<u64>,
}

impl ReceiveIdType {
    /// From the query. Only a forward can go to a thread.
    pub(super) fn parse(call: &Call<'_>, with_threads: bool) -> Result<Self, ApiError> {
        let name = "receive_id_type";
        match call.request.query.first(name) {
            Some("open_id") => Ok(Self::Open),
            Some("union_id") => Ok(Self::Union),
            Some("user_id") => Ok(Self::User),
            Some("email") => Ok(Self::Email),
            Some("chat_id") => Ok(Self::Chat),
            Some("thread_id") if with_threads => Ok(Self::Thread),
            None | Some("") => Err(ApiError::field(name, "", "receive_id_type is required")),
            Some(other) => {
                let options = "the optional value are: open_id,union_id,user_id,email,chat_id";
                Err(ApiError::field(name, other, options))
            }
        }
    }
}

/// The receiver with this id, if the bot may write to it.
pub(super) fn find(
    platform: &Platform,
    call: &Call<'_>,
    id_type: ReceiveIdType,
    id: &str,
) -> Result<Receiver, ApiError> {
    let by_id = |id_type| user_lookup::resolve(platform, call, id_type, id);
    let profile = match id_type {
        ReceiveIdType::Open => by_id(UserIdType::Open)?,
        ReceiveIdType::Union => by_id(UserIdType::Union)?,
        ReceiveIdType::User => by_id(UserIdType::User)?,
        ReceiveIdType::Email => platform.directory.by_email(id).ok_or_else(bad_receiver)?,
        ReceiveIdType::Chat => return find_chat(platform, call, id),
        ReceiveIdType::Thread => return find_thread(platform, call, id),
    };
    person(call, &profile)
}

fn find_chat(platform: &Platform, call: &Call<'_>, id: &str) -> Result<Receiver, ApiError> {
    let chat = chat(platform, call, id).ok_or_else(bad_receiver)?;
    if let Place::Direct { user, .. } = chat.place {
        let profile = platform.directory.profile(user.into());
        return person(call, &profile.ok_or_else(bad_receiver)?);
    }
    check_access(platform, call, &chat)?;
    Ok(Receiver { chat, thread: None })
}

/// A group, or the chat of this app's bot with a user; `None` if there is no such chat.
pub(super) fn chat(platform: &Platform, call: &Call<'_>, id: &str) -> Option<Chat> {
    let place = match ids::decode_chat_id(id) {
        Some(n) => Place::Group(platform.chats.get(n)?.n),
        None => Place::Direct {
            app_id: call.app.app_id.as_str().into(),
            user: u32::try_from(ids::decode_p2p_chat_id(&call.app.app_id, id)?).ok()?,
        },
    };
    Some(Chat {
        tenant: call.tenant_key().into(),
        place,
    })
}

fn find_thread(platform: &Platform, call: &Call<'_>, id: &str) -> Result<Receiver, ApiError> {
    let number = Message::decode_thread_id(id).ok_or_else(bad_receiver)?;
    let first = platform.messages.get(number);
    let first = first
        .filter(|message| message.thread == Some(number))
        .ok_or_else(|| error(230_019, "The topic does not exist."))?;
    check_access(platform, call, &first.chat)?;
    Ok(Receiver {
        chat: first.chat.clone(),
        thread: Some(number),
    })
}

fn person(call: &Call<'_>, profile: &Profile) -> Result<Receiver, ApiError> {
    if profile.is_resigned {
        return Err(error(230_029, "The user has resigned."));
    }
    if call.app.unavailable_users.contains(&profile.n) {
        return Err(error(230_013, "Bot has NO availability to this user."));
    }
    Ok(Receiver {
        chat: Chat {
            tenant: call.tenant_key().into(),
            place: Place::Direct {
                app_id: call.app.app_id.as_str().into(),
                user: profile.n,
            },
        },
        thread: None,
    })
}

fn bad_receiver() -> ApiError {
    error(230_034, "The receive_id is invalid.")
}
