//! Why a login ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::schema::{describe, one_of};

/// Why a user must log in (again). Stable: callers and operators match on it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginEnd {
    /// There is no login of this user.
    NotLoggedIn,
    /// The access token expired and the login has no refresh token: `offline_access` was not granted.
    NoOfflineAccess,
    /// The refresh token expired unused, or the login is a year old.
    Expired,
    /// The platform revoked the login.
    Revoked,
    /// Somebody else used the refresh token: two services share the login, or an old copy of the store was restored.
    UsedElsewhere,
    /// The answer to a refresh was lost, and with it the next refresh token.
    OutcomeLost,
    /// The platform refuses the user: gone, in a bad state, or not allowed to use the app; or refreshing is switched off.
    Refused,
}

describe!(
    LoginEnd,
    "LoginEnd",
    one_of(
        "Why the user must log in (again); `docs/errors.md` says what each means.",
        LoginEnd::ALL.map(LoginEnd::as_str),
    )
);

impl LoginEnd {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::NotLoggedIn,
        Self::NoOfflineAccess,
        Self::Expired,
        Self::Revoked,
        Self::UsedElsewhere,
        Self::OutcomeLost,
        Self::Refused,
    ];

    /// Parses a reason.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == text)
    }

    /// The reason as it appears in an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotLoggedIn => "not_logged_in",
            Self::NoOfflineAccess => "no_offline_access",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::UsedElsewhere => "used_elsewhere",
            Self::OutcomeLost => "outcome_lost",
            Self::Refused => "refused",
        }
    }

    /// Whether a refusal of the refresh token leaves it valid, because an administrator can take the reason back: the user is
    /// missing (20008) or in a bad state (20066), may not use the app (20010), or refreshing is switched off (20074).
    pub(crate) const fn is_reversible(code: Option<i64>) -> bool {
        matches!(code, Some(20_008 | 20_010 | 20_066 | 20_074))
    }

    /// What a refusal of the refresh token means: codes of "Refresh user_access_token".
    pub(crate) const fn of(code: Option<i64>) -> Self {
        match code {
            Some(20_037) => Self::Expired,
            Some(20_064) => Self::Revoked,
            Some(20_073) => Self::UsedElsewhere,
            Some(_) | None => Self::Refused,
        }
    }
}

impl fmt::Display for LoginEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLoggedIn => "there is no login",
            Self::NoOfflineAccess => {
                "the login has ended and cannot be renewed: offline_access was not granted"
            }
            Self::Expired => "the login was not used for too long, or is a year old",
            Self::Revoked => "the platform revoked the login",
            Self::UsedElsewhere => "the login's refresh token was used by somebody else",
            Self::OutcomeLost => "the answer to a refresh was lost, and the login with it",
            Self::Refused => "the platform refuses the login",
        })
    }
}
