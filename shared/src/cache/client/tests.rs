//! The client over a cache that stops responding, refuses and recovers, in paused time.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::watch;

use super::*;
use crate::cache::Lease;
use crate::cache::memory::MemoryCache;
use crate::clock::{ManualClock, Timestamp};

const TIMEOUT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(600);
const NO_TIME: Duration = Duration::ZERO;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    Well,
    /// Answers once it has recovered.
    Frozen,
    /// Refuses everything.
    Failing,
}

/// A cache that tests can freeze or make fail; the key `slow` is never answered.
#[derive(Debug)]
struct Moody {
    cache: MemoryCache,
    mood: watch::Sender<Mood>,
    probes: AtomicU32,
    probes_now: AtomicU32,
    most_probes: AtomicU32,
}

impl Moody {
    async fn answers(&self) -> Result<&MemoryCache, CacheError> {
        let mut moods = self.mood.subscribe();
        let mood = moods.wait_for(|mood| *mood != Mood::Frozen).await;
        match *mood.unwrap() {
            Mood::Failing => Err(CacheError::unavailable("in a bad mood")),
            Mood::Well | Mood::Frozen => Ok(&self.cache),
        }
    }
}

#[async_trait::async_trait]
impl Cache for Moody {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        if key == "slow" {
            std::future::pending::<()>().await;
        }
        self.answers().await?.get(key).await
    }
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        self.answers().await?.get_many(keys).await
    }
    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        self.answers().await?.put(key, value, ttl).await
    }
    async fn put_newer(&self, puts: &[Put]) -> Result<usize, CacheError> {
        self.answers().await?.put_newer(puts).await
    }
    async fn claim(
        &self,
        lease: &str,
        value: &str,
        owner: &[u8],
        ttl: Duration,
    ) -> Result<Claim, CacheError> {
        self.answers().await?.claim(lease, value, owner, ttl).await
    }
    async fn extend(&self, lease: &str, owner: &[u8], ttl: Duration) -> Result<bool, CacheError> {
        self.answers().await?.extend(lease, owner, ttl).await
    }
    async fn put_held(&self, lease: &str, owner: &[u8], put: &Put) -> Result<bool, CacheError> {
        self.answers().await?.put_held(lease, owner, put).await
    }
    async fn delete(&self, key: &str, only_if: Option<&[u8]>) -> Result<bool, CacheError> {
        self.answers().await?.delete(key, only_if).await
    }
    async fn throttle(&self, _: &str, _: &[Quota], _: u32) -> Result<Decision, CacheError> {
        unreachable!("not asked for here")
    }
    async fn reserve(&self, _: &str, _: &[Window], _: Duration) -> Result<Reservation, CacheError> {
        unreachable!("not asked for here")
    }
    async fn give_back(&self, _: &str, _: &[Window], _: Place) -> Result<bool, CacheError> {
        unreachable!("not asked for here")
    }
    async fn pause(&self, key: &str, length: Duration) -> Result<(), CacheError> {
        self.answers().await?.pause(key, length).await
    }
    async fn add_scores(
        &self,
        _: &str,
        _: &[(String, f64)],
        _: usize,
        _: Duration,
    ) -> Result<(), CacheError> {
        unreachable!("not asked for here")
    }
    async fn top_scores(&self, _: &str, _: usize) -> Result<Vec<(String, f64)>, CacheError> {
        unreachable!("not asked for here")
    }
    async fn take_scores(&self, _: &str) -> Result<Vec<(String, f64)>, CacheError> {
        unreachable!("not asked for here")
    }
    async fn now_us(&self) -> Result<u64, CacheError> {
        self.answers().await?.now_us().await
    }
    async fn ping(&self) -> Result<(), CacheError> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        let others = self.probes_now.fetch_add(1, Ordering::SeqCst);
        self.most_probes.fetch_max(others + 1, Ordering::SeqCst);
        let _probing = Probing(self);
        self.answers().await?.ping().await
    }
}

/// A running probe; dropped when it is answered or cancelled.
struct Probing<'c>(&'c Moody);

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        self.0.probes_now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn client() -> (CacheClient, Arc<Moody>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)));
    let cache = Arc::new(Moody {
        cache: MemoryCache::new(1_024 * 1_024, clock),
        mood: watch::Sender::new(Mood::Well),
        probes: AtomicU32::new(0),
        probes_now: AtomicU32::new(0),
        most_probes: AtomicU32::new(0),
    });
    (
        CacheClient::new(Arc::clone(&cache) as Arc<dyn Cache>, TIMEOUT),
        cache,
    )
}

mod stopped;

/// How long `work` takes, and what it ends with.
async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let started = Instant::now();
    let outcome = work.await;
    (started.elapsed(), outcome)
}

/// A get that must be skipped, at once.
async fn assert_skipped(client: &CacheClient) {
    let (took, outcome) = timed(client.get("key")).await;
    assert!(matches!(outcome, Err(CacheError::Skipped)), "{outcome:?}");
    assert_eq!(took, NO_TIME);
}

