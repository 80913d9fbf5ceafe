//! When a token is renewed, how long it is handed out, how long to back off after a failure. Pure.
//!
//! With 30 minutes or more left the platform answers with the same token; below that with a new one, and both work until they
//! expire ("Get custom app's tenant_access_token"). So renewal is due between 25 and 20 minutes before expiry: an outage of 20
//! minutes affects no caller.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::FailureKind;

/// No caller gets a token with less time left, unless Lark is down: 7,000 s of 7,200 s.
pub const MARGIN: Duration = Duration::from_secs(200);
/// Renewal is due at most this long before the end.
const EARLIEST: Duration = Duration::from_secs(25 * 60);
/// Renewal is due at least this long before the end.
const LATEST: Duration = Duration::from_secs(20 * 60);
/// The pause after an outage doubles up to this: the scheduled run comes every minute.
const MAX_OUTAGE_PAUSE: Duration = Duration::from_secs(60);
/// The pause after refused credentials doubles from a minute up to this.
pub const MAX_REFUSAL_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The pause while waiting for a marketplace app's ticket.
const TICKET_PAUSE: Duration = Duration::from_secs(1);

/// How far the clocks of two hosts may be apart. What began later than that has not begun: the clock of the host that wrote it was
/// fast.
pub const SKEW: Duration = Duration::from_secs(60);

/// Whether `moment`, at which something began, lies in the future at `now`.
#[must_use]
pub fn is_in_future(moment: Timestamp, now: Timestamp) -> bool {
    moment > now + SKEW
}

/// Whether what ends at `until` and lasts `longest` at most has not ended at `now`, and can have begun.
#[must_use]
pub fn lasts(until: Timestamp, longest: Duration, now: Timestamp) -> bool {
    until > now && until.since(now) <= longest + SKEW
}

/// How much of a token's life is left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenPhase {
    /// More than the margin: the token is handed out.
    Fresh,
    /// Less than the margin: handed out only if no other is available.
    Ending,
    /// Nothing.
    Ended,
}

