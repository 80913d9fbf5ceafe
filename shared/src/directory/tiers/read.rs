//! Reads through the tiers, from the fastest to the slowest, and follows pointers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::warn;

use super::codec;
use super::entry::{AbsentReason, Content, Entry};
use super::freshness::Tier;
use super::key::ItemKey;
use super::walk::{LookupMode, Step, Walk};
use super::{Found, Inner, Tiers};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::seal::Purpose;
use crate::store::{Attributes, Key, Table};
use crate::telemetry::metrics;

/// A look-up that took longer was frozen meanwhile: what it read may be out of date, and is written to no other tier.
const WRITE_BACK_WITHIN: Duration = Duration::from_secs(2);

/// The result of a look-up in all tiers.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The key to request from Lark: the requested one, or the one it points to.
    pub(super) key: ItemKey,
    pub(super) known: Option<Known>,
}

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) entry: Arc<Entry>,
    pub(super) tier: Tier,
}

impl Lookup {
    /// Whether every tier missed.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.known.is_none()
    }

    /// Whether an entry was found that will still be fresh at `moment`.
    #[must_use]
    pub fn is_fresh_until(&self, moment: Timestamp) -> bool {
        self.known
            .as_ref()
            .is_some_and(|known| known.entry.is_fresh(moment))
    }

    /// The key to request from Lark.
    #[must_use]
    pub const fn key(&self) -> &ItemKey {
        &self.key
    }
}

/// The result of a look-up in the process and the shared cache.
#[derive(Debug)]
pub struct PartialLookup(Walk);

/// What a lookup means for a batch request.
#[derive(Clone, Debug)]
pub enum LookupOutcome {
    /// A servable entry.
    Found(Found),
    /// No such item exists, for this reason.
    Absent(AbsentReason),
    /// Lark has to be asked.
    Unknown,
}

impl Tiers {
    /// The outcome of `lookup` without asking Lark.
    #[must_use]
    pub fn outcome_of(&self, lookup: &Lookup) -> LookupOutcome {
        let now = self.inner.clock.now();
        let known = lookup.known.as_ref().filter(|it| it.entry.is_servable(now));
        match known.map(|known| &known.entry.content) {
            Some(Content::Absent(reason)) => LookupOutcome::Absent(*reason),
            Some(Content::Body { .. }) => self
                .any_known(lookup)
                .map_or(LookupOutcome::Unknown, LookupOutcome::Found),
            Some(Content::Pointer(_)) | None => LookupOutcome::Unknown,
        }
    }

    /// The known item, however old.
    #[must_use]
    pub fn any_known(&self, lookup: &Lookup) -> Option<Found> {
        self.inner.answer(lookup.known.clone()?)
    }

    /// Looks `key` up in the process and the shared cache only: it may run before the caller is authorised.
    pub async fn partial_lookup(&self, key: &ItemKey) -> PartialLookup {
        PartialLookup(self.inner.partial_lookup(key, LookupMode::One).await)
    }

    /// Completes a partial lookup with the remaining tiers.
    pub async fn finish(&self, partial: PartialLookup, deadline: Deadline) -> Lookup {
        self.inner.finish(partial.0, deadline).await
    }

    /// Looks `key` up in all tiers. A tier that fails counts as a miss.
    pub async fn find(&self, key: &ItemKey, deadline: Deadline) -> Lookup {
        self.inner.find(key, LookupMode::One, deadline).await
    }

    /// Looks all `keys` up, in their order: one round trip to the shared cache, another for pointers, and the same again to
    /// the store for what is left.
    pub async fn find_many(&self, keys: Vec<ItemKey>, deadline: Deadline) -> Vec<Lookup> {
        self.inner.find_many(keys, LookupMode::Many, deadline).await
    }
}

impl Inner {
    pub(super) async fn find(
        &self,
        key: &ItemKey,
        asking: LookupMode,
        deadline: Deadline,
    ) -> Lookup {
        let walk = self.partial_lookup(key, asking).await;
        self.finish(walk, deadline).await
    }

    async fn partial_lookup(&self, key: &ItemKey, asking: LookupMode) -> Walk {
        let now = self.clock.now();
        let mut walk = Walk::new(key.clone(), asking, self.clock.stopwatch());
        walk.is_over = self.walk_memory(&mut walk, now);
        if !walk.is_over {
            self.walk_cache(std::slice::from_mut(&mut walk), now).await;
        }
        walk
    }

