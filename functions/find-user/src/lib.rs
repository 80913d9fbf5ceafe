//! `GET /v1/users?email=…` or `?mobile=…`: a user by their e-mail address or mobile number.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::directory::users::UserService;
use lark_service::error::{Error, Result};
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::contacts::Contact;

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
    Ok(http::serve("find-user", &request, async |call| {
        user(admission, users, call).await
    })
    .await)
}

async fn user(admission: &Admission, users: &UserService, call: &Call<'_>) -> Result<Reply> {
    call.authorized(Scope::UsersRead)?;
    call.only_query(&["email", "mobile"])?;
    let contact = contact(call)?;
    let context = admission.app_context(call, Scope::UsersRead).await?;
    let found = users.find(&context, &contact, call.deadline()).await?;
    Ok(Reply::found(found))
}

fn contact(call: &Call<'_>) -> Result<Contact> {
    match (call.query("email")?, call.query("mobile")?) {
        (Some(email), None) => Contact::email(email),
        // A `+` that is not written as %2B arrives as a space.
        (None, Some(mobile)) => match mobile.strip_prefix(' ') {
            Some(rest) => Contact::mobile(&format!("+{rest}")),
            None => Contact::mobile(mobile),
        },
        (Some(_), Some(_)) => Err(Error::invalid(
            "mobile",
            "must not be given together with email: one of the two says who is wanted",
        )),
        (None, None) => Err(Error::invalid(
            "email",
            "must be given, or mobile: one of the two says who is wanted",
        )),
    }
}
