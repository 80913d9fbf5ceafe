//! `GET /v1/chats`: the chats that the app's bot is in, or with `name` those it can see whose name matches, page by page.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::directory::chats::ChatService;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::chats::ChatName;
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
    Ok(http::serve("list-chats", &request, async |call| {
        list(admission, chats, call).await
    })
    .await)
}

async fn list(admission: &Admission, chats: &ChatService, call: &Call<'_>) -> Result<Reply> {
    call.authorized(Scope::UsersRead)?;
    call.only_query(&["name", "page_size", "page_token"])?;
    let name = call.query("name")?.map(ChatName::parse).transpose()?;
    let page = call.page(&PAGES)?;
    let context = admission.app_context(call, Scope::UsersRead).await?;
    let found = match &name {
        None => chats.list(&context, &page, call.deadline()).await?,
        Some(name) => chats.search(&context, name, &page, call.deadline()).await?,
    };
    Ok(Reply::found(found))
}