    async fn finish(&self, mut walk: Walk, deadline: Deadline) -> Lookup {
        let is_known_here = |known: &Known| known.tier == Tier::Memory;
        if !walk.is_over || !walk.known.as_ref().is_some_and(is_known_here) {
            let walks = std::slice::from_mut(&mut walk);
            Box::pin(self.walk_rest(walks, deadline)).await;
        }
        walk.lookup()
    }

    pub(super) async fn find_many(
        &self,
        keys: Vec<ItemKey>,
        asking: LookupMode,
        deadline: Deadline,
    ) -> Vec<Lookup> {
        let now = self.clock.now();
        let watch = self.clock.stopwatch();
        let walks = keys.into_iter().map(|key| Walk::new(key, asking, watch));
        let mut walks: Vec<Walk> = walks.collect();
        for walk in &mut walks {
            walk.is_over = self.walk_memory(walk, now);
        }
        if walks.iter().any(|walk| !walk.is_over) {
            self.walk_cache(&mut walks, now).await;
            self.walk_rest(&mut walks, deadline).await;
        }
        walks.into_iter().map(Walk::lookup).collect()
    }

    /// The entry in the process, if it is enough.
    pub(super) fn in_memory(&self, key: &ItemKey) -> Option<Known> {
        let mut walk = Walk::new(key.clone(), LookupMode::One, self.clock.stopwatch());
        let is_enough = self.steps_in_memory(&mut walk, self.clock.now());
        walk.known.filter(|_| is_enough)
    }

    fn remembered(&self, key: &ItemKey, now: Timestamp) -> Option<Arc<Entry>> {
        let entry = self.local.get(key)?;
        let is_credible = self.is_credible(key, &entry, Tier::Memory, now);
        is_credible.then_some(entry)
    }

