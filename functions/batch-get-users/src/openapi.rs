//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;

use crate::body::{BatchBody, UserBatch};

/// `POST /v1/users/batch`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let body = Content::body::<BatchBody>()
        .with_some_field()
        .named_example("ids", IDS)
        .named_example("mixed", MIXED);
    let batch = Content::answer::<UserBatch<'static>>().example(BATCH);
    vec![
        Operation::post(
            "/v1/users/batch",
            "batchGetUsers",
            Tag::Users,
            "Up to 1,000 users at once",
            body,
        )
        .description(
            "Each entry of the request is in one of the answer's lists: `users`, `not_found` with the reason, or `failed` \
             with the error. One that fails leaves the others alone, and the answer is 200 all the same. Each list is in the \
             order of the request: `ids`, `open_ids`, `user_ids`, `union_ids`, `emails`, `mobiles`, each from its beginning; \
             an entry that is given twice is answered twice. Profiles come from the same cache as with \
             `GET /v1/users/{id}`; a stale one is marked. An error is the answer only where no entry could be looked for. \
             Users are looked up again each time, with an `Idempotency-Key` too.",
        )
        .scope(Scope::UsersRead)
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(200, "What was found of each.", batch))
        .parameter(parameters::idempotency_key())
        .problem(problems::IDEMPOTENCY_MISMATCH),
    ]
}

const IDS: &str =
    "{ ids: [ou_7d8a6e6df7621556ce0d21922b676706, ou_08da43ee04bd08ab0a6f6d0450d960f4] }";

const MIXED: &str =
    r#"{ user_ids: [e33ggbyz], emails: [zhangsan@example.com], mobiles: ["+8613800000042"] }"#;

const BATCH: &str = r#"
users:
  - requested: { user_id: e33ggbyz }
    user: { open_id: ou_7d8a6e6df7621556ce0d21922b676706, user_id: e33ggbyz, name: Zhang San }
    stale: true
not_found:
  - { requested: { email: nobody@example.com }, reason: unmatched }
failed:
  - requested: { mobile: "+8613800000042" }
    code: lark_unavailable
    detail: "Lark is unavailable: Lark did not answer in time"
    retryable: true
    retry_after: 1"#;
