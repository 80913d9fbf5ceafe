//! Logins as they are kept: begun, refreshed, ended, listed.
//!
//! A pair is durable before anybody gets to see it. Only a later generation replaces a pair, and a failure touches nothing
//! but the attempt that it belongs to; so of two who refresh the same login, whatever happens to the one never harms what
//! the other brought. A pair that the store does not take waits, sealed, in the shared cache for whoever comes next.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::issuer::{ISSUE_TIMEOUT, Issuer};
use super::renewal::settle;
use super::tiers::{Stored, TokenTiers};
use super::{SharedToken, TokenKey, TokenService, TokenState, Verdict};
use crate::apps::App;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, LarkFailure, LoginEnd, Result};
use crate::ids::{AppId, OpenId};
use crate::lark::oauth::Grant;
use crate::store::{Expect, StoreError};

pub(super) mod codec;
mod login;
mod rescue;

use login::reauthorization_required;
pub use login::{Login, OFFLINE_ACCESS, Pair, RefreshToken};

/// How often a write is tried again when others change the record meanwhile.
const ATTEMPTS: u32 = 16;
/// How long a write is tried again while the pair waits in the shared cache.
const WRITE_PATIENCE: Duration = Duration::from_secs(4);
/// The pause before a write that the store did not take is tried again; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Keeps logins: refreshes them and makes each pair durable before anybody sees it.
#[derive(Debug)]
pub(super) struct LoginKeeper {
    tiers: Arc<TokenTiers>,
    issuer: Arc<Issuer>,
}

impl TokenService {
    /// Exchanges what `grant` is for tokens, without keeping them: they are nobody's yet.
    ///
    /// # Errors
    /// What the platform says.
    pub async fn exchange_code(
        &self,
        app: &App,
        grant: &Grant<'_>,
        deadline: Deadline,
    ) -> std::result::Result<Pair, LarkFailure> {
        self.issuer().exchange(app, grant, deadline).await
    }

    /// Keeps the login of `open_id` that `pair` begins, in place of any earlier one.
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
                    tiers.publish(&state, deadline).await;
                    tiers.remember(state.clone());
                    return Ok(state);
                }
                Err(Error::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Forgets the login of `open_id`; says whether there was one. Its tokens are handed out no more; other processes
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
    pub(super) const fn new(tiers: Arc<TokenTiers>, issuer: Arc<Issuer>) -> Self {
        Self { tiers, issuer }
    }

    /// Presents the refresh token of the login that this process has leased, and makes what comes of it durable.
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
        let outcome = if self.has_time_to_refresh(leased) {
            let grant = Grant::Refresh(&value);
            self.issuer.exchange(app, &grant, deadline).await
        } else {
            // Frozen between lease and call: by now it may be somebody else's turn.
            Err(LarkFailure {
                is_unsent: true,
                ..LarkFailure::without_answer(
                    FailureKind::Timeout,
                    "the process was held up before it could ask",
                )
            })
        };
        match outcome {
            Ok(pair) => self.commit_pair(leased, pair, deadline).await,
            Err(failure) => {
                let now = self.tiers.clock.now();
                let secret = &app.secrets.current.fingerprint;
                let state = leased.not_refreshed(was_uncertain, failure, secret, now);
                log_failure(&state, now);
                self.commit_failure(leased, state, app, deadline).await
            }
        }
    }

    /// A pair that somebody got for this login and could not store, if the login is in doubt.
    pub(super) async fn pair_in_waiting(
        &self,
        state: &TokenState,
        deadline: Deadline,
    ) -> Option<Pair> {
        state.login.as_ref()?.uncertain_since?;
        self.rescued(state, deadline).await
    }

    /// Makes `pair` durable as the successor of what `leased` holds, unless something later is there.
    pub(super) async fn commit_pair(
        &self,
        leased: &TokenState,
        pair: Pair,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        let generation = generation(leased);
        // A pair that is safe elsewhere is not worth a caller's whole time.
        let deadline = if self.rescue(leased, &pair, deadline).await {
            deadline.at_most(WRITE_PATIENCE)
        } else {
            deadline
        };
        let (mut base, mut expect) = (leased.clone(), Expect::Version(leased.version));
        let (mut conflicts, mut pause) = (0, FIRST_PAUSE);
        loop {
            let state = base.refreshed(pair.clone(), self.tiers.clock.now(), fastrand::f64());
            match self.tiers.write(&state, expect, deadline).await {
                Ok(()) => {
                    self.tiers.publish(&state, deadline).await;
                    self.forget_rescue(&state.key).await;
                    self.tiers.remember(state);
                    return Ok(pair.token);
                }
                Err(Error::Store(StoreError::Conflict)) if conflicts < ATTEMPTS => {
                    conflicts += 1;
                    match self.tiers.read_store(&leased.key, deadline).await {
                        Ok(Stored {
                            expect: Expect::Absent,
                            ..
                        }) => {
                            // The user logged out meanwhile.
                            self.forget_rescue(&leased.key).await;
                            return Err(reauthorization_required(
                                &leased.key,
                                LoginEnd::NotLoggedIn,
                            ));
                        }
                        Ok(stored) if self::generation(&stored.state) != generation => {
                            info!(
                                lark.app_id = leased.key.app_id.as_str(),
                                "a later login took the place of a refreshed one"
                            );
                            return self.of_later(stored.state, deadline).await;
                        }
                        Ok(stored) => (base, expect) = (stored.state, stored.expect),
                        Err(error) => warn!(%error, "a login cannot be read again"),
                    }
                }
                Err(error) => {
                    warn!(lark.app_id = leased.key.app_id.as_str(), %error, "a refreshed login is not stored yet");
                    if deadline.remaining() <= pause {
                        // It waits in the shared cache; nobody gets it before it is stored.
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    /// Writes what a failed attempt leaves behind, if the record is still as the attempt left it.
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
                self.tiers.publish(&state, deadline).await;
                settle(&self.tiers, state, app)
            }
            Err(Error::Store(StoreError::Conflict)) => {
                let stored = self.tiers.read_store(&leased.key, deadline).await?;
                self.of_later(stored.state, deadline).await
            }
            Err(error) => Err(error),
        }
    }

    /// What a caller gets of a state that somebody else brought about.
    async fn of_later(&self, state: TokenState, deadline: Deadline) -> Result<SharedToken> {
        self.tiers.publish(&state, deadline).await;
        match state.user_verdict(self.tiers.clock.now()) {
            Verdict::Serve(token) | Verdict::Renew(Some(token)) => {
                self.tiers.remember(state);
                Ok(token)
            }
            Verdict::Refuse(error) => Err(*error),
            Verdict::Renew(None) => Err(Error::DeadlineExceeded),
        }
    }

    /// Whether a call begun now ends before the lease does.
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
