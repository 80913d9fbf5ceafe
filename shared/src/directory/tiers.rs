//! The directory, cached: on a miss in all tiers one caller fetches from Lark, for all who wait.
//!
//! L1 is the process, L2 the shared cache, L3 the store. An item is stored once for each app; its other ids point to it. It is
//! fresh for its TTL, served half as long again while one caller renews it, and kept for a day to be served while Lark fails.
//! Absences are cached too, for a short while and with their reason; missing permissions never are.
//!
//! `key` has the cache keys, `entry` the lifetimes, `time` the clock, `codec` the formats; `read` goes through the tiers, `walk`
//! decides what to do with their entries, `renew` fetches from Lark under the lease that `tenure` holds, `fill` writes the
//! result.
//!
//! In every tier only a later version replaces an entry. A version is the moment at which Lark was asked, by the shared cache's
//! clock, and so is the age of an entry: a process that was frozen with an answer makes nothing old look new.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;

use crate::asker::{Asker, Budget};
use crate::clock::{Clock, Timestamp};
use crate::coalesce::Flights;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::sealed_cache::SealedCache;
use crate::store::Storage;

mod codec;
mod entry;
mod fill;
mod freshness;
mod key;
mod read;
mod renew;
mod tenure;
mod time;
mod walk;

pub use entry::{AbsentReason, Content, Entry};
pub use fill::BatchAnswer;
pub use freshness::{Freshness, Tier};
pub use key::{AppTenant, Collection, IdKind, ItemId, ItemKey};
pub use read::{Lookup, LookupOutcome, PartialLookup};
pub use time::Inquiry;

use time::TierClock;

/// For how many apps and tenants an outage of Lark is remembered.
const MAX_OUTAGES: usize = 1_000;

/// The TTLs.
#[derive(Clone, Copy, Debug)]
pub struct TierSettings {
    /// A user.
    pub user_ttl: Duration,
    /// A department.
    pub department_ttl: Duration,
    /// A chat.
    pub chat_ttl: Duration,
    /// A page of a list.
    pub list_ttl: Duration,
    /// An absence.
    pub absent_ttl: Duration,
    /// The size limit of the in-process cache, in bytes.
    pub local_cache_bytes: u64,
}

impl TierSettings {
    const fn ttl(&self, collection: Collection) -> Duration {
        match collection {
            Collection::Users => self.user_ttl,
            Collection::Departments => self.department_ttl,
            Collection::Chats => self.chat_ttl,
            Collection::DepartmentUsers | Collection::ChatLists | Collection::ChatMembers => {
                self.list_ttl
            }
        }
    }
}

/// An item as Lark returned it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The id it is stored under.
    pub id: ItemId,
    /// The other ids it has, as far as the app may see them.
    pub aliases: Vec<ItemId>,
    /// As JSON, ready for the response.
    pub body: String,
}

/// The result of a fetch from Lark.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// The item, and others that came with it and are stored as well.
    Found {
        /// The requested item.
        item: Item,
        /// The others.
        others: Vec<Item>,
    },
    /// The id under which the item is stored, or can be requested.
    Pointer(ItemId),
    /// No such item exists.
    Absent(AbsentReason),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Found {
    /// The item as JSON.
    pub body: String,
    /// How the answer came about.
    pub freshness: Freshness,
}

/// The three tiers. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Tiers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    cache: Option<SealedCache>,
    clock: TierClock,
    settings: TierSettings,
    local: LocalCache<ItemKey, Arc<Entry>, Weigher>,
    flights: Flights<ItemKey, Result<(Arc<Entry>, Tier)>>,
    /// Until when callers with an entry to serve do not ask Lark.
    outages: LocalCache<AppTenant, Timestamp>,
    /// Whether the log already says that some clock is wrong.
    has_warned: AtomicBool,
}

#[derive(Clone, Debug)]
struct Weigher;

impl quick_cache::Weighter<ItemKey, Arc<Entry>> for Weigher {
    fn weight(&self, key: &ItemKey, entry: &Arc<Entry>) -> u64 {
        (key.weight() + entry.weight() + SLOT_BYTES) as u64
    }
}

/// The overhead of an entry beside its texts: hash table slot, list links, and the headers and rounding of a dozen
/// allocations. Measured, see docs/performance.md.
const SLOT_BYTES: usize = 256;

impl Tiers {
    /// Tiers over `storage` and the shared `cache`, if there is one.
    #[must_use]
    pub fn new(
        storage: Storage,
        cache: Option<SealedCache>,
        clock: Arc<dyn Clock>,
        settings: TierSettings,
    ) -> Self {
        // A profile takes about a kilobyte; this number only sizes the table.
        let expected = usize::try_from(settings.local_cache_bytes / 1_024)
            .unwrap_or(usize::MAX)
            .clamp(16, 1 << 20);
        let local = LocalCache::with_weighter(expected, settings.local_cache_bytes, Weigher);
        Self {
            inner: Arc::new(Inner {
                storage,
                cache,
                clock: TierClock::new(clock),
                settings,
                local,
                flights: Flights::default(),
                outages: LocalCache::new(MAX_OUTAGES),
                has_warned: AtomicBool::new(false),
            }),
        }
    }

    /// The item at `key`, fetched from Lark with `load` on a miss, if the `asker` may; `None` when no such item exists. Who may not
    /// gets what is there, however old.
    ///
    /// `load` gets the key to request: another id of the same item, if one is known. If it returns a pointer, it is called
    /// once more with the id pointed to.
    ///
    /// # Errors
    /// The errors of `load`, when there is no stale entry to serve instead; [`crate::error::Error::NotFoundLimit`] and
    /// [`crate::error::Error::DeadlineExceeded`].
    pub async fn look_up<F>(
        &self,
        asker: Option<&Asker>,
        key: &ItemKey,
        deadline: Deadline,
        load: impl Fn(ItemKey, Deadline) -> F + Clone + Send + 'static,
    ) -> Result<Option<Found>>
    where
        F: Future<Output = Result<Loaded>> + Send + 'static,
    {
        let lookup = self.find(key, deadline).await;
        if let Some(found) = self.refused(asker, Budget::NotFound, &lookup).await? {
            return Ok(Some(found));
        }
        self.complete(lookup, deadline, load).await
    }

    /// The size of the in-process cache in bytes, by its own count.
    #[must_use]
    pub fn local_bytes(&self) -> u64 {
        self.inner.local.weight()
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests;
