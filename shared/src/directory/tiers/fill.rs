//! Writes results into the tiers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quick_cache::sync::{EntryAction, EntryResult};
use tracing::warn;

use super::codec;
use super::entry::{AbsentReason, Content, Entry, FetchStamp, STALE_IF_ERROR};
use super::freshness::Tier;
use super::key::{ItemId, ItemKey};
use super::read::Known;
use super::tenure::FETCH_TIMEOUT;
use super::time::{CLOCK_SKEW, Inquiry};
use super::{AppTenant, Found, Inner, Item, Loaded, Tiers};
use crate::cache::Put;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::quota::micros;
use crate::seal::Purpose;
use crate::store::{Record, Table};

/// How long the store keeps a pointer. It does not change with its item, so it is written seldom.
const POINTER_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Of so many renewals of an item with unchanged ids, one writes its pointers to the store again.
const POINTERS_ONE_IN: u32 = 24;
/// The time for a write to the store while a caller waits although the answer is ready.
const KEEP_PATIENCE: Duration = Duration::from_secs(1);

impl Tiers {
    /// Stores a batch answer for `app_tenant`; returns its items, in their order. What arrives so late that the process must have
    /// been frozen is returned and not stored.
    pub async fn keep_many(
        &self,
        app_tenant: &AppTenant,
        items: Vec<Item>,
        absent: Vec<(ItemKey, AbsentReason)>,
        arrival: BatchAnswer<'_>,
        deadline: Deadline,
    ) -> Vec<Found> {
        let inner = &self.inner;
        let loading = arrival.inquiry.stamp(&inner.clock);
        let mut filled = Vec::new();
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let entries = inner.entries_of(app_tenant, item, loading);
            found.extend(entries.first().and_then(|(_, entry)| {
                inner.answer(Known {
                    entry: Arc::clone(entry),
                    tier: Tier::Lark,
                })
            }));
            filled.extend(entries);
        }
        if loading.took > FETCH_TIMEOUT {
            return found;
        }
        filled.extend(inner.absences(absent, loading));
        let is_kept = |(key, entry): &&(ItemKey, Arc<Entry>)| {
            arrival.locally && (!entry.is_pointer() || arrival.asked.contains(&key.id))
        };
        inner.fill_memory(filled.iter().filter(is_kept));
        let records = inner.records(&filled, Pointers::These(arrival.asked));
        tokio::join!(
            inner.fill_cache_after(&arrival.inquiry, &filled),
            inner.keep(records, deadline)
        );
        found
    }

    /// Stores which ids point to which others according to Lark, and which to nothing.
    pub async fn keep_leads(
        &self,
        app_tenant: &AppTenant,
        leads: &[(ItemId, ItemId)],
        absent: Vec<(ItemKey, AbsentReason)>,
        inquiry: Inquiry,
        deadline: Deadline,
    ) {
        let inner = &self.inner;
        let loading = inquiry.stamp(&inner.clock);
        if loading.took > FETCH_TIMEOUT {
            return;
        }
        let leads = leads.iter().map(|(from, to)| {
            let key = ItemKey::new(app_tenant.clone(), from.clone());
            let ttl = inner.settings.ttl(from.kind.collection());
            (key, Arc::new(Entry::leading(to.clone(), loading, ttl)))
        });
        let mut filled: Vec<_> = leads.collect();
        filled.extend(inner.absences(absent, loading));
        inner.fill_memory(filled.iter());
        let records = inner.records(&filled, Pointers::All);
        tokio::join!(
            inner.fill_cache_after(&inquiry, &filled),
            inner.keep(records, deadline)
        );
    }
}

/// How a batch answer arrived.
#[derive(Clone, Copy, Debug)]
pub struct BatchAnswer<'a> {
    /// The request that brought it.
    pub inquiry: Inquiry,
    /// Whether the in-process cache keeps it too.
    pub locally: bool,
    /// The requested ids: the store gets the pointers of these, the shared cache those of all.
    pub asked: &'a HashSet<ItemId>,
}

