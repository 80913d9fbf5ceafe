//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, headers, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::delivery::JobView;

use crate::body::SendBody;

/// `POST /v1/messages`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let body = Content::body::<SendBody>()
        .named_example("text", "{ to: { email: zhangsan@example.com }, text: The build is green. }")
        .named_example(
            "content",
            r#"{ to: { chat_id: oc_a0553eda9014c201e6969b478895c230 }, msg_type: text, content: "{\"text\":\"The build is green.\"}" }"#,
        );
    let job = || Content::answer::<JobView>().example(DELIVERED);
    vec![
        Operation::post(
            "/v1/messages",
            "sendMessage",
            Tag::Messages,
            "Send a message",
            body,
        )
        .description(
            "Everything is checked before anything is sent. Without more, the message is sent now, and 200 says that it was \
             delivered. If the platform does not take it at once (its limits, an outage, an answer that was lost), a worker goes on \
             with it and the answer is 202. `Prefer: respond-async` or `deliver_at` leave it to a worker from the start. Each \
             message ends in exactly one of `delivered`, `refused`, `expired`, `cancelled` and `uncertain`; `GET \
             /v1/message-jobs/{job_id}` tells which. With an `Idempotency-Key`, a repeated request is answered with the job of \
             the first one and nothing is sent twice.",
        )
        .scope(Scope::MessagesSend)
        .parameter(parameters::prefer())
        .for_a_tenant()
        .asks_the_platform()
        .answer(
            Answer::json(200, "It has ended: it was delivered, or cannot be any more.", job())
                .header(headers::location()),
        )
        .answer(
            Answer::json(202, "It was taken, and is on its way.", job())
                .header(headers::location()),
        )
        .problem(problems::RECEIVER_NOT_FOUND)
        .problem(problems::QUEUE_FULL)
        .named_once(),
    ]
}

const DELIVERED: &str = r#"
job_id: mj_01jdyzz8k3v5m7q2c4x6n8p0rs
state: delivered
app_id: cli_a1b2c3d4e5f6
to: { kind: open_id, id: ou_7d8a6e6df7621556ce0d21922b676706 }
lane: normal
msg_type: text
created_at: "2026-01-31T08:00:00Z"
expires_at: "2026-02-01T08:00:00Z"
attempt_count: 1
attempts: [{ at: "2026-01-31T08:00:00Z" }]
delivered: { at: "2026-01-31T08:00:01Z", message_id: om_dc13264520392913993dd051dba21dcf, chat_id: oc_a0553eda9014c201e6969b478895c230 }"#;
