//! Wires `create-upload` and starts the Lambda runtime.

use lambda_http::{Error, run, service_fn};
use lark_service::wiring::Services;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::start().await?;
    run(service_fn(|request| {
        create_upload::handle(&services.admission, &services.uploads, request)
    }))
    .await
}
