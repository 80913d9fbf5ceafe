//! `DELETE /v1/oauth/users/{open_id}`: forgets a user's login. For keys that may read its tokens: they could do more with
//! those.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::error::{Error, Result};
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::ids::OpenId;
use lark_service::logins::Logins;

mod openapi;

pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    logins: &Logins,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("end-login", &request, async |call| {
        end(admission, logins, call).await
    })
    .await)
}

async fn end(admission: &Admission, logins: &Logins, call: &Call<'_>) -> Result<Reply> {
    let app = admission.app(call, Scope::UserTokensRead).await?;
    call.only_query(&[])?;
    let open_id = OpenId::parse(call.path_parameter("open_id")).ok_or_else(|| {
        Error::invalid(
            "open_id",
            "must be `ou_` and then letters, digits, `_` or `-`, 64 characters at most",
        )
    })?;
    // Ending what is over already is fine: the caller may be repeating itself.
    logins.end(&app.app_id, &open_id, call.deadline()).await?;
    Ok(Reply::nothing())
}
