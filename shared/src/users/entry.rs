//! What is kept of a user in every tier.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::User;
use crate::clock::Timestamp;

/// A look-up's outcome, as it is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct UserEntry {
    /// The profile as JSON, ready to be answered with; `None`: no such user.
    pub body: Option<String>,
    /// When Lark said so.
    pub fetched_at: Timestamp,
    /// Until when it is believed without asking again.
    pub fresh_until: Timestamp,
}

impl UserEntry {
    /// The entry for `user`, believed for `ttl`.
    #[must_use]
    pub fn present(user: &User, now: Timestamp, ttl: Duration) -> Self {
        let body = serde_json::to_string(user).expect("a profile is plain data");
        Self {
            body: Some(body),
            fetched_at: now,
            fresh_until: now + ttl,
        }
    }

    /// The entry for a user that does not exist, believed for `ttl`.
    #[must_use]
    pub fn absent(now: Timestamp, ttl: Duration) -> Self {
        Self {
            body: None,
            fetched_at: now,
            fresh_until: now + ttl,
        }
    }

    /// Whether it is believed at `now`.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.fresh_until > now
    }

    /// What it takes in memory, about.
    #[must_use]
    pub fn weight(&self) -> u64 {
        (self.body.as_ref().map_or(0, String::len) + size_of::<Self>()) as u64
    }
}

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

/// How an answer came about, for the headers `Age` and `Cache-Status` (RFC 9211).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Freshness {
    /// Which tier answered.
    pub tier: Tier,
    /// How old it is.
    pub age: Duration,
    /// Milliseconds for which it stays fresh; negative: stale, served because Lark fails.
    pub ttl_ms: i64,
}

impl Freshness {
    /// How `entry` from `tier` stands at `now`.
    #[must_use]
    pub fn of(entry: &UserEntry, tier: Tier, now: Timestamp) -> Self {
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

    #[test]
    fn the_header_says_which_tier_answered_and_for_how_long_it_holds() {
        let now = Timestamp::from_seconds(1_000);
        let entry = UserEntry::present(&User::default(), now, Duration::from_secs(60));
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
        assert_eq!(
            status(Tier::Store, now + Duration::from_secs(90)),
            "lark-service; hit; ttl=-30; detail=store"
        );
    }
}
