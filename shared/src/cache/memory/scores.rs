//! A sorted set as the bytes of one entry, so that the cache's capacity bounds it too. Each change rewrites the entry: right
//! for one machine, where sets are small.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Scores as bits, which round-trip exactly.
type Scores = BTreeMap<String, u64>;

/// `stored` with `added`, of which the `keep` highest stay.
pub(super) fn with_added(stored: Option<&Bytes>, added: &[(String, f64)], keep: usize) -> Bytes {
    let mut scores = read(stored);
    for (member, score) in added {
        let bits = scores.entry(member.clone()).or_default();
        *bits = (f64::from_bits(*bits) + score).to_bits();
    }
    let mut kept: Vec<_> = scores.into_iter().collect();
    kept.sort_by(highest_first);
    kept.truncate(keep);
    let kept = serde_json::to_vec(&kept.into_iter().collect::<Scores>());
    kept.expect("texts and numbers become JSON").into()
}

/// At most `limit` members of `stored`, the highest first.
pub(super) fn top(stored: Option<&Bytes>, limit: usize) -> Vec<(String, f64)> {
    let mut scores: Vec<_> = read(stored).into_iter().collect();
    scores.sort_by(highest_first);
    let scores = scores.into_iter().take(limit);
    scores
        .map(|(member, bits)| (member, f64::from_bits(bits)))
        .collect()
}

/// Of equal scores the later member first, as in Valkey.
fn highest_first(one: &(String, u64), other: &(String, u64)) -> std::cmp::Ordering {
    let score = |entry: &(String, u64)| f64::from_bits(entry.1);
    let by_score = score(other).total_cmp(&score(one));
    by_score.then_with(|| other.0.cmp(&one.0))
}

/// Empty if nothing or something else is stored.
fn read(stored: Option<&Bytes>) -> Scores {
    stored
        .and_then(|stored| serde_json::from_slice(stored).ok())
        .unwrap_or_default()
}
