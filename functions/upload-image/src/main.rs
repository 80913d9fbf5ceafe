//! Wires `upload-image` and starts the Lambda runtime.

use lambda_http::{Error, run, service_fn};
use lark_service::wiring::Services;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::start().await?;
    run(service_fn(|request| {
        upload_image::handle(
            &services.admission,
            &services.uploads,
            &services.platform,
            request,
        )
    }))
    .await
}
