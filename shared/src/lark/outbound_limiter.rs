//! Limits outbound calls, together with all other calls that the platform counts together, across all processes.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::Domain;
use super::apis::{Api, PER_RECEIVER, StandardLimits};
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure};
use crate::ids::{AppId, TenantKey};
use crate::limiter::{LimitKey, Pace, Pacer, Turn};
use crate::quota::Reservation;
use crate::telemetry::metrics;

/// The time reserved for a call after its wait: calls that take longer count as slow.
const CALL_TIME: Duration = Duration::from_secs(1);
/// How long nothing is sent after the platform said "too often" without a duration.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// The gateway's "request trigger frequency limit". Other codes limit a chat, a user or a document.
const FREQUENCY_LIMIT: i64 = 99_991_400;
/// Too many messages to a chat or a person.
const RECEIVER_FREQUENCY_LIMIT: i64 = 230_020;
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

/// Whom a message goes to, or which message is changed. The platform allows five messages a second to each chat, from all bots of a tenant together, and five to
/// each person. Whether those to a person count for all bots is not documented: unverified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Receiver {
    /// A chat, by its `chat_id`.
    Chat(String),
    /// A person, by an id of theirs and never by an address, always the same one: an `open_id` is of one app, a `union_id` or
    /// `user_id` the same for all apps.
    Person(String),
    /// A message that is changed, by its `message_id`: five changes a second, as the platform documents it for cards.
    Message(String),
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
    pacer: Pacer,
    limits: StandardLimits,
    priority: Priority,
}

impl OutboundLimiter {
    pub(super) const fn new(pacer: Pacer, limits: StandardLimits) -> Self {
        Self {
            pacer,
            limits,
            priority: Priority::Interactive,
        }
    }

    /// The same limiter for calls that had rather wait than go out while it is not known how many others do.
    pub(super) fn patient(&self) -> Self {
        Self {
            pacer: self.pacer.patient(),
            ..self.clone()
        }
    }

    pub(super) fn in_background(&self) -> Self {
        Self {
            priority: Priority::Background,
            ..self.clone()
        }
    }

    /// Places for a call of `api` to `receivers`, of which each may wait for `patience`. The call goes out after
    /// [`OutboundLimiter::come`].
    ///
    /// # Errors
    /// [`FailureKind::RateLimited`], with [`LarkFailure::is_unsent`].
    pub(super) async fn turn(
        &self,
        installation: Installation<'_>,
        api: &Api,
        receivers: &[Receiver],
        patience: Duration,
    ) -> Result<Turn, LarkFailure> {
        let began = Instant::now();
        // The whole app's comes last: while a call waits for its receiver, it keeps no place of others.
        let paces = receivers.iter().map(|it| pace_of(installation, it));
        let whole = self.pace("lark", installation, api);
        let paces: Vec<Pace> = paces.chain([whole]).collect();
        let turn = match self.priority {
            Priority::Interactive => self.pacer.turn(paces, patience).await,
            Priority::Background => {
                let half = self.half(installation, api);
                self.turn_behind(half, paces, patience).await
            }
        };
        turn.map_err(|refused| {
            metrics::lark_wait(api.name.clone(), began.elapsed());
            held_back(&refused)
        })
    }

    /// The turn of a background call: first within the half for such calls, then within the whole. The half is ours and not the
    /// platform's: its place need not be the moment at which the call goes out.
    async fn turn_behind(
        &self,
        half: Pace,
        paces: Vec<Pace>,
        patience: Duration,
    ) -> Result<Turn, Reservation> {
        let patience = Deadline::after(patience);
        let mut first = self.pacer.turn(vec![half], patience.remaining()).await?;
        first.come(patience.remaining()).await?;
        match self.pacer.turn(paces, patience.remaining()).await {
            Ok(second) => {
                first.use_up();
                Ok(second)
            }
            Err(refused) => {
                first.give_up().await;
                Err(refused)
            }
        }
    }

