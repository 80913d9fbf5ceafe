//! `GET /v1/oauth/authorize`: sends a browser to the platform's log-in page.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::time::Duration;

use lambda_http::{Body, Request, Response};
use lark_service::config::Config;
use lark_service::error::{Error, Result};
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::ids::AppId;
use lark_service::logins::{LoginStart, Logins};
use lark_service::quota::Quota;

mod openapi;

pub use openapi::operations;

/// Each login begun is a record for ten minutes, and can end in a call of the platform: one sender begins so many in a minute.
const STARTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("sixty is not zero");
const MINUTE: Duration = Duration::from_secs(60);

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    logins: &Logins,
    config: &Config,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("start-login", &request, async |call| {
        start(admission, logins, config, call).await
    })
    .await)
}

async fn start(
    admission: &Admission,
    logins: &Logins,
    config: &Config,
    call: &Call<'_>,
) -> Result<Reply> {
    call.only_query(&["app_id", "scope", "redirect_to"])?;
    let app_id = call.query("app_id")?.and_then(AppId::parse);
    let app_id = app_id.ok_or_else(|| {
        Error::invalid("app_id", "is required: 1 to 64 letters, digits, `_` or `-`")
    })?;
    let each = Quota::new(STARTS_PER_MINUTE, MINUTE);
    let all = Quota::new(config.logins_per_minute, MINUTE);
    admission.public(call, "login_start", each, all).await?;
    let public_url = call.public_url(config.public_url.as_ref())?;
    let start = LoginStart {
        app_id: &app_id,
        scope: call.query("scope")?,
        redirect_to: call.query("redirect_to")?,
        public_url: &public_url,
    };
    let started = logins.start(&start, call.deadline()).await?;
    Ok(Reply::redirect(started.location.as_str()).with_header("set-cookie", &started.cookie))
}
