//! The three tiers of tokens: the process, the shared cache, the store. In each of them, only a newer version replaces a
//! state.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;
use secrecy::ExposeSecret;
use tracing::warn;

use super::codec::ENTRY_TTL;
use super::{Login, SharedToken, Token, TokenKey, TokenState, Verdict};
use crate::apps::Secrets;
use crate::cache::{CacheError, Put};
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::seal::{Purpose, SealError, Sealer};
use crate::sealed_cache::SealedCache;
use crate::store::{Expect, Record, Storage, StoreError, Table, is_beyond};
use crate::telemetry::metrics;

/// How many tokens a process remembers.
const MAX_REMEMBERED: usize = 10_000;
/// How long a process hands out a token without asking the shared tiers whether it was replaced.
const TRUSTED: Duration = Duration::from_secs(5);
/// How often a write to the store is retried after a conflict.
const ATTEMPTS: u32 = 4;

/// The tiers that hold tokens.
#[derive(Debug)]
pub(super) struct TokenTiers {
    pub(super) storage: Storage,
    pub(super) cache: Option<SealedCache>,
    pub(super) sealer: Sealer,
    pub(super) clock: Arc<dyn Clock>,
    remembered: LocalCache<TokenKey, Remembered>,
}

/// A token's state in the process.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) state: Arc<TokenState>,
    checked_at: Timestamp,
}

/// The result of a read from the shared tiers.
pub(super) enum Shared {
    /// A state was found.
    State(Arc<TokenState>),
    /// There certainly is none.
    Nothing,
    /// The store does not answer.
    Unknown,
}

/// A token's state in the store.
pub(super) struct Stored {
    /// The state, blank if there is no readable one.
    pub(super) state: TokenState,
    /// The condition for a write over it.
    pub(super) expect: Expect,
}

impl Remembered {
    /// Whether a shared tier confirmed it recently enough to hand it out at `now`.
    pub(super) fn is_trusted(&self, now: Timestamp) -> bool {
        self.checked_at <= now && self.checked_at + TRUSTED > now
    }

    /// What to do for a caller at `now`.
    pub(super) fn verdict(&self, secrets: &Secrets, now: Timestamp) -> Verdict {
        self.state.verdict(secrets, now)
    }
}

