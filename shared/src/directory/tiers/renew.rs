//! Fetching from Lark: by one caller of one process, for all who wait.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::codec;
use super::entry::{Content, Entry};
use super::fill::{Pointers, put_of};
use super::freshness::{Freshness, Tier};
use super::key::ItemKey;
use super::read::{Known, Lookup};
use super::tenure::{FETCH_TIMEOUT, LEASE_TTL, Tenure};
use super::walk::LookupMode;
use super::{Found, Inner, Loaded, Tiers};
use crate::asker::{Asker, Budget};
use crate::cache::Lease;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::seal::Purpose;
use crate::telemetry::metrics;

/// How long a caller with a servable entry waits for a newer one. The fetch continues after that, unless the process is
/// frozen.
const REVALIDATION_PATIENCE: Duration = Duration::from_millis(400);
/// How long a caller waits before getting an entry that is normally too old to serve.
const STALE_PATIENCE: Duration = Duration::from_secs(2);
/// How long after a failure of Lark callers with an entry to serve do not ask it.
const OUTAGE_PAUSE: Duration = Duration::from_secs(5);
/// How often a fetch extends its lease.
const EXTENDED_EVERY: Duration = LEASE_TTL.checked_div(3).expect("three is not zero");
/// A fetch that looks up so much later than it should was frozen meanwhile.
const STOPPED: Duration = Duration::from_millis(500);
/// The first wait of a process for another's result; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(5);
/// The longest wait between two checks.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Whether this process fetches from Lark.
enum Plan {
    /// It does: with the lease, whose fence is the version of the result, or as every process may that has no shared cache.
    Ask(Tenure),
    /// It does not: the result arrived in the meantime, or another process is fetching and the known entry is servable.
    Answer(Known),
}

