//! `GET /v1/chats/{id}/members`: the users who are in a chat, page by page.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::directory::chats::ChatService;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::chats::ChatId;
use lark_service::page::PageRules;

mod openapi;

pub use openapi::operations;

/// Which pages a caller may ask for.
const PAGES: PageRules = PageRules::platform(ChatService::MAX_PAGE_SIZE);

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    chats: &ChatService,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("list-chat-members", &request, async |call| {
        members(admission, chats, call).await
    })
    .await)
}

async fn members(admission: &Admission, chats: &ChatService, call: &Call<'_>) -> Result<Reply> {
    call.authorized(Scope::UsersRead)?;
    call.only_query(&["page_size", "page_token"])?;
    let id = ChatId::parse(call.path_parameter("id"))?;
    let page = call.page(&PAGES)?;
    let context = admission.app_context(call, Scope::UsersRead).await?;
    let found = chats.members(&context, &id, &page, call.deadline()).await?;
    Ok(Reply::found(found))
}
