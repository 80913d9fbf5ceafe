//! Hosts whose clocks are wrong, and entries that they left behind.

use super::frozen::{STALE, TTL, asking, bodies, item, keep_one_of_many, place};
use super::*;
use crate::cache::Put;
use crate::clock::ManualClock;
use crate::seal::Purpose;
use crate::store::{Expect, Table};

const HOURS: Duration = Duration::from_secs(3 * 3_600);
const YEARS: Duration = Duration::from_secs(5 * 365 * 24 * 3_600);

fn right() -> Result<Loaded> {
    let others = Vec::new();
    let item = item("right");
    Ok(Loaded::Found { item, others })
}

/// An entry as a process writes it that asked now.
async fn entry(tiers: &Tiers, body: &str) -> Entry {
    let stamp = tiers.inquire().await.stamp(&tiers.inner.clock);
    Entry::body(body.to_owned(), Vec::new(), stamp, TTL)
}

/// Puts `entry` into `tier`, whatever is there.
async fn leave(place: &Place, tiers: &Tiers, tier: Tier, entry: &Entry) {
    match tier {
        Tier::Memory => tiers.inner.local.insert(key(), Arc::new(entry.clone())),
        Tier::Valkey => {
            let put = Put {
                key: key().cache_key(),
                version: entry.version,
                value: codec::to_value(entry).into(),
                ttl: YEARS,
            };
            let sealed = place.sealed().seal(Purpose::Directory, &put).await.unwrap();
            let value = crate::cache::versioned(sealed.version, &sealed.value);
            place.cache.put(&put.key, &value, YEARS).await.unwrap();
        }
        Tier::Store => {
            let record = codec::to_record(&key(), entry, place.clock.now() + YEARS).unwrap();
            let deadline = Deadline::after(TTL);
            let put = place
                .storage
                .put(Table::Directory, &record, Expect::Anything, deadline);
            put.await.unwrap();
        }
        Tier::Lark => unreachable!("no tier of entries"),
    }
}

#[tokio::test]
async fn what_begins_in_the_future_or_lives_too_long_is_replaced_in_every_tier() {
    type Change = fn(Entry) -> Entry;
    let cases: [(&str, Change); 6] = [
        ("hours ahead", |it| ahead(it, HOURS)),
        ("years ahead", |it| ahead(it, YEARS)),
        ("hours ahead, but for its version", |it| Entry {
            version: it.version,
            ..ahead(it, HOURS)
        }),
        ("fresh for years", |it| Entry {
            fresh_until: it.fresh_until + YEARS,
            serve_until: it.serve_until + YEARS,
            ..it
        }),
        ("served for years", |it| Entry {
            serve_until: it.serve_until + YEARS,
            ..it
        }),
        ("two minutes ahead", |it| {
            ahead(it, Duration::from_secs(120))
        }),
    ];
    for (case, wrong) in cases {
        for tier in [Tier::Memory, Tier::Valkey, Tier::Store] {
            let (place, clock) = place();
            let (one, other) = (place.process(), place.process());
            let left = wrong(entry(&one, "wrong").await);
            leave(&place, &one, tier, &left).await;
            clock.advance(Duration::from_secs(1));
            let (answer, asked) = asking(&one, right).await;
            let case = format!("{case} in {tier:?}");
            assert_eq!(
                (answer.unwrap().body.as_str(), asked),
                ("right", 1),
                "{case}"
            );
            assert_eq!(bodies(&place, &one).await, ["right"; 3], "{case}");
            let (answer, asked) = asking(&other, right).await;
            assert_eq!(
                (answer.unwrap().body.as_str(), asked),
                ("right", 0),
                "{case}"
            );
        }
    }
}

/// `entry` by a clock that is ahead.
fn ahead(entry: Entry, by: Duration) -> Entry {
    Entry {
        version: entry.version + crate::quota::micros(by),
        fetched_at: entry.fetched_at + by,
        fresh_until: entry.fresh_until + by,
        serve_until: entry.serve_until + by,
        ..entry
    }
}

#[tokio::test]
async fn a_version_from_the_future_does_not_keep_what_is_newer_out() {
    for tier in [Tier::Memory, Tier::Valkey, Tier::Store] {
        let (place, clock) = place();
        let one = place.process();
        let left = entry(&one, "wrong").await;
        let left = Entry {
            version: left.version + crate::quota::micros(YEARS),
            ..left
        };
        leave(&place, &one, tier, &left).await;
        // Its times can be true, but nobody can have given it this version.
        let (answer, asked) = asking(&one, right).await;
        assert_eq!(
            (answer.unwrap().body.as_str(), asked),
            ("right", 1),
            "{tier:?}"
        );
        for tier in [Tier::Memory, Tier::Store] {
            leave(&place, &one, tier, &left).await;
        }
        clock.advance(STALE);
        // Early renewals aside, one look-up renews it everywhere.
        let (answer, asked) = asking(&one, right).await;
        assert_eq!(
            (answer.unwrap().body.as_str(), asked),
            ("right", 1),
            "{tier:?}"
        );
        assert_eq!(bodies(&place, &one).await, ["right"; 3], "{tier:?}");
    }
}