/// How much is left at `now` of a token that lives from `issued_at` to `expires_at`. A short-lived token has a margin of a
/// quarter of its life. One that begins in the future has ended: when it really ends is not known.
#[must_use]
pub fn phase(issued_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> TokenPhase {
    let left = expires_at.since(now);
    if left.is_zero() || is_in_future(issued_at, now) {
        TokenPhase::Ended
    } else if left > margin(issued_at, expires_at) {
        TokenPhase::Fresh
    } else {
        TokenPhase::Ending
    }
}

/// The part at the end of a token's life in which it is not handed out.
#[must_use]
pub fn margin(issued_at: Timestamp, expires_at: Timestamp) -> Duration {
    MARGIN.min(expires_at.since(issued_at) / 4)
}

/// When the renewal of the token that lives from `issued_at` to `expires_at` is due; `jitter` from 0 to 1 spreads tokens
/// that were issued together. A token that lives less than 50 minutes is renewed around the middle of its life.
#[must_use]
pub fn refresh_at(issued_at: Timestamp, expires_at: Timestamp, jitter: f64) -> Timestamp {
    let jitter = jitter.clamp(0.0, 1.0);
    let half = expires_at.since(issued_at) / 2;
    let (least, most) = if EARLIEST <= half {
        (LATEST, EARLIEST)
    } else {
        (half.mul_f64(0.8), half)
    };
    expires_at - (least + (most - least).mul_f64(jitter))
}

/// When the renewal of a login is due whose refresh token lives from `issued_at` to `expires_at`, unless a caller needs it
/// sooner: between the middle of its life and a tenth of it earlier, so that no user loses a login to an outage of days.
#[must_use]
pub fn login_refresh_at(issued_at: Timestamp, expires_at: Timestamp, jitter: f64) -> Timestamp {
    let life = expires_at.since(issued_at);
    expires_at - life.mul_f64(0.5 + 0.1 * jitter.clamp(0.0, 1.0))
}

/// How long to back off after `count` failures of `kind` in a row.
#[must_use]
pub fn pause(kind: FailureKind, count: u32, retry_after: Option<Duration>) -> Duration {
    let doublings = 2_u32.saturating_pow(count.saturating_sub(1).min(16));
    if kind.is_outage() {
        let own = Duration::from_secs(1)
            .saturating_mul(doublings)
            .min(MAX_OUTAGE_PAUSE);
        own.max(retry_after.unwrap_or_default().min(MAX_OUTAGE_PAUSE))
    } else if kind == FailureKind::TicketMissing {
        // The ticket arrives moments after the request, and checking for it costs the platform nothing.
        TICKET_PAUSE
    } else {
        Duration::from_secs(60)
            .saturating_mul(doublings)
            .min(MAX_REFUSAL_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ISSUED: Timestamp = Timestamp::from_seconds(1_000_000);

    #[test]
    fn what_begins_in_the_future_has_ended_and_nothing_lasts_longer_than_it_can() {
        let (hour, life) = (Duration::from_secs(3_600), Duration::from_secs(7_200));
        for (fast, expected) in [
            (Duration::ZERO, TokenPhase::Fresh),
            (SKEW, TokenPhase::Fresh),
            (SKEW + Duration::from_millis(1), TokenPhase::Ended),
            (3 * hour, TokenPhase::Ended),
            (24 * 365 * hour, TokenPhase::Ended),
        ] {
            let issued = ISSUED + fast;
            assert_eq!(phase(issued, issued + life, ISSUED), expected, "{fast:?}");
        }
        assert!(lasts(ISSUED + hour, hour, ISSUED));
        assert!(lasts(ISSUED + hour + SKEW, hour, ISSUED));
        assert!(!lasts(ISSUED + 2 * hour, hour, ISSUED));
        assert!(!lasts(ISSUED, hour, ISSUED));
    }

    #[test]
    fn a_two_hour_token_is_due_25_to_20_minutes_before_its_end_and_handed_out_for_7000_seconds() {
        let expires = ISSUED + Duration::from_secs(7_200);
        assert_eq!(refresh_at(ISSUED, expires, 1.0), expires - EARLIEST);
        assert_eq!(refresh_at(ISSUED, expires, 0.0), expires - LATEST);
        assert_eq!(
            phase(ISSUED, expires, ISSUED + Duration::from_secs(6_999)),
            TokenPhase::Fresh
        );
        assert_eq!(
            phase(ISSUED, expires, ISSUED + Duration::from_secs(7_000)),
            TokenPhase::Ending
        );
        assert_eq!(phase(ISSUED, expires, expires), TokenPhase::Ended);
    }

    proptest! {
        #[test]
        fn renewal_is_due_inside_the_life_and_before_the_margin(life in 4_u64..20_000, jitter in 0.0_f64..=1.0) {
            let expires = ISSUED + Duration::from_secs(life);
            let due = refresh_at(ISSUED, expires, jitter);
            prop_assert!(due >= ISSUED);
            prop_assert!(due <= expires - margin(ISSUED, expires));
            prop_assert!(due + EARLIEST >= expires || life > 3_000);
        }

        #[test]
        fn a_standing_never_improves(life in 1_u64..20_000, at in 0_u64..20_000, later in 0_u64..20_000) {
            let rank = |phase| match phase { TokenPhase::Fresh => 0, TokenPhase::Ending => 1, TokenPhase::Ended => 2 };
            let expires = ISSUED + Duration::from_secs(life);
            let then = ISSUED + Duration::from_secs(at);
            let before = phase(ISSUED, expires, then);
            prop_assert!(rank(before) <= rank(phase(ISSUED, expires, then + Duration::from_secs(later))));
        }

        #[test]
        fn a_pause_never_shrinks_and_is_bounded(count in 1_u32..100) {
            for kind in [FailureKind::Unavailable, FailureKind::Timeout, FailureKind::RateLimited, FailureKind::AppRefused] {
                prop_assert!(pause(kind, count, None) <= pause(kind, count + 1, None));
                prop_assert!(pause(kind, count, Some(Duration::from_secs(3_600))) <= MAX_REFUSAL_PAUSE);
            }
        }
    }
}
