//! Where an answer came from and how old it is, for callers.

use std::time::Duration;

use super::entry::Entry;
use crate::clock::Timestamp;

/// Which tier answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tier {
    /// L1, the process.
    Memory,
    /// L2, the shared cache.
    Valkey,
    /// L3, the store.
    Store,
    /// Lark itself.
    Lark,
}

impl Tier {
    /// The tier in metrics and in `Cache-Status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Valkey => "valkey",
            Self::Store => "store",
            Self::Lark => "lark",
        }
    }
}

/// Where an answer came from and how old it is, for the headers `Age` and `Cache-Status` (RFC 9211).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Freshness {
    /// Which tier answered.
    pub tier: Tier,
    /// How old it is.
    pub age: Duration,
    /// Milliseconds for which it stays fresh; negative: stale, served while it is renewed or because Lark fails.
    pub ttl_ms: i64,
}

impl Freshness {
    /// The freshness of `entry` from `tier` at `now`.
    #[must_use]
    pub fn of(entry: &Entry, tier: Tier, now: Timestamp) -> Self {
        let ttl_ms = entry
            .fresh_until
            .as_millis()
            .saturating_sub(now.as_millis());
        Self {
            tier,
            age: now.since(entry.fetched_at),
            ttl_ms,
        }
    }

    /// Whether it is stale.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.ttl_ms <= 0
    }

    /// The value of the header `Cache-Control` (RFC 9111): from `max-age` a cache takes the `Age`, and has what is left. It is
    /// personal data, so only the caller's own.
    #[must_use]
    pub fn cache_control(&self) -> String {
        let left = u64::try_from(self.ttl_ms).map_or(0, |ttl_ms| ttl_ms / 1_000);
        if left == 0 {
            return "private, no-cache".to_owned();
        }
        format!("private, max-age={}", self.age.as_secs() + left)
    }

    /// The value of the header `Cache-Status`.
    #[must_use]
    pub fn cache_status(&self) -> String {
        let ttl = self.ttl_ms.div_euclid(1_000);
        match self.tier {
            Tier::Lark => format!("lark-service; fwd=miss; stored; ttl={ttl}"),
            Tier::Memory | Tier::Valkey | Tier::Store => {
                format!(
                    "lark-service; hit; ttl={ttl}; detail={}",
                    self.tier.as_str()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tiers::entry::{AbsentReason, FetchStamp};

    #[test]
    fn the_header_says_which_tier_answered_and_for_how_long_it_holds() {
        let now = Timestamp::from_seconds(1_000);
        let loading = FetchStamp {
            version: 1,
            at: now,
            took: Duration::ZERO,
        };
        let entry = Entry::absent(AbsentReason::Unknown, loading, Duration::from_secs(60));
        let later = now + Duration::from_secs(10);
        let status = |tier, at| Freshness::of(&entry, tier, at).cache_status();
        assert_eq!(
            status(Tier::Lark, now),
            "lark-service; fwd=miss; stored; ttl=60"
        );
        assert_eq!(
            status(Tier::Valkey, later),
            "lark-service; hit; ttl=50; detail=valkey"
        );
        let kept = |at| Freshness::of(&entry, Tier::Store, at).cache_control();
        assert_eq!(kept(later), "private, max-age=60");
        for stale in [59_001, 60_000, 90_000] {
            assert_eq!(
                kept(now + Duration::from_millis(stale)),
                "private, no-cache"
            );
        }
        assert_eq!(
            status(Tier::Store, now + Duration::from_secs(90)),
            "lark-service; hit; ttl=-30; detail=store"
        );
    }
}
