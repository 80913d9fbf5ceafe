//! The kill switch: how long a key that was stopped still opens each class of route, while the gateway remembers it.
//!
//! The clock is the test's, so the times are exact and not measured: what is asserted is the bound that docs/security.md gives.

use std::sync::Arc;
use std::time::Duration;

use lark_local_host::Gateway;
use lark_service::cache::Cache;
use lark_service::cache::memory::MemoryCache;
use lark_service_tests::switchable::SwitchableCache;
use lark_service_tests::world::{APP, Parts, World};
use serde_json::{Value, json};

use crate::keys::{Key, OWNER, Site, ask};

/// The classes of routes, each with one of them: method, target, scope.
const CLASSES: [(&str, &str, &str); 5] = [
    ("tokens", "GET /v1/tokens/tenant", "tokens:read"),
    ("users", "GET /v1/users/{user}", "users:read"),
    ("lists", "GET /v1/chats", "users:read"),
    ("logins", "DELETE /v1/oauth/users/ou_1", "user_tokens:read"),
    ("administration", "GET /v1/apps", "admin"),
];

/// How a key is stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Disabled,
    Revoked,
    /// It loses the scope and keeps another.
    LosesTheScope,
    /// It may act only for another app.
    LosesTheApp,
}

/// What is wrong with the shared cache meanwhile.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// Nobody reaches it.
    Away,
    /// It loses what it was told.
    Emptied,
    /// Only the operator who stops the key does not reach it.
    OperatorCutOff,
}

const STOPS: [Stop; 4] = [
    Stop::Disabled,
    Stop::Revoked,
    Stop::LosesTheScope,
    Stop::LosesTheApp,
];

fn change(stop: Stop) -> (&'static str, Value) {
    match stop {
        Stop::Disabled => ("PATCH", json!({"status": "disabled"})),
        Stop::Revoked => ("DELETE", Value::Null),
        Stop::LosesTheScope => ("PATCH", json!({"scopes": ["messages:send"]})),
        Stop::LosesTheApp => ("PATCH", json!({"apps": ["cli_other"]})),
    }
}

/// A process whose shared cache is one that nobody answers for.
fn cut_off(world: &World) -> Gateway {
    let memory = MemoryCache::new(1024 * 1024, Arc::new(lark_service::clock::SystemClock));
    let cache = SwitchableCache::over(Arc::new(memory));
    cache.stop();
    let parts = Parts {
        store: world.shared_store(),
        cache: Arc::new(cache),
        fast: Duration::ZERO,
    };
    world.process_of(parts, &[]).gateway()
}

/// Asks through `gateway` and says whether the key got through.
async fn gets_through(gateway: &Gateway, key: &Key, route: &str) -> bool {
    let target = route.replace("{user}", &lark_simulator::open_id(APP, 3));
    let (method, target) = target.split_once(' ').unwrap();
    let method = if method == "GET" { "GET" } else { "DELETE" };
    let answer = ask(gateway, &key.token, method, target, &Value::Null).await;
    assert!(
        answer.status < 300 || answer.outcome() == "403 permission_denied",
        "{route}: {} {}",
        answer.status,
        answer.body
    );
    answer.status < 300 && answer.body["items"] != json!([])
}

/// For how many seconds the key still works after it was stopped, at most a minute, in two processes that used it before.
async fn seconds_until_refused(stop: Stop, trouble: Trouble, route: &str, scope: &str) -> u64 {
    let site = Site::begin().await;
    let key = site.key_with(&[scope]).await;
    let other = site.world.process().gateway();
    let gateways = [&site.gateway, &other];
    for gateway in gateways {
        assert!(gets_through(gateway, &key, route).await, "{route}");
    }
    let (method, body) = change(stop);
    let path = format!("/v1/api-keys/{}", key.id);
    let stopped = match trouble {
        Trouble::OperatorCutOff => {
            let operator = cut_off(&site.world);
            ask(&operator, OWNER, method, &path, &body).await
        }
        Trouble::Away => {
            site.world.cache.stop();
            site.owner(method, &path, &body).await
        }
        Trouble::None | Trouble::Emptied => site.owner(method, &path, &body).await,
    };
    assert!(stopped.status < 300, "{}", stopped.body);
    if matches!(trouble, Trouble::Emptied) {
        let mark = format!("lark:key:{}", key.id);
        site.world.cache.delete(&mark, None).await.unwrap();
    }
    for seconds in 0..60 {
        let (mut one, mut two) = (true, true);
        for (gateway, open) in gateways.into_iter().zip([&mut one, &mut two]) {
            *open = gets_through(gateway, &key, route).await;
        }
        if !one && !two {
            return seconds;
        }
        site.world.advance(Duration::from_secs(1));
    }
    60
}

