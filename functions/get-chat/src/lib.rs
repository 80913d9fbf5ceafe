//! `GET /v1/chats/{id}`: a chat by its id.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::directory::chats::ChatService;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::chats::ChatId;

mod openapi;

pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    chats: &ChatService,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("get-chat", &request, async |call| {
        chat(admission, chats, call).await
    })
    .await)
}

async fn chat(admission: &Admission, chats: &ChatService, call: &Call<'_>) -> Result<Reply> {
    call.authorized(Scope::UsersRead)?;
    call.only_query(&[])?;
    let id = ChatId::parse(call.path_parameter("id"))?;
    let context = admission.app_context(call, Scope::UsersRead).await?;
    let found = chats.chat(&context, &id, call.deadline()).await?;
    Ok(Reply::found(found))
}
