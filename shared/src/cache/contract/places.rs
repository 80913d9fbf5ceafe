//! Places in the queue that are given back.

use super::throttle::{HOUR, assert_about, assert_around, hourly, quota, slow};
use super::*;
use crate::quota::gcra::MAX_PATIENCE;

pub async fn the_last_place_is_given_back(cache: &Aged) {
    let (key, quotas) = (cache.key("a"), [slow(1), hourly(9)]);
    for _ in 0..3 {
        let decision = cache.throttle_for(&key, &quotas, 1, MAX_PATIENCE).await;
        assert!(decision.is_allowed);
    }
    for _ in 0..3 {
        let last = cache.throttle_for(&key, &quotas, 1, MAX_PATIENCE).await;
        assert!(last.is_allowed);
        assert_around(last.wait, quotas[0].interval() * 3);
        assert!(cache.give_back(&key, &quotas, 1, &last).await);
    }
    // The wide window has its unit back too.
    let free = cache.throttle(&key, &quotas, 0).await;
    assert_eq!((free.is_allowed, free.limit), (true, 30));
    let wide = [quota(999, HOUR * 999), quotas[1]];
    assert_eq!(cache.throttle(&key, &wide, 0).await.remaining, 6);
}

pub async fn places_are_given_back_in_the_order_of_leaving(cache: &Aged) {
    let (key, quotas) = (cache.key("a"), [hourly(5)]);
    let mut places = Vec::new();
    for _ in 0..5 {
        places.push(cache.throttle(&key, &quotas, 1).await);
    }
    assert!(!cache.throttle(&key, &quotas, 1).await.is_allowed);
    assert!(!cache.give_back(&key, &quotas, 1, &places[3]).await);
    for (left, place) in (1..).zip(places.iter().rev()) {
        assert!(cache.give_back(&key, &quotas, 1, place).await);
        assert_eq!(cache.throttle(&key, &quotas, 0).await.remaining, left);
    }
}

pub async fn a_place_is_kept_once_somebody_came_after_it(cache: &Aged) {
    let (key, quotas) = (cache.key("a"), [slow(1)]);
    let first = cache.throttle_for(&key, &quotas, 1, MAX_PATIENCE).await;
    let second = cache.throttle_for(&key, &quotas, 1, MAX_PATIENCE).await;
    assert!(!cache.give_back(&key, &quotas, 1, &first).await);
    let third = cache.throttle_for(&key, &quotas, 1, MAX_PATIENCE).await;
    assert!(!cache.give_back(&key, &quotas, 1, &second).await);
    assert_around(third.wait, quotas[0].interval() * 2);
}

pub async fn a_place_is_given_back_once(cache: &Aged) {
    let (key, quotas) = (cache.key("a"), [hourly(5)]);
    let other = cache.key("b");
    assert!(cache.throttle(&key, &quotas, 1).await.is_allowed);
    let place = cache.throttle(&key, &quotas, 2).await;
    assert!(!cache.give_back(&other, &quotas, 2, &place).await);
    assert!(cache.give_back(&key, &quotas, 2, &place).await);
    assert!(!cache.give_back(&key, &quotas, 2, &place).await);
    assert_eq!(cache.throttle(&key, &quotas, 0).await.remaining, 4);
    let refused = cache.throttle(&key, &quotas, 5).await;
    assert_eq!((refused.is_allowed, refused.place_us), (false, 0));
    let free = cache.throttle(&key, &quotas, 0).await;
    assert_eq!((free.is_allowed, free.place_us), (true, 0));
    for nothing in [refused, free] {
        assert!(!cache.give_back(&key, &quotas, 1, &nothing).await);
    }
}

pub async fn giving_a_place_back_leaves_a_pause(cache: &Aged) {
    let (key, quotas) = (cache.key("a"), [hourly(5)]);
    assert!(cache.throttle(&key, &quotas, 1).await.is_allowed);
    let place = cache.throttle(&key, &quotas, 1).await;
    cache.pause(&key, LONG).await;
    assert!(cache.give_back(&key, &quotas, 1, &place).await);
    let refused = cache.throttle(&key, &quotas, 1).await;
    assert!(!refused.is_allowed);
    assert_about(refused.retry_after, LONG);
}

pub async fn all_that_was_given_back_leaves_no_entry(cache: &Aged) {
    let (key, quotas) = (cache.key("a"), [hourly(5), slow(1)]);
    let place = cache.throttle(&key, &quotas, 1).await;
    assert!(cache.give_back(&key, &quotas, 1, &place).await);
    cache.let_expire(&key).await;
    assert_eq!(
        cache.throttle(&key, &quotas, 0).await.reset_after,
        Duration::ZERO
    );
}
