//! `GET /health`: the process runs. `GET /health/ready`: what it depends on answers.

use std::convert::Infallible;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use lark_service::cache::CacheClient;
use lark_service::error::Result;
use lark_service::http::{self, Call, Reply};
use lark_service::readiness::{Readiness, ReadinessStatus};
use lark_service::schema::constant;
use lark_service::store::Storage;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

mod openapi;

pub use openapi::operations;

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct Alive {
    #[schema(schema_with = alive)]
    status: &'static str,
    /// Version of Lark Service.
    version: &'static str,
}

fn alive() -> Object {
    constant("alive")
}

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    storage: &Storage,
    cache: Option<&CacheClient>,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("health", &request, async |call| {
        health(storage, cache, call).await
    })
    .await)
}

async fn health(storage: &Storage, cache: Option<&CacheClient>, call: &Call<'_>) -> Result<Reply> {
    call.only_query(&[])?;
    let reply = if call.request().raw_http_path().ends_with("/ready") {
        let readiness = Readiness::probe(storage, cache, call.deadline()).await;
        let status = match readiness.status {
            ReadinessStatus::Ready | ReadinessStatus::Degraded => StatusCode::OK,
            ReadinessStatus::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Reply::json(&readiness)?.with_status(status)
    } else {
        Reply::json(&Alive {
            status: "alive",
            version: env!("CARGO_PKG_VERSION"),
        })?
    };
    Ok(reply)
}