/// The ids whose pointers go to the store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pointers<'a> {
    All,
    None,
    These(&'a HashSet<ItemId>),
}

impl Pointers<'static> {
    /// For an item that is now `entry` and was `known` before.
    pub(super) fn after(known: Option<&Entry>, entry: &Entry) -> Self {
        let has_kept_its_ids = known.is_some_and(|known| known.has_same_aliases(entry));
        if has_kept_its_ids && fastrand::u32(..POINTERS_ONE_IN) != 0 {
            Self::None
        } else {
            Self::All
        }
    }
}

impl Pointers<'_> {
    fn include(self, key: &ItemKey, entry: &Entry) -> bool {
        !entry.is_pointer()
            || match self {
                Self::All => true,
                Self::None => false,
                Self::These(ids) => ids.contains(&key.id),
            }
    }
}

impl Inner {
    fn absences(
        &self,
        absent: Vec<(ItemKey, AbsentReason)>,
        loading: FetchStamp,
    ) -> impl Iterator<Item = (ItemKey, Arc<Entry>)> {
        let ttl = self.settings.absent_ttl;
        absent
            .into_iter()
            .map(move |(key, reason)| (key, Arc::new(Entry::absent(reason, loading, ttl))))
    }

    /// The entry of the requested item first, then all others to store.
    pub(super) fn entries(
        &self,
        asked: &ItemKey,
        loaded: Loaded,
        loading: FetchStamp,
    ) -> Vec<(ItemKey, Arc<Entry>)> {
        match loaded {
            Loaded::Absent(reason) => {
                let entry = Entry::absent(reason, loading, self.settings.absent_ttl);
                vec![(asked.clone(), Arc::new(entry))]
            }
            Loaded::Pointer(to) => {
                let ttl = self.settings.ttl(asked.id.kind.collection());
                vec![(asked.clone(), Arc::new(Entry::leading(to, loading, ttl)))]
            }
            Loaded::Found { item, others } => {
                let leads_elsewhere = item.id != asked.id && !item.aliases.contains(&asked.id);
                let to = item.id.clone();
                let mut entries = self.entries_of(&asked.app_tenant, item, loading);
                if leads_elsewhere && let Some((_, main)) = entries.first() {
                    // An id that the app may use in requests, but not see.
                    let pointer = Arc::new(main.pointer(to));
                    entries.push((asked.clone(), pointer));
                }
                let others = others.into_iter();
                entries.extend(
                    others.flat_map(|item| self.entries_of(&asked.app_tenant, item, loading)),
                );
                entries
            }
        }
    }

    /// The item, then the pointers to it.
    fn entries_of(
        &self,
        app_tenant: &AppTenant,
        item: Item,
        loading: FetchStamp,
    ) -> Vec<(ItemKey, Arc<Entry>)> {
        let ttl = self.settings.ttl(item.id.kind.collection());
        let key = ItemKey::new(app_tenant.clone(), item.id);
        let entry = Entry::body(item.body, item.aliases, loading, ttl);
        let mut entries = Vec::new();
        if let Content::Body { aliases, .. } = &entry.content {
            for alias in aliases {
                let pointer = entry.pointer(key.id.clone());
                entries.push((key.beside(alias.clone()), Arc::new(pointer)));
            }
        }
        entries.insert(0, (key, Arc::new(entry)));
        entries
    }

