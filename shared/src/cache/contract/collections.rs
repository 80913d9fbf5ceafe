//! Sorted sets and counters.

use super::*;

/// How many callers race.
const CALLERS: u64 = 32;
/// However many members there are.
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

async fn count(cache: &Aged, key: &str, name: &str, count: u64) {
    let counts = [(name.to_owned(), count)];
    cache.cache.add_counts(key, &counts, LONG).await.unwrap();
}

fn counted(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let expected = expected.iter();
    expected
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
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

pub async fn counts_add_up(cache: &Aged) {
    let key = cache.key("a");
    let counts = [("one", 1), ("two", 1 << 60), ("名前 \r\n", 0), ("one", 2)];
    let counts: Vec<_> = counts.map(|(name, count)| (name.to_owned(), count)).into();
    cache.cache.add_counts(&key, &counts, LONG).await.unwrap();
    count(cache, &key, "two", 1).await;
    let expected = counted(&[("one", 3), ("two", (1 << 60) + 1), ("名前 \r\n", 0)]);
    for _ in 0..2 {
        assert_eq!(cache.cache.counts(&key).await.unwrap(), expected);
    }
}

pub async fn what_nobody_counted_has_no_counts(cache: &Aged) {
    let key = cache.key("a");
    cache.cache.add_counts(&key, &[], LONG).await.unwrap();
    assert_eq!(cache.cache.counts(&key).await.unwrap(), counted(&[]));
    assert_eq!(cache.cache.take_counts(&key).await.unwrap(), counted(&[]));
}

pub async fn taken_counts_are_gone(cache: &Aged) {
    let key = cache.key("a");
    count(cache, &key, "one", 3).await;
    let taken = cache.cache.take_counts(&key).await.unwrap();
    assert_eq!(taken, counted(&[("one", 3)]));
    assert_eq!(cache.cache.counts(&key).await.unwrap(), counted(&[]));
    count(cache, &key, "two", 1).await;
    let counts = cache.cache.counts(&key).await.unwrap();
    assert_eq!(counts, counted(&[("two", 1)]));
}

pub async fn each_count_is_taken_once(cache: &Aged) {
    let key = &cache.key("a");
    let sums = join_all((0..CALLERS).map(|caller| async move {
        count(cache, key, &format!("name {}", caller % 3), caller).await;
        let taken = cache.cache.take_counts(key).await.unwrap();
        taken.values().sum::<u64>()
    }));
    let sum: u64 = sums.await.into_iter().sum();
    assert_eq!(sum, (0..CALLERS).sum::<u64>());
}

pub async fn counts_expire_after_the_last_addition(cache: &Aged) {
    let (mortal, lasting) = (cache.key("a"), cache.key("b"));
    for key in [&mortal, &lasting] {
        let counts = [("one".to_owned(), 1)];
        cache.cache.add_counts(key, &counts, SHORT).await.unwrap();
    }
    count(cache, &lasting, "one", 1).await;
    cache.let_short_pass().await;
    let counts = cache.cache.counts(&mortal).await.unwrap();
    assert_eq!(counts, counted(&[]));
    let counts = cache.cache.counts(&lasting).await.unwrap();
    assert_eq!(counts, counted(&[("one", 2)]));
}
