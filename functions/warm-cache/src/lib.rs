//! The warm-up of the cache: every hour, and once after a deployment.

use lambda_runtime::{Error, LambdaEvent};
use lark_service::directory::warm_up::{Report, Warmer};
use lark_service::error;
use lark_service::ids::AppId;
use lark_service::invocation;
use serde::Deserialize;

/// What to warm up: `{}`, as the schedule sends it, is everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUpEvent {
    /// The apps to warm up for; none stands for every app that is switched on.
    #[serde(default)]
    app_ids: Vec<String>,
}

/// Does one run and says what it did.
///
/// # Errors
/// When the event names what cannot be an app, or the apps cannot be read; the schedule tries again.
pub async fn handle(warmer: &Warmer, event: LambdaEvent<WarmUpEvent>) -> Result<Report, Error> {
    let LambdaEvent { payload, context } = event;
    let run = invocation::run("warm-cache", &context, None, async |deadline| {
        warmer.run(&only(&payload)?, deadline).await
    });
    Ok(run.await?)
}

/// The apps that the event names.
fn only(event: &WarmUpEvent) -> error::Result<Vec<AppId>> {
    let named = event.app_ids.iter().enumerate();
    named
        .map(|(index, text)| {
            AppId::parse(text).ok_or_else(|| {
                error::Error::invalid(
                    format!("app_ids[{index}]"),
                    "must be 1 to 64 letters, digits, `_` or `-`",
                )
            })
        })
        .collect()
}
