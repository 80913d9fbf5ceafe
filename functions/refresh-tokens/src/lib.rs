//! The scheduled refresh: every minute, everything that is due.

use lambda_runtime::{Error, LambdaEvent};
use lark_service::invocation;
use lark_service::tokens::{Refresher, RunReport};
use serde::de::IgnoredAny;

/// Does one run and says what it did. What the schedule sends along does not matter.
///
/// # Errors
/// When what is due cannot be read; the schedule tries again.
pub async fn handle(
    refresher: &Refresher,
    event: LambdaEvent<IgnoredAny>,
) -> Result<RunReport, Error> {
    let run = invocation::run("refresh-tokens", &event.context, None, async |deadline| {
        refresher.run(deadline).await
    });
    Ok(run.await?)
}
