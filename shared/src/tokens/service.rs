//! The read path: L1, L2, L3, and only then a renewal.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;
use tracing::warn;

use super::renewal::Renewal;
use super::{Login, SharedToken, Token, TokenKey, TokenKind, TokenState, Verdict};
use crate::apps::{App, Apps};
use crate::cache::{CacheClient, CacheError, split_version};
use crate::clock::{Clock, Timestamp};
use crate::coalesce::Flights;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lark::LarkClient;
use crate::seal::Sealer;
use crate::store::{Storage, Table};
use crate::telemetry::metrics;

/// How many tokens a process remembers.
const MAX_REMEMBERED: usize = 10_000;
/// How long a process hands out a token without asking the shared tiers whether it was replaced.
const TRUSTED: Duration = Duration::from_secs(5);
/// How long a caller who could be answered with a token near its end waits for a newer one.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(2);

/// Whose word is good enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The process's own, for five seconds.
    Local,
    /// A shared tier's: a token that another process found rejected is not used again. The round trip is small beside
    /// the call to Lark that follows.
    Shared,
}

/// Hands out tokens. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct TokenService {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub lark: LarkClient,
    pub apps: Apps,
    pub storage: Storage,
    pub cache: Option<CacheClient>,
    pub sealer: Sealer,
    pub clock: Arc<dyn Clock>,
    remembered: LocalCache<TokenKey, Remembered>,
    flights: Flights<TokenKey, Result<SharedToken>>,
}

#[derive(Clone, Debug)]
struct Remembered {
    state: Arc<TokenState>,
    checked_at: Timestamp,
}

/// What the shared tiers know of a token.
pub(super) enum Shared {
    /// This.
    State(Arc<TokenState>),
    /// Nothing, for certain.
    Nothing,
    /// The store does not answer.
    Unknown,
}

