//! The platform's APIs that the service calls, with the platform's limits for them: the one table.
//!
//! Source: "Frequency control" in the platform's guide. It counts per API, app and tenant. Its levels: 1 to 3 are 10, 20 and
//! 100 a minute; 4 is [`StandardLimits`]; 5 to 9 and 11 are 1, 5, 10, 20, 50 and 100 a second, 21 is 3 a second; 10 is 50 a
//! second, or 100 for business. APIs documented as "special" count as level 4 here.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::quota::Quota;

/// "Get custom app's tenant_access_token".
pub const TENANT_ACCESS_TOKEN: Api = Api::standard("tenant_access_token");
/// "Get custom app's app_access_token".
pub const APP_ACCESS_TOKEN: Api = Api::standard("app_access_token");
/// "Get store app's tenant_access_token".
pub const MARKETPLACE_TENANT_ACCESS_TOKEN: Api = Api::standard("marketplace_tenant_access_token");
/// "Get store app's app_access_token".
pub const MARKETPLACE_APP_ACCESS_TOKEN: Api = Api::standard("marketplace_app_access_token");
/// "Resend app_ticket".
pub const APP_TICKET_RESEND: Api = Api::standard("app_ticket_resend");
/// "Get user_access_token", which says 1,000 a minute and 50 a second.
pub const OAUTH_CODE: Api = Api::counted_as("oauth_code", "oauth_token");
/// "Refresh user_access_token": the same API as [`OAUTH_CODE`].
pub const OAUTH_REFRESH: Api = Api::counted_as("oauth_refresh", "oauth_token");
/// "Get user information" of a login; special.
pub const USER_INFO: Api = Api::standard("user_info");
/// "Get single user information".
pub const CONTACT_USER_GET: Api = Api::standard("contact_user_get");
/// "Obtain user information in batches".
pub const CONTACT_USER_BATCH: Api = Api::standard("contact_user_batch");
/// "Obtain user IDs via email or mobile number".
pub const CONTACT_USER_BATCH_GET_ID: Api = Api::standard("contact_user_batch_get_id");
/// "Get single department information", special.
pub const CONTACT_DEPARTMENT_GET: Api = Api::standard("contact_department_get");
/// "Get the list of sub-departments".
pub const CONTACT_DEPARTMENT_CHILDREN: Api = Api::standard("contact_department_children");
/// "Get the list of users directly under a department".
pub const CONTACT_USER_FIND_BY_DEPARTMENT: Api = Api::standard("contact_user_find_by_department");
/// "Obtain the contact scope of the app".
pub const CONTACT_SCOPE_LIST: Api = Api::standard("contact_scope_list");
/// "Obtain the list of groups where the user or bot is in".
pub const IM_CHAT_LIST: Api = Api::standard("im_chat_list");
/// "Search for groups visible to the user or bot".
pub const IM_CHAT_SEARCH: Api = Api::standard("im_chat_search");
/// "Obtain group information".
pub const IM_CHAT_GET: Api = Api::standard("im_chat_get");
/// "Get group members".
pub const IM_CHAT_MEMBERS_GET: Api = Api::standard("im_chat_members_get");

/// "Send message".
pub const IM_MESSAGE_CREATE: Api = Api::standard("im_message_create");

/// The allowed difference in network delay between two calls. The platform counts calls as they arrive, and they may arrive
/// closer together than they were sent. Larger differences (a new connection, a lost packet) are rare; then the platform's
/// refusals are acceptable. Each further millisecond costs throughput: of 50 a second, these leave 48.
const JITTER: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// An API of the platform.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Api {
    /// Its name in metrics, logs and counts of calls.
    pub name: Cow<'static, str>,
    /// Its name in limit keys: the same for APIs that the platform counts together.
    pub counted_as: Cow<'static, str>,
    /// The platform's limit for it.
    pub tier: Tier,
}

/// How many calls the platform allows, per app and tenant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tier {
    /// [`StandardLimits`].
    Standard,
    /// So many in a minute.
    PerMinute(NonZeroU32),
    /// So many in a second.
    PerSecond(NonZeroU32),
}

/// The limits of level 4, which most APIs have. Both apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StandardLimits {
    /// So many in a minute.
    pub per_minute: NonZeroU32,
    /// So many in a second.
    pub per_second: NonZeroU32,
}

impl Default for StandardLimits {
    /// The documented limits.
    fn default() -> Self {
        Self {
            per_minute: NonZeroU32::new(1_000).expect("not zero"),
            per_second: NonZeroU32::new(50).expect("not zero"),
        }
    }
}

