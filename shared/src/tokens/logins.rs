//! Stored logins: begin, refresh, end.
//!
//! A pair is durable before any caller sees it. Only a later generation replaces a pair, and a failure affects only its own
//! attempt; so of two concurrent refreshes of a login, a failed one never harms the pair that the other one got. A pair that
//! cannot be stored waits, sealed, in the shared cache for the next refresh.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::issuer::{ISSUE_TIMEOUT, Issuer};
use super::renewal::settle;
use super::tiers::{Stored, TokenTiers};
use super::{SharedToken, TokenKey, TokenService, TokenState, Verdict};
use crate::apps::App;
use crate::clock::{Stopwatch, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, LarkFailure, LoginEnd, Result};
use crate::ids::{AppId, OpenId};
use crate::lark::oauth::Grant;
use crate::store::{Expect, StoreError};

mod callers;
pub(super) mod codec;
mod login;
mod rescue;

pub(super) use callers::LoginCallers;
use login::reauthorization_required;
pub use login::{Login, OFFLINE_ACCESS, Pair, RefreshToken};

/// A write that takes this much longer than it may was frozen meanwhile.
const SLACK: Duration = Duration::from_millis(100);
/// How many freezes a write of a pair outlasts.
const MAX_STOPS: u32 = 3;
/// How often a write is retried after a conflict.
const ATTEMPTS: u32 = 16;
/// How long the write of a pair is retried, counted from the platform's answer: however late that came, the refresh token is
/// spent.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same while the pair waits in the shared cache.
const RESCUED_TIMEOUT: Duration = Duration::from_secs(4);
/// The time for one write of a pair. One that took longer shows that the process stood still, and a freeze as long as the whole time
/// leaves the rest of it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// No refresh token is presented with less time left: the call and, for a pair that waits in the shared cache, most of its write must
/// fit in. Little enough that a caller still has it after the lease of a process that died.
pub(super) const REFRESH_TIME: Duration = ISSUE_TIMEOUT.saturating_add(Duration::from_secs(3));
/// The first pause before a failed write is retried; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Keeps logins: refreshes them and makes each pair durable before any caller sees it.
#[derive(Debug)]
pub(super) struct LoginKeeper {
    tiers: Arc<TokenTiers>,
    issuer: Arc<Issuer>,
    callers: LoginCallers,
}

impl TokenService {
    /// Exchanges `grant` for tokens, without storing them: their user is not known yet.
    ///
    /// # Errors
    /// The platform's failure.
    pub async fn exchange_code(
        &self,
        app: &App,
        grant: &Grant<'_>,
        deadline: Deadline,
    ) -> std::result::Result<Pair, LarkFailure> {
        self.issuer().exchange(app, grant, deadline).await
    }

