//! Sorted sets, which also serve as counters.

use super::*;

/// How many callers race.
const CALLERS: u64 = 32;
/// No limit on the members.
const ALL: usize = usize::MAX;

async fn score(cache: &Aged, key: &str, scores: &[(&str, f64)], keep: usize) {
    let scores = scores.iter();
    let scores: Vec<_> = scores
        .map(|(member, score)| ((*member).to_owned(), *score))
        .collect();
    let added = cache.cache.add_scores(key, &scores, keep, LONG);
    added.await.unwrap();
}

async fn top(cache: &Aged, key: &str, limit: usize) -> Vec<(String, f64)> {
    cache.cache.top_scores(key, limit).await.unwrap()
}

fn scored(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    let expected = expected.iter();
    expected
        .map(|(member, score)| ((*member).to_owned(), *score))
        .collect()
}

async fn take(cache: &Aged, key: &str) -> Vec<(String, f64)> {
    cache.cache.take_scores(key).await.unwrap()
}

pub async fn scores_add_up_and_the_highest_come_first(cache: &Aged) {
    let key = cache.key("a");
    score(
        cache,
        &key,
        &[("one", 1.0), ("two", 2.5), ("名前 \r\n", 0.125)],
        ALL,
    )
    .await;
    score(
        cache,
        &key,
        &[("one", 1e9), ("two", -5.0), ("one", 0.5)],
        ALL,
    )
    .await;
    let expected = [("one", 1e9 + 1.5), ("名前 \r\n", 0.125), ("two", -2.5)];
    assert_eq!(top(cache, &key, ALL).await, scored(&expected));
}

pub async fn no_more_scores_come_than_the_limit(cache: &Aged) {
    let key = cache.key("a");
    score(
        cache,
        &key,
        &[("one", 1.0), ("two", 2.0), ("three", 3.0)],
        ALL,
    )
    .await;
    assert_eq!(
        top(cache, &key, 2).await,
        scored(&[("three", 3.0), ("two", 2.0)])
    );
    assert_eq!(top(cache, &key, 0).await, []);
    assert_eq!(top(cache, &cache.key("b"), ALL).await, []);
}

pub async fn only_the_highest_scores_are_kept(cache: &Aged) {
    let key = cache.key("a");
    score(
        cache,
        &key,
        &[("one", 1.0), ("two", 2.0), ("three", 3.0)],
        2,
    )
    .await;
    score(cache, &key, &[("one", 2.5)], 2).await;
    let expected = scored(&[("three", 3.0), ("one", 2.5)]);
    assert_eq!(top(cache, &key, ALL).await, expected, "one began anew");
    score(cache, &key, &[("two", 2.75)], 0).await;
    assert_eq!(top(cache, &key, ALL).await, []);
}

pub async fn no_score_of_many_callers_is_lost(cache: &Aged) {
    let key = &cache.key("a");
    let scores = &[("one", 1.0), ("two", 2.0)];
    join_all((0..CALLERS).map(|_| score(cache, key, scores, ALL))).await;
    assert_eq!(
        top(cache, key, ALL).await,
        scored(&[("two", 64.0), ("one", 32.0)])
    );
}

pub async fn scores_expire_after_the_last_addition(cache: &Aged) {
    let (mortal, lasting) = (cache.key("a"), cache.key("b"));
    for key in [&mortal, &lasting] {
        let scores = scored(&[("one", 1.0)]);
        let added = cache.cache.add_scores(key, &scores, ALL, SHORT);
        added.await.unwrap();
    }
    score(cache, &lasting, &[("one", 1.0)], ALL).await;
    cache.let_short_pass().await;
    assert_eq!(top(cache, &mortal, ALL).await, []);
    assert_eq!(top(cache, &lasting, ALL).await, scored(&[("one", 2.0)]));
}

pub async fn whole_scores_are_exact_up_to_2_to_the_53(cache: &Aged) {
    let key = cache.key("a");
    let largest = (1_u64 << 53) as f64;
    let counts = [
        ("one", 1.0),
        ("two", largest - 2.0),
        ("名前 \r\n", 0.0),
        ("one", 2.0),
    ];
    score(cache, &key, &counts, ALL).await;
    for _ in 0..2 {
        score(cache, &key, &[("two", 1.0)], ALL).await;
    }
    let expected = scored(&[("two", largest), ("one", 3.0), ("名前 \r\n", 0.0)]);
    assert_eq!(top(cache, &key, ALL).await, expected);
    assert_eq!(take(cache, &key).await, expected);
}

pub async fn adding_no_scores_is_fine(cache: &Aged) {
    let key = cache.key("a");
    score(cache, &key, &[], ALL).await;
    assert_eq!(top(cache, &key, ALL).await, []);
    assert_eq!(take(cache, &key).await, []);
    score(cache, &key, &[("one", 1.0)], ALL).await;
    score(cache, &key, &[], 0).await;
    assert_eq!(take(cache, &key).await, scored(&[("one", 1.0)]));
}

pub async fn taken_scores_are_gone(cache: &Aged) {
    let key = cache.key("a");
    score(cache, &key, &[("one", 3.0), ("two", 0.5)], ALL).await;
    let expected = scored(&[("one", 3.0), ("two", 0.5)]);
    assert_eq!(take(cache, &key).await, expected);
    assert_eq!(top(cache, &key, ALL).await, []);
    assert_eq!(take(cache, &key).await, []);
    score(cache, &key, &[("two", 1.0)], ALL).await;
    assert_eq!(top(cache, &key, ALL).await, scored(&[("two", 1.0)]));
}

pub async fn each_addition_is_taken_once(cache: &Aged) {
    let key = &cache.key("a");
    let sums = join_all((0..CALLERS).map(|caller| async move {
        let member = format!("member {}", caller % 3);
        score(cache, key, &[(&member, caller as f64)], ALL).await;
        let taken = take(cache, key).await;
        taken.into_iter().map(|(_, score)| score).sum::<f64>()
    }));
    let sum: f64 = sums.await.into_iter().sum();
    assert_eq!(sum, (0..CALLERS).sum::<u64>() as f64);
}
