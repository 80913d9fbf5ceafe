//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Parameter, Tag, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::delivery::{JobOrBatchView, JobView, State};
use lark_service::page::{Page, PageRules};

/// `GET /v1/message-jobs/{job_id}` and `GET /v1/message-jobs`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![show(), list()]
}

fn show() -> Operation {
    Operation::get(
        "/v1/message-jobs/{job_id}",
        "getMessageJob",
        Tag::Messages,
        "What became of a message, or of a batch",
    )
    .description(
        "Of this API key's own messages; until a week after the end. The content is not shown, and is forgotten at the end. Of a \
         batch: how many receivers are where, who gets nothing and why.",
    )
    .scope(Scope::MessagesSend)
    .parameter(parameters::message_job())
    .answer(Answer::json(200, "The job, or the batch.", Content::answer::<JobOrBatchView>()).not_kept())
    .problem(problems::MESSAGE_JOB_NOT_FOUND)
}

fn list() -> Operation {
    Operation::get(
        "/v1/message-jobs",
        "listMessageJobs",
        Tag::Messages,
        "This API key's messages, the oldest first",
    )
    .description("There may be few or none on a page though more follow: go on until `next_page_token` is missing.")
    .scope(Scope::MessagesSend)
    .parameter(parameters::message_batch())
    .parameter(Parameter::query("state", "Only jobs in this state.").of::<State>())
    .parameters(parameters::page(&PageRules::OURS))
    .answer(Answer::json(200, "The page.", Content::answer::<Page<JobView>>()).not_kept())
}
