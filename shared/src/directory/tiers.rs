//! The directory, cached: Lark is asked when nobody knows, by one caller for all who want to know.
//!
//! L1 is the process, L2 the shared cache, L3 the store. A thing is kept once for each app, its other ids point to it. It is
//! fresh for its TTL, served half as long again while one caller renews it, and kept for a day to be served while Lark fails.
//! What does not exist is remembered too, for a short while and with its reason; what may not be seen never is.
//!
//! `key` says what things are kept under, `entry` for how long, `codec` in which form; `read` goes through the tiers, `walk`
//! judges what they offer, `renew` asks Lark, `fill` keeps what it says.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;

use crate::cache::CacheClient;
use crate::clock::{Clock, Timestamp};
use crate::coalesce::Flights;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::store::Storage;

mod codec;
mod entry;
mod fill;
mod freshness;
mod key;
mod read;
mod renew;
mod walk;

pub use entry::{AbsentReason, Content, Entry};
pub use fill::BatchAnswer;
pub use freshness::{Freshness, Tier};
pub use key::{AppTenant, Collection, IdKind, ItemId, ItemKey};
pub use read::{Lookup, LookupOutcome, PartialLookup};

/// How many apps and tenants are remembered to have met a failing Lark.
const MAX_OUTAGES: usize = 1_000;

/// How long what is believed.
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
    /// The bound of the process's own cache, in bytes.
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

/// A thing as Lark described it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The id it is kept under.
    pub id: ItemId,
    /// The other ids it has, as far as the app may see them.
    pub aliases: Vec<ItemId>,
    /// As JSON, ready to be answered with.
    pub body: String,
}

/// What a look-up at Lark brought.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// The thing, and others that came with it and are kept as well.
    Found {
        /// What was asked for.
        item: Item,
        /// What came with it.
        others: Vec<Item>,
    },
    /// The id under which the thing is kept, or can be asked for.
    Pointer(ItemId),
    /// There is no such thing.
    Absent(AbsentReason),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Found {
    /// The thing as JSON.
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
    cache: Option<CacheClient>,
    clock: Arc<dyn Clock>,
    settings: TierSettings,
    local: LocalCache<ItemKey, Arc<Entry>, Weigher>,
    flights: Flights<ItemKey, Result<(Arc<Entry>, Tier)>>,
    /// Until when Lark is left alone by those who have something to serve.
    outages: LocalCache<AppTenant, Timestamp>,
}

#[derive(Clone, Debug)]
struct Weigher;

impl quick_cache::Weighter<ItemKey, Arc<Entry>> for Weigher {
    fn weight(&self, key: &ItemKey, entry: &Arc<Entry>) -> u64 {
        (key.weight() + entry.weight() + SLOT_BYTES) as u64
    }
}

/// What an entry takes beside its texts: hash table slot, list links, and of a dozen allocations the headers and what they are
/// rounded up by. Measured, see docs/performance.md.
const SLOT_BYTES: usize = 256;

impl Tiers {
    /// Tiers over `storage` and `cache`, the shared one, if there is one.
    #[must_use]
    pub fn new(
        storage: Storage,
        cache: Option<CacheClient>,
        clock: Arc<dyn Clock>,
        settings: TierSettings,
    ) -> Self {
        // A profile takes about a kilobyte; the number only sizes the table.
        let expected = usize::try_from(settings.local_cache_bytes / 1_024)
            .unwrap_or(usize::MAX)
            .clamp(16, 1 << 20);
        let local = LocalCache::with_weighter(expected, settings.local_cache_bytes, Weigher);
        Self {
            inner: Arc::new(Inner {
                storage,
                cache,
                clock,
                settings,
                local,
                flights: Flights::default(),
                outages: LocalCache::new(MAX_OUTAGES),
            }),
        }
    }

    /// What is at `key`, asked of Lark with `load` if nobody knows; `None` when there is no such thing.
    ///
    /// `load` gets the key that it should ask with: another id of the same thing, if that is known. It is called once more
    /// with the id that it says the key leads to.
    ///
    /// # Errors
    /// What `load` says, when nothing is kept that could be served instead; [`crate::error::Error::DeadlineExceeded`].
    pub async fn look_up<F>(
        &self,
        key: &ItemKey,
        deadline: Deadline,
        load: impl Fn(ItemKey, Deadline) -> F + Clone + Send + 'static,
    ) -> Result<Option<Found>>
    where
        F: Future<Output = Result<Loaded>> + Send + 'static,
    {
        let lookup = self.find(key, deadline).await;
        self.complete(lookup, deadline, load).await
    }

    /// How many bytes the process's own cache takes, as it counts them.
    #[must_use]
    pub fn local_bytes(&self) -> u64 {
        self.inner.local.weight()
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests;
