//! Wires `enqueue-due` and starts the Lambda runtime.

use lambda_runtime::{Error, run, service_fn};
use lark_service::wiring::Services;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::start().await?;
    run(service_fn(|event| {
        enqueue_due::handle(&services.delivery, event)
    }))
    .await
}
