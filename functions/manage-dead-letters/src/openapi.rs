//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::delivery::{ActedView, DeadLetterView};
use lark_service::page::{Page, PageRules};

const LETTERS: &str = "/v1/dead-letters";
const LETTER: &str = "/v1/dead-letters/{letter_id}";
const REDRIVE: &str = "/v1/dead-letters/{letter_id}/redrive";

/// Everything under `/v1/dead-letters`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![list(), show(), redrive(), drop()]
}

fn list() -> Operation {
    let page = Content::answer::<Page<DeadLetterView>>();
    Operation::get(
        LETTERS,
        "listDeadLetters",
        Tag::Messages,
        "What the service could not bring any further",
    )
    .description(
        "Messages at which the service failed again and again, of the apps that the key may act for. Failures of the store and of \
         the platform are not among them: they pass. There may be few or none on a page though more follow: go on until \
         `next_page_token` is missing.",
    )
    .scope(Scope::Admin)
    .parameters(parameters::page(&PageRules::OURS))
    .answer(Answer::json(200, "The page.", page).not_kept())
}

fn show() -> Operation {
    let letter = Content::answer::<DeadLetterView>().example(LETTER_EXAMPLE);
    Operation::get(LETTER, "showDeadLetter", Tag::Messages, "A dead letter")
        .description("The content of the message is not shown.")
        .scope(Scope::Admin)
        .parameter(parameters::dead_letter())
        .answer(Answer::json(200, "The dead letter.", letter).not_kept())
        .problem(problems::DEAD_LETTER_NOT_FOUND)
}

fn redrive() -> Operation {
    let outcome = Content::answer::<ActedView>().example(REDRIVEN_EXAMPLE);
    Operation::post_without_body(
        REDRIVE,
        "redriveDeadLetter",
        Tag::Messages,
        "Have a dead letter tried again",
    )
    .description(
        "The message is queued once more; one whose sender set no end gets a day from now on. Whatever time has passed, none is sent \
         twice: a message of which it is not known whether it was sent is repeated for 50 minutes after that call, and then ends \
         as `uncertain`. If the service fails at it again, it becomes a dead letter again.",
    )
    .scope(Scope::Admin)
    .parameter(parameters::dead_letter())
    .answer(Answer::json(200, "It is tried again.", outcome).not_kept())
    .problem(problems::DEAD_LETTER_NOT_FOUND)
    .once()
}

fn drop() -> Operation {
    let outcome = Content::answer::<ActedView>().example(DROPPED_EXAMPLE);
    Operation::delete(LETTER, "dropDeadLetter", Tag::Messages, "Drop a dead letter")
        .description(
            "Its message ends as `refused`, with the operator's decision as the reason; as `uncertain`, if a call for it went out \
             whose outcome is not known.",
        )
        .scope(Scope::Admin)
        .parameter(parameters::dead_letter())
        .answer(Answer::json(200, "It is dropped.", outcome).not_kept())
        .problem(problems::DEAD_LETTER_NOT_FOUND)
}

const LETTER_EXAMPLE: &str = r#"
id: mj_01jdyzz8k3v5m7q2c4x6n8p0rs
job_id: mj_01jdyzz8k3v5m7q2c4x6n8p0rs
key_id: 7k2m9p4q8r3s
app_id: cli_a1b2c3d4e5f6
lane: normal
reason: unopened
detail: sealed data is unavailable
failures: 6
first_failure_at: "2026-01-31T08:00:00Z"
since: "2026-01-31T08:02:15Z"
kept_until: "2026-02-14T08:02:15Z""#;

const REDRIVEN_EXAMPLE: &str =
    "{ id: mj_01jdyzz8k3v5m7q2c4x6n8p0rs, job_id: mj_01jdyzz8k3v5m7q2c4x6n8p0rs, state: queued }";

const DROPPED_EXAMPLE: &str =
    "{ id: mj_01jdyzz8k3v5m7q2c4x6n8p0rs, job_id: mj_01jdyzz8k3v5m7q2c4x6n8p0rs, state: refused }";
