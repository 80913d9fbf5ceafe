//! What the API's document says of it.

use api_document::{Answer, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;

/// `DELETE /v1/messages/{message_id}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::delete(
            "/v1/messages/{message_id}",
            "recallMessage",
            Tag::Messages,
            "Recall a message",
        )
        .description(
            "Of a message that the app sent, while the tenant's time for recalls lasts. The chat shows that it was recalled. \
             Repeated, it answers the same. A message that is not sent yet is taken back with `DELETE \
             /v1/message-jobs/{job_id}`.",
        )
        .scope(Scope::MessagesSend)
        .parameter(parameters::message())
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::empty(204, "It is recalled."))
        .problem(problems::MESSAGE_NOT_FOUND),
    ]
}
