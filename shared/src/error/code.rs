//! The one table of stable error codes.

/// Stable: clients and alarms match on it. Never rename one, never reuse one. Documented in `docs/errors.md`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// The request is wrong.
    InvalidArgument,
    /// No usable API key.
    Unauthenticated,
    /// The API key does not allow it.
    PermissionDenied,
    /// No such route.
    RouteNotFound,
    /// The app is not registered.
    AppNotFound,
    /// The app is switched off.
    AppDisabled,
    /// Lark refuses the app's credentials.
    AppRefused,
    /// The platform has not sent the app's ticket yet.
    AppTicketMissing,
    /// No such API key.
    ApiKeyNotFound,
    /// It exists already.
    AlreadyExists,
    /// The user must log in (again).
    ReauthorizationRequired,
    /// Not the end of a login that this browser began.
    LoginInvalid,
    /// The login was refused.
    LoginRefused,
    /// No such user.
    UserNotFound,
    /// No such department.
    DepartmentNotFound,
    /// No such chat.
    ChatNotFound,
    /// The body is too large.
    PayloadTooLarge,
    /// Too many requests.
    RateLimited,
    /// Lark does not let the app do this.
    LarkForbidden,
    /// Lark refuses the call.
    LarkRejected,
    /// Lark is out of reach or failing.
    LarkUnavailable,
    /// The time ran out.
    DeadlineExceeded,
    /// The durable store is out of reach or failing.
    StoreUnavailable,
    /// A bug or an unforeseen failure.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 24] = [
        Self::InvalidArgument,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::RouteNotFound,
        Self::AppNotFound,
        Self::AppDisabled,
        Self::AppRefused,
        Self::AppTicketMissing,
        Self::ApiKeyNotFound,
        Self::AlreadyExists,
        Self::ReauthorizationRequired,
        Self::LoginInvalid,
        Self::LoginRefused,
        Self::UserNotFound,
        Self::DepartmentNotFound,
        Self::ChatNotFound,
        Self::PayloadTooLarge,
        Self::RateLimited,
        Self::LarkForbidden,
        Self::LarkRejected,
        Self::LarkUnavailable,
        Self::DeadlineExceeded,
        Self::StoreUnavailable,
        Self::Internal,
    ];

    /// Code, HTTP status, title, whether the same request may succeed later: the one table.
    const fn row(self) -> (&'static str, u16, &'static str, bool) {
        match self {
            Self::InvalidArgument => ("invalid_argument", 400, "The request is not valid", false),
            Self::Unauthenticated => ("unauthenticated", 401, "An API key is required", false),
            Self::PermissionDenied => (
                "permission_denied",
                403,
                "The API key does not allow this",
                false,
            ),
            Self::RouteNotFound => ("route_not_found", 404, "No such route", false),
            Self::AppNotFound => ("app_not_found", 404, "The app is not registered", false),
            Self::AppDisabled => ("app_disabled", 403, "The app is disabled", false),
            Self::AppRefused => (
                "app_refused",
                502,
                "Lark refuses the app's credentials",
                false,
            ),
            Self::AppTicketMissing => (
                "app_ticket_missing",
                503,
                "The app's ticket has not come yet",
                true,
            ),
            Self::ApiKeyNotFound => ("api_key_not_found", 404, "No such API key", false),
            Self::AlreadyExists => ("already_exists", 409, "It exists already", false),
            Self::ReauthorizationRequired => (
                "reauthorization_required",
                409,
                "The user must log in again",
                false,
            ),
            Self::LoginInvalid => ("login_invalid", 400, "The login cannot be finished", false),
            Self::LoginRefused => ("login_refused", 403, "The login was refused", false),
            Self::UserNotFound => ("user_not_found", 404, "No such user", false),
            Self::DepartmentNotFound => ("department_not_found", 404, "No such department", false),
            Self::ChatNotFound => ("chat_not_found", 404, "No such chat", false),
            Self::PayloadTooLarge => ("payload_too_large", 413, "The body is too large", false),
            Self::RateLimited => ("rate_limited", 429, "Too many requests", true),
            Self::LarkForbidden => (
                "lark_forbidden",
                403,
                "Lark does not let the app do this",
                false,
            ),
            Self::LarkRejected => ("lark_rejected", 502, "Lark refuses the call", false),
            Self::LarkUnavailable => ("lark_unavailable", 503, "Lark is unavailable", true),
            Self::DeadlineExceeded => ("deadline_exceeded", 504, "The time ran out", true),
            Self::StoreUnavailable => ("store_unavailable", 503, "The store is unavailable", true),
            Self::Internal => ("internal", 500, "Internal error", false),
        }
    }

    /// The code as it stands in an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// A title for people, the same for each occurrence.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        self.row().3
    }
}
