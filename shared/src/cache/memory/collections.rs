//! Sorted sets and counters as the bytes of one entry, so that the cache's capacity bounds them too. Each change rewrites the
//! entry: right for one machine, where they are small.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Scores as their bits, which come back as they were.
type Scores = BTreeMap<String, u64>;

/// `stored` with `scores` added, of which the `keep` highest stay.
pub(super) fn with_scores(stored: Option<&Bytes>, scores: &[(String, f64)], keep: usize) -> Bytes {
    let mut kept: Scores = read(stored);
    for (member, score) in scores {
        let bits = kept.entry(member.clone()).or_default();
        *bits = (f64::from_bits(*bits) + score).to_bits();
    }
    let mut kept: Vec<_> = kept.into_iter().collect();
    kept.sort_by(highest_first);
    kept.truncate(keep);
    write(&kept.into_iter().collect::<Scores>())
}

/// At most `limit` members of `stored`, the highest first.
pub(super) fn top(stored: Option<&Bytes>, limit: usize) -> Vec<(String, f64)> {
    let mut scores: Vec<_> = read::<Scores>(stored).into_iter().collect();
    scores.sort_by(highest_first);
    let scores = scores.into_iter().take(limit);
    scores
        .map(|(member, bits)| (member, f64::from_bits(bits)))
        .collect()
}

/// `stored` with `counts` added.
pub(super) fn with_counts(stored: Option<&Bytes>, counts: &[(String, u64)]) -> Bytes {
    let mut kept: BTreeMap<String, u64> = read(stored);
    for (name, count) in counts {
        let sum = kept.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    write(&kept)
}

/// What [`with_counts`] made.
pub(super) fn counts(stored: Option<&Bytes>) -> BTreeMap<String, u64> {
    read(stored)
}

/// Of equal scores the later member first, as in Valkey.
fn highest_first(one: &(String, u64), other: &(String, u64)) -> std::cmp::Ordering {
    let score = |entry: &(String, u64)| f64::from_bits(entry.1);
    let by_score = score(other).total_cmp(&score(one));
    by_score.then_with(|| other.0.cmp(&one.0))
}

/// Nothing, if there is nothing or something else.
fn read<T: Default + DeserializeOwned>(stored: Option<&Bytes>) -> T {
    stored
        .and_then(|stored| serde_json::from_slice(stored).ok())
        .unwrap_or_default()
}

fn write(collection: &impl Serialize) -> Bytes {
    let bytes = serde_json::to_vec(collection);
    bytes.expect("texts and numbers become JSON").into()
}