/// Lets the tasks that are ready run, without letting time pass.
async fn let_probes_run() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Opens the breaker of `client` over a frozen cache.
async fn freeze(client: &CacheClient, cache: &Moody) {
    cache.mood.send_replace(Mood::Frozen);
    let (took, outcome) = timed(client.get("key")).await;
    assert!(matches!(outcome, Err(CacheError::Timeout)), "{outcome:?}");
    assert_eq!(took, READ_PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_freeze_costs_each_caller_50_ms_once_and_nobody_anything_after() {
    let (client, cache) = client();
    cache.mood.send_replace(Mood::Frozen);
    // Each makes ten operations one after the other; they start over 80 ms.
    let callers = (0..80).map(|millis| {
        let client = client.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            let (waited, ()) = timed(async {
                for _ in 0..10 {
                    client.get("key").await.unwrap_err();
                }
            })
            .await;
            (millis, waited)
        }
    });
    for (millis, waited) in join_all(callers).await {
        let most = if millis < 50 { READ_PATIENCE } else { NO_TIME };
        assert!(waited <= most, "caller at {millis} ms waited {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_is_frozen_nobody_waits_and_probes_become_rare() {
    let (client, cache) = client();
    freeze(&client, &cache).await;
    for _ in 0..60_000 {
        assert_skipped(&client).await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    // After 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 12.7, 22.7, 32.7, 42.7 and 52.7 s.
    assert_eq!(cache.probes.load(Ordering::SeqCst), 11);
    assert_eq!(cache.most_probes.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn recovery_is_noticed_by_a_probe_and_makes_pauses_short_again() {
    let (client, cache) = client();
    for round in 1..=2 {
        freeze(&client, &cache).await;
        tokio::time::advance(Duration::from_millis(99)).await;
        cache.mood.send_replace(Mood::Well);
        assert_skipped(&client).await;
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_skipped(&client).await;
        let_probes_run().await;
        assert_eq!(cache.probes.load(Ordering::SeqCst), round);
        client.get("key").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_not_answered_in_50_ms_closes_nothing() {
    let (client, cache) = client();
    freeze(&client, &cache).await;
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_skipped(&client).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    cache.mood.send_replace(Mood::Well);
    let_probes_run().await;
    assert_skipped(&client).await;
}

#[tokio::test(start_paused = true)]
async fn one_slow_key_beside_others_opens_nothing() {
    let (client, cache) = client();
    let slow = async {
        for _ in 0..10 {
            let (took, outcome) = timed(client.get("slow")).await;
            assert!(matches!(outcome, Err(CacheError::Timeout)), "{outcome:?}");
            assert_eq!(took, READ_PATIENCE, "it is asked each time");
        }
    };
    let others = async {
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            client.get("key").await.unwrap();
        }
    };
    tokio::join!(slow, others);
    assert_eq!(cache.probes.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_key_alone_is_found_to_be_no_freeze_by_the_first_probe() {
    let (client, cache) = client();
    client.get("slow").await.unwrap_err();
    assert_skipped(&client).await;
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_skipped(&client).await;
    let_probes_run().await;
    client.get("key").await.unwrap();
    assert_eq!(cache.probes.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn three_errors_in_a_row_open_it() {
    let (client, cache) = client();
    for errors in [2, 2, 3] {
        cache.mood.send_replace(Mood::Failing);
        for _ in 0..errors {
            let outcome = client.get("key").await;
            let is_told = matches!(outcome, Err(CacheError::Unavailable(_)));
            assert!(is_told, "{outcome:?}");
        }
        if errors == 2 {
            cache.mood.send_replace(Mood::Well);
            client.get("key").await.unwrap();
        }
    }
    assert_skipped(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_closes_it() {
    let (client, cache) = client();
    cache.mood.send_replace(Mood::Frozen);
    let read = client.get("key");
    let write = async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        client.put("key", b"value", LONG).await
    };
    let thaw = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_skipped(&client).await;
        cache.mood.send_replace(Mood::Well);
    };
    let (read, write, ()) = tokio::join!(read, write, thaw);
    assert!(matches!(read, Err(CacheError::Timeout)), "{read:?}");
    write.unwrap();
    assert!(client.get("key").await.unwrap().is_some());
    assert_eq!(cache.probes.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn writes_wait_longer_but_not_for_what_has_fallen_silent() {
    let (client, cache) = client();
    cache.mood.send_replace(Mood::Frozen);
    let put = timed(client.put("key", b"value", LONG));
    let many = timed(async { client.put_newer_many(&[]).await.map(drop) });
    let (read, put, many) = tokio::join!(client.get("key"), put, many);
    assert!(matches!(read, Err(CacheError::Timeout)), "{read:?}");
    for (took, outcome) in [put, many] {
        assert!(matches!(outcome, Err(CacheError::Timeout)), "{outcome:?}");
        assert!(took <= READ_PATIENCE * 2, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_alone_waits_for_its_own_patience() {
    for (expected, is_bulk) in [(WRITE_PATIENCE, false), (BULK_PATIENCE, true)] {
        let (client, cache) = client();
        cache.mood.send_replace(Mood::Frozen);
        let (took, outcome) = if is_bulk {
            timed(async { client.put_newer_many(&[]).await.map(drop) }).await
        } else {
            timed(client.put("key", b"value", LONG)).await
        };
        assert!(matches!(outcome, Err(CacheError::Timeout)), "{outcome:?}");
        assert_eq!(took, expected);
        assert_skipped(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_guards_a_value_is_waited_for_like_a_write_any_other_like_a_read() {
    for (expected, guards_a_value) in [(READ_PATIENCE, false), (WRITE_PATIENCE, true)] {
        let (client, cache) = client();
        cache.mood.send_replace(Mood::Frozen);
        let lease = Lease::new(&client, "lease".to_owned(), LONG);
        let lease = if guards_a_value {
            lease.guarding("value".to_owned())
        } else {
            lease
        };
        let (took, outcome) = timed(lease.claim()).await;
        assert!(matches!(outcome, Err(CacheError::Timeout)), "{outcome:?}");
        assert_eq!(took, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_holds_nobody_up_while_the_cache_fails() {
    let (client, cache) = client();
    let bids = [(); 2].map(|()| Lease::new(&client, "lease".to_owned(), LONG));
    assert!(bids[0].may_proceed().await);
    cache.mood.send_replace(Mood::Failing);
    for bid in &bids {
        assert!(bid.may_proceed().await);
        bid.release().await;
    }
}
