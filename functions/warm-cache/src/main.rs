//! Wires `warm-cache` and starts the Lambda runtime.

use lambda_runtime::{Error, run, service_fn};
use lark_service::wiring::Services;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let warmer = Services::start().await?.warmer();
    run(service_fn(|event| warm_cache::handle(&warmer, event))).await
}
