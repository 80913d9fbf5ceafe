//! One renewal: read, take the lease, fetch, write, release.
//!
//! The lease in the store is authoritative: it is taken by writing a new version over exactly the one that was read, so
//! nothing can change between read and lease, and a process that lost the lease cannot overwrite the winner's token. A key in
//! the shared cache keeps those that would lose anyway away from the store.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::issuer::{ISSUE_TIMEOUT, Issued, counted, is_about_app_token, unasked};
use super::logins::REFRESH_TIME;
use super::state::{LEASE, failure_to_error};
use super::tiers::{Stored, TokenTiers};
use super::{SharedToken, TokenKey, TokenKind, TokenService, TokenState, Trust, Verdict};
use crate::apps::{App, AppKind};
use crate::cache;
use crate::clock::{Stopwatch, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, LarkFailure, Result};
use crate::ids::TenantKey;
use crate::store::{Expect, StoreError, Table};

/// The time for a renewal, including the wait for others. Longer than [`LEASE`]: when the holder died, its successor still has
/// time.
pub(super) const RENEWAL_TIMEOUT: Duration = Duration::from_secs(28);
/// A request that takes this much longer than it may was frozen meanwhile.
const SLACK: Duration = Duration::from_secs(1);
/// The first pause while waiting for the holder; it grows by half each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause while waiting for the holder.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// The renewal of one token by this process.
pub(super) struct Renewal {
    tokens: TokenService,
    key: TokenKey,
    app: App,
    /// The lease in the shared cache, if there is one.
    fast_lease: Option<cache::Lease>,
    deadline: Deadline,
}

/// The outcome of the attempt to take the store's lease.
enum Lease {
    /// The state to renew, before the lease and with it.
    Taken(Box<(TokenState, TokenState)>),
    /// Another process has it.
    Busy,
    /// No renewal is needed.
    Settled(Result<SharedToken>),
    /// The store does not answer.
    NoStore,
}

impl Renewal {
    /// A renewal for a caller: it ends after 28 s.
    pub(super) fn begin(tokens: TokenService, key: TokenKey, app: App) -> Self {
        Self::until(tokens, key, app, Deadline::after(RENEWAL_TIMEOUT))
    }

    /// A renewal that ends at `deadline`.
    pub(super) fn until(tokens: TokenService, key: TokenKey, app: App, deadline: Deadline) -> Self {
        let shared = tokens.tiers().cache.as_ref();
        let fast_lease =
            shared.map(|shared| cache::Lease::new(shared.client(), key.lease_key(), LEASE));
        Self {
            tokens,
            key,
            app,
            fast_lease,
            deadline,
        }
    }

    fn tiers(&self) -> &TokenTiers {
        self.tokens.tiers()
    }