#[tokio::test]
async fn a_batch_replaces_what_a_fast_clock_left_in_the_process_and_in_the_store() {
    let (place, _) = place();
    let one = place.process();
    let left = ahead(entry(&one, "wrong").await, YEARS);
    leave(&place, &one, Tier::Memory, &left).await;
    leave(&place, &one, Tier::Store, &left).await;
    let inquiry = one.inquire().await;
    keep_one_of_many(&one, "right", inquiry).await;
    assert_eq!(bodies(&place, &one).await, ["right"; 3]);
}

/// A host whose clock is `ahead` of the others' or behind it.
fn host(place: &Place, ahead: Duration, is_fast: bool) -> Tiers {
    let now = place.clock.now();
    let clock = ManualClock::at(if is_fast { now + ahead } else { now - ahead });
    place.process_by(Arc::new(clock))
}

#[tokio::test]
async fn a_host_with_a_wrong_clock_spoils_nothing_and_fetches_nothing_twice() {
    for (by, is_fast) in [(HOURS, true), (HOURS, false), (YEARS, true), (YEARS, false)] {
        let (place, _) = place();
        let (wrong, right_one) = (host(&place, by, is_fast), place.process());
        let case = format!("{by:?}, fast: {is_fast}");
        let check = async |tiers: &Tiers, expected: u64| {
            let (answer, asked) = asking(tiers, right).await;
            let freshness = answer.unwrap().freshness;
            assert_eq!(asked, expected, "{case}");
            assert!(
                freshness.age < Duration::from_secs(2),
                "{case}: {freshness:?}"
            );
            let life = freshness.ttl_ms.unsigned_abs();
            assert!(
                !freshness.is_stale() && life <= 3_960_000,
                "{case}: {freshness:?}"
            );
        };
        check(&wrong, 1).await;
        for tiers in [
            &right_one,
            &wrong,
            &host(&place, by, is_fast),
            &wrong,
            &right_one,
        ] {
            check(tiers, 0).await;
        }
        assert_eq!(bodies(&place, &wrong).await, ["right"; 3], "{case}");
    }
}

#[tokio::test]
async fn without_the_cache_a_version_is_the_host_s_and_stays_out_of_the_cache() {
    let (place, _) = place();
    let fast = host(&place, HOURS, true);
    let alone = fast.inner.inquire_alone();
    assert_eq!(alone.at, place.clock.now() + HOURS);
    keep_one_of_many(&fast, "alone", alone).await;
    assert_eq!(bodies(&place, &fast).await, ["alone", "", "alone"]);
    // The next who reads it by a right clock asks anew.
    let one = place.process();
    let (answer, asked) = asking(&one, right).await;
    assert_eq!((answer.unwrap().body.as_str(), asked), ("right", 1));
    assert_eq!(bodies(&place, &one).await, ["right"; 3]);
}

#[test]
fn in_the_process_the_highest_version_stays_whoever_comes_last() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let (place, clock) = runtime.block_on(async { place() });
    let tiers = place.process();
    let first = crate::quota::micros(clock.now().since(Timestamp::default()));
    let write = |version: u64| {
        let stamp = entry::FetchStamp {
            version,
            at: clock.now(),
            took: Duration::ZERO,
        };
        let entry = Entry::body(version.to_string(), Vec::new(), stamp, TTL);
        tiers.inner.fill_memory([(key(), Arc::new(entry))].iter());
    };
    for round in 0..50 {
        let first = first + round * 1_000;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let write = &write;
                scope.spawn(move || {
                    let versions = (0..100).map(|number| first + (number * 37 + thread * 11) % 101);
                    versions.for_each(write);
                });
            }
        });
        let kept = tiers.inner.local.get(&key()).unwrap();
        assert_eq!(kept.version, first + 100);
    }
}

#[tokio::test]
async fn what_the_shared_cache_can_serve_is_not_looked_for_in_the_store() {
    let (place, clock) = place();
    let (one, other) = (place.process(), place.process());
    asking(&one, right).await;
    clock.advance(STALE);
    // Whoever read the store would find this.
    let left = entry(&one, "unseen").await;
    leave(&place, &one, Tier::Store, &left).await;
    let lookup = other.find(&key(), Deadline::after(TTL)).await;
    let known = other.any_known(&lookup).unwrap();
    assert_eq!(
        (known.body.as_str(), known.freshness.tier),
        ("right", Tier::Valkey)
    );
    assert!(!lookup.is_fresh_until(clock.now()), "it is stale");
    let left = bodies(&place, &other).await;
    assert_eq!(left, ["right", "right", "unseen"]);
}
