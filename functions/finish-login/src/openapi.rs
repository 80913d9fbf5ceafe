//! What the API's document says of it.

use api_document::{Answer, Operation, Parameter, Tag, headers, problems};
use lark_service::schema;

/// `GET /v1/oauth/callback`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/v1/oauth/callback",
            "finishLogin",
            Tag::Logins,
            "Where the log-in page sends the browser back to",
        )
        .description(
            "The redirect URL to register in the app's security settings. Needs the cookie that the login began with. \
             Parameters that are not known here are passed over: the platform may add some. One that is given twice is \
             refused with `invalid_argument`.",
        )
        .parameter(
            Parameter::query("state", "What the log-in page was given.")
                .required()
                .schema(schema::plain(
                    0..=usize::MAX,
                    r"^[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{1,64}$",
                )),
        )
        .parameter(
            Parameter::query(
                "code",
                "What the platform exchanges for tokens, if the user consented.",
            )
            .schema(schema::of_length(1..=1_024)),
        )
        .parameter(
            Parameter::query("error", "Why not, if they did not.").example("access_denied"),
        )
        .answer(
            Answer::page(
                200,
                "The user is logged in, and the login named no `redirect_to`.",
            )
            .header(headers::login_cookie()),
        )
        .answer(
            Answer::redirect(
                "The login is over, well or not, and named a `redirect_to`.",
                "The login's `redirect_to` with how it went, `login=ok&open_id=…` or `login=failed&code=…`.",
            )
            .header(headers::login_cookie()),
        )
        .problem(problems::LOGIN_INVALID)
        .problem(problems::LOGIN_REFUSED)
        .problem(problems::APP_NOT_FOUND)
        .problem(problems::RATE_LIMITED)
        .asks_the_platform()
        .problem(problems::DEADLINE_EXCEEDED),
    ]
}
