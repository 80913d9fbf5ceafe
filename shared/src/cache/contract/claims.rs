//! Leases with a fencing number. All keys share one tag, as those of callers do.

use super::*;

/// How many callers race.
const CALLERS: u64 = 32;

struct Keys {
    lease: String,
    value: String,
}

fn keys(cache: &Aged) -> Keys {
    Keys {
        lease: cache.key("{user 名前} lease"),
        value: cache.key("{user 名前} value"),
    }
}

async fn claim(cache: &Aged, keys: &Keys, owner: &str, ttl: Duration) -> Claim {
    let claim = cache
        .cache
        .claim(&keys.lease, &keys.value, owner.as_bytes(), ttl);
    claim.await.unwrap()
}

/// Takes a free lease and returns its fence.
async fn taken(cache: &Aged, keys: &Keys, owner: &str) -> u64 {
    claim(cache, keys, owner, LONG).await.fence.unwrap()
}

async fn give_back(cache: &Aged, keys: &Keys, owner: &str) -> bool {
    cache.delete(&keys.lease, Some(owner.as_bytes())).await
}

pub async fn a_free_lease_is_taken_and_nothing_is_there(cache: &Aged) {
    let keys = keys(cache);
    let claim = claim(cache, &keys, "one", LONG).await;
    assert!(claim.fence.is_some());
    assert_eq!(claim.value, None);
    assert_eq!(
        cache.get(&keys.lease).await.as_deref(),
        Some(b"one".as_slice())
    );
    assert_eq!(cache.get(&keys.value).await, None);
}

pub async fn a_held_lease_is_not_taken(cache: &Aged) {
    let keys = keys(cache);
    taken(cache, &keys, "one").await;
    for other in ["two", "one ", "", "One"] {
        let claim = claim(cache, &keys, other, LONG).await;
        assert_eq!(claim.fence, None, "{other:?}");
    }
    assert_eq!(
        cache.get(&keys.lease).await.as_deref(),
        Some(b"one".as_slice())
    );
}

pub async fn the_value_is_told_to_everybody(cache: &Aged) {
    let keys = keys(cache);
    for value in [versioned(7, b"seventh\x00\xff"), Vec::new(), b"bare".into()] {
        cache.put(&keys.value, &value).await;
        for owner in ["one", "two", "one"] {
            let claim = claim(cache, &keys, owner, LONG).await;
            assert_eq!(claim.fence.is_some(), owner == "one");
            assert_eq!(claim.value.as_deref(), Some(value.as_slice()));
        }
    }
}

pub async fn a_holder_takes_its_lease_anew(cache: &Aged) {
    let keys = keys(cache);
    let first = claim(cache, &keys, "one", SHORT).await.fence;
    let second = claim(cache, &keys, "one", LONG).await.fence;
    assert!(second > first, "{second:?} after {first:?}");
    cache.let_short_pass().await;
    let other = claim(cache, &keys, "two", LONG).await;
    assert_eq!(other.fence, None, "the time to live was renewed");
}

pub async fn a_refused_claim_does_not_renew_the_lease(cache: &Aged) {
    let keys = keys(cache);
    let first = claim(cache, &keys, "one", SHORT).await.fence;
    assert_eq!(claim(cache, &keys, "two", LONG).await.fence, None);
    cache.let_short_pass().await;
    let second = claim(cache, &keys, "two", LONG).await.fence;
    assert!(second > first, "{second:?} after {first:?}");
}

pub async fn a_lease_that_was_given_back_is_free(cache: &Aged) {
    let keys = keys(cache);
    let mut last = 0;
    for owner in ["one", "two", "one"] {
        let fence = taken(cache, &keys, owner).await;
        assert!(fence > last, "{fence} after {last}");
        last = fence;
        assert!(!give_back(cache, &keys, "another").await);
        assert!(give_back(cache, &keys, owner).await);
    }
}

