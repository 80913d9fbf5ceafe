//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::delivery::JobOrBatchView;

/// `DELETE /v1/message-jobs/{job_id}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::delete(
            "/v1/message-jobs/{job_id}",
            "cancelMessageJob",
            Tag::Messages,
            "Take a message back before it is sent",
        )
        .description(
            "200 says that it is certain not to be sent. One that is being sent, or was, is `message_job_past`. Repeated, it \
             answers the same. Of a batch, what was not sent yet is taken back, and `counts` say how many that are; a broadcast that \
             was sent is recalled within a minute or so.",
        )
        .scope(Scope::MessagesSend)
        .parameter(parameters::message_job())
        .answer(Answer::json(200, "It is cancelled.", Content::answer::<JobOrBatchView>()).not_kept())
        .problem(problems::MESSAGE_JOB_NOT_FOUND)
        .problem(problems::MESSAGE_JOB_PAST),
    ]
}
