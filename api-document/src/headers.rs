//! Headers of answers.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::{Described, Example};
use lark_service::schema::{address, constant, plain};

/// A header of an answer.
#[derive(Clone)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// Its name in the document's list of headers that answers share; none for one that stands with its answer.
    pub component: Option<&'static str>,
    /// What it says.
    pub description: &'static str,
    /// Whether it is always there.
    pub is_required: bool,
    /// Its form.
    pub schema: Described,
    /// What it looks like.
    pub examples: Vec<Example>,
}

impl Header {
    fn shared(
        name: &'static str,
        component: &'static str,
        description: &'static str,
        schema: Object,
    ) -> Self {
        Self {
            name,
            component: Some(component),
            description,
            is_required: true,
            schema: Described::inline(schema),
            examples: Vec::new(),
        }
    }

    fn optional(self) -> Self {
        Self {
            is_required: false,
            ..self
        }
    }

    fn example(self, yaml: &'static str) -> Self {
        self.named_example("", yaml)
    }

    fn named_example(mut self, name: &'static str, yaml: &'static str) -> Self {
        self.examples.push(Example {
            name,
            summary: None,
            yaml,
        });
        self
    }
}

fn matching(pattern: &str) -> Object {
    plain(0..=usize::MAX, pattern)
}

fn seconds() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .build()
}

/// `X-Request-Id`.
#[must_use]
pub fn request_id() -> Header {
    let schema = matching("^[A-Za-z0-9_-]{1,128}$");
    Header::shared(
        "X-Request-Id",
        "RequestId",
        "Finds the request's log line.",
        schema,
    )
    .example("build-4711")
}

/// `Cache-Control: no-store`.
#[must_use]
pub fn no_store() -> Header {
    Header::shared(
        "Cache-Control",
        "NoStore",
        "Nobody keeps this answer.",
        constant("no-store"),
    )
}

/// `Cache-Control` of what the caller may keep.
#[must_use]
pub fn private() -> Header {
    Header::shared(
        "Cache-Control",
        "Private",
        "The caller may keep it as long as it is fresh, and nobody else: `max-age` counts from the `Age` on.",
        matching("^private, (max-age=[0-9]+|no-cache)$"),
    )
}

/// `Location` of what was made.
#[must_use]
pub fn location() -> Header {
    Header::shared(
        "Location",
        "Location",
        "The path of what was made.",
        matching("^/v1/(apps|api-keys|message-jobs)/[A-Za-z0-9_-]+$"),
    )
}

/// `Idempotency-Replayed`.
#[must_use]
pub fn replayed() -> Header {
    Header::shared(
        "Idempotency-Replayed",
        "IdempotencyReplayed",
        "The request came before, with the same `Idempotency-Key`: this is its answer.",
        constant("true"),
    )
    .optional()
}

/// `Location` of where a browser is sent.
#[must_use]
pub fn redirect(description: &'static str) -> Header {
    Header {
        component: None,
        ..Header::shared("Location", "", description, address())
    }
}

/// The cookie of a login.
#[must_use]
pub fn login_cookie() -> Header {
    Header::shared(
        "Set-Cookie",
        "LoginCookie",
        "Ties the login to the browser for its ten minutes, or removes what did. Over HTTPS its name begins with `__Host-`.",
        matching(
            "^(__Host-)?lark-login-[A-Za-z0-9_-]{16}=[A-Za-z0-9_-]*; Path=/; Max-Age=(0|600); HttpOnly; SameSite=Lax(; Secure)?$",
        ),
    )
}

/// `Referrer-Policy: no-referrer`.
#[must_use]
pub fn no_referrer() -> Header {
    Header::shared(
        "Referrer-Policy",
        "NoReferrer",
        "Nobody is told where the browser comes from.",
        constant("no-referrer"),
    )
}

/// `Age`.
#[must_use]
pub fn age() -> Header {
    Header::shared(
        "Age",
        "Age",
        "Seconds since the platform said so.",
        seconds(),
    )
    .example("12")
}

/// `Cache-Status`.
#[must_use]
pub fn cache_status() -> Header {
    Header::shared(
        "Cache-Status",
        "CacheStatus",
        "How the answer came about (RFC 9211): `hit` with the tier in `detail` (`memory`, `valkey` or `store`), or \
         `fwd=miss` when the platform was asked. `ttl` is for how many seconds it stays fresh; negative: it is stale, and \
         served while it is renewed or because the platform fails.",
        matching(
            "^lark-service; (hit|fwd=miss; stored); ttl=-?[0-9]+(; detail=(memory|valkey|store))?$",
        ),
    )
    .named_example("hit", "lark-service; hit; ttl=3588; detail=memory")
    .named_example("miss", "lark-service; fwd=miss; stored; ttl=3600")
    .named_example("stale", "lark-service; hit; ttl=-240; detail=store")
}

/// What goes with every answer to a key: its rate limit and what is left of it.
#[must_use]
pub fn rate_limit() -> [Header; 2] {
    let policy = Header::shared(
        "RateLimit-Policy",
        "RateLimitPolicy",
        "The API key's rate limit, if it has one: `q` requests in `w` seconds \
         ([draft](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11)).",
        matching(r#"^"api-key";q=[0-9]+;w=[0-9]+$"#),
    );
    let left = Header::shared(
        "RateLimit",
        "RateLimit",
        "What is left of it: `r` requests now; in `t` seconds all of them again, or the next one after a refusal.",
        matching(r#"^"api-key";r=[0-9]+;t=[0-9]+$"#),
    );
    [
        policy.optional().example(r#"'"api-key";q=600;w=60'"#),
        left.optional().example(r#"'"api-key";r=42;t=17'"#),
    ]
}

/// `Retry-After`.
#[must_use]
pub fn retry_after() -> Header {
    Header::shared(
        "Retry-After",
        "RetryAfter",
        "Seconds until the next attempt makes sense, where that is known; the same as `retry_after`.",
        seconds(),
    )
    .optional()
    .example("2")
}

/// `WWW-Authenticate`, of API Gateway's own refusal.
#[must_use]
pub fn authenticate() -> Header {
    let schema = constant("Bearer");
    Header {
        component: None,
        ..Header::shared("WWW-Authenticate", "", "The scheme to use.", schema).optional()
    }
}
