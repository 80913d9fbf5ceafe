//! The keys that the store confirmed a moment ago: the front door stays open for them while the store is slow or fails.

use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;

use crate::clock::Timestamp;
use crate::store::{Record, StoreError};

/// For how long after the store confirmed it a key is admitted without the store.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(60);
/// How long the store may take before memory answers in its place.
pub(super) const PATIENCE: Duration = Duration::from_millis(150);
/// For how many keys a process remembers their records, of a few hundred bytes each.
const MAX_KNOWN: usize = 1_000;

/// The records of admitted keys, as the store had them last.
#[derive(Debug)]
pub(super) struct KnownKeys(LocalCache<String, Known>);

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) record: Record,
    /// When the store was asked.
    pub(super) confirmed_at: Timestamp,
}

impl KnownKeys {
    pub(super) fn new() -> Self {
        Self(LocalCache::new(MAX_KNOWN))
    }

    /// The store had this record of an active key, whose secret was presented, when it was asked at `asked_at` or later.
    pub(super) fn confirm(&self, id: &str, record: Record, asked_at: Timestamp) {
        let known = Known {
            record,
            confirmed_at: asked_at,
        };
        self.0.insert(id.to_owned(), known);
    }

    /// The store says that the key may not be used.
    pub(super) fn forget(&self, id: &str) {
        self.0.remove(id);
    }

    /// The key, if it was confirmed within [`KNOWN_FOR`] before `now`. A confirmation in the future is none: a clock was wrong.
    pub(super) fn get(&self, id: &str, now: Timestamp) -> Option<Known> {
        let known = self.0.get(id)?;
        let is_recent = known.confirmed_at <= now && now.since(known.confirmed_at) < KNOWN_FOR;
        is_recent.then_some(known)
    }

    /// [`KnownKeys::get`] in place of an answer that failed with `error`. A record that cannot be read is an answer.
    pub(super) fn instead_of(&self, error: &StoreError, id: &str, now: Timestamp) -> Option<Known> {
        match error {
            StoreError::Timeout { .. }
            | StoreError::Skipped { .. }
            | StoreError::Unavailable { .. } => self.get(id, now),
            StoreError::Conflict | StoreError::Corrupt { .. } => None,
        }
    }
}

#[cfg(test)]
mod outages;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;

    #[test]
    fn a_key_is_known_for_a_minute_after_its_confirmation_and_not_before() {
        let known = KnownKeys::new();
        let confirmed = Timestamp::from_seconds(1_700_000_000);
        known.confirm("id", Record::new(Key::new("id", "key"), 1), confirmed);
        let (milli, minute) = (Duration::from_millis(1), Duration::from_secs(60));
        for (now, expected) in [
            (confirmed - milli, false),
            (confirmed, true),
            (confirmed + (minute - milli), true),
            (confirmed + minute, false),
            (confirmed + minute * 1_000, false),
        ] {
            assert_eq!(known.get("id", now).is_some(), expected, "at {now}");
        }
        known.forget("id");
        assert!(known.get("id", confirmed).is_none());
    }

    #[test]
    fn no_more_keys_are_known_than_the_limit() {
        let known = KnownKeys::new();
        let now = Timestamp::from_seconds(1_700_000_000);
        for number in 0..MAX_KNOWN * 3 {
            let id = number.to_string();
            known.confirm(&id, Record::new(Key::new(&*id, "key"), 1), now);
        }
        let kept =
            (0..MAX_KNOWN * 3).filter(|number| known.get(&number.to_string(), now).is_some());
        assert!(kept.count() <= MAX_KNOWN);
    }
}
