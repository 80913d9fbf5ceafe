//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::lark::chats::ChatMember;
use lark_service::page::Page;

use crate::PAGES;

/// `GET /v1/chats/{id}/members`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let members = Content::answer::<Page<ChatMember>>().example(MEMBERS);
    vec![
        Operation::get(
            "/v1/chats/{id}/members",
            "listChatMembers",
            Tag::Chats,
            "The people in a chat",
        )
        .description(
            "A page of them, bots left out: a page may have other lengths than asked for. The app's bot must be in the chat. \
             A page is fresh for five minutes by default.",
        )
        .scope(Scope::UsersRead)
        .parameter(parameters::chat())
        .parameters(parameters::page(&PAGES))
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(200, "The page.", members).from_cache())
        .problem(problems::CHAT_NOT_FOUND),
    ]
}

const MEMBERS: &str = "
items:
  - { member_id_type: open_id, member_id: ou_7d8a6e6df7621556ce0d21922b676706, name: Zhang San, tenant_key: 736588c9260f175d }
next_page_token: null";
