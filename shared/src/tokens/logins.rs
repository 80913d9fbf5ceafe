//! Logins as they are kept: begun, refreshed, ended, listed.
//!
//! A pair is durable before anybody gets to see it. Only a later generation replaces a pair, and a failure touches nothing
//! but the attempt that it belongs to; so of two who refresh the same login, whatever happens to the one never harms what
//! the other brought. A pair that the store does not take waits, sealed, in the shared cache for whoever comes next.

use std::time::Duration;

use tracing::{info, warn};

use super::login::reauthorization_required;
use super::service::Inner;
use super::{Pair, SharedToken, TokenKey, TokenKind, TokenService, TokenState};
use crate::apps::App;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, LarkFailure, LoginEnd, Result};
use crate::ids::{AppId, OpenId};
use crate::lark::oauth::Grant;
use crate::store::{Expect, Record, StoreError, Table};

/// How often a write is tried again when others change the record meanwhile.
const ATTEMPTS: u32 = 16;
/// How long a write is tried again while the pair waits in the shared cache.
const WRITE_PATIENCE: Duration = Duration::from_secs(4);
/// The pause before a write that the store did not take is tried again; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

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
        self.inner
            .exchange(TokenKind::User, app, grant, deadline)
            .await
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
        let inner = &self.inner;
        let key = TokenKey::user(app_id.clone(), open_id);
        for _ in 0..ATTEMPTS {
            let (base, expect) = inner.stored_login(&key, deadline).await?;
            let state = base.logged_in(pair.clone(), inner.clock.now(), fastrand::f64());
            match inner.write(&state, expect, deadline).await {
                Ok(()) => {
                    inner.publish(&state, deadline).await;
                    inner.remember(state.clone());
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

impl Inner {
    /// Presents the refresh token of the login that this process has leased, and makes what comes of it durable.
    pub(super) async fn refresh_and_commit(
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
            self.exchange(TokenKind::User, app, &grant, deadline).await
        } else {
            // Frozen between lease and call: by now it may be somebody else's turn.
            Err(LarkFailure {
                is_unsent: true,
                ..LarkFailure::without_answer(
                    crate::error::FailureKind::Timeout,
                    "the process was held up before it could ask",
                )
            })
        };
        match outcome {
            Ok(pair) => self.commit_pair(leased, pair, deadline).await,
            Err(failure) => {
                let now = self.clock.now();
                let secret = &app.secrets.current.fingerprint;
                let state = leased.not_refreshed(was_uncertain, failure, secret, now);
                log_failure(&state, now);
                self.commit_failure(leased, state, app, deadline).await
            }
        }
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
            let state = base.refreshed(pair.clone(), self.clock.now(), fastrand::f64());
            match self.write(&state, expect, deadline).await {
                Ok(()) => {
                    self.publish(&state, deadline).await;
                    self.forget_rescue(&state.key).await;
                    self.remember(state);
                    return Ok(pair.token);
                }
                Err(Error::Store(StoreError::Conflict)) if conflicts < ATTEMPTS => {
                    conflicts += 1;
                    match self.stored_login(&leased.key, deadline).await {
                        Ok((_, Expect::Absent)) => {
                            // The user logged out meanwhile.
                            self.forget_rescue(&leased.key).await;
                            return Err(reauthorization_required(
                                &leased.key,
                                LoginEnd::NotLoggedIn,
                            ));
                        }
                        Ok((stored, _)) if self::generation(&stored) != generation => {
                            info!(
                                lark.app_id = leased.key.app_id.as_str(),
                                "a later login took the place of a refreshed one"
                            );
                            return self.of_later(stored, deadline).await;
                        }
                        Ok((stored, version)) => (base, expect) = (stored, version),
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
        match self.write(&state, expect, deadline).await {
            Ok(()) => {
                self.publish(&state, deadline).await;
                self.settle(state, app)
            }
            Err(Error::Store(StoreError::Conflict)) => {
                let (stored, _) = self.stored_login(&leased.key, deadline).await?;
                self.of_later(stored, deadline).await
            }
            Err(error) => Err(error),
        }
    }

    /// What a caller gets of a state that somebody else brought about.
    async fn of_later(&self, state: TokenState, deadline: Deadline) -> Result<SharedToken> {
        self.publish(&state, deadline).await;
        match state.user_verdict(self.clock.now()) {
            super::Verdict::Serve(token) | super::Verdict::Renew(Some(token)) => {
                self.remember(state);
                Ok(token)
            }
            super::Verdict::Refuse(error) => Err(*error),
            super::Verdict::Renew(None) => Err(Error::DeadlineExceeded),
        }
    }

    /// The state in the store and what a write over it expects; nothing readable there counts as nothing known.
    async fn stored_login(
        &self,
        key: &TokenKey,
        deadline: Deadline,
    ) -> Result<(TokenState, Expect)> {
        let record = self
            .storage
            .get(Table::Tokens, &key.store_key(), deadline)
            .await?;
        let Some(record) = record else {
            let unknown = TokenState::unknown(key.clone(), self.clock.now());
            return Ok((unknown, Expect::Absent));
        };
        let expect = Expect::Version(record.version);
        match TokenState::from_record(&record, &self.sealer, deadline).await {
            Ok(state) => Ok((state, expect)),
            Err(Error::Seal(
                crate::seal::SealError::Broken | crate::seal::SealError::UnknownKey(_),
            )) => {
                let unknown = TokenState::unknown(key.clone(), self.clock.now());
                let state = TokenState {
                    version: record.version,
                    ..unknown
                };
                Ok((state, expect))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn write(
        &self,
        state: &TokenState,
        expect: Expect,
        deadline: Deadline,
    ) -> Result<()> {
        let record: Record = state.to_record(&self.sealer, deadline).await?;
        self.storage
            .put(Table::Tokens, &record, expect, deadline)
            .await?;
        Ok(())
    }

    /// Whether a call begun now ends before the lease does.
    fn has_time_to_refresh(&self, leased: &TokenState) -> bool {
        let left = leased
            .leased
            .as_ref()
            .map_or(Duration::ZERO, |lease| lease.until.since(self.clock.now()));
        left > super::fetch::FETCH_TIMEOUT
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
