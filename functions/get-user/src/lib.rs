//! `GET /v1/users/{id}`: a user by one of their ids.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::error::Result;
use lark_service::http::{self, Call, Reply, Scope};
use lark_service::ids::AppId;
use lark_service::users::{UserId, UserIdKind, UserService};

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    users: &UserService,
    default_app: Option<&AppId>,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("get-user", &request, async |call| {
        user(users, default_app, call).await
    })
    .await)
}

async fn user(users: &UserService, default_app: Option<&AppId>, call: &Call<'_>) -> Result<Reply> {
    let app_id = call.app_id(Scope::UsersRead, default_app)?;
    call.only_query(&["id_type"])?;
    let kind = call
        .query("id_type")?
        .map_or(Ok(UserIdKind::OpenId), UserIdKind::parse)?;
    let id = UserId::parse(kind, call.path_parameter("id"))?;
    let found = users.user(&app_id, &id, call.deadline()).await?;
    Ok(Reply::raw_json(found.body)
        .with_header("age", &found.freshness.age.as_secs().to_string())
        .with_header("cache-status", &found.freshness.cache_status()))
}
