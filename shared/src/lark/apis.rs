//! The platform's APIs that the service calls, with the platform's limits for them: the one table.
//!
//! Source: "Frequency control" in the platform's guide. It counts per API, app and tenant. Its levels: 1 to 3 are 10, 20 and
//! 100 a minute; 4 is [`StandardLimits`]; 5 to 9 and 11 are 1, 5, 10, 20, 50 and 100 a second, 21 is 3 a second; 10 is 50 a
//! second, or 100 for business. APIs documented as "special" count as level 4 here.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::limiter::LATE;
use crate::quota::Window;

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
/// "Reply message".
pub const IM_MESSAGE_REPLY: Api = Api::standard("im_message_reply");
/// "Edit message".
pub const IM_MESSAGE_UPDATE: Api = Api::standard("im_message_update");
/// "Update the message card".
pub const IM_MESSAGE_PATCH: Api = Api::standard("im_message_patch");
/// "Recall message".
pub const IM_MESSAGE_DELETE: Api = Api::standard("im_message_delete");
/// "Get the content of the specified message".
pub const IM_MESSAGE_GET: Api = Api::standard("im_message_get");
/// "Get chat history".
pub const IM_MESSAGE_LIST: Api = Api::standard("im_message_list");
/// "Upload image".
pub const IM_IMAGE_CREATE: Api = Api::standard("im_image_create");
/// "Upload file".
pub const IM_FILE_CREATE: Api = Api::standard("im_file_create");
/// "Send messages in batches": special.
pub const MESSAGE_BATCH_SEND: Api = Api::standard("message_batch_send");
/// "Query the progress of a batch message".
pub const IM_BATCH_MESSAGE_PROGRESS: Api = Api::standard("im_batch_message_progress");
/// "Recall a batch message".
pub const IM_BATCH_MESSAGE_DELETE: Api = Api::standard("im_batch_message_delete");

/// The allowed difference in network delay between two calls. The platform counts calls as they arrive, and they may arrive
/// closer together than they were sent. Larger differences (a lost packet) are rare; then the platform's refusals are acceptable. A
/// connection is opened before a call gets its place, and is no part of this.
pub(super) const JITTER: Duration = Duration::from_millis(50);
/// The same between calls a minute apart. It costs less than one in a hundred.
const JITTER_OF_A_MINUTE: Duration = Duration::from_millis(500);
/// So much longer than the platform's is a window here: the first call may go out late, and arrive late, and the next in time. Each
/// further millisecond costs throughput: of 50 a second, these leave 46.2.
const MARGIN: Duration = LATE.saturating_add(JITTER);
/// The same of a minute.
const MARGIN_OF_A_MINUTE: Duration = LATE.saturating_add(JITTER_OF_A_MINUTE);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// How many messages may go to a chat or a person, and how many changes may be made of one message.
pub(super) const PER_RECEIVER: Tier = Tier::PerSecond(NonZeroU32::new(5).expect("not zero"));

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

/// What the names of APIs begin with whose calls the monthly quota of the platform's free plan does not count: contacts and
/// authentication. Messages, chats, cards, documents and the bot's own information count. Source: "API call quota" in the
/// platform's guide.
const UNCOUNTED: [&str; 7] = [
    "contact_",
    "oauth_",
    "user_info",
    "tenant_access_token",
    "app_access_token",
    "marketplace_",
    "app_ticket_",
];

/// Whether the monthly quota of the platform's free plan counts calls of the API `name`. One that is in no table here counts.
#[must_use]
pub fn counts_in_quota(name: &str) -> bool {
    !UNCOUNTED.iter().any(|family| name.starts_with(family))
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
    /// The windows that keep calls within the limit as the platform counts them, wherever its windows begin: the shortest first.
    #[must_use]
    pub fn windows(self, standard: &StandardLimits) -> Vec<Window> {
        match self {
            Self::Standard => vec![second(standard.per_second), minute(standard.per_minute)],
            Self::PerMinute(limit) => vec![minute(limit)],
            Self::PerSecond(limit) => vec![second(limit)],
        }
    }
}

fn second(limit: NonZeroU32) -> Window {
    Window::new(limit, SECOND + MARGIN)
}

fn minute(limit: NonZeroU32) -> Window {
    Window::new(limit, MINUTE + MARGIN_OF_A_MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    /// A window allows its limit at once. With the latest departure and the longest delay for the first of them, and none for the
    /// first after them, these arrive further apart than the platform's window is long.
    #[test]
    fn every_documented_level_is_kept_on_arrival_and_used_to_92_percent() {
        let levels = [10, 20, 100]
            .map(|limit| (Tier::PerMinute(some(limit)), MINUTE, JITTER_OF_A_MINUTE))
            .into_iter()
            .chain(
                [1, 3, 5, 10, 20, 50, 100]
                    .map(|limit| (Tier::PerSecond(some(limit)), SECOND, JITTER)),
            );
        for (tier, window, jitter) in levels {
            let [kept] = tier.windows(&StandardLimits::default())[..] else {
                panic!("one window for {tier:?}");
            };
            assert_eq!(kept.length() - jitter - LATE, window);
            assert!(kept.length().mul_f64(0.92) <= window);
        }
    }

    #[test]
    fn the_standard_limits_are_two_windows() {
        let windows = Tier::Standard.windows(&StandardLimits::default());
        assert_eq!(windows, [second(some(50)), minute(some(1_000))]);
    }

    #[test]
    fn contacts_and_tokens_are_outside_the_quota_and_chats_within() {
        let counts = |api: Api| counts_in_quota(&api.name);
        for api in [
            IM_CHAT_LIST,
            IM_CHAT_SEARCH,
            IM_CHAT_GET,
            IM_CHAT_MEMBERS_GET,
        ] {
            assert!(counts(api));
        }
        for api in [
            TENANT_ACCESS_TOKEN,
            APP_ACCESS_TOKEN,
            MARKETPLACE_TENANT_ACCESS_TOKEN,
            MARKETPLACE_APP_ACCESS_TOKEN,
            APP_TICKET_RESEND,
            OAUTH_CODE,
            OAUTH_REFRESH,
            USER_INFO,
            CONTACT_USER_GET,
            CONTACT_DEPARTMENT_GET,
            CONTACT_SCOPE_LIST,
        ] {
            assert!(!counts(api));
        }
        assert!(counts(Api::unlisted("bot_info".to_owned())));
    }

    #[test]
    fn what_the_platform_counts_together_is_limited_together() {
        assert_eq!(OAUTH_CODE.counted_as, OAUTH_REFRESH.counted_as);
        assert_ne!(OAUTH_CODE.name, OAUTH_REFRESH.name);
    }
}
