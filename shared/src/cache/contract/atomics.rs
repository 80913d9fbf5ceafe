//! Operations that read and write atomically.

use super::*;

/// A moment in the past, in milliseconds.
const NOON_MS: u64 = 1_700_000_000_000;
/// How many callers race.
const CALLERS: u64 = 32;

pub async fn a_newer_version_replaces_an_older(cache: &Aged) {
    let key = cache.key("a");
    assert!(cache.put_newer(&key, 1, "first").await);
    assert!(cache.put_newer(&key, 2, "second").await);
    assert_eq!(cache.version(&key).await, Some((2, Bytes::from("second"))));
}

pub async fn the_same_and_older_versions_are_refused(cache: &Aged) {
    let key = cache.key("a");
    assert!(cache.put_newer(&key, 5, "fifth").await);
    assert!(!cache.put_newer(&key, 5, "another").await);
    assert!(!cache.put_newer(&key, 4, "fourth").await);
    assert_eq!(cache.version(&key).await, Some((5, Bytes::from("fifth"))));
}

pub async fn versions_compare_as_numbers(cache: &Aged) {
    let key = cache.key("a");
    for version in [0, 9, 10, 99, 1 << 33, (1 << 33) + 1, NOON_MS, NOON_MS + 1] {
        assert!(cache.put_newer(&key, version, "value").await, "{version}");
        assert!(
            !cache.put_newer(&key, version, "value").await,
            "{version} again"
        );
    }
    assert!(!cache.put_newer(&key, 99, "value").await);
}

pub async fn a_version_that_nobody_can_have_given_yet_gives_way(cache: &Aged) {
    let now_us = cache.cache.now_us().await.unwrap();
    let (now_ms, day_ms, minute_us) = (now_us / 1_000, 24 * 3_600 * 1_000, 60 * 1_000_000);
    // A second is more than the cases take.
    for (stored, version) in [
        (now_ms + day_ms + 1_000, now_ms),
        (u64::MAX, now_ms),
        (1 << 60, 1),
        (now_us + minute_us + 1_000_000, now_us),
        (u64::MAX, now_us),
    ] {
        let key = cache.key(&format!("{stored} before {version}"));
        cache.put(&key, &versioned(stored, b"forged")).await;
        assert!(cache.put_newer(&key, version, "right").await, "{stored}");
        let right = Some((version, Bytes::from("right")));
        assert_eq!(cache.version(&key).await, right, "{stored}");
    }
    for (stored, version) in [
        (now_ms + day_ms - 1_000, now_ms),
        (now_us + minute_us - 1_000_000, now_us),
    ] {
        let key = cache.key(&format!("{stored} before {version}"));
        assert!(cache.put_newer(&key, stored, "ahead").await);
        assert!(!cache.put_newer(&key, version, "older").await, "{stored}");
    }
}

pub async fn a_version_replaces_what_has_none(cache: &Aged) {
    let key = cache.key("a");
    for unversioned in ["", "a lease", "no number, though it is longer than one"] {
        cache.put(&key, unversioned.as_bytes()).await;
        assert!(cache.put_newer(&key, 0, "value").await, "{unversioned}");
        assert_eq!(cache.version(&key).await, Some((0, Bytes::from("value"))));
    }
}

pub async fn a_newer_version_renews_the_expiry(cache: &Aged) {
    let key = cache.key("a");
    assert!(cache.put_newer_for(SHORT, &key, 1, "first").await);
    assert!(cache.put_newer(&key, 2, "second").await);
    cache.let_short_pass().await;
    assert_eq!(cache.version(&key).await, Some((2, Bytes::from("second"))));
}

pub async fn a_refused_version_leaves_the_expiry(cache: &Aged) {
    let key = cache.key("a");
    assert!(cache.put_newer_for(SHORT, &key, 2, "second").await);
    assert!(!cache.put_newer(&key, 1, "first").await);
    cache.let_short_pass().await;
    assert_eq!(cache.version(&key).await, None);
}

pub async fn a_version_expires(cache: &Aged) {
    let key = cache.key("a");
    assert!(cache.put_newer_for(SHORT, &key, 9, "ninth").await);
    cache.let_short_pass().await;
    assert!(cache.put_newer(&key, 1, "first").await);
    assert_eq!(cache.version(&key).await, Some((1, Bytes::from("first"))));
}

pub async fn the_newest_of_many_versions_stays(cache: &Aged) {
    let key = &cache.key("a");
    join_all((0..CALLERS).map(|caller| async move {
        // Not in order.
        let version = (caller * 7) % CALLERS;
        cache.put_newer(key, version, &version.to_string()).await
    }))
    .await;
    assert_eq!(
        cache.version(key).await,
        Some((CALLERS - 1, Bytes::from((CALLERS - 1).to_string())))
    );
}

pub async fn only_the_equal_value_is_deleted(cache: &Aged) {
    let key = cache.key("a");
    cache.put(&key, b"\x00mine\xff").await;
    for other in [
        b"\x00mine".as_slice(),
        b"\x00mine\xff\x00",
        b"",
        b"\x00Mine\xff",
    ] {
        assert!(!cache.delete(&key, Some(other)).await, "{other:?}");
    }
    assert!(cache.get(&key).await.is_some());
    assert!(cache.delete(&key, Some(b"\x00mine\xff")).await);
    assert_eq!(cache.get(&key).await, None);
}

pub async fn deleting_an_equal_value_needs_one(cache: &Aged) {
    let key = cache.key("a");
    assert!(!cache.delete(&key, Some(b"")).await);
    cache.cache.put(&key, b"mine", SHORT).await.unwrap();
    cache.let_short_pass().await;
    assert!(!cache.delete(&key, Some(b"mine")).await);
}
