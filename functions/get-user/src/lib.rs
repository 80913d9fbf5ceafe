//! `GET /v1/users/{id}`: a user by one of their ids.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply, Scope};
use lark_service::users::{UserId, UserIdKind, UserService};

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    users: &UserService,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("get-user", &request, async |call| {
        user(admission, users, call).await
    })
    .await)
}

async fn user(admission: &Admission, users: &UserService, call: &Call<'_>) -> Result<Reply> {
    call.authorized(Scope::UsersRead)?;
    call.only_query(&["id_type"])?;
    let kind = call
        .query("id_type")?
        .map_or(Ok(UserIdKind::OpenId), UserIdKind::parse)?;
    let id = UserId::parse(kind, call.path_parameter("id"))?;
    let acting = admission.acting(call, Scope::UsersRead).await?;
    let found = users.user(&acting, &id, call.deadline()).await?;
    Ok(Reply::raw_json(found.body)
        .with_header("age", &found.freshness.age.as_secs().to_string())
        .with_header("cache-status", &found.freshness.cache_status()))
}