impl TokenService {
    /// A service over these tiers; `cache` is the shared one, if there is one.
    #[must_use]
    pub fn new(
        lark: LarkClient,
        apps: Apps,
        storage: Storage,
        cache: Option<CacheClient>,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let remembered = LocalCache::new(MAX_REMEMBERED);
        let inner = Inner {
            lark,
            apps,
            storage,
            cache,
            sealer,
            clock,
            remembered,
            flights: Flights::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The token `key` of `app`, valid for at least [`super::schedule::MARGIN`] unless Lark is down.
    ///
    /// # Errors
    /// [`Error::AppRefused`], [`Error::LarkUnavailable`], [`Error::RateLimited`] when Lark issues none and none is left;
    /// [`Error::ReauthorizationRequired`] for a user without a login; [`Error::AppTicketMissing`] for a marketplace app;
    /// [`Error::DeadlineExceeded`]; [`Error::Seal`] when the data keys cannot be had.
    pub async fn token(
        &self,
        app: &App,
        key: &TokenKey,
        trust: Trust,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        let now = self.inner.clock.now();
        let remembered = self.inner.remembered.get(key);
        if let (Trust::Local, Some(remembered)) = (trust, &remembered)
            && remembered.checked_at + TRUSTED > now
            && let Verdict::Serve(token) = remembered.state.verdict(&app.secrets, now)
        {
            metrics::cache_request("tokens", "memory", "hit");
            return Ok(token);
        }
        metrics::cache_request("tokens", "memory", "miss");
        let verdict = match self.inner.shared_state(key, deadline).await? {
            Shared::State(state) => state.verdict(&app.secrets, now),
            // No shared tier answers: what the process remembers is better than another token request.
            Shared::Unknown => remembered.as_ref().map_or(Verdict::Renew(None), |known| {
                known.state.verdict(&app.secrets, now)
            }),
            // A login that is gone is over; another token that was had without the store is as good as any.
            Shared::Nothing => match remembered {
                Some(known) if key.kind != TokenKind::User => {
                    known.state.verdict(&app.secrets, now)
                }
                Some(_) | None => TokenState::unknown(key.clone(), now).verdict(&app.secrets, now),
            },
        };
        match verdict {
            Verdict::Serve(token) => Ok(token),
            Verdict::Refuse(error) => Err(*error),
            Verdict::Renew(None) => self.renewed(key, app, deadline).await,
            Verdict::Renew(Some(old)) => match self
                .renewed(key, app, deadline.at_most(RENEWAL_PATIENCE))
                .await
            {
                Ok(token) => Ok(token),
                Err(error) => {
                    warn!(lark.app_id = app.app_id.as_str(), %error, "handing out a token near its end");
                    Ok(old)
                }
            },
        }
    }

    /// Makes sure that `rejected`, which the platform refused, is handed out no more. What cannot be reached is left: its next
    /// user is refused again.
    pub async fn invalidate(&self, key: &TokenKey, rejected: &Token, deadline: Deadline) {
        self.inner.invalidate(key, rejected, deadline).await;
    }

    /// What this process knows of the login behind a user's token that it handed out.
    #[must_use]
    pub fn known_login(&self, key: &TokenKey) -> Option<Login> {
        let known = self.inner.remembered.get(key)?;
        known.state.login.clone()
    }

    /// The outcome of the renewal that is under way in this process, or of a new one.
    async fn renewed(&self, key: &TokenKey, app: &App, deadline: Deadline) -> Result<SharedToken> {
        let renewal = || Renewal::new(Arc::clone(&self.inner), key.clone(), app.clone()).run();
        let outcome = deadline
            .run(self.inner.flights.join(key.clone(), renewal))
            .await?;
        outcome.map_err(|panicked| Error::internal(panicked.to_string()))?
    }
}

impl Inner {
    /// The state in L2, else in L3, remembered in L1 and in the tiers before the one that had it.
    pub(super) async fn shared_state(&self, key: &TokenKey, deadline: Deadline) -> Result<Shared> {
        if let Some(state) = self.cached_state(key, deadline).await? {
            return Ok(Shared::State(state));
        }
        let record = match self
            .storage
            .get(Table::Tokens, &key.store_key(), deadline)
            .await
        {
            Ok(record) => record,
            Err(error) => {
                warn!(lark.app_id = key.app_id.as_str(), %error, "the token store does not answer");
                return Ok(Shared::Unknown);
            }
        };
        let Some(record) = record else {
            metrics::cache_request("tokens", "store", "miss");
            return Ok(Shared::Nothing);
        };
        metrics::cache_request("tokens", "store", "hit");
        let state = TokenState::from_record(&record, &self.sealer, deadline).await?;
        let state = self.unless_void(state);
        if state.token.is_some() {
            self.publish(&state, deadline).await;
        }
        Ok(Shared::State(self.remember(state)))
    }

    /// The state in L2, if it answers a caller.
    pub(super) async fn cached_state(
        &self,
        key: &TokenKey,
        deadline: Deadline,
    ) -> Result<Option<Arc<TokenState>>> {
        let Some(cache) = &self.cache else {
            return Ok(None);
        };
        let found = match cache.get(&key.cache_key()).await {
            Ok(Some(stored)) => split_version(&stored),
            Ok(None) => None,
            Err(CacheError::Timeout | CacheError::Skipped | CacheError::Unavailable(_)) => {
                metrics::cache_request("tokens", "valkey", "error");
                return Ok(None);
            }
        };
        let state = match found {
            Some((version, entry)) => {
                TokenState::from_entry(key, version, &entry, &self.sealer, deadline).await?
            }
            None => None,
        };
        let state = state.map(|state| self.remember(state));
        // Without token and failure it is a mark that older states are void: the store knows what is valid.
        let state = state.filter(|state| state.token.is_some() || state.failure.is_some());
        metrics::cache_request(
            "tokens",
            "valkey",
            if state.is_some() { "hit" } else { "miss" },
        );
        Ok(state)
    }

    /// `state`, without its token if that is known to be void: it was rejected while the store could not be told.
    pub(super) fn unless_void(&self, state: TokenState) -> TokenState {
        match self.remembered.get(&state.key) {
            Some(known) if known.state.version > state.version && known.state.token.is_none() => {
                TokenState {
                    version: known.state.version,
                    token: None,
                    ..state
                }
            }
            Some(_) | None => state,
        }
    }

    /// A state with nothing in it but the version that the process knows of.
    pub(super) fn blank(&self, key: &TokenKey) -> TokenState {
        let version = self
            .remembered
            .get(key)
            .map_or(0, |known| known.state.version);
        TokenState {
            version,
            ..TokenState::unknown(key.clone(), self.clock.now())
        }
    }

    /// Puts `state` into L2, unless something newer is there.
    pub(super) async fn publish(&self, state: &TokenState, deadline: Deadline) {
        let Some(cache) = &self.cache else { return };
        let entry = state
            .to_entry(&self.sealer, self.clock.now(), deadline)
            .await;
        if let Ok((entry, ttl)) = entry {
            // A cache that does not take it costs the next reader a read of the store.
            let _ = cache
                .put_newer(&state.key.cache_key(), state.version, &entry, ttl)
                .await;
        }
    }

    /// Keeps `state` in L1, unless something newer is there.
    pub(super) fn remember(&self, state: TokenState) -> Arc<TokenState> {
        let state = Arc::new(state);
        let newer = self
            .remembered
            .get(&state.key)
            .is_some_and(|known| known.state.version > state.version);
        if !newer {
            let remembered = Remembered {
                state: Arc::clone(&state),
                checked_at: self.clock.now(),
            };
            self.remembered.insert(state.key.clone(), remembered);
        }
        state
    }
}