    /// Whether the times of `entry`, found in `tier`, can be true. If not, it counts as absent, and the next answer of Lark
    /// replaces it; the log says so once.
    pub(super) fn is_credible(
        &self,
        key: &ItemKey,
        entry: &Entry,
        tier: Tier,
        now: Timestamp,
    ) -> bool {
        let collection = key.id.kind.collection();
        let ttl = match entry.content {
            Content::Absent(_) => self.settings.absent_ttl,
            Content::Body { .. } | Content::Pointer(_) => self.settings.ttl(collection),
        };
        let is_credible = entry.is_credible(now, ttl) && entry.version <= self.latest_version(now);
        if !is_credible {
            metrics::cache_request(collection.name(), tier.as_str(), "incredible");
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                let fetched_in_ms = entry.fetched_at.as_millis() - now.as_millis();
                let fresh_for_ms = entry.fresh_until.as_millis() - now.as_millis();
                warn!(
                    collection = collection.name(),
                    tier = tier.as_str(),
                    fetched_in_ms,
                    fresh_for_ms,
                    "an entry begins in the future or lives too long: the clock of some host is wrong; it is replaced"
                );
            }
        }
        is_credible
    }

    fn steps_in_memory(&self, walk: &mut Walk, now: Timestamp) -> bool {
        while let Some(entry) = self.remembered(&walk.at, now) {
            match walk.offer(entry, Tier::Memory, now) {
                Step::Follow => {}
                Step::Enough => return true,
                Step::Insufficient => break,
            }
        }
        false
    }

    /// Whether the in-process cache was enough.
    fn walk_memory(&self, walk: &mut Walk, now: Timestamp) -> bool {
        let is_over = self.steps_in_memory(walk, now);
        let result = match (is_over, &walk.known) {
            (true, _) => "hit",
            (false, Some(_)) => "stale",
            (false, None) => "miss",
        };
        metrics::cache_request(walk.collection_name(), Tier::Memory.as_str(), result);
        is_over
    }

    /// Reads the store for what the faster tiers do not have fresh, and writes what was found back into them.
    async fn walk_rest(&self, walks: &mut [Walk], deadline: Deadline) {
        let now = self.clock.now();
        for walk in walks.iter_mut().filter(|walk| !walk.is_over) {
            // The store is written after the cache, so its entry is no newer.
            walk.is_over = walk
                .known
                .as_ref()
                .is_some_and(|known| known.tier == Tier::Valkey && known.entry.is_servable(now));
        }
        if walks.iter().any(|walk| !walk.is_over) {
            self.walk_store(walks, now, deadline).await;
        }
        self.remember_walks(walks, now).await;
    }

    /// One round for the requested keys, one for the keys they point to.
    async fn walk_cache(&self, walks: &mut [Walk], now: Timestamp) {
        let Some(cache) = &self.cache else { return };
        let mut pending: Vec<&mut Walk> = walks.iter_mut().filter(|walk| !walk.is_over).collect();
        let mut result = "miss";
        for _ in 0..2 {
            let keys: Vec<String> = pending.iter().map(|walk| walk.at.cache_key()).collect();
            let answer = match keys.as_slice() {
                [] => return,
                [key] => {
                    let entry = cache.get(Purpose::Directory, key).await;
                    entry.map(|entry| vec![entry])
                }
                _ => cache.get_many(Purpose::Directory, &keys).await,
            };
            let Ok(values) = answer else {
                result = "error";
                break;
            };
            let mut followed = Vec::new();
            for (walk, value) in pending.into_iter().zip(values) {
                let entry = value.as_ref().and_then(codec::from_value);
                let entry = entry.filter(|it| self.is_credible(&walk.at, it, Tier::Valkey, now));
                let step = entry.map(|entry| walk.offer(Arc::new(entry), Tier::Valkey, now));
                match step {
                    Some(Step::Enough) => {
                        walk.is_over = true;
                        metrics::cache_request(
                            walk.collection_name(),
                            Tier::Valkey.as_str(),
                            "hit",
                        );
                    }
                    Some(Step::Follow) if self.walk_memory_again(walk, now) => walk.is_over = true,
                    Some(Step::Follow) => followed.push(walk),
                    Some(Step::Insufficient) | None => {
                        metrics::cache_request(
                            walk.collection_name(),
                            Tier::Valkey.as_str(),
                            result,
                        );
                    }
                }
            }
            pending = followed;
        }
        for walk in pending {
            metrics::cache_request(walk.collection_name(), Tier::Valkey.as_str(), result);
        }
    }

    /// A pointer's target may be in the process although the pointer was not.
    fn walk_memory_again(&self, walk: &mut Walk, now: Timestamp) -> bool {
        let entry = self.remembered(&walk.at, now);
        entry.is_some_and(|entry| walk.offer(entry, Tier::Memory, now) == Step::Enough)
    }

    async fn walk_store(&self, walks: &mut [Walk], now: Timestamp, deadline: Deadline) {
        let mut pending: Vec<&mut Walk> = walks.iter_mut().filter(|walk| !walk.is_over).collect();
        for _ in 0..2 {
            let keys: Vec<Key> = pending.iter().map(|walk| walk.at.store_key()).collect();
            let answer = match keys.as_slice() {
                [] => return,
                [key] => {
                    let record = self.storage.get(Table::Directory, key, deadline).await;
                    record.map(Vec::from_iter)
                }
                _ => {
                    let only = Attributes::Only(codec::ATTRIBUTES);
                    let work = self
                        .storage
                        .get_many(Table::Directory, &keys, only, deadline);
                    work.await
                }
            };
            // If the store does not answer, Lark is called.
            let Ok(records) = answer else { return };
            let records: HashMap<&Key, _> =
                records.iter().map(|record| (&record.key, record)).collect();
            let mut followed = Vec::new();
            for (walk, key) in pending.into_iter().zip(&keys) {
                let entry = records
                    .get(key)
                    .and_then(|record| codec::from_record(record));
                let entry = entry.filter(|it| self.is_credible(&walk.at, it, Tier::Store, now));
                let step = entry.map(|entry| walk.offer(Arc::new(entry), Tier::Store, now));
                let result = match step {
                    Some(Step::Enough) => {
                        walk.is_over = true;
                        "hit"
                    }
                    Some(Step::Follow) => {
                        followed.push(walk);
                        continue;
                    }
                    Some(Step::Insufficient) => "stale",
                    None => "miss",
                };
                metrics::cache_request(walk.collection_name(), Tier::Store.as_str(), result);
            }
            pending = followed;
        }
    }

    /// Writes what slower tiers had into the faster ones.
    pub(super) async fn remember_walks(&self, walks: &[Walk], now: Timestamp) {
        let mut for_cache = Vec::new();
        for walk in walks {
            let Some(known) = &walk.known else { continue };
            let was_frozen = self.clock.since(&walk.watch) > WRITE_BACK_WITHIN;
            if known.tier == Tier::Memory || was_frozen {
                continue;
            }
            let mut found = vec![(walk.at.clone(), Arc::clone(&known.entry))];
            if let Some(pointer) = &walk.pointer {
                found.push((walk.asked.clone(), Arc::clone(pointer)));
            }
            self.fill_memory(found.iter());
            if known.tier == Tier::Store && known.entry.is_fresh(now) {
                for_cache.append(&mut found);
            }
        }
        self.fill_cache(&for_cache, now).await;
    }
}
