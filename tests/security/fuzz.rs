//! Requests of every kind that nobody means: none is answered with a failure of ours, none makes a process panic, and what a process
//! keeps of them is bounded. The seed of a run that fails is printed; `LARK_FUZZ_SEED` repeats it, `LARK_FUZZ_REQUESTS` makes it longer.

use fastrand::Rng;
use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{APP, World};
use serde_json::{Value, json};

use crate::keys::{OWNER, Site};

/// How many requests one run sends.
const REQUESTS: usize = 6_000;
/// What a process may keep of the directory.
const LOCAL_BYTES: u64 = 256 * 1024;

/// The codes of failures of ours.
const OURS: [&str; 3] = ["internal", "store_unavailable", "deadline_exceeded"];

const METHODS: [&str; 8] = [
    "GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE",
];
const PATHS: [&str; 22] = [
    "/health",
    "/health/ready",
    "/v1/tokens/{}",
    "/v1/users",
    "/v1/users/{}",
    "/v1/users/batch",
    "/v1/departments/{}",
    "/v1/departments/{}/users",
    "/v1/chats",
    "/v1/chats/{}",
    "/v1/chats/{}/members",
    "/v1/apps",
    "/v1/apps/{}",
    "/v1/apps/{}/changes",
    "/v1/api-keys",
    "/v1/api-keys/{}",
    "/v1/api-keys/{}/changes",
    "/v1/oauth/authorize",
    "/v1/oauth/callback",
    "/v1/oauth/users/{}",
    "/v1/{}",
    "/{}",
];
const PARAMETERS: [&str; 15] = [
    "id_type",
    "email",
    "mobile",
    "name",
    "page_size",
    "page_token",
    "open_id",
    "app_id",
    "scope",
    "redirect_to",
    "state",
    "code",
    "error",
    "month",
    "x",
];
const FIELDS: [&str; 24] = [
    "app_id",
    "secret",
    "name",
    "domain",
    "kind",
    "redirect_targets",
    "login_scopes",
    "status",
    "previous_secret_seconds",
    "scopes",
    "apps",
    "tenants",
    "rate_limit",
    "expires_at",
    "ids",
    "id_type",
    "open_ids",
    "user_ids",
    "union_ids",
    "emails",
    "mobiles",
    "limit",
    "window_seconds",
    "x",
];
const HEADERS: [&str; 9] = [
    "x-lark-app-id",
    "x-lark-tenant-key",
    "x-request-id",
    "accept",
    "cookie",
    "content-type",
    "x-forwarded-proto",
    "x-forwarded-for",
    "if-none-match",
];
/// Texts that mean something somewhere.
const TEXTS: [&str; 44] = [
    "",
    "0",
    "-1",
    "1",
    "50",
    "51",
    "1000000000000000000000",
    "tenant",
    "app",
    "user",
    "open_id",
    "user_id",
    "union_id",
    "ou_1",
    "on_1",
    "oc_1",
    "od-1",
    APP,
    "cli_x",
    "a@b.example",
    "+8613800000042",
    "*",
    "null",
    "true",
    "[]",
    "{}",
    "admin",
    "users:read",
    "tokens:read",
    "feishu",
    "lark",
    "marketplace",
    "enabled",
    "disabled",
    "active",
    "2027-01-31T08:00:00Z",
    "https://portal.example/x",
    "javascript:alert(1)",
    "..",
    "a.b",
    "é",
    "\u{202e}",
    "lsk_owner0000key",
    "600/60",
];

/// One of `all`.
fn one<T: Copy>(random: &mut Rng, all: &[T]) -> T {
    all[random.usize(..all.len())]
}

fn text(random: &mut Rng) -> String {
    match random.u8(..10) {
        0 => (0..random.usize(..40))
            .map(|_| char::from(random.u8(..128)))
            .collect(),
        1 => "x".repeat(1 << random.u8(..14)),
        2 => lark_simulator::open_id(APP, random.u32(..20)),
        3 => {
            let known = one(random, &TEXTS);
            let at = random.usize(..=known.chars().count());
            known
                .chars()
                .take(at)
                .chain(known.chars().skip(at + 1))
                .collect()
        }
        _ => one(random, &TEXTS).to_owned(),
    }
}

