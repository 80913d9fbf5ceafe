//! The token endpoint: exchanges a code or a refresh token for user tokens. The newest SDKs call `/oauth/v3/token`,
//! which the platform does not document; here it behaves like `/open-apis/authen/v2/oauth/token`.

use http::StatusCode;
use serde_json::json;

use super::client::Fields;
use super::eligible_user;
use crate::answer::{Answer, ApiError, ErrorFormat};
use crate::endpoint::Call;
use crate::logins::codes::CodeExchange;
use crate::logins::error::OauthError;
use crate::logins::scopes::{Scopes, join};
use crate::logins::{IssueContext, UserTokens};
use crate::platform::Platform;

pub(crate) fn handle(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let tokens =
        Fields::read(call.request).and_then(|fields| match fields.required("grant_type")? {
            "authorization_code" => by_code(platform, call, &fields),
            "refresh_token" => by_refresh_token(platform, call, &fields),
            _ => Err(OauthError::UnsupportedGrant),
        });
    tokens
        .map(|tokens| answer(&tokens))
        .map_err(|error| error.api_error(ErrorFormat::Oauth))
}

fn by_code(
    platform: &Platform,
    call: &Call<'_>,
    fields: &Fields,
) -> Result<UserTokens, OauthError> {
    let requested = requested_scopes(fields)?;
    let exchange = CodeExchange {
        app_id: &call.app.app_id,
        redirect_uri: fields.get("redirect_uri"),
        verifier: fields.get("code_verifier"),
        now_ms: call.now_ms,
    };
    let code = fields.required("code")?;
    let tokens = platform.codes.redeem(code, &exchange, |authorization| {
        let scopes = narrowed(&authorization.scopes, requested)?;
        eligible_user(platform, &call.app, authorization.n)?;
        Ok(platform
            .logins
            .open(authorization, &scopes, &context(platform, call)))
    })?;
    platform
        .counters
        .count(&call.app.app_id, |app| app.code_grants += 1);
    Ok(tokens)
}

fn by_refresh_token(
    platform: &Platform,
    call: &Call<'_>,
    fields: &Fields,
) -> Result<UserTokens, OauthError> {
    let app_id = &call.app.app_id;
    let refreshed = requested_scopes(fields).and_then(|requested| {
        let token = fields.required("refresh_token")?;
        platform
            .logins
            .refresh(token, app_id, &context(platform, call), |n, granted| {
                let scopes = narrowed(granted, requested)?;
                eligible_user(platform, &call.app, n)?;
                Ok(scopes)
            })
    });
    platform.counters.count(app_id, |app| match refreshed {
        Ok(_) => app.refresh_grants += 1,
        Err(_) => app.refresh_rejected += 1,
    });
    refreshed
}

fn context<'a>(platform: &'a Platform, call: &Call<'_>) -> IssueContext<'a> {
    let settings = platform.settings();
    IssueContext {
        now_ms: call.now_ms,
        access_lifetime_ms: settings.user_token_lifetime_seconds.saturating_mul(1000),
        refresh_lifetime_ms: settings.refresh_token_lifetime_seconds.saturating_mul(1000),
        reuse_revokes: settings.refresh_reuse_revokes,
        random: &platform.random,
    }
}

/// The scopes of the request, which may narrow those of the login; `None` for all of them.
fn requested_scopes(fields: &Fields) -> Result<Option<Scopes>, OauthError> {
    let Some(scope) = fields.get("scope") else {
        return Ok(None);
    };
    let mut scopes = Scopes::new();
    for scope in scope.split_ascii_whitespace() {
        if !scopes.insert(scope.to_owned()) {
            return Err(OauthError::DuplicateScope);
        }
    }
    Ok(Some(scopes))
}

fn narrowed(granted: &Scopes, requested: Option<Scopes>) -> Result<Scopes, OauthError> {
    match requested {
        None => Ok(granted.clone()),
        Some(requested) if requested.is_subset(granted) => Ok(requested),
        Some(_) => Err(OauthError::ScopeNotGranted),
    }
}

fn answer(tokens: &UserTokens) -> Answer {
    let mut body = json!({
        "code": 0,
        "access_token": tokens.access_token,
        "expires_in": tokens.expires_in,
        "token_type": "Bearer",
        "scope": join(&tokens.scopes),
    });
    if let Some(refresh) = &tokens.refresh {
        body["refresh_token"] = json!(refresh.token);
        body["refresh_token_expires_in"] = json!(refresh.expires_in);
    }
    Answer::json(StatusCode::OK, 0, &body)
}
