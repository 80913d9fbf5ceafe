//! What the API's document says of it.

use api_document::{Answer, Content, Operation, ProblemResponse, Tag, problems};
use lark_service::readiness::Readiness;

use crate::Alive;

/// `GET /health` and `GET /health/ready`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let alive = Content::answer::<Alive>().example("{ status: alive, version: 0.1.0 }");
    let ready = Content::answer::<Readiness>()
        .named_example("ready", READY)
        .explained_example("degraded", "The cache does not answer", DEGRADED);
    let unavailable = Content::answer::<Readiness>()
        .or_gateway()
        .example(UNAVAILABLE);
    vec![
        Operation::get(
            "/health",
            "getHealth",
            Tag::Health,
            "Whether the service is alive",
        )
        .description("The process runs and answers. Nothing else is asked.")
        .answer(Answer::json(200, "It is.", alive).not_kept())
        .problem(THROTTLED),
        Operation::get(
            "/health/ready",
            "getReadiness",
            Tag::Health,
            "Whether what the service depends on answers",
        )
        .description(
            "Probes the store and, where there is one, the shared cache, side by side, and says how long each took. Without \
             the cache the service works more slowly: `degraded`, still 200. Without the store it is `unavailable`.",
        )
        .answer(Answer::json(200, "Requests are answered.", ready).not_kept())
        .answer(
            Answer::json(
                503,
                "The store does not answer, so requests fail. The same body as with 200, not a problem document.",
                unavailable,
            )
            .not_kept(),
        )
        .problem(THROTTLED),
    ]
}

/// Nobody is counted: only API Gateway refuses.
const THROTTLED: ProblemResponse = problems::THROTTLED;

const READY: &str = "
status: ready
dependencies:
  - { name: store, ok: true, latency_ms: 4.2 }
  - { name: cache, ok: true, latency_ms: 0.6 }";

const DEGRADED: &str = "
status: degraded
dependencies:
  - { name: store, ok: true, latency_ms: 4.2 }
  - { name: cache, ok: false, latency_ms: 3000.7 }";

const UNAVAILABLE: &str = "
status: unavailable
dependencies:
  - { name: store, ok: false, latency_ms: 3000.4 }
  - { name: cache, ok: true, latency_ms: 0.6 }";
