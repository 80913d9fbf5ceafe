//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::lark::chats::Chat;

/// `GET /v1/chats/{id}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let chat = Content::answer::<Chat>().example(CHAT);
    vec![
        Operation::get(
            "/v1/chats/{id}",
            "getChat",
            Tag::Chats,
            "A chat by its id",
        )
        .description(
            "As far as the platform shows it to the app: of a chat that the app's bot is not in, name, picture, counts and \
             status. Fresh for an hour by default, kept and served like a profile.",
        )
        .scope(Scope::UsersRead)
        .parameter(parameters::chat())
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(200, "The chat.", chat).from_cache())
        .problem(problems::CHAT_NOT_FOUND),
    ]
}

const CHAT: &str = r#"
chat_id: oc_a0553eda9014c201e6969b478895c230
name: Sales team
chat_mode: group
chat_type: private
external: false
owner_id: ou_7d8a6e6df7621556ce0d21922b676706
owner_id_type: open_id
user_count: "12"
bot_count: "1"
chat_status: normal
tenant_key: 736588c9260f175d"#;