impl Api {
    /// The API `name` of [`Tier::Standard`].
    #[must_use]
    pub const fn standard(name: &'static str) -> Self {
        Self::counted_as(name, name)
    }

    /// The API `name` of [`Tier::Standard`] that the platform counts together with others, all of them under `counted_as`.
    const fn counted_as(name: &'static str, counted_as: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            counted_as: Cow::Borrowed(counted_as),
            tier: Tier::Standard,
        }
    }

    /// An API that is in no table here: `name` identifies it in metrics and limits, so callers must bound the number of names.
    #[must_use]
    pub fn unlisted(name: String) -> Self {
        Self {
            counted_as: Cow::Owned(name.clone()),
            name: Cow::Owned(name),
            tier: Tier::Standard,
        }
    }

    /// The same API of `tier`.
    #[must_use]
    pub fn of_tier(self, tier: Tier) -> Self {
        Self { tier, ..self }
    }
}

impl Tier {
    /// The quotas that keep calls within the limit as the platform counts them, in any window.
    #[must_use]
    pub fn quotas(self, standard: &StandardLimits) -> Vec<Quota> {
        match self {
            Self::Standard => {
                let StandardLimits {
                    per_minute,
                    per_second,
                } = *standard;
                // A second's long-run rate need not exceed twice the minute's; the rest becomes burst.
                let steady = (per_minute.get().saturating_mul(2)).div_ceil(60);
                let at_once = per_second.get().saturating_sub(steady).saturating_add(1);
                let second = Quota::on_arrival(per_second, SECOND, at_least_one(at_once), JITTER);
                vec![minute(per_minute), second]
            }
            Self::PerMinute(limit) => vec![minute(limit)],
            Self::PerSecond(limit) => {
                vec![Quota::on_arrival(limit, SECOND, NonZeroU32::MIN, JITTER)]
            }
        }
    }
}

/// A burst of a twentieth costs a twentieth of the long-run rate.
fn minute(limit: NonZeroU32) -> Quota {
    Quota::on_arrival(limit, MINUTE, at_least_one(limit.get() / 20), JITTER)
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    /// How many of a quota can arrive within its window when the first is late and the last is early, and how many go
    /// through in the long run.
    fn most(quota: &Quota) -> (u32, f64) {
        let (window, interval) = (quota.window(), quota.interval());
        let fit = (window + JITTER).as_micros().div_ceil(interval.as_micros()) - 1;
        let long_run = window.as_secs_f64() / interval.as_secs_f64();
        (quota.burst() + u32::try_from(fit).unwrap(), long_run)
    }

    #[test]
    fn every_documented_level_is_kept_on_arrival_and_used_to_95_percent() {
        let minutes = [10, 20, 100].map(|limit| Tier::PerMinute(some(limit)));
        let seconds = [1, 3, 5, 10, 20, 50, 100].map(|limit| Tier::PerSecond(some(limit)));
        for tier in minutes.into_iter().chain(seconds) {
            for quota in tier.quotas(&StandardLimits::default()) {
                let (in_a_window, long_run) = most(&quota);
                assert!(in_a_window <= quota.limit(), "{quota:?}");
                assert!(long_run >= 0.95 * f64::from(quota.limit()), "{quota:?}");
            }
        }
    }

    #[test]
    fn the_standard_limits_are_kept_on_arrival_and_the_minutes_used_to_95_percent() {
        for (per_minute, per_second) in [
            (1_000, 50),
            (3_000, 50),
            (60, 50),
            (1, 1),
            (u32::MAX, u32::MAX),
        ] {
            let limits = StandardLimits {
                per_minute: some(per_minute),
                per_second: some(per_second),
            };
            let quotas = Tier::Standard.quotas(&limits);
            for quota in &quotas {
                let (in_a_window, _) = most(quota);
                assert!(in_a_window <= quota.limit(), "{quota:?}");
            }
        }
        let quotas = Tier::Standard.quotas(&StandardLimits::default());
        let (_, per_minute) = most(&quotas[0]);
        let (_, per_second) = most(&quotas[1]);
        assert!(per_minute >= 950.0 && per_second >= 1.9 * per_minute / 60.0);
        assert_eq!((quotas[0].burst(), quotas[1].burst()), (50, 17));
    }

    #[test]
    fn what_the_platform_counts_together_is_limited_together() {
        assert_eq!(OAUTH_CODE.counted_as, OAUTH_REFRESH.counted_as);
        assert_ne!(OAUTH_CODE.name, OAUTH_REFRESH.name);
    }
}
