//! Wires `finish-login` and starts the Lambda runtime.

use lambda_http::{Error, run, service_fn};
use lark_service::wiring::Services;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::start().await?;
    let public_url = services.config.public_url.as_ref();
    run(service_fn(|request| {
        finish_login::handle(&services.logins, public_url, request)
    }))
    .await
}