impl TokenTiers {
    pub(super) fn new(
        storage: Storage,
        cache: Option<SealedCache>,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            storage,
            cache,
            sealer,
            clock,
            remembered: LocalCache::new(MAX_REMEMBERED),
        }
    }

    /// The state in L1.
    pub(super) fn remembered(&self, key: &TokenKey) -> Option<Remembered> {
        self.remembered.get(key)
    }

    /// The login behind a user's token, as L1 has it.
    pub(super) fn remembered_login(&self, key: &TokenKey) -> Option<Login> {
        self.remembered.get(key)?.state.login.clone()
    }

    /// The state in L2, else in L3; it is written back to the faster tiers.
    pub(super) async fn read(&self, key: &TokenKey, deadline: Deadline) -> Result<Shared> {
        if let Some(state) = self.read_cache(key).await {
            return Ok(Shared::State(state));
        }
        let record = match self.record(key, deadline).await {
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
        if state.is_from_future(self.clock.now()) {
            warn!(
                lark.app_id = key.app_id.as_str(),
                token.kind = key.kind.as_str(),
                "a token from the future is replaced: the clock of a process is or was fast"
            );
        }
        let state = self.unless_void(state);
        if state.token.is_some() {
            self.publish(&state).await;
        }
        Ok(Shared::State(self.remember(state)))
    }

    /// The state in L2, if it answers a caller.
    pub(super) async fn read_cache(&self, key: &TokenKey) -> Option<Arc<TokenState>> {
        let cache = self.cache.as_ref()?;
        let found = match cache.get(Purpose::Tokens, &key.cache_key()).await {
            Ok(found) => found,
            Err(CacheError::Timeout | CacheError::Skipped | CacheError::Unavailable(_)) => {
                metrics::cache_request("tokens", "valkey", "error");
                return None;
            }
        };
        let now = self.clock.now();
        let found = found.filter(|found| !is_beyond(found.version, now));
        let state =
            found.and_then(|found| TokenState::from_entry(key, found.version, &found.value));
        let state = state.map(|state| self.remember(self.unless_void(state)));
        // Without token and failure it is a tombstone: older states are void, and the store has the valid one.
        let state = state.filter(|state| state.token.is_some() || state.failure.is_some());
        metrics::cache_request(
            "tokens",
            "valkey",
            if state.is_some() { "hit" } else { "miss" },
        );
        state
    }

    /// The state in L3 and the condition for a write over it. A state sealed with a deleted key can only be replaced, so it
    /// counts as blank.
    pub(super) async fn read_store(&self, key: &TokenKey, deadline: Deadline) -> Result<Stored> {
        let unknown = TokenState::unknown(key.clone(), self.clock.now());
        let Some(record) = self.record(key, deadline).await? else {
            return Ok(Stored {
                state: unknown,
                expect: Expect::Absent,
            });
        };
        let state = match TokenState::from_record(&record, &self.sealer, deadline).await {
            Ok(state) => state,
            Err(Error::Seal(SealError::Broken | SealError::UnknownKey(_))) => TokenState {
                version: record.version,
                ..unknown
            },
            Err(error) => return Err(error),
        };
        Ok(Stored {
            state,
            expect: Expect::Version(record.version),
        })
    }

    /// The record in L3.
    pub(super) async fn record(
        &self,
        key: &TokenKey,
        deadline: Deadline,
    ) -> std::result::Result<Option<Record>, StoreError> {
        self.storage
            .get(Table::Tokens, &key.store_key(), deadline)
            .await
    }

    /// Writes `state` to L3 on the condition `expect`.
    pub(super) async fn write(
        &self,
        state: &TokenState,
        expect: Expect,
        deadline: Deadline,
    ) -> Result<()> {
        let record = state.to_record(&self.sealer, deadline).await?;
        self.storage
            .put(Table::Tokens, &record, expect, deadline)
            .await?;
        Ok(())
    }

    /// Puts `state` into L2, unless something newer is there.
    pub(super) async fn publish(&self, state: &TokenState) {
        let Some(cache) = &self.cache else { return };
        // If the cache rejects it, the next reader reads the store.
        let _ = cache.put_newer(Purpose::Tokens, &put_of(state)).await;
    }

    /// Puts `state` into L2, unless something newer is there, for a write that revokes: past the breaker and patiently, because
    /// what it does not reach goes on handing out the old token. Returns whether it arrived.
    pub(super) async fn publish_surely(&self, state: &TokenState, deadline: Deadline) -> bool {
        let Some(cache) = &self.cache else {
            return true;
        };
        let put = put_of(state);
        let put = cache.put_newer_surely(Purpose::Tokens, &put, deadline);
        match put.await {
            Ok(_) => true,
            Err(error) => {
                warn!(lark.app_id = state.key.app_id.as_str(), %error, "a revocation has not reached the shared cache yet");
                false
            }
        }
    }

    /// Keeps `state` in L1, unless something newer is there, and returns it. A token that the process knows stays with a newer
    /// state that has none, unless it was made void: only a tombstone voids.
    pub(super) fn remember(&self, mut state: TokenState) -> Arc<TokenState> {
        let known = self.remembered.get(&state.key);
        let now = self.clock.now();
        // A version from far in the future protects nothing: the store has brought it back to the present.
        let is_newer = |known: &Remembered| {
            known.state.version > state.version && !is_beyond(known.state.version, now)
        };
        let newer = known.as_ref().is_some_and(is_newer);
        if let Some(known) = known.filter(|_| !newer) {
            state.keep_token_of(&known.state);
        }
        let state = Arc::new(state);
        if !newer {
            let remembered = Remembered {
                state: Arc::clone(&state),
                checked_at: now,
            };
            self.remembered.insert(state.key.clone(), remembered);
        }
        state
    }

    /// `state`, without its token if that is known to be void: the platform rejected it while the store did not answer. The
    /// numbers stay those of `state`: what is known may be from the cache, whose numbers do not go into the store.
    pub(super) fn unless_void(&self, state: TokenState) -> TokenState {
        let now = self.clock.now();
        let is_void = self.remembered.get(&state.key).is_some_and(|known| {
            known.state.voided > state.version && !is_beyond(known.state.voided, now)
        });
        TokenState {
            token: state.token.filter(|_| !is_void),
            ..state
        }
    }

    /// The state that L1 has, or an empty one: what a process without the store continues from.
    pub(super) fn blind(&self, key: &TokenKey) -> TokenState {
        match self.remembered.get(key) {
            Some(known) => TokenState::clone(&known.state),
            None => TokenState::unknown(key.clone(), self.clock.now()),
        }
    }

    /// Invalidates `rejected`: exactly that value, nothing newer. A tier that does not answer keeps it; the platform then
    /// rejects it again at its next use.
    pub(super) async fn invalidate(&self, key: &TokenKey, rejected: &Token, deadline: Deadline) {
        for _ in 0..ATTEMPTS {
            match self.invalidate_once(key, rejected, deadline).await {
                Ok(state) => {
                    self.publish_surely(&state, deadline).await;
                    self.remember(state);
                    return;
                }
                Err(StoreError::Conflict) => {}
                Err(error) => {
                    warn!(lark.app_id = key.app_id.as_str(), %error, "a rejected token stays in the store");
                    break;
                }
            }
        }
        if self.knows_another(key, rejected).await {
            return;
        }
        // Without the store, a void state with a fresh version hides the token in the cache and in the process.
        let void = self.blind(key).without_token(self.clock.now());
        self.publish_surely(&void, deadline).await;
        self.remember(void);
    }

    /// Whether L2 already has another token than the rejected one.
    async fn knows_another(&self, key: &TokenKey, rejected: &Token) -> bool {
        let Some(state) = self.read_cache(key).await else {
            return false;
        };
        state
            .token
            .as_ref()
            .is_some_and(|token| !is_same(token, rejected))
    }

    /// The state in the store, without the rejected token. Written only if it differs.
    async fn invalidate_once(
        &self,
        key: &TokenKey,
        rejected: &Token,
        deadline: Deadline,
    ) -> std::result::Result<TokenState, StoreError> {
        let now = self.clock.now();
        let Some(record) = self.record(key, deadline).await? else {
            return Ok(TokenState::unknown(key.clone(), now).without_token(now));
        };
        let unreadable = |error: Error| StoreError::Corrupt {
            table: Table::Tokens.name(),
            key: record.key.to_string(),
            detail: error.to_string(),
        };
        let state = TokenState::from_record(&record, &self.sealer, deadline)
            .await
            .map_err(unreadable)?;
        let is_rejected = state
            .token
            .as_ref()
            .is_some_and(|token| is_same(token, rejected));
        if !is_rejected {
            return Ok(state);
        }
        let state = state.without_token(now);
        let stripped = state
            .to_record(&self.sealer, deadline)
            .await
            .map_err(unreadable)?;
        let expect = Expect::Version(record.version);
        self.storage
            .put(Table::Tokens, &stripped, expect, deadline)
            .await?;
        Ok(state)
    }
}

/// `state` for the shared cache.
fn put_of(state: &TokenState) -> Put {
    Put {
        key: state.key.cache_key(),
        version: state.version,
        value: state.to_entry().into(),
        ttl: ENTRY_TTL,
    }
}

fn is_same(token: &SharedToken, other: &Token) -> bool {
    token.value.expose_secret() == other.value.expose_secret()
}

#[cfg(test)]
mod tests;
