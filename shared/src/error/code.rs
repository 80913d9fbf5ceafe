//! The one table of stable error codes.

use crate::schema::{describe, one_of};

/// Makes [`ErrorCode`] and what is known of each code from one row per code. Its doc comment is also its section of
/// `docs/errors.md`: when the error comes and what to do about it.
macro_rules! error_codes {
    ($(
        $(#[doc = $meaning:literal])+
        $variant:ident { code: $code:literal, status: $status:literal, retryable: $retryable:literal, title: $title:literal }
    )+) => {
        /// Stable: clients and alarms match on it. Never rename one, never reuse one. `docs/errors.md` and the API's
        /// description are generated from it.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum ErrorCode {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: [Self; [$($code),+].len()] = [$(Self::$variant),+];

            /// The code as it appears in an answer.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// A title for people, the same for each occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)+ }
            }

            /// When it comes and what to do about it: lines of Markdown, each with a space in front.
            #[must_use]
            pub const fn meaning(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($meaning),+],)+ }
            }
        }
    };
}

describe!(
    ErrorCode,
    "ErrorCode",
    one_of(
        "Stable; what programs match on. `docs/errors.md` says what to do about each.",
        ErrorCode::ALL.map(ErrorCode::as_str),
    )
);

error_codes! {
    /// The request is wrong, and the same request never succeeds. Nothing was asked of the platform. Correct the fields
    /// that `errors` names: an unknown or repeated query parameter, an id that does not have its kind's form, a
    /// `page_token` that is not, or no longer, one of the list, a missing or malformed `X-Lark-App-Id`,
    /// `X-Lark-Tenant-Key` for an app that is none of the marketplace or its absence for one that is, an unknown or
    /// malformed field of a body.
    InvalidArgument { code: "invalid_argument", status: 400, retryable: false, title: "The request is not valid" }

    /// No API key was presented, or not a usable one. Send `Authorization: Bearer lsk_…`. An operator makes keys with
    /// `POST /v1/api-keys` ([how](logins.md#api-keys)).
    Unauthenticated { code: "unauthenticated", status: 401, retryable: false, title: "An API key is required" }

    /// `detail` says which it is. The key lacks a scope, or may not act for the app or in the tenant: ask the operator for a key that
    /// may. A key of the scope `admin` that may not act for every app manages just its own apps, and makes keys for
    /// those alone.
    PermissionDenied { code: "permission_denied", status: 403, retryable: false, title: "The API key does not allow this" }

    /// There is nothing at this path. Compare it with `openapi.yaml`.
    RouteNotFound { code: "route_not_found", status: 404, retryable: false, title: "No such route" }

    /// The app is not registered with Lark Service, or it was deleted. Check the id; an operator adds apps with `POST
    /// /v1/apps` or `lark-service app add`.
    AppNotFound { code: "app_not_found", status: 404, retryable: false, title: "The app is not registered" }

    /// The app is registered and switched off. An operator can switch it on again: `PATCH /v1/apps/{app_id}` with
    /// `{"status": "enabled"}`.
    AppDisabled { code: "app_disabled", status: 403, retryable: false, title: "The app is disabled" }

    /// The platform refuses the app's own credentials: the id or secret is wrong, or the app is disabled or not
    /// installed. Callers can do nothing about it. The operator compares the secret with the developer console and
    /// sends the right one with `PATCH /v1/apps/{app_id}`. Until `retry_after` the platform is not asked again; the
    /// pause grows from one minute to fifteen, and a new secret ends it.
    AppRefused { code: "app_refused", status: 502, retryable: false, title: "Lark refuses the app's credentials" }

    /// The platform says that the tenant has not installed the marketplace app, or knows no such tenant. Check
    /// `X-Lark-Tenant-Key`; the tenant's administrator installs the app. Until `retry_after` the platform is not asked
    /// again; the pause grows from one minute to fifteen. Other tenants of the app are not affected.
    TenantRefused { code: "tenant_refused", status: 403, retryable: false, title: "The tenant does not have the app" }

    /// A marketplace app gets no tokens without the ticket that the platform pushes every hour, and none has come yet,
    /// or the one there is has been replaced. The platform was asked to push it, about once a minute at most. Ask again
    /// after `Retry-After`. If it lasts, the operator looks at the way of the pushes: event subscription, receiver, and
    /// whether it invokes the function that keeps them ([marketplace apps](logins.md#marketplace-apps)).
    AppTicketMissing { code: "app_ticket_missing", status: 503, retryable: true, title: "The app's ticket has not come yet" }

    /// There is no API key of this id, or it was revoked more than 90 days ago, or the caller's own key may not manage
    /// it because it is for other apps. The id of a key is what stands between its first two `_`.
    ApiKeyNotFound { code: "api_key_not_found", status: 404, retryable: false, title: "No such API key" }

    /// An app of this id is registered. Change it with `PATCH /v1/apps/{app_id}`.
    AlreadyExists { code: "already_exists", status: 409, retryable: false, title: "It exists already" }

    /// There is no usable login of the user, so there is no token of theirs. Send their browser to
    /// `/v1/oauth/authorize` ([logins](logins.md)). `reason` says why:
    ///
    /// | reason | meaning | what to do |
    /// | --- | --- | --- |
    /// | `not_logged_in` | The user never logged in to this app here, or the login was ended with `DELETE /v1/oauth/users/{open_id}`. | Log in. |
    /// | `no_offline_access` | The platform gave no refresh token, so the login ended with its first access token. | Give the app the permission `offline_access`, then log in. |
    /// | `expired` | The refresh token was not used before its end, or a year has passed since the user consented. | Log in. After a long outage or a long time with the app switched off this may be many users. |
    /// | `revoked` | The platform revoked the login: the user or an administrator withdrew the consent. | Log in, if the user wants to. |
    /// | `used_elsewhere` | The platform says that the refresh token was used already, and it was not by this service. | Find out who else refreshes these logins: a second installation with a copy of the tables, or tables restored to an earlier moment. Then log in. |
    /// | `outcome_lost` | The answer to a refresh never arrived, and with it the next refresh token. It was tried again when the access token ended, and refused. | Log in. |
    /// | `refused` | The platform refuses the user or the refresh token otherwise: gone, frozen, not allowed to use the app, or refreshing is switched off. | Look at `lark.code` in the log, at the user and at the app's settings; then log in. |
    ReauthorizationRequired { code: "reauthorization_required", status: 409, retryable: false, title: "The user must log in again" }

    /// What the browser brought back is not the end of a login that this browser began: the link is older than ten
    /// minutes, was used before, was opened in another browser, or its cookie was blocked. Nothing happened. Begin
    /// again at `/v1/oauth/authorize`. If it happens to everybody, the browser reached the service at another host than
    /// the callback's: set the stack's `PublicUrl`.
    LoginInvalid { code: "login_invalid", status: 400, retryable: false, title: "The login cannot be finished" }

    /// The user did not consent, or the platform refuses the code or the user; `detail` has its words. Begin again,
    /// after looking at whether the user may use the app.
    LoginRefused { code: "login_refused", status: 403, retryable: false, title: "The login was refused" }

    /// The platform knows no such user for this app. An `open_id` belongs to one app: use the one that this app was
    /// given, or the `union_id`. An absence is believed for a minute by default, so a user who was created just now may
    /// take that long to be found.
    UserNotFound { code: "user_not_found", status: 404, retryable: false, title: "No such user" }

    /// The platform knows no such department. Check the id and its `id_type`: an `open_department_id` begins with
    /// `od-`, and `0` is the company itself. An absence is believed for a minute by default. A department that exists
    /// outside the app's contact range is `lark_forbidden`.
    DepartmentNotFound { code: "department_not_found", status: 404, retryable: false, title: "No such department" }

    /// The platform knows no chat of this id, or it was dissolved. An absence is believed for a minute by default. A
    /// chat that the app's bot is not in, or that belongs to another tenant, is `lark_forbidden` where the platform
    /// does not show it.
    ChatNotFound { code: "chat_not_found", status: 404, retryable: false, title: "No such chat" }

    /// The message's receiver is not there for this app: no user has the id or address, or no chat that the app's bot sees has the
    /// name. `detail` says which. Nothing was sent.
    ReceiverNotFound { code: "receiver_not_found", status: 404, retryable: false, title: "No such receiver" }

    /// This API key has no message job of this id, or it ended more than a week ago. Each key sees its own jobs only.
    MessageJobNotFound { code: "message_job_not_found", status: 404, retryable: false, title: "No such message job" }

    /// There is no dead letter of this id for the apps that the API key may act for: it was redriven, dropped, or two weeks have
    /// passed. `GET /v1/message-jobs/{job_id}`, with the key that sent the message, says what became of it.
    DeadLetterNotFound { code: "dead_letter_not_found", status: 404, retryable: false, title: "No such dead letter" }

    /// The job cannot be cancelled any more: its message was sent, may have been sent, or the job has ended otherwise. `GET
    /// /v1/message-jobs/{id}` says what became of it; a message that was delivered can be recalled.
    MessageJobPast { code: "message_job_past", status: 409, retryable: false, title: "The message cannot be taken back" }

    /// There is no such message for this API key: the platform knows none of this id, it was deleted, or recalled before it could be
    /// edited; or another API key of this service sent it. A message that was sent by other means, or more than 30 days ago, is the
    /// platform's to decide about.
    MessageNotFound { code: "message_not_found", status: 404, retryable: false, title: "No such message" }

    /// An earlier request of this API key came with the same `Idempotency-Key` and asked for something else. Use a new key for
    /// each message, and the same one only to repeat the very same request.
    IdempotencyMismatch { code: "idempotency_mismatch", status: 422, retryable: false, title: "The Idempotency-Key was used for another request" }

    /// The first request with this `Idempotency-Key` is still under way, or its process died a moment ago. Repeat the request after
    /// `Retry-After`: it is then answered as the first one was, or done if that one came to nothing. It is never done twice.
    IdempotencyInFlight { code: "idempotency_in_flight", status: 409, retryable: true, title: "The first request with this Idempotency-Key is under way" }

    /// As many messages wait as may: 5,000 for one receiver, of which the platform takes five a second, or 100,000 in one lane.
    /// `detail` says which. Nothing was taken. Repeat the request after `Retry-After`; send less to the receiver, or with
    /// `"lane": "bulk"` what can wait.
    QueueFull { code: "queue_full", status: 429, retryable: true, title: "Too many messages are waiting" }

    /// There is no upload of this id for this API key and app: nothing was put at its address, it was used, its hour is over, or
    /// another key or app asked for it. Ask for another address with `POST /v1/uploads`.
    UploadNotFound { code: "upload_not_found", status: 404, retryable: false, title: "No such upload" }

    /// The body of the request is larger than 6 MiB, the most that Lambda takes; or a part of it, which `errors` then names,
    /// is larger than the platform takes: 150 KB for a text, 30 KB for a post or a card, 10 MB for an image, 30 MB for a file.
    /// Nothing was asked of the platform.
    PayloadTooLarge { code: "payload_too_large", status: 413, retryable: false, title: "The body is too large" }

    /// Too many requests. `lark` is there if the limit is the platform's: with a `code` the platform refused the call,
    /// without one the service held it back, because too many others of the app wait for their turn already. Otherwise
    /// the limit is that of the API key, which every answer tells in `RateLimit-Policy` and `RateLimit`; or the key's budget of
    /// calls that find nothing, and then `detail` says so; or that of logins begun in a minute, 60 from one address and 600
    /// from all. Wait for `Retry-After`, and spread requests over time.
    RateLimited { code: "rate_limited", status: 429, retryable: true, title: "Too many requests" }

    /// The calls that the platform's free plan allows in a month are used up, for all apps of the tenant together. Messages,
    /// chats, cards and documents count; users, departments and tokens do not, and go on. Chats that are kept are still
    /// answered, as stale. `Retry-After` tells when the month turns, by the clock in Beijing. It is a 403 and no 429, because
    /// programs repeat a 429 by themselves, or sleep until then. The operator buys a plan, or finds out what makes so many
    /// calls: `lark-service app usage`.
    QuotaExhausted { code: "quota_exhausted", status: 403, retryable: false, title: "The month's quota of Lark's calls is used up" }

    /// The platform does not let the app see or do this: the user or department is outside the app's contact range, the
    /// app's bot is not in the chat or is switched off, or the app lacks a permission. Widen the app's range or
    /// permissions in the developer console, or add the bot to the chat; `lark` says what is missing.
    LarkForbidden { code: "lark_forbidden", status: 403, retryable: false, title: "Lark does not let the app do this" }

    /// The platform understood the call and refuses it. `lark` has its code and words; the platform's own list of error codes
    /// says what the code means, and its support asks for the `log_id`.
    LarkRejected { code: "lark_rejected", status: 502, retryable: false, title: "Lark refuses the call" }

    /// The platform is out of reach, fails or does not answer in time, after the repetitions that are safe, and nothing
    /// that was kept can be answered instead. Wait for `Retry-After`. As long as a valid token or a profile of the last
    /// day is there, callers do not see this.
    LarkUnavailable { code: "lark_unavailable", status: 503, retryable: true, title: "Lark is unavailable" }

    /// The time for the request ran out before the work was done. Ask again: what was under way, such as a token
    /// request, may be there by then.
    DeadlineExceeded { code: "deadline_exceeded", status: 504, retryable: true, title: "The time ran out" }

    /// The durable store, or the place for uploads, is out of reach or failing, and neither the process nor the shared cache
    /// could answer instead. Ask again after a pause that grows. The operator looks at the store:
    /// [observability](observability.md) names the metrics.
    StoreUnavailable { code: "store_unavailable", status: 503, retryable: true, title: "The store is unavailable" }

    /// A bug, or something unforeseen such as data keys that cannot be had. The details are in the log, under the
    /// request id, and never in the answer. Report it with the `request_id`.
    Internal { code: "internal", status: 500, retryable: false, title: "Internal error" }
}
