//! A pair that the platform issued and the store does not have yet waits in the shared cache, sealed, for the next process
//! that finds the login in doubt.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{LoginKeeper, Pair, RefreshToken, generation};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::seal::Fingerprint;
use crate::tokens::{Token, TokenKey, TokenState, schedule};

/// How long a pair that was not stored waits in the shared cache.
pub(crate) const RESCUE_TTL: Duration = Duration::from_secs(24 * 3_600);

/// Longer than any token of a login lives.
const LONGEST_LIFE: Duration = Duration::from_secs(2 * 366 * 24 * 3_600);

impl LoginKeeper {
    /// Puts `pair` where the next process that finds the login in doubt looks first; returns whether that worked.
    pub(super) async fn rescue(
        &self,
        leased: &TokenState,
        pair: &Pair,
        deadline: Deadline,
    ) -> bool {
        let Some(cache) = &self.tiers.cache else {
            return false;
        };
        let rescued = Rescued::of(leased, pair);
        let plain: SecretString = serde_json::to_string(&rescued)
            .expect("a pair is plain data")
            .into();
        let context = rescue_context(&leased.key);
        let Ok(sealed) = self.tiers.sealer.seal(&context, &plain, deadline).await else {
            return false;
        };
        let value = STANDARD.encode(sealed);
        let key = rescue_key(&leased.key);
        let put = cache.client().put(&key, value.as_bytes(), RESCUE_TTL);
        put.await.is_ok()
    }

    pub(super) async fn forget_rescue(&self, key: &TokenKey) {
        if let Some(cache) = &self.tiers.cache {
            // If this fails, the entry expires by itself; its generation is outdated.
            let _ = cache.client().delete(&rescue_key(key)).await;
        }
    }

    /// The pair that a process got under the lease in `state` but could not store.
    pub(super) async fn rescued(&self, state: &TokenState, deadline: Deadline) -> Option<Pair> {
        let stored = self
            .tiers
            .cache
            .as_ref()?
            .client()
            .get(&rescue_key(&state.key))
            .await
            .ok()??;
        let sealed = STANDARD.decode(&stored).ok()?;
        let context = rescue_context(&state.key);
        let plain = self
            .tiers
            .sealer
            .open(&context, &sealed, deadline)
            .await
            .ok()?;
        let rescued: Rescued = serde_json::from_str(plain.expose_secret()).ok()?;
        let is_ours = rescued.belongs_to(state) && rescued.is_credible(self.tiers.clock.now());
        is_ours.then(|| rescued.pair())
    }
}

fn mark(state: &TokenState) -> Option<&str> {
    state.leased.as_ref().map(|lease| lease.mark.as_str())
}

fn rescue_key(key: &TokenKey) -> String {
    format!("lark:login-rescue:{}:{}", key.app_id, key.subject)
}

fn rescue_context(key: &TokenKey) -> String {
    format!("login-rescue/{}/{}", key.app_id, key.subject)
}

/// A pair, the generation that it succeeds, and the lease under which it was got.
#[derive(Deserialize, Serialize)]
struct Rescued {
    generation: u64,
    lease: String,
    access_token: String,
    fingerprint: Fingerprint,
    issued_at: Timestamp,
    expires_at: Timestamp,
    refresh_token: Option<String>,
    refresh_expires_at: Timestamp,
    scopes: String,
}

impl Rescued {
    fn of(leased: &TokenState, pair: &Pair) -> Self {
        let refresh = pair.refresh.as_ref();
        let value = refresh.and_then(|refresh| refresh.value.as_ref());
        Self {
            generation: generation(leased),
            lease: mark(leased).unwrap_or_default().to_owned(),
            access_token: pair.token.value.expose_secret().to_owned(),
            fingerprint: pair.token.fingerprint.clone(),
            issued_at: pair.token.issued_at,
            expires_at: pair.token.expires_at,
            refresh_token: value.map(|value| value.expose_secret().to_owned()),
            refresh_expires_at: refresh.map_or(pair.token.expires_at, |it| it.expires_at),
            scopes: pair.scopes.clone(),
        }
    }

    /// Whether it is the successor of the pair in `state`: another lease of the same generation has its own outcome.
    fn belongs_to(&self, state: &TokenState) -> bool {
        self.generation == generation(state) && mark(state) == Some(&*self.lease)
    }

    /// Whether it has begun by `now`, and has no longer to live than a pair can.
    fn is_credible(&self, now: Timestamp) -> bool {
        !schedule::is_in_future(self.issued_at, now)
            && self.expires_at <= now + LONGEST_LIFE
            && self.refresh_expires_at <= now + LONGEST_LIFE
    }

    fn pair(self) -> Pair {
        let issued_at = self.issued_at;
        let expires_at = self.refresh_expires_at;
        Pair {
            token: Arc::new(Token {
                value: self.access_token.into(),
                fingerprint: self.fingerprint,
                issued_at,
                expires_at: self.expires_at,
            }),
            refresh: self.refresh_token.map(|value| RefreshToken {
                value: Some(value.into()),
                issued_at,
                expires_at,
            }),
            scopes: self.scopes,
        }
    }
}
