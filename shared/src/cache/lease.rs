//! Leases in the shared cache: one process does a piece of work, the others skip it.

use std::time::Duration;

use super::{CacheClient, CacheError, Claim, Put};

/// One process's bid for a lease in the shared cache.
///
/// While a lease is held, every other bid for it is refused. It ends when its holder releases it, or after its time to live. A
/// lease saves work but guarantees nothing: a cache may lose it, and a frozen holder may continue after it has expired. So two
/// processes may do the same work, and what they write must be guarded elsewhere: by the fence of a [`Claim`] for values in
/// the cache, by the lease in the store for tokens.
#[derive(Debug)]
pub struct Lease {
    cache: CacheClient,
    key: String,
    guarded: Option<String>,
    /// Unique to this bid.
    owner: String,
    ttl: Duration,
}

impl Lease {
    /// A bid for the lease at `key` for `ttl`. It takes nothing yet.
    #[must_use]
    pub fn new(cache: &CacheClient, key: String, ttl: Duration) -> Self {
        Self {
            cache: cache.clone(),
            key,
            guarded: None,
            owner: format!("{:032x}", fastrand::u128(..)),
            ttl,
        }
    }

    /// The bid for a lease whose holder fills the value at the key `guarded`. In a cluster both keys must be in one slot:
    /// callers put the same `{tag}` into both.
    #[must_use]
    pub fn guarding(self, guarded: String) -> Self {
        Self {
            guarded: Some(guarded),
            ..self
        }
    }

    /// Takes the lease unless another bid holds it, and reads the guarded value in the same step. A bid that already holds the
    /// lease renews it, with a new time to live and a new fence: a claim whose answer was lost can be retried. For work that has
    /// begun, [`Lease::extend`] is right: a claim would take a lease anew that was lost meanwhile. The value and the fence of a
    /// claim have no meaning if no value is guarded.
    ///
    /// # Errors
    /// Any [`CacheError`]. Whether the lease was taken is then unknown.
    pub async fn claim(&self) -> Result<Claim, CacheError> {
        let guarded = self.guarded.as_deref();
        self.cache
            .claim(&self.key, guarded, self.owner.as_bytes(), self.ttl)
            .await
    }

    /// Lets the lease last for its whole time from now if this bid still holds it; returns whether it does. A lease that was lost
    /// stays lost, even if nobody holds it now.
    ///
    /// # Errors
    /// Any [`CacheError`]. Whether the lease is held is then unknown.
    pub async fn extend(&self) -> Result<bool, CacheError> {
        self.cache
            .extend(&self.key, self.owner.as_bytes(), self.ttl)
            .await
    }

    /// [`super::Cache::put_newer`] of one value while this bid holds the lease, in one step; returns whether it does. If it does
    /// not, nothing is put. In a cluster the value's key must be in the slot of the lease.
    ///
    /// # Errors
    /// Any [`CacheError`]. Whether the value was put is then unknown.
    pub async fn put(&self, put: &Put) -> Result<bool, CacheError> {
        self.cache
            .put_held(&self.key, self.owner.as_bytes(), put)
            .await
    }

    /// Claims the lease for a caller who only wants to know whether to do the work: `false` if another bid holds it. If the
    /// cache fails, the caller proceeds.
    pub async fn may_proceed(&self) -> bool {
        self.claim().await.map_or(true, |claim| claim.is_taken())
    }

    /// Releases the lease if this bid holds it. If that fails, the lease expires by itself.
    pub async fn release(&self) {
        let released = self.cache.delete_equal(&self.key, self.owner.as_bytes());
        let _ = released.await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cache::memory::MemoryCache;
    use crate::clock::{Clock, ManualClock, Timestamp};

    const TTL: Duration = Duration::from_secs(10);

    fn cache() -> (CacheClient, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)));
        let cache = MemoryCache::new(1 << 20, Arc::clone(&clock) as Arc<dyn Clock>);
        (CacheClient::new(Arc::new(cache), TTL), clock)
    }

    fn bid(cache: &CacheClient) -> Lease {
        Lease::new(cache, "lease".to_owned(), TTL)
    }

    #[tokio::test]
    async fn while_one_bid_holds_a_lease_others_are_refused() {
        let (cache, clock) = cache();
        let (one, other) = (bid(&cache), bid(&cache));
        assert!(one.may_proceed().await);
        assert!(!other.may_proceed().await);
        clock.advance(TTL);
        assert!(other.may_proceed().await, "it ends by itself");
        assert!(!one.may_proceed().await);
    }

    #[tokio::test]
    async fn a_holder_takes_its_lease_anew() {
        let (cache, clock) = cache();
        let (one, other) = (bid(&cache), bid(&cache));
        for _ in 0..3 {
            assert!(one.may_proceed().await);
            clock.advance(TTL / 2);
        }
        assert!(!other.may_proceed().await);
    }

    #[tokio::test]
    async fn only_its_holder_gives_a_lease_back() {
        let (cache, _) = cache();
        let (one, other) = (bid(&cache), bid(&cache));
        assert!(one.may_proceed().await);
        other.release().await;
        assert!(!other.may_proceed().await);
        one.release().await;
        assert!(other.may_proceed().await);
    }

    #[tokio::test]
    async fn a_lease_that_was_lost_is_neither_extended_nor_written_under() {
        let (cache, clock) = cache();
        let put = |text: &'static str| Put {
            key: "value".to_owned(),
            version: 1,
            value: text.into(),
            ttl: TTL * 10,
        };
        let (one, other) = (bid(&cache), bid(&cache));
        assert!(one.may_proceed().await);
        clock.advance(TTL / 2);
        assert!(one.extend().await.unwrap());
        clock.advance(TTL / 2);
        assert!(one.put(&put("held")).await.unwrap());
        clock.advance(TTL / 2);
        assert!(!one.extend().await.unwrap(), "it has ended");
        assert!(other.may_proceed().await);
        other.release().await;
        // Nobody holds it now, but another one did.
        assert!(!one.extend().await.unwrap());
        let late = Put {
            version: 2,
            ..put("late")
        };
        assert!(!one.put(&late).await.unwrap());
        let stored = cache.get("value").await.unwrap().unwrap();
        assert!(stored.ends_with(b"held"), "{stored:?}");
    }
}
