//! Limits outbound calls, together with all other calls that the platform counts together, across all processes.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::Domain;
use super::apis::{Api, StandardLimits};
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure};
use crate::ids::{AppId, TenantKey};
use crate::limiter::{LimitKey, Limiter};
use crate::quota::{Decision, Quota, gcra};
use crate::telemetry::metrics;

/// The time reserved for a call after its wait: calls that take longer count as slow.
const CALL_TIME: Duration = Duration::from_secs(1);
/// How long nothing is sent after the platform said "too often" without a duration.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// The gateway's "request trigger frequency limit". Other codes limit a chat, a user or a document.
const FREQUENCY_LIMIT: i64 = 99_991_400;
/// Background calls get one part in so many of each limit.
const BACKGROUND: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

/// An app in a tenant: the platform counts its calls together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Installation<'i> {
    /// The platform that the app lives on.
    pub domain: Domain,
    /// The app.
    pub app_id: &'i AppId,
    /// The tenant of a marketplace app; `None` for an internal app, which has one tenant, and for calls without a tenant.
    pub tenant: Option<&'i TenantKey>,
}

impl<'i> Installation<'i> {
    /// The app without a tenant.
    #[must_use]
    pub const fn without_tenant(domain: Domain, app_id: &'i AppId) -> Self {
        Self {
            domain,
            app_id,
            tenant: None,
        }
    }
}

/// Whether a caller waits for a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Priority {
    /// A caller waits.
    Interactive,
    /// No caller waits: half of each limit is left to others.
    Background,
}

/// Admits outbound calls within the platform's limits.
#[derive(Clone, Debug)]
pub(super) struct OutboundLimiter {
    limiter: Limiter,
    limits: StandardLimits,
    priority: Priority,
}

impl OutboundLimiter {
    pub(super) const fn new(limiter: Limiter, limits: StandardLimits) -> Self {
        Self {
            limiter,
            limits,
            priority: Priority::Interactive,
        }
    }

    pub(super) fn in_background(&self) -> Self {
        Self {
            priority: Priority::Background,
            ..self.clone()
        }
    }

    /// Waits until a call of `api` may go out, unless that is too late for an answer by `deadline`.
    ///
    /// # Errors
    /// [`FailureKind::RateLimited`], with [`LarkFailure::is_unsent`].
    pub(super) async fn acquire(
        &self,
        installation: Installation<'_>,
        api: &Api,
        deadline: Deadline,
    ) -> Result<(), LarkFailure> {
        let began = Instant::now();
        let quotas = api.tier.quotas(&self.limits);
        let key = key("lark", installation, api);
        let decision = match self.priority {
            Priority::Interactive => self.wait(&key, &quotas, deadline).await,
            Priority::Background => self.wait_behind(&key, installation, api, deadline).await,
        };
        metrics::lark_wait(api.name.clone(), began.elapsed());
        if decision.is_allowed {
            Ok(())
        } else {
            Err(held_back(&decision))
        }
    }

    /// The turn of a background call: first within the half for such calls, then within the whole.
    async fn wait_behind(
        &self,
        whole: &LimitKey,
        installation: Installation<'_>,
        api: &Api,
        deadline: Deadline,
    ) -> Decision {
        let quotas = api.tier.quotas(&self.limits);
        let halves = quotas.iter().map(|quota| quota.share(BACKGROUND, 1));
        let halves: Vec<Quota> = halves.collect();
        let half = key("lark_background", installation, api);
        let first = self.wait(&half, &halves, deadline).await;
        if !first.is_allowed {
            return first;
        }
        let second = self.wait(whole, &quotas, deadline).await;
        if !second.is_allowed {
            self.limiter.give_back(&half, &halves, 1, &first).await;
        }
        second
    }

    /// If `failure` says that the platform counted too many calls, no process sends any more for the requested pause. Returns
    /// whether that is so.
    pub(super) async fn pause_after(
        &self,
        installation: Installation<'_>,
        api: &Api,
        failure: &LarkFailure,
    ) -> bool {
        let is_gateway = failure.code == Some(FREQUENCY_LIMIT)
            || failure.code.is_none() && failure.http_status == Some(429);
        if failure.is_unsent || !is_gateway {
            return false;
        }
        let retry_after = failure.retry_after.filter(|pause| !pause.is_zero());
        let length = retry_after.unwrap_or(DEFAULT_PAUSE);
        let key = key("lark", installation, api);
        self.limiter.pause(&key, length).await;
        true
    }

    async fn wait(&self, key: &LimitKey, quotas: &[Quota], deadline: Deadline) -> Decision {
        let patience = deadline.remaining().saturating_sub(CALL_TIME);
        self.limiter
            .wait_for_turn(key, quotas, 1, patience.min(gcra::MAX_PATIENCE))
            .await
    }
}

/// The key of the limit of `api`.
fn key(scope: &'static str, installation: Installation<'_>, api: &Api) -> LimitKey {
    let Installation { app_id, tenant, .. } = installation;
    let tenant = tenant.map_or("", TenantKey::as_str);
    let api = &api.counted_as;
    LimitKey::new(scope, format_args!("{app_id}:{tenant}:{api}"))
}

/// Our own refusal, marked as such.
fn held_back(refused: &Decision) -> LarkFailure {
    let (limit, window) = (refused.limit, refused.window.as_secs());
    let msg = format!(
        "not sent: our share of Lark's limit for this API, {limit} calls in {window} s, is used up for too long"
    );
    LarkFailure {
        retry_after: Some(refused.retry_after),
        is_unsent: true,
        ..LarkFailure::without_answer(FailureKind::RateLimited, msg)
    }
}

#[cfg(test)]
mod tests;