    /// Stores the login of `open_id` that `pair` begins, in place of any earlier one.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn begin_login(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        pair: Pair,
        deadline: Deadline,
    ) -> Result<TokenState> {
        let tiers = self.tiers();
        let key = TokenKey::user(app_id.clone(), open_id);
        for _ in 0..ATTEMPTS {
            let Stored { state, expect } = tiers.read_store(&key, deadline).await?;
            let state = state.logged_in(pair.clone(), tiers.clock.now(), fastrand::f64());
            match tiers.write(&state, expect, deadline).await {
                Ok(()) => {
                    tiers.publish(&state).await;
                    tiers.remember(state.clone());
                    return Ok(state);
                }
                Err(Error::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Deletes the login of `open_id`; returns whether there was one. Its tokens are no longer handed out; other processes
    /// notice within five seconds.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn end_login(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        deadline: Deadline,
    ) -> Result<bool> {
        self.forget(&TokenKey::user(app_id.clone(), open_id), deadline)
            .await
    }
}

impl LoginKeeper {
    pub(super) fn new(tiers: Arc<TokenTiers>, issuer: Arc<Issuer>) -> Self {
        Self {
            tiers,
            issuer,
            callers: LoginCallers::default(),
        }
    }

    /// Who waits for which login.
    pub(super) const fn callers(&self) -> &LoginCallers {
        &self.callers
    }

    /// Presents the refresh token of the login that this process has leased, and makes the outcome durable. Callers that wait
    /// for it are held until then.
    pub(super) async fn refresh(
        &self,
        before: &TokenState,
        leased: &TokenState,
        app: &App,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        let was_uncertain = before
            .login
            .as_ref()
            .and_then(|login| login.uncertain_since);
        let refresh = leased
            .login
            .as_ref()
            .and_then(|login| login.refresh.as_ref());
        let Some(value) = refresh.and_then(|refresh| refresh.value.clone()) else {
            return Err(reauthorization_required(
                &leased.key,
                LoginEnd::NoOfflineAccess,
            ));
        };
        let clock = &*self.tiers.clock;
        let (watch, needed) = (Stopwatch::start(clock), Deadline::after(REFRESH_TIME));
        let presented = self.callers.present(&leased.key, needed);
        if presented.is_none() || !self.has_time_to_refresh(leased) {
            // Nobody waits long enough, or it was frozen between lease and call: another process may hold the lease by now.
            return self.give_back(before, leased, deadline).await;
        }
        let grant = Grant::Refresh(&value);
        let longest = deadline.max(needed);
        let outcome = self.issuer.exchange(app, &grant, longest).await;
        match outcome {
            Ok(pair) => self.commit_pair(leased, pair).await,
            Err(failure)
                if failure.is_unsent
                    && failure.kind.is_outage()
                    && watch.elapsed(clock) > ISSUE_TIMEOUT =>
            {
                self.give_back(before, leased, deadline).await
            }
            Err(failure) => {
                if failure.kind == FailureKind::GrantVoid
                    && let Some(pair) = self.pair_in_waiting(before, deadline).await
                {
                    // It was spent by a process whose pair came into the shared cache only now.
                    return self.commit_pair(leased, pair).await;
                }
                let now = self.tiers.clock.now();
                let secret = &app.secrets.current.fingerprint;
                let state = leased.not_refreshed(was_uncertain, failure, secret, now);
                log_failure(&state, now);
                self.commit_failure(leased, state, app, deadline).await
            }
        }
    }

    /// A pair that a process got for this login but could not store, if the login is in doubt.
    pub(super) async fn pair_in_waiting(
        &self,
        state: &TokenState,
        deadline: Deadline,
    ) -> Option<Pair> {
        state.login.as_ref()?.uncertain_since?;
        self.rescued(state, deadline).await
    }

    /// Makes `pair` durable as the successor of the pair in `leased`, unless a later one is there. It has a time of its own.
    pub(super) async fn commit_pair(&self, leased: &TokenState, pair: Pair) -> Result<SharedToken> {
        let generation = generation(leased);
        let deadline = Deadline::after(COMMIT_TIMEOUT);
        // A pair that is safe in the shared cache is not worth a caller's whole time.
        let longest = if self.rescue(leased, &pair, deadline).await {
            RESCUED_TIMEOUT
        } else {
            COMMIT_TIMEOUT
        };
        let (mut deadline, mut stops) = (deadline.at_most(longest), 0);
        let (mut base, mut expect) = (leased.clone(), Expect::Version(leased.version));
        let (mut conflicts, mut pause) = (0, FIRST_PAUSE);
        loop {
            let state = base.refreshed(pair.clone(), self.tiers.clock.now(), fastrand::f64());
            let watch = Stopwatch::start(&*self.tiers.clock);
            let longest_write = deadline.cut(WRITE_TIMEOUT);
            let write_deadline = deadline.at_most(WRITE_TIMEOUT);
            match self.tiers.write(&state, expect, write_deadline).await {
                Ok(()) => {
                    self.tiers.publish(&state).await;
                    self.forget_rescue(&state.key).await;
                    self.tiers.remember(state);
                    return Ok(pair.token);
                }
                Err(Error::Store(StoreError::Conflict)) if conflicts < ATTEMPTS => {
                    conflicts += 1;
                    match self.tiers.read_store(&leased.key, deadline).await {
                        Ok(stored) if stored.state.login.is_none() => {
                            // The user logged out in the meantime.
                            self.forget_rescue(&leased.key).await;
                            return Err(reauthorization_required(
                                &leased.key,
                                LoginEnd::NotLoggedIn,
                            ));
                        }
                        Ok(stored) if self::generation(&stored.state) != generation => {
                            info!(
                                lark.app_id = leased.key.app_id.as_str(),
                                "a later login replaced a refreshed one"
                            );
                            return self.of_later(stored.state).await;
                        }
                        Ok(stored) => (base, expect) = (stored.state, stored.expect),
                        Err(error) => warn!(%error, "a login cannot be read again"),
                    }
                }
                Err(error) => {
                    warn!(lark.app_id = leased.key.app_id.as_str(), %error, "a refreshed login is not stored yet");
                    if watch.elapsed(&*self.tiers.clock) > longest_write + SLACK
                        && stops < MAX_STOPS
                    {
                        // The process stood still: its time begins anew.
                        (deadline, stops) = (Deadline::after(longest), stops + 1);
                    }
                    if deadline.remaining() <= pause {
                        // It waits in the shared cache; no caller gets it before it is stored.
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    /// Ends a lease under which nothing was presented, mostly because the process stood still: that says nothing about the login,
    /// and whoever still waits tries again.
    async fn give_back(
        &self,
        before: &TokenState,
        leased: &TokenState,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        let state = leased.not_attempted(before, self.tiers.clock.now());
        let expect = Expect::Version(leased.version);
        match self.tiers.write(&state, expect, deadline).await {
            Ok(()) => self.tiers.publish(&state).await,
            Err(Error::Store(StoreError::Conflict)) => {}
            Err(error) => return Err(error),
        }
        Err(Error::DeadlineExceeded)
    }

    /// Writes the state after a failed attempt, if the record is still the leased one.
    async fn commit_failure(
        &self,
        leased: &TokenState,
        state: TokenState,
        app: &App,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        let expect = Expect::Version(leased.version);
        match self.tiers.write(&state, expect, deadline).await {
            Ok(()) => {
                if state.token.is_none() {
                    // If it does not arrive, the scheduled run repeats it: the state is due.
                    self.tiers.publish_surely(&state, deadline).await;
                } else {
                    self.tiers.publish(&state).await;
                }
                settle(&self.tiers, state, app)
            }
            Err(Error::Store(StoreError::Conflict)) => {
                let stored = self.tiers.read_store(&leased.key, deadline).await?;
                self.of_later(stored.state).await
            }
            Err(error) => Err(error),
        }
    }

    /// What a caller gets from a state that another process wrote.
    async fn of_later(&self, state: TokenState) -> Result<SharedToken> {
        self.tiers.publish(&state).await;
        match state.user_verdict(self.tiers.clock.now()) {
            Verdict::Serve(token) | Verdict::Renew(Some(token)) => {
                self.tiers.remember(state);
                Ok(token)
            }
            Verdict::Refuse(error) => Err(*error),
            Verdict::Renew(None) => Err(Error::DeadlineExceeded),
        }
    }

    /// Whether a call begun now ends before the lease expires.
    fn has_time_to_refresh(&self, leased: &TokenState) -> bool {
        let left = leased.leased.as_ref().map_or(Duration::ZERO, |lease| {
            lease.until.since(self.tiers.clock.now())
        });
        left > ISSUE_TIMEOUT
    }
}

pub(super) fn generation(state: &TokenState) -> u64 {
    state.login.as_ref().map_or(0, |login| login.generation)
}

fn log_failure(state: &TokenState, now: Timestamp) {
    let (Some(login), Some(failure)) = (&state.login, &state.failure) else {
        return;
    };
    let retry_in_ms = u64::try_from(failure.retry_at.since(now).as_millis()).unwrap_or(u64::MAX);
    let ended = login.ended.map(|(end, _)| end.as_str());
    warn!(
        lark.app_id = state.key.app_id.as_str(),
        token.subject = state.key.subject,
        failures = failure.count,
        lark.code = failure.last.code,
        lark.log_id = failure.last.log_id,
        reason = failure.last.kind.as_str(),
        error = %failure.last,
        is_uncertain = login.uncertain_since.is_some(),
        ended,
        retry_in_ms,
        "a login was not refreshed",
    );
}
