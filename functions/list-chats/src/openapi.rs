//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Parameter, Tag, parameters};
use lark_service::api_keys::Scope;
use lark_service::lark::chats::{Chat, ChatName};
use lark_service::page::Page;

use crate::PAGES;

/// `GET /v1/chats`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let chats = Content::answer::<Page<Chat>>().example(CHATS);
    vec![
        Operation::get(
            "/v1/chats",
            "listChats",
            Tag::Chats,
            "The chats of the app, or those of a name",
        )
        .description(
            "A page of the chats that the app's bot is in, oldest first; with `name`, of those that it may see and whose name \
             matches, as the platform matches names. Chats between two people are not among them. A page is fresh for five \
             minutes by default. At the platform the app needs a bot that is switched on.",
        )
        .scope(Scope::UsersRead)
        .parameter(
            Parameter::query("name", "What to look for in the names.")
                .of::<ChatName>()
                .example("sales"),
        )
        .parameters(parameters::page(&PAGES))
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(200, "The page.", chats).from_cache()),
    ]
}

const CHATS: &str = "
items:
  - chat_id: oc_a0553eda9014c201e6969b478895c230
    name: Sales team
    description: For everybody in sales
    avatar: https://example.com/chat.png
    owner_id: ou_7d8a6e6df7621556ce0d21922b676706
    owner_id_type: open_id
    external: false
    tenant_key: 736588c9260f175d
    chat_status: normal
next_page_token: null";