    /// Waits until the call of `api` whose turn this is may go out, unless that is too late for an answer by `deadline`. It goes out
    /// right then: [`Turn::is_now`].
    ///
    /// # Errors
    /// [`FailureKind::RateLimited`], with [`LarkFailure::is_unsent`].
    pub(super) async fn come(
        api: &Api,
        turn: &mut Turn,
        deadline: Deadline,
    ) -> Result<(), LarkFailure> {
        let began = Instant::now();
        let come = turn.come(patience_until(deadline)).await;
        metrics::lark_wait(api.name.clone(), began.elapsed());
        come.map_err(|refused| held_back(&refused))
    }

    /// If `failure` says that the platform counted too many calls, no process sends any more for the requested pause: of the API,
    /// or to the receivers if the limit is theirs. Returns whether that is so.
    pub(super) async fn pause_after(
        &self,
        installation: Installation<'_>,
        api: &Api,
        receivers: &[Receiver],
        failure: &LarkFailure,
    ) -> bool {
        let is_gateway = failure.code == Some(FREQUENCY_LIMIT)
            || failure.code.is_none() && failure.http_status == Some(429);
        let retry_after = failure.retry_after.filter(|pause| !pause.is_zero());
        let length = retry_after.unwrap_or(DEFAULT_PAUSE);
        let is_of_receiver = failure.code == Some(RECEIVER_FREQUENCY_LIMIT);
        let keys: Vec<LimitKey> = if failure.is_unsent {
            Vec::new()
        } else if is_gateway {
            vec![key("lark", installation, api)]
        } else if is_of_receiver {
            let paces = receivers.iter().map(|it| pace_of(installation, it));
            paces.map(|pace| pace.key).collect()
        } else {
            Vec::new()
        };
        for key in &keys {
            self.pacer.pause(key, length).await;
        }
        !keys.is_empty()
    }

    /// What the platform counts a call in.
    fn pace(&self, scope: &'static str, installation: Installation<'_>, api: &Api) -> Pace {
        Pace {
            key: key(scope, installation, api),
            windows: api.tier.windows(&self.limits),
        }
    }

    /// The half of it that background calls have.
    fn half(&self, installation: Installation<'_>, api: &Api) -> Pace {
        let mut pace = self.pace("lark_background", installation, api);
        for window in &mut pace.windows {
            *window = window.share(BACKGROUND);
        }
        pace
    }
}

/// The limit of a receiver. All apps of a tenant share a chat's. The tenant of an internal app is known to the platform alone, so a chat
/// stands there for itself: no two have the same id. An open_id is one app's own, and so is its limit.
fn pace_of(installation: Installation<'_>, receiver: &Receiver) -> Pace {
    let Installation { app_id, tenant, .. } = installation;
    let tenant = tenant.map(TenantKey::as_str);
    let owner = tenant.unwrap_or(app_id.as_str());
    let key = match receiver {
        Receiver::Chat(id) => {
            let tenant = tenant.unwrap_or_default();
            LimitKey::new("chat", format_args!("{tenant}:{id}"))
        }
        Receiver::Person(id) => LimitKey::new("person", format_args!("{owner}:{id}")),
        Receiver::Message(id) => LimitKey::new("message", format_args!("{owner}:{id}")),
    };
    Pace {
        key,
        windows: PER_RECEIVER.windows(&StandardLimits::default()),
    }
}

/// The key of the limit of `api`.
fn key(scope: &'static str, installation: Installation<'_>, api: &Api) -> LimitKey {
    let Installation { app_id, tenant, .. } = installation;
    let tenant = tenant.map_or("", TenantKey::as_str);
    let api = &api.counted_as;
    LimitKey::new(scope, format_args!("{app_id}:{tenant}:{api}"))
}

/// How long a call may wait whose answer is wanted by `deadline`.
pub(super) fn patience_until(deadline: Deadline) -> Duration {
    deadline.remaining().saturating_sub(CALL_TIME)
}

/// Our own refusal, marked as such.
fn held_back(refused: &Reservation) -> LarkFailure {
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