pub async fn a_fence_is_a_moment_in_microseconds(cache: &Aged) {
    let fence = taken(cache, &keys(cache), "one").await;
    let year_us = 365 * 24 * 3_600 * 1_000_000;
    assert!((50 * year_us..200 * year_us).contains(&fence), "{fence}");
}

pub async fn a_fence_is_the_time_whatever_is_there(cache: &Aged) {
    let keys = keys(cache);
    for version in [0, 9, 1 << 53, u64::MAX - 1, u64::MAX] {
        cache.put(&keys.value, &versioned(version, b"any")).await;
        let claim = claim(cache, &keys, "one", LONG).await;
        assert_eq!(claim.fence, Some(claim.now_us), "{version}");
    }
}

pub async fn a_lease_that_lasts_longer_than_any_is_taken(cache: &Aged) {
    for (name, holder) in [("a", LONG * 2), ("b", LONG * 1_000)] {
        let keys = Keys {
            lease: cache.key(&format!("{{user}} lease {name}")),
            value: cache.key(&format!("{{user}} value {name}")),
        };
        let foreign = cache.cache.put(&keys.lease, b"foreign", holder);
        foreign.await.unwrap();
        assert!(claim(cache, &keys, "one", LONG).await.is_taken(), "{name}");
        assert!(!claim(cache, &keys, "two", LONG).await.is_taken(), "{name}");
    }
}

pub async fn an_earlier_holder_replaces_nothing_of_a_later_one(cache: &Aged) {
    let keys = keys(cache);
    let earlier = claim(cache, &keys, "one", SHORT).await.fence.unwrap();
    cache.let_short_pass().await;
    let later = taken(cache, &keys, "two").await;
    assert!(cache.put_newer(&keys.value, later, "later").await);
    assert!(!cache.put_newer(&keys.value, earlier, "earlier").await);
    assert_eq!(
        cache.version(&keys.value).await,
        Some((later, Bytes::from("later")))
    );
}

pub async fn one_of_many_takes_the_lease(cache: &Aged) {
    let keys = &keys(cache);
    let claims = join_all((0..CALLERS).map(|caller| async move {
        let claim = claim(cache, keys, &caller.to_string(), LONG).await;
        claim.fence.map(|_| caller.to_string())
    }));
    let holders: Vec<String> = claims.await.into_iter().flatten().collect();
    assert_eq!(holders.len(), 1, "{holders:?}");
    assert_eq!(
        cache.get(&keys.lease).await,
        Some(Bytes::from(holders[0].clone()))
    );
}

pub async fn a_lease_may_guard_nothing_but_itself(cache: &Aged) {
    let key = cache.key("lease");
    let keys = Keys {
        lease: key.clone(),
        value: key,
    };
    assert!(claim(cache, &keys, "one", LONG).await.is_taken());
    assert!(!claim(cache, &keys, "two", LONG).await.is_taken());
    assert!(claim(cache, &keys, "one", SHORT).await.is_taken());
    cache.let_short_pass().await;
    assert!(claim(cache, &keys, "two", LONG).await.is_taken());
    assert!(!give_back(cache, &keys, "one").await);
    assert!(give_back(cache, &keys, "two").await);
}

async fn extend(cache: &Aged, keys: &Keys, owner: &str, ttl: Duration) -> bool {
    let extended = cache.cache.extend(&keys.lease, owner.as_bytes(), ttl);
    extended.await.unwrap()
}

/// Puts "text" under the lease; returns whether the lease is held.
async fn put_held(cache: &Aged, keys: &Keys, owner: &str, version: u64, text: &str) -> bool {
    let put = put(&keys.value, version, text, LONG);
    let put = cache.cache.put_held(&keys.lease, owner.as_bytes(), &put);
    put.await.unwrap()
}

