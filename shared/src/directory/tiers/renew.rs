//! Fetching from Lark: by one caller of one process, for all who wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::codec;
use super::entry::{Content, Entry, FetchStamp};
use super::fill::Pointers;
use super::freshness::{Freshness, Tier};
use super::key::ItemKey;
use super::read::{Known, Lookup};
use super::walk::LookupMode;
use super::{Found, Inner, Loaded, Tiers};
use crate::cache::Lease;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::telemetry::metrics;

/// The time for one fetch from Lark, whether or not a caller still waits for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(28);
/// How long a caller with a servable entry waits for a newer one. The fetch continues after that, unless the process is
/// frozen.
const REVALIDATION_PATIENCE: Duration = Duration::from_millis(400);
/// How long a caller waits before getting an entry that is normally too old to serve.
const STALE_PATIENCE: Duration = Duration::from_secs(2);
/// How long after a failure of Lark callers with an entry to serve do not ask it.
const OUTAGE_PAUSE: Duration = Duration::from_secs(5);
/// The TTL of the fetch lease; a slow fetch extends it. If the holder dies, the others wait this long.
const LEASE_TTL: Duration = Duration::from_secs(3);
/// The first wait of a process for another's result; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(5);
/// The longest wait between two checks.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Whether this process fetches from Lark.
enum Plan {
    /// It does, holds the lease, and versions its result with the fence.
    AskWithLease { lease: Lease, fence: u64 },
    /// It does, as every process may: there is no shared cache to coordinate them.
    AskWithoutLease,
    /// It does not: the result arrived in the meantime, or another process is fetching and the known entry is servable.
    Answer(Known),
}

impl Tiers {
    /// Completes `lookup` with a fetch from Lark where needed; see [`Tiers::look_up`].
    ///
    /// # Errors
    /// As [`Tiers::look_up`].
    pub async fn complete<F>(
        &self,
        lookup: Lookup,
        deadline: Deadline,
        load: impl Fn(ItemKey, Deadline) -> F + Clone + Send + 'static,
    ) -> Result<Option<Found>>
    where
        F: Future<Output = Result<Loaded>> + Send + 'static,
    {
        let key = lookup.key.clone();
        let first = self.settle(lookup, deadline, load.clone()).await?;
        let Content::Pointer(to) = &first.entry.content else {
            return Ok(self.inner.answer(first));
        };
        let lookup = self.find(&key.beside(to.clone()), deadline).await;
        let second = self.settle(lookup, deadline, load).await?;
        Ok(self.inner.answer(second))
    }

