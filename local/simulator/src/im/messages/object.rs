//! The message object of answers.

use serde_json::{Value, json};

use crate::endpoint::Call;
use crate::messages::Message;
use crate::user_object::UserIdType;

/// The content of a recalled message ("List messages" in the platform's reference).
const RECALLED: &str = "This message was recalled";

/// The message with open_ids in its mentions.
pub(super) fn of(message: &Message, call: &Call<'_>) -> Value {
    with_ids(message, call, UserIdType::Open)
}

/// Fields without a value are absent. Times are texts with milliseconds.
pub(super) fn with_ids(message: &Message, call: &Call<'_>, id_type: UserIdType) -> Value {
    let content = match message.is_recalled {
        true => RECALLED,
        false => &message.content,
    };
    let mut object = json!({
        "message_id": message.id(),
        "msg_type": message.message_type.name(),
        "create_time": message.created_ms.to_string(),
        "update_time": message.updated_ms.to_string(),
        "deleted": message.is_recalled,
        "updated": message.edits > 0,
        "chat_id": message.chat.id(),
        "sender": {
            "id": message.app_id,
            "id_type": "app_id",
            "sender_type": "app",
            "tenant_key": message.chat.tenant,
        },
        "body": { "content": content },
    });
    let related = [
        ("root_id", message.root.map(Message::id_of)),
        ("parent_id", message.parent.map(Message::id_of)),
        ("thread_id", message.thread.map(Message::thread_id_of)),
    ];
    for (name, id) in related {
        if let Some(id) = id {
            object[name] = json!(id);
        }
    }
    if !message.mentions.is_empty() && !message.is_recalled {
        object["mentions"] = mentions(message, call, id_type);
    }
    object
}

fn mentions(message: &Message, call: &Call<'_>, id_type: UserIdType) -> Value {
    let mentions = message.mentions.iter().map(|mention| {
        json!({
            "key": mention.key,
            "id": id_type.user_id(mention.user, &call.app.app_id),
            "id_type": id_type.name(),
            "name": mention.name,
            "tenant_key": message.chat.tenant,
        })
    });
    mentions.collect()
}
