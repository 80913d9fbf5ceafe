//! What the API's document says of it.

use api_document::{Answer, Operation, Parameter, Tag, headers, problems};
use lark_service::ids::AppId;
use lark_service::schema;

/// `GET /v1/oauth/authorize`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/v1/oauth/authorize",
            "startLogin",
            Tag::Logins,
            "Send a browser to the platform's log-in page",
        )
        .description(
            "Where a link \"Log in with Feishu\" leads. The cookie ties the login to this browser; it can be finished once, \
             within ten minutes. One address may begin 60 logins a minute.",
        )
        .parameter(
            Parameter::query("app_id", "The app to log in to.")
                .required()
                .of::<AppId>()
                .example("cli_a1b2c3d4e5f6"),
        )
        .parameter(
            Parameter::query(
                "scope",
                "Up to 49 scopes of the platform to ask the user for, separated by spaces; of 128 characters each at most. \
                 Each is one of the app's `login_scopes`, or `offline_access`, which is added.",
            )
            .schema(schema::plain(0..=usize::MAX, "^[A-Za-z0-9:._ -]*$"))
            .example("contact:user.base:readonly"),
        )
        .parameter(
            Parameter::query(
                "redirect_to",
                "Where the browser goes after the login: one of the app's `redirect_targets`, or below one. \
                 `login=ok&open_id=…` or `login=failed&code=…` is added to it, which is a hint for the page and no proof. \
                 Left out, the browser is shown a page.",
            )
            .schema(schema::address())
            .example("https://portal.example.com/done"),
        )
        .answer(
            Answer::redirect("To the log-in page.", "The platform's log-in page.")
                .header(headers::login_cookie()),
        )
        .problem(problems::APP_NOT_FOUND)
        .problem(problems::RATE_LIMITED)
        .problem(problems::STORE_UNAVAILABLE)
        .problem(problems::DEADLINE_EXCEEDED),
    ]
}