fn value(random: &mut Rng, depth: u8) -> Value {
    match random.u8(..if depth == 0 { 6 } else { 9 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(..)),
        3 => json!(random.f64() * 1e300),
        4 | 5 => json!(text(random)),
        6 | 7 => (0..random.usize(..5))
            .map(|_| value(random, depth - 1))
            .collect(),
        _ => object(random, depth - 1),
    }
}

fn object(random: &mut Rng, depth: u8) -> Value {
    let fields = 0..random.usize(..6);
    let fields = fields.map(|_| (one(random, &FIELDS).to_owned(), value(random, depth)));
    Value::Object(fields.collect())
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn request(random: &mut Rng) -> TestRequest {
    let mut target = one(random, &PATHS).replace("{}", &escaped(&text(random)));
    let mut separator = '?';
    for _ in 0..random.usize(..4) {
        let (name, value) = (one(random, &PARAMETERS), escaped(&text(random)));
        target.push_str(&format!("{separator}{name}={value}"));
        separator = '&';
    }
    let mut request = TestRequest::new(one(random, &METHODS), &target);
    for _ in 0..random.usize(..3) {
        let name = one(random, &HEADERS);
        let value: String = text(random)
            .chars()
            .filter(|it| (' '..='~').contains(it))
            .collect();
        request = request.header(name, &value);
    }
    if random.u8(..3) > 0 {
        request = request.header("x-lark-app-id", APP);
    }
    match random.u8(..4) {
        0 => request,
        1 => request.body(&value(random, 3)),
        _ => request.body(&object(random, 2)),
    }
}

async fn send(random: &mut Rng, site: &Site, keys: &[String]) -> TestResponse {
    let request = request(random);
    let key = match random.u8(..8) {
        0 => text(random)
            .chars()
            .filter(|it| (' '..='~').contains(it))
            .collect(),
        _ => keys[random.usize(..keys.len())].clone(),
    };
    request.through(&site.gateway, &key).await
}

#[tokio::test]
async fn no_request_makes_the_service_fail() {
    let number = |name: &'static str| lark_service::config::variable(name)?.parse().ok();
    let seed = number("LARK_FUZZ_SEED").unwrap_or(20_261_130);
    let requests =
        number("LARK_FUZZ_REQUESTS").map_or(REQUESTS, |it: u64| usize::try_from(it).unwrap());
    let mut random = Rng::with_seed(seed);
    let bytes = LOCAL_BYTES.to_string();
    let variables = [
        ("LARK_SERVICE_LOCAL_CACHE_BYTES", bytes.as_str()),
        ("LARK_SERVICE_PUBLIC_URL", "https://service.example"),
        ("LARK_SERVICE_LOGINS_PER_MINUTE", "1000000"),
        ("LARK_SERVICE_NOT_FOUND_PER_MINUTE", "1000000"),
        ("LARK_SERVICE_NOT_FOUND_PER_DAY", "1000000"),
    ];
    let site = Site::over(World::begin_with(20, 2).await, &variables).await;
    let free = json!({"scopes": ["tokens:read", "user_tokens:read", "users:read"], "apps": ["*"], "rate_limit": null});
    let keys = [OWNER.to_owned(), site.key(free).await.token];
    for number in 0..requests {
        let answer = send(&mut random, &site, &keys).await;
        // An operator may give an app a wrong secret, which Lark then refuses: that is no failure of ours.
        assert!(
            answer.status != 500 && !OURS.contains(&answer.code()),
            "request {number} of LARK_FUZZ_SEED={seed}: {} {}",
            answer.status,
            answer.body
        );
        let length = answer.body.to_string().len();
        assert!(
            length < 200_000,
            "request {number} of LARK_FUZZ_SEED={seed}: {length} bytes"
        );
    }
    assert!(site.process.0.tiers.local_bytes() <= LOCAL_BYTES);
}
