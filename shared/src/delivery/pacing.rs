//! What a chat or a person may get: five messages a second, of all bots together ("Send message").

use std::num::NonZeroU32;
use std::time::Duration;

use super::Job;
use crate::limiter::{LimitKey, Limiter};
use crate::quota::Quota;

/// The platform's limit.
const LIMIT: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
const SECOND: Duration = Duration::from_secs(1);
/// How much the way of two calls to the platform may differ.
const JITTER: Duration = Duration::from_millis(50);

/// Keeps within what each receiver may get.
#[derive(Clone, Debug)]
pub(super) struct Pacing {
    limiter: Limiter,
    quota: Quota,
}

impl Pacing {
    pub(super) fn new(limiter: Limiter) -> Self {
        Self {
            limiter,
            quota: Quota::on_arrival(LIMIT, SECOND, LIMIT, JITTER),
        }
    }

    /// Waits for the turn of `job` at its receiver, for `patience` at most.
    ///
    /// # Errors
    /// How long it takes until a turn is to be had.
    pub(super) async fn turn(&self, job: &Job, patience: Duration) -> Result<(), Duration> {
        let key = LimitKey::new("message_receiver", job.group());
        let quotas = [self.quota];
        let decision = self.limiter.wait_for_turn(&key, &quotas, 1, patience).await;
        if decision.is_allowed {
            Ok(())
        } else {
            Err(decision.retry_after)
        }
    }
}
