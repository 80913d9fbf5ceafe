//! `GET /v1/tokens/{kind}`: a token for callers that must talk to Lark themselves.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::apps::{App, AppContext};
use lark_service::asker::Asker;
use lark_service::clock::{Clock, SystemClock};
use lark_service::error::{Error, Result};
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::ids::OpenId;
use lark_service::schema::constant;
use lark_service::tokens::{Login, TokenKey, TokenKind, TokenService, Trust};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

mod openapi;

pub use openapi::operations;

#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenAnswer<'t> {
    /// The app that the token is of.
    app_id: &'t str,
    /// Which of the platform's tokens.
    #[schema(value_type = TokenKind)]
    kind: &'static str,
    /// The tenant, for a marketplace app's `tenant` token.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_key: Option<&'t str>,
    /// The user, for a `user` token.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_id: Option<&'t str>,
    /// The token itself. Keep it out of logs.
    #[schema(min_length = 1)]
    token: &'t str,
    #[schema(schema_with = bearer)]
    token_type: &'static str,
    /// When it ends, in UTC.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Seconds until then.
    expires_in: u64,
    /// The login that a `user` token comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<LoginAnswer>,
}

/// The login that a `user` token comes from.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenLogin)]
struct LoginAnswer {
    /// What the user granted.
    scopes: Vec<String>,
    /// When the login ends unless it is renewed, which happens by itself. Absent if `offline_access` was not granted: the login
    /// then ends with its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    refresh_expires_at: Option<String>,
    /// Whole days until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<u64>,
}

fn bearer() -> Object {
    constant("Bearer")
}

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    tokens: &TokenService,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("get-token", &request, async |call| {
        token(admission, tokens, call).await
    })
    .await)
}

async fn token(admission: &Admission, tokens: &TokenService, call: &Call<'_>) -> Result<Reply> {
    let kind = TokenKind::parse(call.path_parameter("kind"));
    let scope = match kind {
        Some(TokenKind::User) => Scope::UserTokensRead,
        Some(TokenKind::Tenant | TokenKind::App) | None => Scope::TokensRead,
    };
    call.authorized(scope)?;
    let kind = kind.ok_or_else(|| Error::invalid("kind", "must be tenant, app or user"))?;
    call.only_query(if kind == TokenKind::User {
        &["open_id"]
    } else {
        &[]
    })?;
    if kind != TokenKind::Tenant {
        call.without_header("x-lark-tenant-key", "only tenant tokens are for a tenant")?;
    }
    match kind {
        TokenKind::Tenant => {
            let context: AppContext = admission.app_context(call, scope).await?;
            let key = TokenKey::of_context(&context);
            answer(tokens, context.asker(), context.app(), &key, call).await
        }
        TokenKind::App => {
            let app = admission.app(call, scope).await?;
            answer(tokens, None, &app, &TokenKey::app(app.app_id.clone()), call).await
        }
        TokenKind::User => {
            let open_id = call
                .query("open_id")?
                .and_then(OpenId::parse)
                .ok_or_else(|| {
                    Error::invalid(
                        "open_id",
                        "is required: `ou_` and then letters, digits, `_` or `-`",
                    )
                })?;
            let app = admission.app(call, scope).await?;
            let key = TokenKey::user(app.app_id.clone(), &open_id);
            answer(tokens, None, &app, &key, call).await
        }
    }
}

async fn answer(
    tokens: &TokenService,
    asker: Option<&Asker>,
    app: &App,
    key: &TokenKey,
    call: &Call<'_>,
) -> Result<Reply> {
    let token = tokens
        .token_for(asker, app, key, Trust::Local, call.deadline())
        .await?;
    let subject = Some(key.subject.as_str()).filter(|subject| !subject.is_empty());
    let answer = TokenAnswer {
        app_id: key.app_id.as_str(),
        kind: key.kind.as_str(),
        tenant_key: subject.filter(|_| key.kind == TokenKind::Tenant),
        open_id: subject.filter(|_| key.kind == TokenKind::User),
        token: token.value.expose_secret(),
        token_type: "Bearer",
        expires_at: token.expires_at.to_string(),
        expires_in: token.expires_at.since(SystemClock.now()).as_secs(),
        login: tokens.known_login(key).map(|login| login_answer(&login)),
    };
    Reply::json(&answer)
}

fn login_answer(login: &Login) -> LoginAnswer {
    let refresh = login.refresh.as_ref().map(|refresh| refresh.expires_at);
    LoginAnswer {
        scopes: login
            .scopes
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        refresh_expires_at: refresh.map(|at| at.to_string()),
        days_left: refresh.map(|at| at.since(SystemClock.now()).as_secs() / (24 * 3_600)),
    }
}
