//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Parameter, Tag, problems};
use lark_service::api_keys::Scope;
use lark_service::ids::OpenId;
use lark_service::tokens::TokenKind;

use crate::TokenAnswer;

/// `GET /v1/tokens/{kind}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let token = Content::answer::<TokenAnswer<'static>>()
        .named_example("tenant", TENANT)
        .named_example("user", USER);
    vec![
        Operation::get(
            "/v1/tokens/{kind}",
            "getToken",
            Tag::Tokens,
            "An access token of the app or of a user",
        )
        .description(
            "A token that is valid for at least 200 seconds more, unless the platform is down: then the one there is, until \
             its end. Ask again for each use instead of keeping it: most answers come from memory.\n\n\
             The kind `user` needs a key with the scope `user_tokens:read`, `open_id`, and the user's login: without one, `reauthorization_required` says why. A \
             marketplace app has a `tenant` token for each tenant and needs `X-Lark-Tenant-Key`.",
        )
        .scope(Scope::TokensRead)
        .parameter(
            Parameter::path("kind", "Which of the platform's tokens.")
                .of::<TokenKind>()
                .example("tenant"),
        )
        .parameter(
            Parameter::query(
                "open_id",
                "Whose token; for the kind `user`, which needs it, and for no other.",
            )
            .of::<OpenId>(),
        )
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(200, "The token.", token).not_kept())
        .problem(problems::REAUTHORIZATION_REQUIRED),
    ]
}

const TENANT: &str = r#"
app_id: cli_a1b2c3d4e5f6
kind: tenant
token: t-g1044qeGEDXTB6NDJOGV4JQCYDGHRBARFTGT1234
token_type: Bearer
expires_at: "2026-01-31T10:00:00Z"
expires_in: 6540"#;

const USER: &str = r#"
app_id: cli_a1b2c3d4e5f6
kind: user
open_id: ou_7d8a6e6df7621556ce0d21922b676706
token: u-5ne6zYn4Z4WEGDrO5yHGGl4l5Vbx41GNWgw000ww1234
token_type: Bearer
expires_at: "2026-01-31T10:00:00Z"
expires_in: 6540
login:
  scopes: ["contact:user.base:readonly", offline_access]
  refresh_expires_at: "2026-02-07T08:00:00Z"
  days_left: 6"#;
