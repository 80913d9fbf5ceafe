//! A limiter's decision, and its HTTP headers.

use std::cmp::Reverse;
use std::time::Duration;

use crate::quota::Quota;

/// Whether a request may proceed, as one window reports it: of the windows that refuse, the one that refuses longest;
/// otherwise the one with the least remaining.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    /// Whether the request may proceed. If so, its cost was taken from every window, otherwise from none.
    pub is_allowed: bool,
    /// How long until the same request is admitted if no other comes first; zero if it is allowed. A cost above the burst of a
    /// window is never admitted.
    pub retry_after: Duration,
    /// How many units could be taken at once now.
    pub remaining: u32,
    /// How long until the whole burst is available again.
    pub reset_after: Duration,
    /// The quota's limit. Without any quota, the maximum.
    pub limit: u32,
    /// The quota's window. Without any quota, zero.
    pub window: Duration,
}

/// What the decision is made from, after the request: how far each window is from full.
pub(crate) struct Levels<'l> {
    pub(crate) is_allowed: bool,
    /// How long until every window has enough.
    pub(crate) missing_us: u64,
    /// How long each window takes to be full again.
    pub(crate) backlogs_us: &'l [u64],
}

impl Decision {
    /// The decision about a request of `cost`, given the `levels` that it leaves of `quotas`.
    pub(crate) fn new(quotas: &[Quota], cost: u32, levels: &Levels<'_>) -> Self {
        let windows = quotas.iter().zip(levels.backlogs_us);
        let windows = windows.map(|(quota, &backlog_us)| {
            let missing_us = if levels.is_allowed {
                0
            } else {
                quota.missing_us(backlog_us, cost)
            };
            let remaining = quota.remaining(backlog_us);
            (missing_us, Reverse(remaining), backlog_us, quota)
        });
        let tightest = windows.max_by_key(|window| (window.0, window.1));
        let (Reverse(remaining), backlog_us, limit, window) = tightest.map_or(
            (Reverse(u32::MAX), 0, u32::MAX, Duration::ZERO),
            |(_, remaining, backlog_us, quota)| {
                let (limit, window) = (quota.limit(), quota.window());
                (remaining, backlog_us, limit, window)
            },
        );
        let retry_us = if levels.is_allowed {
            0
        } else {
            // Only a cost above a burst can be refused although nothing is missing.
            levels.missing_us.max(1)
        };
        Self {
            is_allowed: levels.is_allowed,
            retry_after: Duration::from_micros(retry_us),
            remaining,
            reset_after: Duration::from_micros(backlog_us),
            limit,
            window,
        }
    }

    /// The headers `RateLimit-Policy` and `RateLimit` for the policy `name`, which is printable ASCII without quotes and
    /// backslashes (others are left out): `"default";q=600;w=60` and `"default";r=42;t=17`.
    ///
    /// `t` is the time to the whole burst, or to the next attempt when this one is refused: `Retry-After` must not end
    /// earlier. Both are rounded up to seconds, and a window is at least one. A limiter that decides without the cache reports
    /// the smaller quota that it then has. See
    /// [the draft](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11), sections 3, 4 and 6.
    #[must_use]
    pub fn headers(&self, name: &str) -> [(&'static str, String); 2] {
        let is_plain =
            |character: &char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        let name: String = name.chars().filter(is_plain).collect();
        let effective_window = if self.is_allowed {
            self.reset_after
        } else {
            self.retry_after
        };
        let (q, w) = (self.limit, seconds(self.window).max(1));
        let (r, t) = (self.remaining, seconds(effective_window));
        [
            ("ratelimit-policy", format!("\"{name}\";q={q};w={w}")),
            ("ratelimit", format!("\"{name}\";r={r};t={t}")),
        ]
    }
}

/// `length` in seconds, rounded up.
fn seconds(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: Decision = Decision {
        is_allowed: true,
        retry_after: Duration::ZERO,
        remaining: 42,
        reset_after: Duration::from_millis(16_100),
        limit: 600,
        window: Duration::from_secs(60),
    };

    fn check(decision: Decision, name: &str, policy: &str, state: &str) {
        let [(policy_name, policy_text), (state_name, state_text)] = decision.headers(name);
        assert_eq!((policy_name, state_name), ("ratelimit-policy", "ratelimit"));
        assert_eq!((policy_text.as_str(), state_text.as_str()), (policy, state));
    }

    #[test]
    fn headers_tell_the_policy_and_what_remains() {
        check(
            ALLOWED,
            "default",
            r#""default";q=600;w=60"#,
            r#""default";r=42;t=17"#,
        );
    }

    #[test]
    fn the_effective_window_of_a_refusal_ends_with_the_wait() {
        let refused = Decision {
            is_allowed: false,
            retry_after: Duration::from_millis(1_001),
            remaining: 0,
            reset_after: Duration::from_secs(60),
            ..ALLOWED
        };
        check(
            refused,
            "default",
            r#""default";q=600;w=60"#,
            r#""default";r=0;t=2"#,
        );
    }

    #[test]
    fn a_window_below_a_second_is_told_as_one() {
        let quick = Decision {
            window: Duration::from_millis(200),
            reset_after: Duration::ZERO,
            ..ALLOWED
        };
        check(
            quick,
            "default",
            r#""default";q=600;w=1"#,
            r#""default";r=42;t=0"#,
        );
    }

    #[test]
    fn a_name_cannot_end_its_quotes() {
        check(
            ALLOWED,
            "a\"b\\c\r\nd é",
            r#""abcd ";q=600;w=60"#,
            r#""abcd ";r=42;t=17"#,
        );
    }
}
