//! Where the platforms are, and how long to wait for them.

use std::time::Duration;

use url::Url;

use super::apis::StandardLimits;

/// The platform that the app lives on.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Hash,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Feishu, mainland China: `https://open.feishu.cn`.
    #[default]
    Feishu,
    /// Lark, international: `https://open.larksuite.com`.
    Lark,
}

impl Domain {
    /// The domain as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feishu => "feishu",
            Self::Lark => "lark",
        }
    }
}

/// Where the platforms are and how long to wait for them.
#[derive(Clone, Debug)]
pub struct LarkSettings {
    /// The origin of Feishu's API.
    pub feishu_url: Url,
    /// The origin of Lark's API.
    pub lark_url: Url,
    /// The origin of Feishu's log-in pages.
    pub feishu_accounts_url: Url,
    /// The origin of Lark's log-in pages.
    pub lark_accounts_url: Url,
    /// Which of the platform's token endpoints for logins is used.
    pub oauth_version: OAuthVersion,
    /// The time for one call, retries included.
    pub timeout: Duration,
    /// The platform's limits for most APIs.
    pub limits: StandardLimits,
}

/// Which of the platform's token endpoints for logins is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OAuthVersion {
    /// `/open-apis/authen/v2/oauth/token` on the API's host; documented, marked as deprecated in English.
    #[default]
    V2,
    /// `/oauth/v3/token` on the log-in pages' host; what the newest official SDKs call, not documented.
    V3,
}

impl LarkSettings {
    /// The origin of `domain`'s log-in pages.
    #[must_use]
    pub const fn accounts_url(&self, domain: Domain) -> &Url {
        match domain {
            Domain::Feishu => &self.feishu_accounts_url,
            Domain::Lark => &self.lark_accounts_url,
        }
    }

    /// The origin of `domain`'s API.
    #[must_use]
    pub const fn open_url(&self, domain: Domain) -> &Url {
        match domain {
            Domain::Feishu => &self.feishu_url,
            Domain::Lark => &self.lark_url,
        }
    }
}
