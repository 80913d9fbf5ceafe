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

pub async fn a_fence_is_above_the_version_that_is_there(cache: &Aged) {
    let keys = keys(cache);
    for version in [0, 9, 1 << 53, (1 << 53) + 1, u64::MAX - 2, u64::MAX - 1] {
        assert!(
            cache.put_newer(&keys.value, version, "older").await,
            "{version}"
        );
        let fence = taken(cache, &keys, "one").await;
        assert!(fence > version, "{fence} over {version}");
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
