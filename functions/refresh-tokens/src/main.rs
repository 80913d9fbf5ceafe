//! Wires `refresh-tokens` and starts the Lambda runtime.

use lambda_runtime::{Error, run, service_fn};
use lark_service::wiring::Services;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let refresher = Services::start().await?.refresher();
    run(service_fn(|event| {
        refresh_tokens::handle(&refresher, event)
    }))
    .await
}
