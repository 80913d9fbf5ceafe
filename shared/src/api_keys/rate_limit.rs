//! How many requests a key is good for.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many requests a key is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many requests.
    #[schema(value_type = u32, minimum = 1, maximum = 4_294_967_295_i64)]
    pub limit: NonZeroU32,
    /// In how many seconds.
    #[schema(value_type = u32, minimum = 1, maximum = 86_400)]
    pub window_seconds: NonZeroU32,
}

impl RateLimit {
    /// The limit of a key that was not given another: as many requests as the platform allows each app in a minute.
    pub const DEFAULT: Self = Self {
        limit: NonZeroU32::new(1_000).expect("not zero"),
        window_seconds: NonZeroU32::new(60).expect("not zero"),
    };

    /// The longest window: a day.
    pub const MAX_WINDOW_SECONDS: u32 = 86_400;

    /// `limit` requests in `window_seconds`, if both are valid: above zero, and the window at most a day.
    #[must_use]
    pub fn new(limit: u32, window_seconds: u32) -> Option<Self> {
        let window_seconds = NonZeroU32::new(window_seconds)?;
        (window_seconds.get() <= Self::MAX_WINDOW_SECONDS).then_some(Self {
            limit: NonZeroU32::new(limit)?,
            window_seconds,
        })
    }

    /// Whether `other` allows no more requests than this: neither at once nor in the long run.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let wide = |number: NonZeroU32| u64::from(number.get());
        let own = wide(self.limit) * wide(other.window_seconds);
        other.limit <= self.limit && wide(other.limit) * wide(self.window_seconds) <= own
    }

    /// `600/60`: the form in the authorizer's context.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (limit, window) = text.split_once('/')?;
        Self::new(limit.parse().ok()?, window.parse().ok()?)
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.limit, self.window_seconds)
    }
}

/// A [`RateLimit`] as somebody gave it, not checked yet.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenRateLimit {
    limit: u32,
    window_seconds: u32,
}

impl GivenRateLimit {
    /// [`RateLimit::DEFAULT`]: the limit of a key when the field, in which null stands for no limit, is left out.
    #[must_use]
    pub const fn by_default() -> Option<Self> {
        Some(Self {
            limit: RateLimit::DEFAULT.limit.get(),
            window_seconds: RateLimit::DEFAULT.window_seconds.get(),
        })
    }

    /// The limit, if it is valid.
    ///
    /// # Errors
    /// What is right, as the end of a sentence about the field.
    pub fn check(self) -> Result<RateLimit, &'static str> {
        RateLimit::new(self.limit, self.window_seconds)
            .ok_or("must have a limit above 0 and window_seconds from 1 to 86400")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_reads_back_as_itself_and_is_bounded() {
        assert_eq!(RateLimit::parse("600/60").unwrap().to_string(), "600/60");
        for wrong in ["", "600", "0/60", "600/0", "600/86401", "a/b", "-1/60"] {
            assert_eq!(RateLimit::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_rate_limit_covers_what_is_neither_more_at_once_nor_in_the_long_run() {
        let limit = |text| RateLimit::parse(text).unwrap();
        for (other, is_covered) in [
            ("50/60", true),
            ("10/12", true),
            ("1/86400", true),
            ("51/60", false),
            ("50/59", false),
            ("51/86400", false),
            ("4294967295/86400", false),
        ] {
            assert_eq!(limit("50/60").covers(&limit(other)), is_covered, "{other}");
        }
        let most = limit("4294967295/1");
        assert!(most.covers(&limit("4294967295/86400")) && most.covers(&most));
    }
}
