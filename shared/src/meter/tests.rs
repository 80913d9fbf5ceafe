//! The meter over the embedded store, with the cache in memory or without one.

use super::*;
use crate::cache::memory::MemoryCache;
use crate::clock::{ManualClock, Timestamp};
use crate::store::Store;
use crate::store::embedded::EmbeddedStore;

const TIMEOUT: Duration = Duration::from_secs(1);

/// What processes share.
struct Place {
    store: Arc<dyn Store>,
    cache: Option<CacheClient>,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(
            Timestamp::parse("2026-11-30T23:00:00Z").unwrap(),
        ));
        let cache = MemoryCache::new(1_024 * 1_024, Arc::clone(&clock) as Arc<dyn Clock>);
        let store = EmbeddedStore::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        Self {
            store: Arc::new(store),
            cache: Some(CacheClient::new(Arc::new(cache), TIMEOUT)),
            clock,
        }
    }

    fn without_cache() -> Self {
        Self {
            cache: None,
            ..Self::new()
        }
    }

    fn process(&self) -> Meter {
        let storage = Storage::new(Arc::clone(&self.store), TIMEOUT);
        Meter::new(storage, self.cache.clone(), Arc::clone(&self.clock) as _)
    }

    /// What the shared cache has, this month.
    async fn cached(&self) -> Calls {
        let key = cache_key(&(app(), By::Api, Month::of(self.clock.now())));
        let scores = self.cache.as_ref().unwrap().top_scores(&key, MAX_NAMES);
        calls_in(scores.await.unwrap())
    }
}

fn app() -> AppId {
    AppId::parse("cli_a").unwrap()
}

fn soon() -> Deadline {
    Deadline::after(TIMEOUT)
}

fn calls(counts: &[(&str, u64)]) -> Calls {
    let counts = counts.iter();
    counts
        .map(|(api, count)| ((*api).to_owned(), *count))
        .collect()
}