impl Tiers {
    /// What the `asker` gets in place of a call of Lark for `lookup`, if one is needed and they may not have it made; `None`: it may
    /// be made, or need not.
    ///
    /// # Errors
    /// [`Error::NotFoundLimit`] if there is nothing to give.
    pub async fn refused(
        &self,
        asker: Option<&Asker>,
        budget: Budget,
        lookup: &Lookup,
    ) -> Result<Option<Found>> {
        let Some(asker) = asker.filter(|_| !lookup.is_fresh_until(self.inner.clock.now())) else {
            return Ok(None);
        };
        let Err(error) = asker.may_ask(budget).await else {
            return Ok(None);
        };
        self.any_known(lookup).map(Some).ok_or(error)
    }

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
        load: impl Fn(ItemKey, Deadline) -> F + Send + 'static,
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
            Err(error) if is_servable || error.allows_stale() => {
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
    pub(super) fn is_out(&self, key: &ItemKey, now: Timestamp) -> bool {
        self.outages
            .get(&key.app_tenant)
            .is_some_and(|until| until > now && until <= now + OUTAGE_PAUSE)
    }

    /// Joins the fetch in flight for this key, or starts one.
    async fn renewed<F>(
        self: &Arc<Self>,
        lookup: Lookup,
        deadline: Deadline,
        load: impl Fn(ItemKey, Deadline) -> F + Send + 'static,
    ) -> Result<Known>
    where
        F: Future<Output = Result<Loaded>> + Send + 'static,
    {
        let key = lookup.key.clone();
        let work = || Arc::clone(self).renew(lookup, load);
        let flight = self
            .flights
            .join(key, FETCH_TIMEOUT, self.clock.host(), work);
        let outcome = deadline.run(flight).await?;
        let outcome = outcome.map_err(|panicked| Error::internal(panicked.to_string()))?;
        outcome.map(|(entry, tier)| Known { entry, tier })
    }

    async fn renew<F>(
        self: Arc<Self>,
        lookup: Lookup,
        load: impl Fn(ItemKey, Deadline) -> F + Send,
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
        loop {
            let tenure = match self.plan(&key, known.as_ref(), deadline).await? {
                Plan::Ask(tenure) => tenure,
                Plan::Answer(known) => return Ok((known.entry, known.tier)),
            };
            let loading = load(key.clone(), deadline);
            let (outcome, tenure, was_frozen) = self.ask(tenure, loading).await;
            match outcome {
                Ok(loaded) => {
                    let known = known.as_ref();
                    let settled = self.store_loaded(&key, loaded, tenure, known, deadline);
                    return Ok(settled.await);
                }
                // Its connection died while the process was frozen: that says nothing about Lark.
                Err(error) if error.is_outage() && was_frozen && !deadline.has_passed() => {
                    tenure.end().await;
                }
                Err(error) => {
                    if error.is_outage() && !was_frozen {
                        let until = self.clock.now() + OUTAGE_PAUSE;
                        self.outages.insert(key.app_tenant.clone(), until);
                    }
                    tenure.end().await;
                    return Err(error);
                }
            }
        }
    }

    /// Waits for Lark and keeps the lease meanwhile. Returns also whether the process was frozen in between.
    async fn ask(
        &self,
        mut tenure: Tenure,
        loading: impl Future<Output = Result<Loaded>> + Send,
    ) -> (Result<Loaded>, Tenure, bool) {
        let mut loading = std::pin::pin!(loading);
        let mut was_frozen = false;
        loop {
            let watch = self.clock.stopwatch();
            let turn = tokio::time::timeout(EXTENDED_EVERY, &mut loading).await;
            was_frozen |= self.clock.since(&watch) > EXTENDED_EVERY + STOPPED;
            match turn {
                Ok(outcome) => return (outcome, tenure, was_frozen),
                Err(_) => tenure.extend(&self.clock).await,
            }
        }
    }

    /// Stores what was loaded, unless the lease was lost meanwhile: then another process may know better.
    async fn store_loaded(
        &self,
        key: &ItemKey,
        loaded: Loaded,
        tenure: Tenure,
        known: Option<&Known>,
        deadline: Deadline,
    ) -> (Arc<Entry>, Tier) {
        let loading = tenure.inquiry.stamp(&self.clock);
        let entries = self.entries(key, loaded, loading);
        let main = Arc::clone(&entries[0].1);
        let (asked, others): (Vec<_>, Vec<_>) =
            entries.iter().cloned().partition(|it| it.0 == *key);
        let (at, entry) = asked.first().unwrap_or(&entries[0]);
        let put = put_of(at, entry, self.clock.now());
        if !tenure.publish(self.cache.as_ref(), &put, &self.clock).await {
            let ours = Known {
                entry: Arc::clone(&main),
                tier: Tier::Lark,
            };
            let found = self.found_meanwhile(key, Some(&ours), deadline).await;
            let Known { entry, tier } = found.unwrap_or(ours);
            return (entry, tier);
        }
        let at_hand = entries
            .iter()
            .filter(|(at, entry)| at == key || !entry.is_pointer());
        self.fill_memory(at_hand);
        let pointers = Pointers::after(known.map(|known| &*known.entry), &main);
        let records = self.records(&entries, pointers);
        let keep = async {
            if records.is_empty() && known.is_some_and(|known| known.entry.has_body()) {
                self.forget(key, loading, deadline).await;
            } else {
                self.keep(records, deadline).await;
            }
        };
        tokio::join!(self.fill_cache_after(&tenure.inquiry, &others), keep);
        tenure.end().await;
        (main, Tier::Lark)
    }

    /// Whether this process may fetch `key`; waits while another process does, unless the known entry is servable.
    async fn plan(&self, key: &ItemKey, known: Option<&Known>, deadline: Deadline) -> Result<Plan> {
        let Some(cache) = &self.cache else {
            return Ok(Plan::Ask(Tenure::without_lease(self.inquire_alone())));
        };
        let at = key.cache_key();
        let lease = Lease::new(cache.client(), key.lease_key(), LEASE_TTL).guarding(at.clone());
        let mut wait = FIRST_WAIT;
        loop {
            let asked = self.clock.stopwatch();
            let Ok(claim) = lease.claim().await else {
                return Ok(Plan::Ask(Tenure::without_lease(self.inquire_alone())));
            };
            let is_another_time = self.clock.hear(&asked, claim.now_us);
            let now = self.clock.now();
            let stored = match &claim.value {
                Some(stored) => cache.open(Purpose::Directory, &at, stored).await,
                None => None,
            };
            let stored = stored.as_ref().and_then(codec::from_value);
            let stored = stored.filter(|it| self.is_credible(key, it, Tier::Valkey, now));
            if stored.is_some_and(|stored| self.is_news(&stored, known))
                && let Some(found) = self.found_meanwhile(key, known, deadline).await
            {
                if claim.is_taken() {
                    lease.release().await;
                }
                return Ok(Plan::Answer(found));
            }
            // This host's clock was wrong: what seemed to be too old is not.
            if is_another_time && let Some(known) = known.filter(|it| it.entry.is_fresh(now)) {
                if claim.is_taken() {
                    lease.release().await;
                }
                return Ok(Plan::Answer(known.clone()));
            }
            if let Some(fence) = claim.fence {
                if self.clock.since(&asked) < LEASE_TTL {
                    let inquiry = self.inquire_as(fence);
                    return Ok(Plan::Ask(Tenure::under(lease, inquiry, asked)));
                }
                // Frozen before the answer was read: the lease has ended.
                continue;
            }
            if let Some(known) = known.filter(|known| known.entry.is_servable(now)) {
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