    async fn settle<F>(
        &self,
        lookup: Lookup,
        deadline: Deadline,
        load: impl FnOnce(ItemKey, Deadline) -> F + Send + 'static,
    ) -> Result<Known>
    where
        F: Future<Output = Result<Loaded>> + Send + 'static,
    {
        let inner = &self.inner;
        let now = inner.clock.now();
        let Some(known) = lookup.known.clone() else {
            return inner.renewed(lookup, deadline, load).await;
        };
        let is_fresh = known.entry.is_fresh(now);
        let is_kept = is_fresh && !known.entry.is_due_early(now, fastrand::f64());
        if is_kept || (known.entry.has_body() && inner.is_out(&lookup.key, now)) {
            return Ok(known);
        }
        let is_servable = known.entry.is_servable(now);
        let patience = if is_servable {
            REVALIDATION_PATIENCE
        } else {
            STALE_PATIENCE
        };
        let collection = lookup.key.id.kind.collection().name();
        match inner
            .renewed(lookup, deadline.at_most(patience), load)
            .await
        {
            Ok(renewed) => Ok(renewed),
            Err(error) if is_servable || error.is_outage() => {
                if !is_fresh {
                    warn!(error.code = error.code().as_str(), %error, collection, "serving what is stale");
                    metrics::cache_request(collection, Tier::Lark.as_str(), "stale_served");
                }
                Ok(known)
            }
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    pub(super) fn answer(&self, known: Known) -> Option<Found> {
        let freshness = Freshness::of(&known.entry, known.tier, self.clock.now());
        match &known.entry.content {
            Content::Body { body, .. } => Some(Found {
                body: body.clone(),
                freshness,
            }),
            Content::Pointer(_) | Content::Absent(_) => None,
        }
    }

    /// Whether Lark failed this app a moment ago.
    fn is_out(&self, key: &ItemKey, now: crate::clock::Timestamp) -> bool {
        self.outages
            .get(&key.app_tenant)
            .is_some_and(|until| until > now)
    }

    /// Joins the fetch in flight for this key, or starts one.
    async fn renewed<F>(
        self: &Arc<Self>,
        lookup: Lookup,
        deadline: Deadline,
        load: impl FnOnce(ItemKey, Deadline) -> F + Send + 'static,
    ) -> Result<Known>
    where
        F: Future<Output = Result<Loaded>> + Send + 'static,
    {
        let key = lookup.key.clone();
        let work = || Arc::clone(self).renew(lookup, load);
        let outcome = deadline.run(self.flights.join(key, work)).await?;
        let outcome = outcome.map_err(|panicked| Error::internal(panicked.to_string()))?;
        outcome.map(|(entry, tier)| Known { entry, tier })
    }

    async fn renew<F>(
        self: Arc<Self>,
        lookup: Lookup,
        load: impl FnOnce(ItemKey, Deadline) -> F + Send,
    ) -> Result<(Arc<Entry>, Tier)>
    where
        F: Future<Output = Result<Loaded>> + Send,
    {
        let Lookup { key, known } = lookup;
        let deadline = Deadline::after(FETCH_TIMEOUT);
        // Another caller may have filled the in-process cache since the lookup.
        let at_hand = self.in_memory(&key);
        if let Some(newer) = at_hand.filter(|it| self.is_news(&it.entry, known.as_ref())) {
            return Ok((newer.entry, newer.tier));
        }
        let (lease, mut fence) = match self.plan(&key, known.as_ref(), deadline).await? {
            Plan::AskWithLease { lease, fence } => (Some(lease), Some(fence)),
            Plan::AskWithoutLease => (None, None),
            Plan::Answer(known) => return Ok((known.entry, known.tier)),
        };
        let began = Instant::now();
        let mut loading = std::pin::pin!(load(key.clone(), deadline));
        let outcome = loop {
            match tokio::time::timeout(LEASE_TTL / 3, &mut loading).await {
                Ok(outcome) => break outcome,
                Err(_) => fence = held_longer(lease.as_ref()).await.or(fence),
            }
        };
        let outcome = match outcome {
            Ok(loaded) => {
                let loading = self.loading(began.elapsed());
                let loading = FetchStamp {
                    version: fence.unwrap_or(loading.version),
                    ..loading
                };
                Ok(self
                    .store_loaded(&key, loaded, loading, known.as_ref(), deadline)
                    .await)
            }
            Err(error) => {
                if error.is_outage() {
                    let until = self.clock.now() + OUTAGE_PAUSE;
                    self.outages.insert(key.app_tenant.clone(), until);
                }
                Err(error)
            }
        };
        if let Some(lease) = lease {
            lease.release().await;
        }
        Ok((outcome?, Tier::Lark))
    }

    async fn store_loaded(
        &self,
        key: &ItemKey,
        loaded: Loaded,
        loading: FetchStamp,
        known: Option<&Known>,
        deadline: Deadline,
    ) -> Arc<Entry> {
        let entries = self.entries(key, loaded, loading);
        let main = Arc::clone(&entries[0].1);
        let pointers = Pointers::after(known.map(|known| &*known.entry), &main);
        let at_hand = entries
            .iter()
            .filter(|(at, entry)| at == key || !entry.is_pointer());
        self.fill_memory(at_hand);
        let records = self.records(&entries, pointers);
        let keep = async {
            if records.is_empty() && known.is_some_and(|known| known.entry.has_body()) {
                self.forget(key, deadline).await;
            } else {
                self.keep(records, deadline).await;
            }
        };
        tokio::join!(self.fill_cache(&entries, loading.at), keep);
        main
    }

    /// Whether this process may fetch `key`; waits while another process does, unless the known entry is servable.
    async fn plan(&self, key: &ItemKey, known: Option<&Known>, deadline: Deadline) -> Result<Plan> {
        let Some(cache) = &self.cache else {
            return Ok(Plan::AskWithoutLease);
        };
        let lease = Lease::new(cache, key.lease_key(), LEASE_TTL).guarding(key.cache_key());
        let mut wait = FIRST_WAIT;
        loop {
            let Ok(claim) = lease.claim().await else {
                return Ok(Plan::AskWithoutLease);
            };
            let stored = claim.value.as_ref().and_then(codec::from_value);
            if stored.is_some_and(|stored| self.is_news(&stored, known))
                && let Some(found) = self.found_meanwhile(key, known, deadline).await
            {
                if claim.is_taken() {
                    lease.release().await;
                }
                return Ok(Plan::Answer(found));
            }
            if let Some(fence) = claim.fence {
                return Ok(Plan::AskWithLease { lease, fence });
            }
            if let Some(known) = known.filter(|known| known.entry.is_servable(self.clock.now())) {
                return Ok(Plan::Answer(known.clone()));
            }
            if deadline.remaining() <= wait {
                return Err(Error::DeadlineExceeded);
            }
            tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn is_news(&self, stored: &Entry, known: Option<&Known>) -> bool {
        stored.is_fresh(self.clock.now())
            && known.is_none_or(|known| stored.version > known.entry.version)
    }

    /// The result that another process has written since this one's lookup.
    async fn found_meanwhile(
        &self,
        key: &ItemKey,
        known: Option<&Known>,
        deadline: Deadline,
    ) -> Option<Known> {
        let lookup = self.find(key, LookupMode::One, deadline).await;
        lookup
            .known
            .filter(|found| self.is_news(&found.entry, known))
    }
}

/// Extends a lease that this process still holds and returns the new fence: Lark is slow, or the outbound limiter delays
/// calls. `None`: the process was frozen, and another one has the lease.
async fn held_longer(lease: Option<&Lease>) -> Option<u64> {
    lease?.claim().await.ok()?.fence
}