    /// Keeps `entries` in the process, each unless a later one is there.
    pub(super) fn fill_memory<'e>(&self, entries: impl Iterator<Item = &'e (ItemKey, Arc<Entry>)>) {
        let now = self.clock.now();
        for (key, entry) in entries {
            let newer_stays = |_: &ItemKey, old: &mut Arc<Entry>| {
                if self.gives_way(key, old, entry, now) {
                    *old = Arc::clone(entry);
                }
                EntryAction::Retain(())
            };
            // The comparison and the replacement are one step for other tasks.
            if let EntryResult::Vacant(place) = self.local.entry(key, None, newer_stays) {
                // It fails if somebody removed the place meanwhile, which nobody does.
                let _ = place.insert(Arc::clone(entry));
            }
        }
    }

    /// Whether `old` is replaced by `new`: it is an earlier version, or cannot be right.
    fn gives_way(&self, key: &ItemKey, old: &Entry, new: &Entry, now: Timestamp) -> bool {
        old.version < new.version
            || old.version > self.latest_version(now)
            || !self.is_credible(key, old, Tier::Memory, now)
    }

    /// As [`Inner::fill_cache`], of what `inquiry` brought. Versions by the clock of a host stay out of the shared cache.
    pub(super) async fn fill_cache_after(
        &self,
        inquiry: &Inquiry,
        entries: &[(ItemKey, Arc<Entry>)],
    ) {
        if inquiry.is_ordered {
            self.fill_cache(entries, self.clock.now()).await;
        }
    }

    /// If the cache rejects it, the next reader reads the store.
    pub(super) async fn fill_cache(&self, entries: &[(ItemKey, Arc<Entry>)], now: Timestamp) {
        let Some(cache) = &self.cache else { return };
        let puts: Vec<Put> = entries
            .iter()
            .map(|(key, entry)| put_of(key, entry, now))
            .collect();
        let _ = match puts.as_slice() {
            [] => return,
            [one] => cache.put_newer(Purpose::Directory, one).await.map(drop),
            many => {
                let put = cache.put_newer_many(Purpose::Directory, many);
                put.await.map(drop)
            }
        };
    }

    /// The records of the entries that go to the store.
    pub(super) fn records(
        &self,
        entries: &[(ItemKey, Arc<Entry>)],
        pointers: Pointers<'_>,
    ) -> Vec<Record> {
        let entries = entries.iter();
        let kept = entries.filter(|(key, entry)| pointers.include(key, entry));
        let records = kept.filter_map(|(key, entry)| {
            let life = if entry.is_pointer() {
                POINTER_LIFE
            } else {
                STALE_IF_ERROR
            };
            codec::to_record(key, entry, entry.fetched_at + life)
        });
        records.collect()
    }

    /// Writes each of `records` unless the store has a later one. If the store fails, a later look-up calls Lark.
    pub(super) async fn keep(&self, records: Vec<Record>, deadline: Deadline) {
        let deadline = deadline.at_most(KEEP_PATIENCE);
        let latest = self.latest_version(self.clock.now());
        let Some(newest) = records.iter().map(|record| record.version).max() else {
            return;
        };
        // A host whose clock is slow does not know how late it is.
        let latest = latest.max(newest.saturating_add(micros(CLOCK_SKEW)));
        let put = self
            .storage
            .put_newer(Table::Directory, &records, latest, deadline);
        if let Err(error) = put.await {
            warn!(%error, "an answer from Lark is not stored");
        }
    }

    /// Writes to the store that Lark no longer has what was there. A record without content stays for as long as an earlier answer
    /// could be served, so that none comes back; it costs what deleting the other costs.
    pub(super) async fn forget(&self, key: &ItemKey, loading: FetchStamp, deadline: Deadline) {
        let mut nothing = Record::new(key.store_key(), loading.version);
        nothing.expires_at = Some(loading.at + STALE_IF_ERROR);
        self.keep(vec![nothing], deadline).await;
    }
}

/// `entry` for the shared cache.
pub(super) fn put_of(key: &ItemKey, entry: &Entry, now: Timestamp) -> Put {
    // A pointer is checked against its item, so it may live long.
    let until = if entry.is_pointer() {
        entry.fetched_at + STALE_IF_ERROR
    } else {
        entry.serve_until
    };
    Put {
        key: key.cache_key(),
        version: entry.version,
        value: Bytes::from(codec::to_value(entry)),
        ttl: until.since(now),
    }
}
