//! Users by the ids that callers know.

use http::StatusCode;

use crate::answer::ApiError;
use crate::directory::ids::{self, Decoded};
use crate::directory::people::Profile;
use crate::endpoint::Call;
use crate::platform::Platform;
use crate::user_object::UserIdType;

/// The gateway converts ids before the API sees them; its codes for ids that do not exist are 99992351 (open_id, with
/// 99992361 for another app's), 99992360 (user_id) and 99992363 (union_id).
pub(crate) fn resolve(
    platform: &Platform,
    call: &Call<'_>,
    id_type: UserIdType,
    id: &str,
) -> Result<Profile, ApiError> {
    let unknown = |code, name: &str| {
        let msg = format!(
            "The request you send is not a valid {{{name}}} or not exists. Invalid ids: [{id}]"
        );
        ApiError::documented(StatusCode::BAD_REQUEST, code, msg)
    };
    let (n, error) = match id_type {
        UserIdType::Open => match ids::decode_open_id(&call.app.app_id, id) {
            Some(Decoded::Foreign(tag)) if platform.apps.has_tag(tag) => {
                return Err(ApiError::documented(
                    StatusCode::BAD_REQUEST,
                    99_992_361,
                    "open_id cross app",
                ));
            }
            Some(Decoded::Number(n)) => (Some(n), unknown(99_992_351, "open_id")),
            Some(Decoded::Foreign(_)) | None => (None, unknown(99_992_351, "open_id")),
        },
        UserIdType::Union => (ids::decode_union_id(id), unknown(99_992_363, "union_id")),
        UserIdType::User => (ids::decode_user_id(id), unknown(99_992_360, "user_id")),
    };
    n.and_then(|n| platform.directory.profile(n)).ok_or(error)
}
