//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, headers, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::delivery::JobView;

use crate::body::ReplyBody;

/// `POST /v1/messages/{message_id}/replies`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let body = Content::body::<ReplyBody>().named_example(
        "text",
        "{ text: It is green again., reply_in_thread: true }",
    );
    let job = || Content::answer::<JobView>().example(DELIVERED);
    vec![
        Operation::post(
            "/v1/messages/{message_id}/replies",
            "replyMessage",
            Tag::Messages,
            "Reply to a message",
            body,
        )
        .description(
            "A message below another one, in a chat that the app's bot is in, whoever sent that one. It is a job as any message: \
             sent now, or by a worker with `Prefer: respond-async` or `deliver_at`; made once; ended with its evidence; in the \
             order and within the limits of the chat.",
        )
        .scope(Scope::MessagesSend)
        .parameter(parameters::message())
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
        .problem(problems::MESSAGE_NOT_FOUND)
        .problem(problems::QUEUE_FULL)
        .named_once(),
    ]
}

const DELIVERED: &str = r#"
job_id: mj_01jdyzz8k3v5m7q2c4x6n8p0rs
state: delivered
app_id: cli_a1b2c3d4e5f6
to: { kind: message_id, id: om_dc13264520392913993dd051dba21dcf }
lane: normal
msg_type: text
created_at: "2026-01-31T08:00:00Z"
expires_at: "2026-02-01T08:00:00Z"
attempt_count: 1
attempts: [{ at: "2026-01-31T08:00:00Z" }]
delivered: { at: "2026-01-31T08:00:01Z", message_id: om_5ad573a6411d72b8305fda3a9c15c70e, chat_id: oc_a0553eda9014c201e6969b478895c230 }"#;
