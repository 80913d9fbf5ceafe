//! `GET /v1/tokens/{kind}`: a token for callers that must talk to Lark themselves.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::apps::Apps;
use lark_service::clock::{Clock, SystemClock};
use lark_service::error::{Error, Result};
use lark_service::http::{self, Call, Reply, Scope};
use lark_service::ids::AppId;
use lark_service::tokens::{TokenKind, TokenService, Trust};
use secrecy::ExposeSecret;
use serde::Serialize;

#[derive(Serialize)]
struct TokenAnswer<'t> {
    app_id: &'t str,
    kind: &'static str,
    token: &'t str,
    token_type: &'static str,
    /// RFC 3339.
    expires_at: String,
    /// Seconds.
    expires_in: u64,
}

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    apps: &Apps,
    tokens: &TokenService,
    default_app: Option<&AppId>,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("get-token", &request, async |call| {
        token(apps, tokens, default_app, call).await
    })
    .await)
}

async fn token(
    apps: &Apps,
    tokens: &TokenService,
    default_app: Option<&AppId>,
    call: &Call<'_>,
) -> Result<Reply> {
    let app_id = call.app_id(Scope::TokensRead, default_app)?;
    call.only_query(&[])?;
    let kind = TokenKind::parse(call.path_parameter("kind"))
        .ok_or_else(|| Error::invalid("kind", "must be tenant or app"))?;
    let app = apps.enabled(&app_id, call.deadline()).await?;
    let token = tokens
        .token(&app, kind, Trust::Local, call.deadline())
        .await?;
    let answer = TokenAnswer {
        app_id: app_id.as_str(),
        kind: kind.as_str(),
        token: token.value.expose_secret(),
        token_type: "Bearer",
        expires_at: token.expires_at.to_string(),
        expires_in: token.expires_at.since(SystemClock.now()).as_secs(),
    };
    Ok(Reply::json(&answer)?.with_header("cache-control", "no-store"))
}