async fn usage(meter: &Meter) -> Calls {
    let month = meter.month();
    meter.usage(&app(), By::Api, &month, soon()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn counts_are_handed_over_by_number_and_by_time() {
    let place = Place::new();
    let meter = place.process();
    let mut handed_over = Vec::new();
    for _ in 0..130 {
        meter.note(&app(), "api", None);
        meter.hand_over_if_due().await;
        handed_over.push(place.cached().await.get("api").copied());
    }
    handed_over.dedup();
    assert_eq!(handed_over, [Some(1), Some(65), Some(129)]);
    tokio::time::advance(HAND_OVER_AFTER).await;
    meter.note(&app(), "api", None);
    meter.hand_over_if_due().await;
    assert_eq!(place.cached().await, calls(&[("api", 131)]));
}

#[tokio::test]
async fn usage_is_what_is_on_record_in_the_cache_and_in_the_process() {
    let place = Place::new();
    let (one, other) = (place.process(), place.process());
    one.note(&app(), "api", None);
    one.persist(&app(), soon()).await.unwrap();
    assert_eq!(place.cached().await, calls(&[]));
    other.note(&app(), "api", None);
    other.note(&app(), "other", None);
    other.hand_over().await;
    one.note(&app(), "api", None);
    assert_eq!(usage(&one).await, calls(&[("api", 3), ("other", 1)]));
    assert_eq!(usage(&other).await, calls(&[("api", 2), ("other", 1)]));
    one.persist(&app(), soon()).await.unwrap();
    for meter in [one, other] {
        assert_eq!(usage(&meter).await, calls(&[("api", 3), ("other", 1)]));
    }
}

#[tokio::test]
async fn apps_and_months_are_counted_apart() {
    let place = Place::new();
    let meter = place.process();
    let stranger = AppId::parse("cli_b").unwrap();
    meter.note(&app(), "api", None);
    meter.note(&stranger, "api", None);
    let november = meter.month();
    place.clock.advance(Duration::from_secs(3_600));
    meter.note(&app(), "api", None);
    meter.note(&app(), "api", None);
    // What was counted late in the previous month is added to that month's record.
    meter.persist(&app(), soon()).await.unwrap();
    let (app, december) = (app(), meter.month());
    for (app_id, month, expected) in [
        (&app, &november, calls(&[("api", 1)])),
        (&app, &december, calls(&[("api", 2)])),
        (&stranger, &november, calls(&[("api", 1)])),
        (&stranger, &december, calls(&[])),
    ] {
        let usage = meter.usage(app_id, By::Api, month, soon()).await.unwrap();
        assert_eq!(usage, expected, "{app_id} {month}");
    }
}

#[tokio::test]
async fn without_a_cache_counts_get_on_record_from_the_process() {
    let place = Place::without_cache();
    let meter = place.process();
    meter.note(&app(), "api", None);
    meter.hand_over_if_due().await;
    assert_eq!(usage(&meter).await, calls(&[("api", 1)]));
    meter.persist(&app(), soon()).await.unwrap();
    assert_eq!(usage(&place.process()).await, calls(&[("api", 1)]));
}

#[tokio::test]
async fn many_who_put_counts_on_record_lose_and_double_none() {
    let place = Place::without_cache();
    let meters: Vec<Meter> = (0..6).map(|_| place.process()).collect();
    let work = meters.iter().map(|meter| async {
        for _ in 0..5 {
            meter.note(&app(), "api", None);
            // After too many conflicts it keeps the counts for the next time.
            let _ = meter.persist(&app(), soon()).await;
        }
    });
    join_all(work).await;
    for meter in &meters {
        meter.persist(&app(), soon()).await.unwrap();
    }
    assert_eq!(usage(&meters[0]).await, calls(&[("api", 30)]));
}

#[tokio::test]
async fn a_process_that_cannot_hand_over_counts_a_bounded_number_of_apps() {
    let place = Place::without_cache();
    let meter = place.process();
    for number in 0..=MAX_PENDING {
        let app_id = AppId::parse(&format!("cli_{number}")).unwrap();
        meter.note(&app_id, "api", None);
        meter.note(&app_id, "api", None);
    }
    let pending = meter.pending();
    assert_eq!(pending.counts.len(), MAX_PENDING);
    assert!(
        pending
            .counts
            .values()
            .all(|counts| *counts == calls(&[("api", 2)]))
    );
}

#[tokio::test]
async fn counts_that_nobody_can_have_made_do_not_go_on_record() {
    let place = Place::new();
    let meter = place.process();
    let cache = place.cache.as_ref().unwrap();
    let key = cache_key(&(app(), By::Api, meter.month()));
    let forged = [
        ("contact_user_get", f64::MAX),
        ("auth", -7.0),
        ("<script>", 3.0),
        ("", 3.0),
        ("im_chat_get", 2.0),
    ];
    let mut forged = forged.map(|(api, count)| (api.to_owned(), count)).to_vec();
    forged.push(("a".repeat(MAX_NAME_BYTES + 1), 3.0));
    let added = cache.add_scores(&key, &forged, MAX_NAMES, CACHED);
    added.await.unwrap();
    let possible = calls(&[("contact_user_get", TAKEN_CALLS), ("im_chat_get", 2)]);
    assert_eq!(usage(&meter).await, possible);
    meter.persist(&app(), soon()).await.unwrap();
    assert_eq!(usage(&place.process()).await, possible);
}

#[tokio::test]
async fn a_record_that_was_poisoned_counts_on_from_none() {
    let place = Place::new();
    let meter = place.process();
    let key = record_key(&(app(), By::Api, meter.month()));
    let text = format!("{{\"auth\":{},\"im\":5}}", u64::MAX);
    let record = Record::new(key, 1).with(CALLS, Value::Text(text));
    let put = place.store.put(Table::Apps, &record, Expect::Anything);
    put.await.unwrap();
    meter.note(&app(), "auth", None);
    meter.persist(&app(), soon()).await.unwrap();
    assert_eq!(usage(&meter).await, calls(&[("auth", 1), ("im", 5)]));
}

#[tokio::test]
async fn calls_are_counted_by_who_asked_too() {
    let place = Place::new();
    let meter = place.process();
    for key_id in [Some("one"), Some("two"), Some("one"), None] {
        meter.note(&app(), "api", key_id);
    }
    let by_key = calls(&[("one", 2), ("two", 1)]);
    for _ in 0..2 {
        let (app, month) = (app(), meter.month());
        let usage_by_key = meter.usage(&app, By::Key, &month, soon());
        assert_eq!(usage_by_key.await.unwrap(), by_key);
        assert_eq!(usage(&meter).await, calls(&[("api", 4)]));
        meter.hand_over().await;
        meter.persist(&app, soon()).await.unwrap();
    }
}

#[tokio::test]
async fn of_more_keys_than_are_counted_a_record_stays_small() {
    let place = Place::without_cache();
    let meter = place.process();
    for number in 0..MAX_NAMES + 100 {
        meter.note(&app(), "api", Some(&format!("key{number:012}")));
    }
    meter.persist(&app(), soon()).await.unwrap();
    let key = record_key(&(app(), By::Key, meter.month()));
    let record = place.store.get(Table::Apps, &key).await.unwrap().unwrap();
    let text = record.text(CALLS).unwrap();
    assert!(text.len() < 40_000, "{}", text.len());
    assert_eq!(calls_of(&record).len(), MAX_NAMES);
}
