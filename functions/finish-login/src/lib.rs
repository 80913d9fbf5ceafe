//! `GET /v1/oauth/callback`: where the platform's log-in page sends the browser back to.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::error::{Error, Result};
use lark_service::http::{self, Call, Reply};
use lark_service::logins::{Callback, Finished, LoggedIn, Logins};
use url::Url;

mod openapi;

pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    logins: &Logins,
    public_url: Option<&Url>,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("finish-login", &request, async |call| {
        finish(logins, public_url, call).await
    })
    .await)
}

async fn finish(logins: &Logins, public_url: Option<&Url>, call: &Call<'_>) -> Result<Reply> {
    let public_url = call.public_url(public_url)?;
    // The platform may add parameters of its own: what is not known here is passed over.
    let callback = Callback {
        state: call.query("state")?,
        code: call.query("code")?,
        error: call.query("error")?,
        public_url: &public_url,
    };
    let finished = logins
        .finish(&callback, |name| call.cookie(name), call.deadline())
        .await?;
    let Finished {
        redirect_to,
        cookie,
        outcome,
    } = finished;
    call.answer_with("set-cookie", cookie);
    match (redirect_to, outcome) {
        (Some(target), outcome) => Ok(Reply::redirect(told(target, &outcome).as_str())),
        (None, outcome) => Ok(Reply::page(welcome(&outcome?))),
    }
}

/// `target`, with how the login ended. It is a hint for the page, no proof: anybody can make such an address.
fn told(mut target: Url, outcome: &Result<LoggedIn>) -> Url {
    let mut query = target.query_pairs_mut();
    match outcome {
        Ok(logged_in) => query
            .append_pair("login", "ok")
            .append_pair("open_id", logged_in.open_id.as_str()),
        Err(error) => query
            .append_pair("login", "failed")
            .append_pair("code", Error::code(error).as_str()),
    };
    drop(query);
    target
}

fn welcome(logged_in: &LoggedIn) -> String {
    let name = logged_in.name.as_deref().unwrap_or("you");
    let who = format!(
        "{name} ({}) is logged in to the app {}. You may close this page.",
        logged_in.open_id, logged_in.app_id
    );
    let warning = "The platform gave no lasting access: the login ends with its first token, in about two hours. The app \
                   needs the permission offline_access.";
    if logged_in.is_renewable {
        http::page("Logged in", &[&who])
    } else {
        http::page("Logged in", &[&who, warning])
    }
}
