//! `GET /v1/users/{id}`: a user by one of their ids.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::directory::users::UserService;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::contacts::{UserId, UserIdKind};

mod openapi;

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
    let app_tenant = admission.app_tenant(call, Scope::UsersRead)?;
    // Both ask the shared cache: together they take one round trip.
    let (context, partial) = tokio::join!(
        admission.app_context(call, Scope::UsersRead),
        users.partial_lookup(&app_tenant, &id)
    );
    let found = users
        .finish_user(partial, &context?, call.deadline())
        .await?;
    Ok(Reply::found(found))
}
