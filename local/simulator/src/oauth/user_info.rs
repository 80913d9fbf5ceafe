//! `GET /open-apis/authen/v1/user_info` ("Get user information" in the platform's reference): the user behind a user
//! token. Its errors have HTTP status 200.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

use crate::answer::{Answer, ApiError, BAD_USER_TOKEN};
use crate::apps::App;
use crate::directory::ids;
use crate::endpoint::Call;
use crate::platform::Platform;
use crate::request::Request;
use crate::user_object::avatar_url;

/// The fields that an app sees only with a scope.
const SCOPED: [&str; 5] = [
    "email",
    "enterprise_email",
    "user_id",
    "mobile",
    "employee_no",
];

/// The app that the user token was issued to.
pub(crate) fn authenticate(
    platform: &Platform,
    request: &Request,
    now_ms: u64,
) -> Result<Arc<App>, ApiError> {
    let token = request.bearer().ok_or_else(|| {
        let msg =
            "Missing access token for authorization. Please make a request with token attached.";
        ApiError::token(99_991_661, msg)
    })?;
    let app = platform
        .logins
        .session(token, now_ms)
        .and_then(|session| platform.apps.get(&session.app_id))
        .filter(|app| app.login_tenant().is_some())
        .ok_or_else(bad_token)?;
    match app.enabled {
        true => Ok(app),
        false => Err(ApiError::token(99_991_662, "app is not in use")),
    }
}

pub(crate) fn handle(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let token = call.request.bearer().ok_or_else(bad_token)?;
    let session = platform
        .logins
        .session(token, call.now_ms)
        .ok_or_else(bad_token)?;
    let n = session.n;
    let profile = platform
        .directory
        .profile(n.into())
        .ok_or_else(|| refused(20_008, "the user does not exist"))?;
    if profile.is_resigned {
        return Err(refused(20_021, "the user has resigned"));
    }
    if profile.is_frozen {
        return Err(refused(20_022, "the user is suspended"));
    }
    if !profile.is_activated {
        return Err(refused(20_023, "the user has not registered"));
    }
    let mut data = json!({
        "name": profile.name,
        "en_name": profile.en_name,
        "avatar_url": avatar_url(n, "72x72"),
        "avatar_thumb": avatar_url(n, "72x72"),
        "avatar_middle": avatar_url(n, "240x240"),
        "avatar_big": avatar_url(n, "640x640"),
        "open_id": ids::open_id(&call.app.app_id, n),
        "union_id": ids::union_id(n),
        "tenant_key": call.app.login_tenant().unwrap_or_default(),
        "email": profile.email,
        "enterprise_email": "",
        "user_id": ids::user_id(n),
        "mobile": profile.mobile,
        "employee_no": profile.employee_no(),
    });
    if let Some(fields) = data.as_object_mut() {
        fields.retain(|field, _| {
            !SCOPED.contains(&field.as_str()) || !call.app.hidden_user_fields.contains(field)
        });
    }
    Ok(Answer::data(&data))
}

fn bad_token() -> ApiError {
    refused(BAD_USER_TOKEN, "The user access token passed is invalid.")
}

fn refused(code: i64, msg: &str) -> ApiError {
    ApiError::documented(StatusCode::OK, code, msg)
}
