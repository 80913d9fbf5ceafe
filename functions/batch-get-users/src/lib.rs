//! `POST /v1/users/batch`: up to 1,000 users by ids, e-mail addresses and mobile numbers. Whoever cannot be answered is
//! listed with the reason and fails nobody else.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::directory::users::UserService;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use tracing::warn;

mod body;
mod openapi;

use body::BatchBody;
pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    users: &UserService,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("batch-get-users", &request, async |call| {
        batch(admission, users, call).await
    })
    .await)
}

async fn batch(admission: &Admission, users: &UserService, call: &Call<'_>) -> Result<Reply> {
    let key_id = &call.authorized(Scope::UsersRead)?.key_id;
    call.only_query(&[])?;
    let body: BatchBody = call.json()?;
    let asked = body.read()?;
    let context = admission.app_context(call, Scope::UsersRead).await?;
    admission.same(call, key_id, "POST /v1/users/batch").await?;
    let batch = users
        .batch(&context, &asked.wanted, call.deadline())
        .await?;
    if let Some((_, error)) = batch.failed.first() {
        let (wanted, failed) = (asked.wanted.len(), batch.failed.len());
        let log_id = error.lark().and_then(|lark| lark.log_id.as_deref());
        warn!(wanted, failed, error.code = error.code().as_str(), %error, lark.log_id = log_id, "a part of a batch failed");
    }
    Ok(Reply::raw_json(asked.answer(batch)?))
}
