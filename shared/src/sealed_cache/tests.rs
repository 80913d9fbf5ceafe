//! What every entry promises, whatever it is for.

use super::*;
use crate::cache::Cache;
use crate::cache::memory::MemoryCache;
use crate::cache::versioned;
use crate::clock::ManualClock;
use crate::seal::KeySource;

const KEY: &str = "lark:test:a";
const TTL: Duration = Duration::from_secs(600);
const NOON: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct World {
    raw: Arc<MemoryCache>,
    cache: SealedCache,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        Self::with(KeyRing::generate().unwrap())
    }

    fn with(ring: KeyRing) -> Self {
        let clock = Arc::new(ManualClock::at(NOON));
        let raw = MemoryCache::new(1 << 20, Arc::clone(&clock) as Arc<dyn Clock>);
        let raw = Arc::new(raw);
        let client = CacheClient::new(Arc::clone(&raw) as Arc<dyn Cache>, TTL);
        let sealer = Sealer::new(KeySource::Given(ring));
        let cache = SealedCache::new(client, sealer, Arc::clone(&clock) as Arc<dyn Clock>);
        Self { raw, cache, clock }
    }

    async fn put(&self, purpose: Purpose, version: u64, value: &'static str) -> bool {
        let put = put(version, value);
        self.cache.put_newer(purpose, &put).await.unwrap()
    }

    async fn get(&self, purpose: Purpose) -> Option<Opened> {
        self.cache.get(purpose, KEY).await.unwrap()
    }

    async fn raw(&self) -> Vec<u8> {
        self.raw.get(KEY).await.unwrap().unwrap().to_vec()
    }

    async fn leave(&self, key: &str, value: &[u8]) {
        self.raw.put(key, value, TTL * 1_000).await.unwrap();
    }
}

fn put(version: u64, value: &'static str) -> Put {
    Put {
        key: KEY.to_owned(),
        version,
        value: value.into(),
        ttl: TTL,
    }
}

fn opened(version: u64, value: &'static str) -> Option<Opened> {
    let value = value.into();
    Some(Opened { version, value })
}

#[tokio::test]
async fn what_is_put_is_read_and_nobody_else_can_read_it() {
    for purpose in Purpose::ALL {
        let world = World::new();
        assert_eq!(world.get(purpose).await, None);
        assert!(world.put(purpose, 7, "Ada Lovelace").await);
        assert!(!world.put(purpose, 6, "older").await);
        assert_eq!(world.get(purpose).await, opened(7, "Ada Lovelace"));
        let raw = world.raw().await;
        assert!(!raw.windows(3).any(|part| part == b"Ada"), "{raw:?}");
        // The key of another purpose does not open it.
        for other in Purpose::ALL.into_iter().filter(|other| *other != purpose) {
            assert_eq!(world.get(other).await, None, "{other:?}");
        }
    }
}

#[tokio::test]
async fn many_are_read_in_their_order_and_one_that_is_broken_takes_no_other_along() {
    let world = World::new();
    assert!(world.put(Purpose::Directory, 1, "first").await);
    world.leave("lark:test:b", &world.raw().await).await;
    let keys = ["lark:test:b", KEY, "lark:test:c"].map(str::to_owned);
    let found = world.cache.get_many(Purpose::Directory, &keys).await;
    assert_eq!(found.unwrap(), [None, opened(1, "first"), None]);
}

#[tokio::test]
async fn a_changed_byte_wherever_it_is_makes_a_miss() {
    for purpose in Purpose::ALL {
        let world = World::new();
        world.put(purpose, 7, "value").await;
        let right = world.raw().await;
        for index in 0..right.len() {
            for change in [1, 0x10, 0x80] {
                let mut changed = right.clone();
                changed[index] ^= change;
                world.leave(KEY, &changed).await;
                assert_eq!(world.get(purpose).await, None, "byte {index}");
            }
            world.leave(KEY, &right[..index]).await;
            assert_eq!(world.get(purpose).await, None, "cut at {index}");
        }
        world.leave(KEY, &right).await;
        assert_eq!(world.get(purpose).await, opened(7, "value"));
    }
}

#[tokio::test]
async fn what_was_never_sealed_is_a_miss_and_gives_way() {
    let world = World::new();
    for forged in [
        versioned(u64::MAX, b"{}"),
        versioned(7, b"plain"),
        Vec::new(),
    ] {
        world.leave(KEY, &forged).await;
        assert_eq!(world.get(Purpose::Tokens).await, None);
    }
    world.leave(KEY, &versioned(u64::MAX, b"{}")).await;
    assert!(world.put(Purpose::Tokens, 8, "right").await);
    assert_eq!(world.get(Purpose::Tokens).await, opened(8, "right"));
}

#[tokio::test]
async fn an_entry_that_is_kept_beyond_its_end_is_over() {
    for purpose in Purpose::ALL {
        let world = World::new();
        world.put(purpose, 7, "value").await;
        let right = world.raw().await;
        world.clock.advance(TTL - Duration::from_millis(1));
        assert_eq!(world.get(purpose).await, opened(7, "value"));
        world.clock.advance(Duration::from_millis(1));
        world.leave(KEY, &right).await;
        // What is of the directory has its own times.
        let is_over = world.get(purpose).await.is_none();
        assert_eq!(is_over, purpose != Purpose::Directory, "{purpose:?}");
    }
}

#[tokio::test]
async fn another_key_ring_opens_nothing() {
    let (world, other) = (World::new(), World::new());
    world.put(Purpose::Records, 7, "value").await;
    other.leave(KEY, &world.raw().await).await;
    assert_eq!(other.get(Purpose::Records).await, None);
}

#[tokio::test]
async fn without_keys_there_is_no_entry_and_no_write() {
    let world = World::new();
    world.put(Purpose::Records, 7, "value").await;
    let keyless = SealedCache::new(
        world.cache.client().clone(),
        Sealer::new(KeySource::Absent),
        Arc::clone(&world.clock) as Arc<dyn Clock>,
    );
    let found = keyless.get(Purpose::Records, KEY).await;
    assert_eq!(found.unwrap(), None);
    let refused = keyless.put_newer(Purpose::Records, &put(8, "value")).await;
    assert!(refused.is_err());
}
