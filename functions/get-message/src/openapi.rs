//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;

use crate::body::MessageView;

/// `GET /v1/messages/{message_id}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let message = Content::answer::<MessageView>().example(MESSAGE);
    vec![
        Operation::get(
            "/v1/messages/{message_id}",
            "getMessage",
            Tag::Messages,
            "A message, as the platform has it",
        )
        .description(
            "Of a chat that the app's bot is in. Not one that another API key sent in the last 30 days. Each request is a call of \
             the platform: what became of a message that you sent, its job tells.",
        )
        .scope(Scope::MessagesSend)
        .parameter(parameters::message())
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(200, "The message.", message).not_kept())
        .problem(problems::MESSAGE_NOT_FOUND),
    ]
}

const MESSAGE: &str = r#"
message_id: om_dc13264520392913993dd051dba21dcf
chat_id: oc_a0553eda9014c201e6969b478895c230
msg_type: text
created_at: "2026-01-31T08:00:01Z"
updated_at: "2026-01-31T08:00:01Z"
is_recalled: false
is_edited: false
sender: { id: cli_a1b2c3d4e5f6, id_type: app_id, sender_type: app }
content: "{\"text\":\"@_user_1 The build is green.\"}"
mentions: [{ key: "@_user_1", id: ou_7d8a6e6df7621556ce0d21922b676706, name: Zhang San }]"#;
