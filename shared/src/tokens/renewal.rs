//! One renewal: take the lease, look again, fetch, write, let go.
//!
//! The lease in the store is what counts: it is taken by writing a new version over exactly the one that was read, so
//! between the look and the lease nothing can have happened, and whoever lost the lease cannot write over the winner's
//! token. A key in the shared cache keeps the many who would lose anyway away from the store.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::service::Inner;
use super::state::failure_to_error;
use super::{Pair, SharedToken, TokenKey, TokenKind, TokenState, Verdict};
use crate::apps::App;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, LarkFailure, Result};
use crate::seal::SealError;
use crate::store::{Expect, StoreError, Table};

/// How long others stay away: the token request and the writes around it.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// A renewal, waiting for others included, ends after this. Longer than [`LEASE`]: when the holder died, its successor
/// still has time.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(28);
/// The first pause of one who waits for the holder; it grows by half each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause of one who waits for the holder.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// The renewal of one token by this process.
pub(super) struct Renewal {
    inner: Arc<Inner>,
    key: TokenKey,
    app: App,
    /// What the lease in the shared cache is marked with, so that only its holder lets go of it.
    mark: String,
    deadline: Deadline,
}

/// How the try for the store's lease ended.
enum Lease {
    /// The state to renew as it was, and leased to us.
    Taken(Box<(TokenState, TokenState)>),
    /// Somebody else has it.
    Busy,
    /// There is nothing to do.
    Settled(Result<SharedToken>),
    /// The store does not answer.
    NoStore,
}

impl Renewal {
    pub(super) fn new(inner: Arc<Inner>, key: TokenKey, app: App) -> Self {
        let mark = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        Self {
            inner,
            key,
            app,
            mark,
            deadline: Deadline::after(RENEWAL_TIMEOUT),
        }
    }

    /// A token newer than what the caller had, from whoever fetched it.
    pub(super) async fn run(self) -> Result<SharedToken> {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.holds_fast_lease().await {
                let lease = self.lease().await;
                let outcome = match lease {
                    Lease::Taken(states) => {
                        let (before, leased) = *states;
                        let work = self.inner.renew(&before, &leased, &self.app, self.deadline);
                        Some(work.await)
                    }
                    Lease::Settled(outcome) => Some(outcome),
                    Lease::NoStore => Some(self.without_store().await),
                    Lease::Busy => None,
                };
                self.release_fast_lease().await;
                if let Some(outcome) = outcome {
                    return outcome;
                }
            }
            if self.deadline.has_passed() {
                return Err(Error::DeadlineExceeded);
            }
            tokio::time::sleep(
                self.deadline
                    .cut(pause.mul_f64(0.5 + fastrand::f64() / 2.0)),
            )
            .await;
            pause = (pause * 3 / 2).min(MAX_PAUSE);
            if let Some(outcome) = self.outcome_of_another().await? {
                return outcome;
            }
        }
    }

    /// Whether nobody else holds the lease in the shared cache; without a cache, nobody does.
    async fn holds_fast_lease(&self) -> bool {
        let Some(cache) = &self.inner.cache else {
            return true;
        };
        cache
            .put_absent(&self.key.lease_key(), self.mark.as_bytes(), LEASE)
            .await
            .unwrap_or(true)
    }

    async fn release_fast_lease(&self) {
        if let Some(cache) = &self.inner.cache {
            // Left alone it ends by itself.
            let _ = cache
                .delete_equal(&self.key.lease_key(), self.mark.as_bytes())
                .await;
        }
    }

    /// What the holder of the lease brought about, if it is to be seen in the shared cache.
    async fn outcome_of_another(&self) -> Result<Option<Result<SharedToken>>> {
        let Some(state) = self.inner.cached_state(&self.key, self.deadline).await? else {
            return Ok(None);
        };
        Ok(
            match state.verdict(&self.app.secrets, self.inner.clock.now()) {
                Verdict::Serve(token) => Some(Ok(token)),
                Verdict::Refuse(error) => Some(Err(*error)),
                Verdict::Renew(_) => None,
            },
        )
    }

    /// Reads the state, and takes the lease if it still needs renewal.
    async fn lease(&self) -> Lease {
        let now = self.inner.clock.now();
        let record = match self
            .inner
            .storage
            .get(Table::Tokens, &self.key.store_key(), self.deadline)
            .await
        {
            Ok(record) => record,
            Err(error) => return self.no_store(&error),
        };
        let (state, expect) = match &record {
            None => (TokenState::unknown(self.key.clone(), now), Expect::Absent),
            Some(record) => {
                match TokenState::from_record(record, &self.inner.sealer, self.deadline).await {
                    Ok(state) => (state, Expect::Version(record.version)),
                    // Sealed with a key that is gone: it can only be replaced.
                    Err(Error::Seal(SealError::Broken | SealError::UnknownKey(_))) => {
                        let unknown = TokenState::unknown(self.key.clone(), now);
                        (
                            TokenState {
                                version: record.version,
                                ..unknown
                            },
                            Expect::Version(record.version),
                        )
                    }
                    Err(error) => return Lease::Settled(Err(error)),
                }
            }
        };
        let state = self.inner.unless_void(state);
        match state.verdict(&self.app.secrets, now) {
            Verdict::Serve(token) => {
                self.inner.publish(&state, self.deadline).await;
                self.inner.remember(state);
                return Lease::Settled(Ok(token));
            }
            Verdict::Refuse(error) => {
                self.inner.publish(&state, self.deadline).await;
                return Lease::Settled(Err(*error));
            }
            Verdict::Renew(_) if state.is_leased(now) => return Lease::Busy,
            Verdict::Renew(_) => {}
        }
        if let Some(pair) = self.inner.pair_in_waiting(&state, self.deadline).await {
            return Lease::Settled(self.inner.commit_pair(&state, pair, self.deadline).await);
        }
        match self.inner.take_lease(&state, expect, self.deadline).await {
            Ok(leased) => Lease::Taken(Box::new((state, leased))),
            Err(Error::Store(StoreError::Conflict)) => Lease::Busy,
            Err(Error::Store(error)) => self.no_store(&error),
            Err(error) => Lease::Settled(Err(error)),
        }
    }

    fn no_store(&self, error: &StoreError) -> Lease {
        warn!(lark.app_id = self.key.app_id.as_str(), %error, "renewing a token without the store");
        Lease::NoStore
    }

    /// Fetches for the shared cache and the process alone; the store learns of it at the next renewal.
    async fn without_store(&self) -> Result<SharedToken> {
        if self.key.kind == TokenKind::User {
            // A refresh token works once: what comes of it must not depend on this process.
            return Err(StoreError::unavailable(
                "renew",
                Table::Tokens.name(),
                "a login is refreshed only with the store at hand",
            )
            .into());
        }
        let state = self.inner.blank(&self.key);
        let outcome = self.inner.fetch(&self.key, &self.app, self.deadline).await;
        let state = self.inner.after(&state, outcome, &self.app);
        self.inner.publish(&state, self.deadline).await;
        self.inner.settle(state, &self.app)
    }
}

