//! What must hold at every moment, and at the end.

use std::time::Duration;

use lark_service::cache::{Cache, split_version};
use lark_service::clock::Timestamp;
use lark_service::ids::{AppId, OpenId};
use lark_service::store::{Key, Table};
use lark_service::tokens::{SharedToken, TokenKey};
use lark_service_tests::world::{APP, World};

/// A token lives two hours at the platform, and clocks may be a minute apart.
const LONGEST_LIFE: Duration = Duration::from_secs(7_200 + 60);

/// How long the shared cache keeps a token's state at least, in milliseconds: longer than any token lives.
const KEPT_MS: u64 = 3 * 3_600_000;

/// What was seen of a token in the tiers.
#[derive(Debug, Default)]
struct Seen {
    version: u64,
    generation: i64,
    cached: u64,
    /// When it came into the cache, in milliseconds.
    cached_at: u64,
}

/// Looks at the tiers after each step.
#[derive(Debug)]
pub(crate) struct Observer {
    keys: Vec<(TokenKey, Seen)>,
}

impl Observer {
    pub(crate) fn new(open_id: &OpenId) -> Self {
        let app_id = AppId::parse(APP).unwrap();
        let keys = [
            TokenKey::tenant(app_id.clone(), None),
            TokenKey::user(app_id, open_id),
        ];
        Self {
            keys: keys.map(|key| (key, Seen::default())).into(),
        }
    }

    /// The cache lost everything.
    pub(crate) fn cache_was_flushed(&mut self) {
        for (_, seen) in &mut self.keys {
            seen.cached = 0;
        }
    }

    /// The names under which the shared cache has the tokens.
    pub(crate) fn cached_keys(&self) -> impl Iterator<Item = String> {
        self.keys.iter().map(|(key, _)| cache_key(key))
    }

    /// In no tier does an older state replace a newer one.
    pub(crate) async fn look(&mut self, world: &World) -> Result<(), String> {
        let now_ms = world.control().now_ms();
        for (key, seen) in &mut self.keys {
            let at: Key = key.store_key();
            let record = world.shared_store().get(Table::Tokens, &at).await;
            if let Some(record) = record.unwrap() {
                let generation = record.number("generation").unwrap_or(seen.generation);
                if record.version < seen.version || generation < seen.generation {
                    return Err(format!("the store went back at {at}: {seen:?}"));
                }
                seen.version = record.version;
                seen.generation = generation;
            }
            let cached = world.cache.get(&cache_key(key)).await.unwrap();
            if let Some((version, _)) = cached.as_ref().and_then(split_version) {
                let is_lost = now_ms > seen.cached_at + KEPT_MS;
                if version < seen.cached && !is_lost {
                    return Err(format!("the cache went back at {at}: {seen:?}"));
                }
                if version != seen.cached {
                    (seen.cached, seen.cached_at) = (version, now_ms);
                }
            } else if now_ms > seen.cached_at + KEPT_MS {
                // It is gone as it should be, and what is older has ended long ago.
                seen.cached = 0;
            }
        }
        Ok(())
    }
}

fn cache_key(key: &TokenKey) -> String {
    let at = key.store_key();
    format!("lark:token:{}:{}", at.partition, at.sort)
}

/// A token that a caller gets works now and claims no longer life than it has.
pub(crate) fn check_served(token: &SharedToken, now: Timestamp) -> Result<(), String> {
    let left = token.expires_at.since(now);
    if left.is_zero() {
        return Err("a dead token was handed out".to_owned());
    }
    if left > LONGEST_LIFE {
        return Err(format!("a token claims to live for {left:?}"));
    }
    Ok(())
}
