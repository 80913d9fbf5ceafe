//! The scheduled run of messages: every minute, those whose time has come and those that nobody brought to an end.

use lambda_runtime::{Error, LambdaEvent};
use lark_service::delivery::{Delivery, SweepReport};
use lark_service::invocation;
use serde::de::IgnoredAny;

/// Does one run and says what it did. What the schedule sends along does not matter.
///
/// # Errors
/// When what is due cannot be read; the schedule tries again.
pub async fn handle(
    delivery: &Delivery,
    event: LambdaEvent<IgnoredAny>,
) -> Result<SweepReport, Error> {
    let run = invocation::run("enqueue-due", &event.context, None, async |deadline| {
        delivery.enqueue_due(deadline).await
    });
    Ok(run.await?)
}
