//! Wires `get-token` and starts the Lambda runtime.

use lambda_http::{Error, run, service_fn};
use lark_service::wiring::Services;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::start().await?;
    let default_app = services.config.default_app_id.as_ref();
    run(service_fn(|request| {
        get_token::handle(&services.apps, &services.tokens, default_app, request)
    }))
    .await
}