pub async fn a_lease_is_extended_by_its_holder_alone(cache: &Aged) {
    let keys = keys(cache);
    assert!(!extend(cache, &keys, "one", LONG).await, "it is free");
    assert!(claim(cache, &keys, "one", SHORT).await.is_taken());
    for other in ["two", "one ", "", "One"] {
        assert!(!extend(cache, &keys, other, LONG).await, "{other:?}");
    }
    assert!(extend(cache, &keys, "one", LONG).await);
    cache.let_short_pass().await;
    let other = claim(cache, &keys, "two", LONG).await;
    assert_eq!(other.fence, None, "it was extended");
    assert!(extend(cache, &keys, "one", SHORT).await);
    cache.let_short_pass().await;
    assert!(claim(cache, &keys, "two", LONG).await.is_taken());
}

pub async fn a_lease_that_has_ended_is_not_extended(cache: &Aged) {
    let keys = keys(cache);
    assert!(claim(cache, &keys, "one", SHORT).await.is_taken());
    cache.let_short_pass().await;
    assert!(!extend(cache, &keys, "one", LONG).await);
    assert_eq!(cache.get(&keys.lease).await, None, "nothing took it");
    // Another one had it meanwhile.
    taken(cache, &keys, "two").await;
    assert!(give_back(cache, &keys, "two").await);
    assert!(!extend(cache, &keys, "one", LONG).await);
    taken(cache, &keys, "two").await;
}

pub async fn the_holder_of_a_lease_puts_what_is_newer(cache: &Aged) {
    let keys = keys(cache);
    let fence = taken(cache, &keys, "one").await;
    assert!(put_held(cache, &keys, "one", fence, "first").await);
    for (version, text) in [(fence, "same"), (fence - 1, "older")] {
        assert!(put_held(cache, &keys, "one", version, text).await, "{text}");
        let kept = cache.version(&keys.value).await;
        assert_eq!(kept, Some((fence, Bytes::from("first"))), "{text}");
    }
    assert!(put_held(cache, &keys, "one", fence + 1, "newer").await);
    let kept = cache.version(&keys.value).await;
    assert_eq!(kept, Some((fence + 1, Bytes::from("newer"))));
    // A value without a version gives way, and the lease is still held.
    cache.put(&keys.value, b"bare").await;
    assert!(put_held(cache, &keys, "one", 1, "versioned").await);
    let kept = cache.version(&keys.value).await;
    assert_eq!(kept, Some((1, Bytes::from("versioned"))));
    assert!(give_back(cache, &keys, "one").await);
}

pub async fn who_lost_a_lease_puts_nothing(cache: &Aged) {
    let keys = keys(cache);
    let fence = claim(cache, &keys, "one", SHORT).await.fence.unwrap();
    cache.let_short_pass().await;
    assert!(!put_held(cache, &keys, "one", fence, "late").await);
    assert_eq!(cache.get(&keys.value).await, None);
    taken(cache, &keys, "two").await;
    assert!(!put_held(cache, &keys, "one", fence + 1, "late").await);
    assert!(give_back(cache, &keys, "two").await);
    assert!(!put_held(cache, &keys, "one", fence + 1, "late").await);
    assert_eq!(cache.get(&keys.value).await, None);
}

pub async fn everybody_is_told_the_time(cache: &Aged) {
    let keys = keys(cache);
    let holder = claim(cache, &keys, "one", LONG).await;
    let refused = claim(cache, &keys, "two", LONG).await;
    assert_eq!(holder.fence, Some(holder.now_us));
    assert!(refused.now_us >= holder.now_us, "{refused:?} {holder:?}");
    let year_us = 365 * 24 * 3_600 * 1_000_000;
    for claim in [holder, refused] {
        assert!((50 * year_us..200 * year_us).contains(&claim.now_us));
    }
}

pub async fn time_goes_on(cache: &Aged) {
    let first = cache.cache.now_us().await.unwrap();
    let claim = claim(cache, &keys(cache), "one", LONG).await;
    let last = cache.cache.now_us().await.unwrap();
    assert!(first <= claim.now_us && claim.now_us <= last);
    (cache.let_time_pass)(SHORT).await;
    let later = cache.cache.now_us().await.unwrap();
    assert!(later >= last + 700_000, "{later} after {last}");
}