    /// A token newer than the caller's, whichever process fetched it.
    pub(super) async fn run(self) -> Result<SharedToken> {
        let mut pause = FIRST_PAUSE;
        let watch = Stopwatch::start(&*self.tiers().clock);
        loop {
            // Nobody may hold it for longer: then it is not one of ours, and the store's lease decides.
            let is_overdue = watch.elapsed(&*self.tiers().clock) > LEASE;
            if is_overdue || self.holds_fast_lease().await {
                let lease = self.lease().await;
                let outcome = match lease {
                    Lease::Taken(states) => {
                        let (before, leased) = *states;
                        let renewed = self.renew(&before, &leased).await;
                        // The process stood still: as long as there is time it tries again.
                        let is_late = matches!(renewed, Err(Error::DeadlineExceeded));
                        (!is_late || self.deadline.has_passed()).then_some(renewed)
                    }
                    Lease::Settled(outcome) => Some(outcome),
                    Lease::NoStore => Some(self.without_store().await),
                    Lease::Busy => None,
                };
                self.release_fast_lease().await;
                match outcome {
                    // Frozen so long between request and answer that the token may have ended meanwhile.
                    Some(Ok(token)) if token.expires_at <= self.tiers().clock.now() => {}
                    Some(outcome) => return outcome,
                    None => {}
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

    /// Takes the lease in the shared cache; false if another process holds it, true without a cache.
    async fn holds_fast_lease(&self) -> bool {
        match &self.fast_lease {
            Some(lease) => lease.may_proceed().await,
            None => true,
        }
    }

    async fn release_fast_lease(&self) {
        if let Some(lease) = &self.fast_lease {
            lease.release().await;
        }
    }

    /// The result of the lease's holder, if it is in the shared cache yet.
    async fn outcome_of_another(&self) -> Result<Option<Result<SharedToken>>> {
        let Some(state) = self.tiers().read_cache(&self.key).await else {
            return Ok(None);
        };
        Ok(
            match state.verdict(&self.app.secrets, self.tiers().clock.now()) {
                Verdict::Serve(token) => Some(Ok(token)),
                Verdict::Refuse(error) => Some(Err(*error)),
                Verdict::Renew(_) => None,
            },
        )
    }

    /// Reads the state, and takes the lease if it still needs renewal.
    async fn lease(&self) -> Lease {
        let (tiers, now) = (self.tiers(), self.tiers().clock.now());
        let Stored { state, expect } = match tiers.read_store(&self.key, self.deadline).await {
            Ok(stored) => stored,
            Err(Error::Store(error)) => return self.no_store(&error),
            Err(error) => return Lease::Settled(Err(error)),
        };
        let state = tiers.unless_void(state);
        match state.verdict(&self.app.secrets, now) {
            Verdict::Serve(token) => {
                tiers.publish(&state).await;
                tiers.remember(state);
                return Lease::Settled(Ok(token));
            }
            Verdict::Refuse(error) => {
                tiers.publish(&state).await;
                return Lease::Settled(Err(*error));
            }
            Verdict::Renew(_) if state.is_leased(now) => return Lease::Busy,
            Verdict::Renew(_) => {}
        }
        let logins = self.tokens.logins();
        if let Some(pair) = logins.pair_in_waiting(&state, self.deadline).await {
            return Lease::Settled(logins.commit_pair(&state, pair).await);
        }
        if self.key.kind == TokenKind::User
            && !logins
                .callers()
                .is_awaited(&self.key, Deadline::after(REFRESH_TIME))
        {
            return Lease::Settled(Err(Error::DeadlineExceeded));
        }
        match self.take_lease(&state, expect).await {
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

    /// Fetches for the shared cache and the process only; the next renewal writes to the store.
    async fn without_store(&self) -> Result<SharedToken> {
        if self.key.kind == TokenKind::User {
            // A refresh token works once: its successor must not depend on this process.
            return Err(StoreError::unavailable(
                "renew",
                Table::Tokens.name(),
                "a login is refreshed only with the store at hand",
            )
            .into());
        }
        let tiers = self.tiers();
        let state = self.after(&tiers.blind(&self.key), self.issue().await?);
        if state.failure.is_none() {
            tiers.publish(&state).await;
        }
        // A failure of a process that sees no store says nothing to the others, which may know a token that works.
        settle(tiers, state, &self.app)
    }

    /// Writes the lease of this process on `state`.
    pub(super) async fn take_lease(
        &self,
        state: &TokenState,
        expect: Expect,
    ) -> Result<TokenState> {
        let now = self.tiers().clock.now();
        let mark = format!("{:016x}", fastrand::u64(..));
        let leased = state.leased(now, now + LEASE, &mark);
        self.tiers().write(&leased, expect, self.deadline).await?;
        Ok(leased)
    }

    /// Renews what this process has leased, by the rules of its kind. `before` is the state as it was before the lease.
    pub(super) async fn renew(
        &self,
        before: &TokenState,
        leased: &TokenState,
    ) -> Result<SharedToken> {
        if leased.key.kind == TokenKind::User {
            let logins = self.tokens.logins();
            let refresh = logins.refresh(before, leased, &self.app, self.deadline);
            refresh.await
        } else {
            self.fetch_and_commit(leased).await
        }
    }

    /// Fetches the token that this process has leased, and writes the outcome to the tiers.
    async fn fetch_and_commit(&self, leased: &TokenState) -> Result<SharedToken> {
        let (tiers, app_id) = (self.tiers(), self.app.app_id.as_str());
        let state = self.after(leased, self.issue().await?);
        let expect = Expect::Version(leased.version);
        match tiers.write(&state, expect, self.deadline).await {
            Ok(()) => {}
            Err(Error::Store(StoreError::Conflict)) => {
                // The lease expired and another process took over. Its token is the newer one; both work.
                info!(
                    lark.app_id = app_id,
                    "another process renewed a token meanwhile"
                );
                return settle(tiers, state, &self.app);
            }
            // The token is valid all the same: readers get it from the cache, the next renewal writes to the store.
            Err(Error::Store(error)) => {
                warn!(lark.app_id = app_id, %error, "a renewed token is not stored");
            }
            Err(error) => return Err(error),
        }
        tiers.publish(&state).await;
        settle(tiers, state, &self.app)
    }

    /// The token from the platform. An outage that a process saw while it stood still, or when its time was over, says nothing about
    /// the platform: it asks again, and without the time for that nobody hears of it.
    async fn issue(&self) -> Result<Issued<SharedToken>> {
        let clock = &*self.tiers().clock;
        loop {
            let watch = Stopwatch::start(clock);
            let issued = self.issue_once().await;
            let is_outage = matches!(&issued, Err(failure) if failure.kind.is_outage());
            if is_outage && self.deadline.has_passed() {
                return Err(Error::DeadlineExceeded);
            }
            if !is_outage || watch.elapsed(clock) <= ISSUE_TIMEOUT + SLACK {
                return Ok(issued);
            }
        }
    }

    /// One request for the token.
    async fn issue_once(&self) -> Issued<SharedToken> {
        let deadline = self.deadline.at_most(ISSUE_TIMEOUT);
        let kind = self.key.kind;
        let issued = if self.app.kind == AppKind::Marketplace && kind == TokenKind::Tenant {
            self.issue_for_tenant(deadline).await
        } else {
            self.tokens.issuer().issue(&self.app, kind, deadline).await
        };
        counted(kind, issued)
    }

    /// A marketplace app's token for a tenant; the platform requires the app's own token for it.
    async fn issue_for_tenant(&self, deadline: Deadline) -> Issued<SharedToken> {
        let (issuer, app) = (self.tokens.issuer(), &self.app);
        let Some(tenant) = TenantKey::parse(&self.key.subject) else {
            let msg = "a marketplace app's token needs a tenant";
            return Err(LarkFailure::without_answer(FailureKind::Invalid, msg));
        };
        let app_key = TokenKey::app(app.app_id.clone());
        let mut attempt = 1;
        loop {
            let app_token = self.app_token(&app_key, deadline).await?;
            let issued = issuer.issue_for_tenant(app, &app_token, &tenant, deadline);
            match issued.await {
                // The app's own token is void: drop exactly this one and fetch another, once.
                Err(failure) if is_about_app_token(&failure) && attempt == 1 => {
                    let tokens = &self.tokens;
                    tokens.invalidate(&app_key, &app_token, deadline).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The app's own token, which a renewal of a tenant's token needs. Boxed, because it is a renewal too.
    fn app_token<'a>(
        &'a self,
        key: &'a TokenKey,
        deadline: Deadline,
    ) -> Pin<Box<dyn Future<Output = Issued<SharedToken>> + Send + 'a>> {
        Box::pin(async move {
            let token = self.tokens.token(&self.app, key, Trust::Shared, deadline);
            token.await.map_err(|error| unasked(&error))
        })
    }

    /// The state after `outcome`.
    fn after(&self, state: &TokenState, outcome: Issued<SharedToken>) -> TokenState {
        let now = self.tiers().clock.now();
        match outcome {
            Ok(token) => state.renewed(token, now, fastrand::f64()),
            Err(failure) => {
                let state = state.failed(failure, &self.app.secrets.current.fingerprint, now);
                log_failure(&state, &self.app, now);
                state
            }
        }
    }
}

/// What a caller gets from `state`, which the process remembers.
pub(super) fn settle(tiers: &TokenTiers, state: TokenState, app: &App) -> Result<SharedToken> {
    let now = tiers.clock.now();
    let state = tiers.remember(state);
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