async fn check(trouble: Trouble, bound: u64) {
    for (class, route, scope) in CLASSES {
        for stop in STOPS {
            let bound = if class == "administration" { 0 } else { bound };
            let seconds = Box::pin(seconds_until_refused(stop, trouble, route, scope)).await;
            assert!(
                seconds <= bound,
                "{trouble:?}, {class}, {stop:?}: {seconds} s"
            );
        }
    }
}

#[tokio::test]
async fn a_stopped_key_opens_nothing_at_its_next_request() {
    check(Trouble::None, 0).await;
}

#[tokio::test]
async fn without_the_shared_cache_a_stopped_key_works_for_five_seconds_at_most() {
    check(Trouble::Away, 5).await;
}

#[tokio::test]
async fn a_cache_that_forgets_keeps_a_stopped_key_for_five_seconds_at_most() {
    check(Trouble::Emptied, 5).await;
}

#[tokio::test]
async fn a_key_that_was_stopped_behind_the_caches_back_works_for_half_a_minute_at_most() {
    check(Trouble::OperatorCutOff, 30).await;
}

/// Its end is known to everybody, so nobody has to be told.
#[tokio::test]
async fn a_key_ends_at_its_time_whatever_remembers_it() {
    for (class, route, scope) in CLASSES {
        let site = Site::begin().await;
        let new = json!({"scopes": [scope], "apps": ["*"], "expires_at": "2026-01-31T08:00:30Z"});
        let key = site.key(new).await;
        assert!(gets_through(&site.gateway, &key, route).await, "{class}");
        site.world.advance(Duration::from_secs(29));
        assert!(gets_through(&site.gateway, &key, route).await, "{class}");
        site.world.cache.stop();
        site.world.advance(Duration::from_secs(1));
        assert!(!gets_through(&site.gateway, &key, route).await, "{class}");
    }
}

/// With the store away too nobody can say more than the gateway remembers, but what was learnt before stays learnt.
#[tokio::test]
async fn a_key_that_was_seen_to_be_stopped_stays_so_while_the_store_is_away() {
    for (class, route, scope) in CLASSES {
        let site = Site::begin().await;
        let key = site.key_with(&[scope]).await;
        assert!(gets_through(&site.gateway, &key, route).await, "{class}");
        site.change(&key, json!({"status": "disabled"})).await;
        assert!(!gets_through(&site.gateway, &key, route).await, "{class}");
        site.world.store.stop();
        for seconds in [0, 10, 60] {
            site.world.advance(Duration::from_secs(seconds));
            let (method, target) = route.split_once(' ').unwrap();
            let target = target.replace("{user}", &lark_simulator::open_id(APP, 3));
            let method = if method == "GET" { "GET" } else { "DELETE" };
            let answer = site.ask(&key.token, method, &target, &Value::Null).await;
            assert!(
                answer.status >= 400,
                "{class} after {seconds} s: {}",
                answer.body
            );
        }
    }
}

/// A key that was changed and not stopped goes on, in every process, also while the store is away.
#[tokio::test]
async fn a_key_that_was_only_renamed_goes_on() {
    for (class, route, scope) in &CLASSES[..4] {
        let site = Site::begin().await;
        let key = site.key_with(&[scope]).await;
        assert!(gets_through(&site.gateway, &key, route).await, "{class}");
        site.change(&key, json!({"name": "x"})).await;
        assert!(gets_through(&site.gateway, &key, route).await, "{class}");
        site.world.advance(Duration::from_secs(29));
        assert!(gets_through(&site.gateway, &key, route).await, "{class}");
    }
}

/// Whoever writes the cache can neither stop a key for long nor keep a stopped one alive for long.
#[tokio::test]
async fn a_mark_that_somebody_made_up_decides_nothing() {
    for version in [u64::MAX, 9_999_999_999_999, 1] {
        let site = Site::begin().await;
        let key = site.key_with(&["tokens:read"]).await;
        let route = "GET /v1/tokens/tenant";
        assert!(gets_through(&site.gateway, &key, route).await);
        let mark = format!("lark:key:{}", key.id);
        let forged = lark_service::cache::versioned(version, b"");
        let day = Duration::from_secs(86_400);
        site.world.cache.put(&mark, &forged, day).await.unwrap();
        for _ in 0..40 {
            assert!(gets_through(&site.gateway, &key, route).await, "{version}");
            site.world.advance(Duration::from_secs(1));
        }
        site.revoke(&key).await;
        site.world.cache.put(&mark, &forged, day).await.unwrap();
        site.world.advance(Duration::from_secs(30));
        assert!(!gets_through(&site.gateway, &key, route).await, "{version}");
    }
}
