//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, headers, problems};
use lark_service::api_keys::Scope;
use lark_service::delivery::BatchView;

use crate::body::{BatchBody, BatchDryRun};

/// `POST /v1/messages/batch`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let body = Content::body::<BatchBody>()
        .named_example("each", EACH)
        .named_example("broadcast", BROADCAST);
    vec![
        Operation::post(
            "/v1/messages/batch",
            "batchSendMessages",
            Tag::Messages,
            "Send one message to many",
            body,
        )
        .description(
            "The answer is 202 as soon as the batch is on record; workers look the receivers up, make a job for each and deliver \
             them. `GET /v1/message-jobs/{batch_id}` tells how many are where and who gets nothing, and why. Who is named twice \
             gets the message once, and one receiver that is not there fails no other. `DELETE /v1/message-jobs/{batch_id}` takes \
             back what was not sent. With `mode: broadcast` the platform is called for 200 people at a time; it tells how many have \
             the message, and a call whose answer is lost ends as `uncertain` for its people, because it cannot be repeated. With \
             `dry_run` the answer is 200 and nothing is sent. With an `Idempotency-Key`, a repeated request is answered with the \
             batch of the first one.",
        )
        .scope(Scope::MessagesSend)
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(
            200,
            "What would happen, of a dry run.",
            Content::answer::<BatchDryRun>(),
        ))
        .answer(
            Answer::json(
                202,
                "It was taken, and is on its way.",
                Content::answer::<BatchView>().example(TAKEN),
            )
            .header(headers::location()),
        )
        .problem(problems::QUEUE_FULL)
        .named_once(),
    ]
}

const EACH: &str = r#"{ to: [{ email: zhangsan@example.com }, { open_id: ou_7d8a6e6df7621556ce0d21922b676706 }, { chat: Night shift }], markdown: "The build is **green**." }"#;

const BROADCAST: &str = r#"{ to: [{ open_id: ou_7d8a6e6df7621556ce0d21922b676706 }, { user_id: e33ggbyz }], text: The office is closed on Friday., mode: broadcast }"#;

const TAKEN: &str = r#"
batch_id: mb_01jdyzz8k3v5m7q2c4x6n8p0rs
state: queued
app_id: cli_a1b2c3d4e5f6
mode: each
lane: bulk
msg_type: post
created_at: "2026-01-31T08:00:00Z"
expires_at: "2026-02-01T08:00:00Z"
entries: 3
duplicates: 0
counts: { scheduled: 0, queued: 3, sending: 0, held: 0, delivered: 0, refused: 0, expired: 0, cancelled: 0, uncertain: 0, unreached: 0 }
unreached: []
undelivered: []"#;
