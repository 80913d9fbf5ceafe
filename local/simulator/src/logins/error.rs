//! The documented errors of a login.

use http::StatusCode;

use crate::answer::{ApiError, ErrorFormat};

/// Why a login fails. The codes are those of "Get user_access_token", "Refresh user_access_token" and "Obtain OAuth
/// code" in the platform's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OauthError {
    /// A required parameter is missing or has an invalid value.
    Parameter(&'static str),
    Malformed,
    BadSecret,
    UnknownCode,
    ExpiredCode,
    UsedCode,
    NoSuchUser,
    BadUserStatus,
    NotInstalled,
    UserNotAllowed,
    NoSuchApp,
    AppDisabled,
    /// The code or refresh token belongs to another app.
    OtherApp,
    UnknownRefreshToken,
    /// Also after 365 days since consent.
    ExpiredRefreshToken,
    RevokedRefreshToken,
    UsedRefreshToken,
    UnsupportedGrant,
    /// The app has not applied for a scope. Only on the authorize page.
    ScopeNotApplied,
    /// Only on the authorize page.
    RedirectNotRegistered,
    PkceFailed,
    DuplicateScope,
    ScopeNotGranted,
    /// Basic authentication and `client_secret` at the same time.
    TwoCredentials,
    RedirectMismatch,
}

impl OauthError {
    /// `code` and the `error` of RFC 6749 for it.
    fn numbers(self) -> (i64, &'static str) {
        match self {
            Self::Parameter(_) => (20_001, "invalid_request"),
            Self::BadSecret => (20_002, "invalid_client"),
            Self::UnknownCode => (20_003, "invalid_grant"),
            Self::ExpiredCode => (20_004, "invalid_grant"),
            Self::NoSuchUser => (20_008, "invalid_grant"),
            Self::NotInstalled => (20_009, "unauthorized_client"),
            Self::UserNotAllowed => (20_010, "invalid_grant"),
            Self::OtherApp => (20_024, "invalid_grant"),
            Self::UnknownRefreshToken => (20_026, "invalid_grant"),
            Self::ScopeNotApplied => (20_027, "invalid_scope"),
            Self::RedirectNotRegistered => (20_029, "invalid_request"),
            Self::UnsupportedGrant => (20_036, "unsupported_grant_type"),
            Self::ExpiredRefreshToken => (20_037, "invalid_grant"),
            Self::NoSuchApp => (20_048, "invalid_client"),
            Self::PkceFailed => (20_049, "invalid_grant"),
            Self::Malformed => (20_063, "invalid_request"),
            Self::RevokedRefreshToken => (20_064, "invalid_grant"),
            Self::UsedCode => (20_065, "invalid_grant"),
            Self::BadUserStatus => (20_066, "invalid_grant"),
            Self::DuplicateScope => (20_067, "invalid_scope"),
            Self::ScopeNotGranted => (20_068, "invalid_scope"),
            Self::AppDisabled => (20_069, "unauthorized_client"),
            Self::TwoCredentials => (20_070, "invalid_request"),
            Self::RedirectMismatch => (20_071, "invalid_grant"),
            Self::UsedRefreshToken => (20_073, "invalid_grant"),
        }
    }

    pub(crate) fn code(self) -> i64 {
        self.numbers().0
    }

    pub(crate) fn description(self) -> String {
        let text = match self {
            Self::Parameter(name) => {
                return format!("The parameter {name} is missing or invalid.");
            }
            Self::Malformed => "The request body is malformed.",
            Self::BadSecret => "The client secret is invalid.",
            Self::UnknownCode => "The authorization code was not found.",
            Self::ExpiredCode => "The authorization code has expired.",
            Self::UsedCode => "The authorization code has already been used.",
            Self::NoSuchUser => "The user does not exist.",
            Self::BadUserStatus => "The status of the user does not allow it.",
            Self::NotInstalled => "The app is not installed in the tenant of the user.",
            Self::UserNotAllowed => "The user may not use the app.",
            Self::NoSuchApp => "The app does not exist.",
            Self::AppDisabled => "The app is disabled.",
            Self::OtherApp => "It was issued to another client_id.",
            Self::UnknownRefreshToken => "The refresh token is invalid.",
            Self::ExpiredRefreshToken => "The refresh token has expired.",
            Self::RevokedRefreshToken => "The refresh token has been revoked.",
            Self::UsedRefreshToken => "The refresh token has already been used.",
            Self::UnsupportedGrant => "The grant_type is not supported.",
            Self::ScopeNotApplied => "The app has not applied for a scope that it asks for.",
            Self::RedirectNotRegistered => "The redirect_uri is not registered for the app.",
            Self::PkceFailed => "The code_verifier does not match the code_challenge.",
            Self::DuplicateScope => "A scope is given twice.",
            Self::ScopeNotGranted => "A scope was not granted by the user.",
            Self::TwoCredentials => "Basic authentication and client_secret are both given.",
            Self::RedirectMismatch => "The redirect_uri is not the one of the authorization.",
        };
        text.to_owned()
    }

    /// As JSON for a program (`ErrorFormat::Oauth`) or as HTML for a person (`ErrorFormat::Page`).
    pub(crate) fn api_error(self, format: ErrorFormat) -> ApiError {
        let (code, error) = self.numbers();
        let status = StatusCode::BAD_REQUEST;
        ApiError::login(format, status, code, error, self.description())
    }
}
