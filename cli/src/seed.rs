//! Documents of apps and API keys, and new keys for them.

use std::time::Duration;

use lark_service::api_keys::ApiKey;
use lark_service::deadline::Deadline;
use lark_service::seed::{Seed, Seeded};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::Place;
use crate::{secret_input, session};

/// The time for a whole document.
const TIMEOUT: Duration = Duration::from_secs(600);

pub(crate) async fn seed(place: &Place, output: &Output) -> Result<(), Failure> {
    place.only_store("seed")?;
    let seed = Seed::parse(&secret_input::document()?)?;
    let services = place.store("seed").await?;
    session::make_data_keys(&services).await?;
    let Seeded { apps, api_keys } = seed
        .apply(
            &services.apps,
            &services.api_keys,
            &services.tokens,
            Deadline::after(TIMEOUT),
        )
        .await?;
    output.answer(
        &json!({ "apps": apps, "api_keys": api_keys }),
        &format!("added or changed {apps} apps, added {api_keys} API keys"),
    )
}

pub(crate) fn new_api_key(output: &Output) -> Result<(), Failure> {
    let key = ApiKey::generate()?.reveal();
    let key = key.expose_secret();
    output.answer(&json!({ "key": key }), key)
}
