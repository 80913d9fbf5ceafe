//! Settings that can change while the simulator runs, apart from apps, users, faults and time.

use serde::{Deserialize, Serialize};

use crate::rate_limit::{RateLimitWindows, Tier, Window};

/// The settings for all apps. The field names are those of `PATCH /_sim/settings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Lifetime of a tenant or app token issued from now on, in seconds. The platform's maximum and the default are
    /// 7,200.
    pub token_lifetime_seconds: u64,
    /// Lifetime of a user_access_token issued from now on, in seconds. Default 7,200, as in the platform's samples.
    pub user_token_lifetime_seconds: u64,
    /// Lifetime of a refresh token issued from now on, in seconds; it never exceeds 365 days after consent. Default
    /// 604,800, as in the platform's samples.
    pub refresh_token_lifetime_seconds: u64,
    /// Whether a second use of a refresh token ends the whole login, as RFC 9700 advises. Default off: the platform
    /// documents only that the second call fails.
    pub refresh_reuse_revokes: bool,
    /// Delay of every call, in real milliseconds. Default 0.
    pub delay_ms: u64,
    /// Whether the documented limits apply: per app, tenant and API, and those of messages per chat and person. Default
    /// off.
    pub rate_limits: bool,
    /// The kind of window for these limits. Default [`Fixed`](RateLimitWindows::Fixed).
    pub rate_limit_windows: RateLimitWindows,
    /// Shortens every window of the limits by this factor, so that a test need not last minutes: with 60, a minute's
    /// budget lasts a second of simulated time. Default 1.
    pub rate_limit_scale: u32,
    /// Calls per month, for all self-built apps together: 99991403 beyond, until the month ends. Only instant messages count.
    /// Default none: only the platform's free plan has a quota.
    pub monthly_quota: Option<u64>,
    /// Messages per second to one chat, shared by the bots of all apps, in any window of a second: 230020 beyond.
    /// Default 5 ("Send message" in the platform's reference).
    pub chat_messages_per_second: u32,
    /// The same for the messages to one person, from all apps. Default 5.
    pub person_messages_per_second: u32,
    /// Changes per second of one card. Default 5.
    pub card_changes_per_second: u32,
    /// How long a message can be recalled, in seconds: an administrator's choice. Default a day.
    pub recall_window_seconds: u64,
    /// How long a message can be edited, in seconds: an administrator's choice. Default a day.
    pub edit_window_seconds: u64,
    /// How many people a batch message reaches in a second of simulated time; the platform documents none. Default 200.
    pub batch_messages_per_second: u32,
    /// HTTP status of an error of a token endpoint (10003, 10014). Default 200, as the platform was seen to answer; its
    /// general rule says 4xx.
    pub app_error_status: u16,
    /// HTTP status of a rejected access token (99991661 to 99991671). Default 400, as seen for 99991661; clients must
    /// also handle 200 with the code in the body.
    pub token_error_status: u16,
    /// HTTP status of 99991400. Default 429; older APIs answer 400 ("Frequency control" in the platform's guide).
    pub rate_limit_status: u16,
    /// HTTP status of 99991672, a permission scope that the app lacks. Default 400, as the platform was seen to answer.
    pub scope_error_status: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_lifetime_seconds: 7200,
            user_token_lifetime_seconds: 7200,
            refresh_token_lifetime_seconds: 604_800,
            refresh_reuse_revokes: false,
            delay_ms: 0,
            rate_limits: false,
            rate_limit_windows: RateLimitWindows::Fixed,
            rate_limit_scale: 1,
            monthly_quota: None,
            chat_messages_per_second: 5,
            person_messages_per_second: 5,
            card_changes_per_second: 5,
            recall_window_seconds: 86_400,
            edit_window_seconds: 86_400,
            batch_messages_per_second: 200,
            app_error_status: 200,
            token_error_status: 400,
            rate_limit_status: 429,
            scope_error_status: 400,
        }
    }
}

impl Settings {
    /// The windows of a tier, shortened by [`rate_limit_scale`](Self::rate_limit_scale).
    pub(crate) fn windows(&self, tier: Tier) -> Vec<Window> {
        tier.windows(self.rate_limit_scale).collect()
    }

    /// The second of the limits of messages, shortened as well.
    pub(crate) fn second_ms(&self) -> u64 {
        (1000 / u64::from(self.rate_limit_scale)).max(1)
    }

    /// The first field that is out of range, and the problem.
    pub(crate) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let statuses = [
            ("app_error_status", self.app_error_status),
            ("token_error_status", self.token_error_status),
            ("rate_limit_status", self.rate_limit_status),
            ("scope_error_status", self.scope_error_status),
        ];
        let lifetimes = [
            ("token_lifetime_seconds", self.token_lifetime_seconds),
            (
                "user_token_lifetime_seconds",
                self.user_token_lifetime_seconds,
            ),
            (
                "refresh_token_lifetime_seconds",
                self.refresh_token_lifetime_seconds,
            ),
        ];
        if let Some((field, _)) = lifetimes.into_iter().find(|(_, seconds)| *seconds == 0) {
            return Some((field, "must be at least 1"));
        }
        let rates = [
            ("rate_limit_scale", self.rate_limit_scale),
            ("chat_messages_per_second", self.chat_messages_per_second),
            (
                "person_messages_per_second",
                self.person_messages_per_second,
            ),
            ("card_changes_per_second", self.card_changes_per_second),
            ("batch_messages_per_second", self.batch_messages_per_second),
        ];
        if let Some((field, _)) = rates.into_iter().find(|(_, rate)| *rate == 0) {
            return Some((field, "must be at least 1"));
        }
        statuses
            .into_iter()
            .find(|(_, status)| !(200..=599).contains(status))
            .map(|(field, _)| (field, "must be an HTTP status from 200 to 599"))
    }
}
