//! What the API's document says of it.

use api_document::{Answer, Operation, Parameter, Tag};
use lark_service::api_keys::Scope;
use lark_service::ids::OpenId;

/// `DELETE /v1/oauth/users/{open_id}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::delete(
            "/v1/oauth/users/{open_id}",
            "endLogin",
            Tag::Logins,
            "Forget a user's login",
        )
        .description(
            "The user's tokens are removed and handed out no more, by other processes after five seconds at most. The \
             platform is not told: the access token that was handed out last works until its end. Ending what is over \
             changes nothing.",
        )
        .scope(Scope::UserTokensRead)
        .parameter(
            Parameter::path("open_id", "The user for this app.")
                .of::<OpenId>()
                .example("ou_7d8a6e6df7621556ce0d21922b676706"),
        )
        .for_an_app()
        .answer(Answer::empty(
            204,
            "There is no login of this user any more.",
        )),
    ]
}