impl Inner {
    /// Writes that this process renews `state` from now on.
    pub(super) async fn take_lease(
        &self,
        state: &TokenState,
        expect: Expect,
        deadline: Deadline,
    ) -> Result<TokenState> {
        let now = self.clock.now();
        let mark = format!("{:016x}", fastrand::u64(..));
        let leased = state.leased(now, now + LEASE, &mark);
        let record = leased.to_record(&self.sealer, deadline).await?;
        self.storage
            .put(Table::Tokens, &record, expect, deadline)
            .await?;
        Ok(leased)
    }

    /// Renews what this process has leased, by the rules of its kind.
    pub(super) async fn renew(
        self: &Arc<Self>,
        before: &TokenState,
        leased: &TokenState,
        app: &App,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        if leased.key.kind == TokenKind::User {
            self.refresh_and_commit(before, leased, app, deadline).await
        } else {
            self.fetch_and_commit(leased, app, deadline).await
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

    /// Fetches the token that this process has leased, and writes the outcome where everybody finds it.
    async fn fetch_and_commit(
        self: &Arc<Self>,
        leased: &TokenState,
        app: &App,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        let outcome = self.fetch(&leased.key, app, deadline).await;
        let state = self.after(leased, outcome, app);
        let record = state.to_record(&self.sealer, deadline).await?;
        match self
            .storage
            .put(
                Table::Tokens,
                &record,
                Expect::Version(leased.version),
                deadline,
            )
            .await
        {
            Ok(()) => {}
            Err(StoreError::Conflict) => {
                // The lease ended and somebody took over. Theirs is the newer one; both tokens work.
                info!(
                    lark.app_id = app.app_id.as_str(),
                    "another process renewed a token meanwhile"
                );
                return self.settle(state, app);
            }
            // The token is as good as any: readers of the cache get it, the store learns at the next renewal.
            Err(error) => {
                warn!(lark.app_id = app.app_id.as_str(), %error, "a renewed token is not stored")
            }
        }
        self.publish(&state, deadline).await;
        self.settle(state, app)
    }

    /// The state after `outcome`.
    fn after(
        &self,
        state: &TokenState,
        outcome: std::result::Result<SharedToken, LarkFailure>,
        app: &App,
    ) -> TokenState {
        let now = self.clock.now();
        match outcome {
            Ok(token) => state.renewed(token, now, fastrand::f64()),
            Err(failure) => {
                let state = state.failed(failure, &app.secrets.current.fingerprint, now);
                log_failure(&state, app, now);
                state
            }
        }
    }

    /// What a caller gets of `state`, which the process remembers.
    pub(super) fn settle(&self, state: TokenState, app: &App) -> Result<SharedToken> {
        let now = self.clock.now();
        let state = self.remember(state);
        match (&state.failure, &state.token) {
            (None, Some(token)) => Ok(Arc::clone(token)),
            (Some(failure), _) => match state.verdict(&app.secrets, now) {
                Verdict::Serve(token) => Ok(token),
                Verdict::Refuse(error) if state.login.is_some() => Err(*error),
                Verdict::Refuse(_) | Verdict::Renew(_) => Err(failure_to_error(
                    &state.key,
                    &failure.last,
                    failure.retry_at.since(now),
                )),
            },
            (None, None) => Err(Error::internal(
                "a renewal ended with neither token nor failure",
            )),
        }
    }
}

fn log_failure(state: &TokenState, app: &App, now: Timestamp) {
    let Some(failure) = &state.failure else {
        return;
    };
    let retry_in_ms = u64::try_from(failure.retry_at.since(now).as_millis()).unwrap_or(u64::MAX);
    warn!(
        lark.app_id = app.app_id.as_str(),
        token.kind = state.key.kind.as_str(),
        failures = failure.count,
        lark.code = failure.last.code,
        lark.log_id = failure.last.log_id,
        reason = failure.last.kind.as_str(),
        error = %failure.last,
        retry_in_ms,
        action = if failure.last.kind == FailureKind::AppRefused { "check the app's id and secret" } else { "none" },
        "Lark issued no token",
    );
}
