//! The token endpoint: a code or a refresh token for user tokens. The newest SDKs call `/oauth/v3/token`, of which no page
//! was found; it behaves as `/open-apis/authen/v2/oauth/token` does.

use http::StatusCode;
use serde_json::json;

use super::client::Fields;
use super::user;
use crate::answer::{Answer, Refusal, Wording};
use crate::endpoint::Call;
use crate::logins::codes::Presented;
use crate::logins::error::OauthError;
use crate::logins::scopes::{Scopes, join};
use crate::logins::{Terms, UserGrant};
use crate::platform::Platform;

pub(crate) fn handle(platform: &Platform, call: &Call<'_>) -> Result<Answer, Refusal> {
    let grant =
        Fields::read(call.request).and_then(|fields| match fields.required("grant_type")? {
            "authorization_code" => by_code(platform, call, &fields),
            "refresh_token" => by_refresh_token(platform, call, &fields),
            _ => Err(OauthError::UnsupportedGrant),
        });
    grant
        .map(|grant| answer(&grant))
        .map_err(|error| error.refusal(Wording::Oauth))
}

fn by_code(platform: &Platform, call: &Call<'_>, fields: &Fields) -> Result<UserGrant, OauthError> {
    let asked = asked(fields)?;
    let presented = Presented {
        app_id: &call.app.app_id,
        redirect_uri: fields.get("redirect_uri"),
        verifier: fields.get("code_verifier"),
        now_ms: call.now_ms,
    };
    let code = fields.required("code")?;
    let grant = platform.codes.redeem(code, &presented, |consented| {
        let scopes = narrowed(&consented.scopes, asked)?;
        user(platform, &call.app, consented.n)?;
        Ok(platform
            .logins
            .open(consented, &scopes, &terms(platform, call)))
    })?;
    platform
        .counters
        .count(&call.app.app_id, |app| app.code_grants += 1);
    Ok(grant)
}

fn by_refresh_token(
    platform: &Platform,
    call: &Call<'_>,
    fields: &Fields,
) -> Result<UserGrant, OauthError> {
    let app_id = &call.app.app_id;
    let refreshed = asked(fields).and_then(|asked| {
        let token = fields.required("refresh_token")?;
        platform
            .logins
            .refresh(token, app_id, &terms(platform, call), |n, granted| {
                let scopes = narrowed(granted, asked)?;
                user(platform, &call.app, n)?;
                Ok(scopes)
            })
    });
    platform.counters.count(app_id, |app| match refreshed {
        Ok(_) => app.refresh_grants += 1,
        Err(_) => app.refresh_rejected += 1,
    });
    refreshed
}

fn terms<'a>(platform: &'a Platform, call: &Call<'_>) -> Terms<'a> {
    let settings = platform.settings();
    Terms {
        now_ms: call.now_ms,
        access_lifetime_ms: settings.user_token_lifetime_seconds.saturating_mul(1000),
        refresh_lifetime_ms: settings.refresh_token_lifetime_seconds.saturating_mul(1000),
        reuse_revokes: settings.refresh_reuse_revokes,
        values: &platform.values,
    }
}

/// The scopes of the request, which may narrow those of the login; `None` for all of them.
fn asked(fields: &Fields) -> Result<Option<Scopes>, OauthError> {
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

fn narrowed(granted: &Scopes, asked: Option<Scopes>) -> Result<Scopes, OauthError> {
    match asked {
        None => Ok(granted.clone()),
        Some(asked) if asked.is_subset(granted) => Ok(asked),
        Some(_) => Err(OauthError::ScopeNotGranted),
    }
}

fn answer(grant: &UserGrant) -> Answer {
    let mut body = json!({
        "code": 0,
        "access_token": grant.access_token,
        "expires_in": grant.expires_in,
        "token_type": "Bearer",
        "scope": join(&grant.scopes),
    });
    if let Some(refresh) = &grant.refresh {
        body["refresh_token"] = json!(refresh.token);
        body["refresh_token_expires_in"] = json!(refresh.expires_in);
    }
    Answer::json(StatusCode::OK, 0, &body)
}
