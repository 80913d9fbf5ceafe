//! The users of the cache that the stack makes: with what `template.yaml` allows them the service does all its work, and the
//! health check nothing but ask.

use std::time::Duration;

use lark_service::cache::Cache;
use lark_service::cache::contract::{Aged, test_cache_adapter};
use lark_service::cache::valkey::{ValkeyAuth, ValkeyCache, ValkeySettings};

use crate::required;
use crate::valkey::{settings, wait};

/// The password of both users here; on AWS they log in by IAM.
const PASSWORD: &str = "pass";

/// The rules of the user whose resource has this name, with the prefix of the contract's keys in place of the service's.
fn rules(resource: &str) -> Vec<String> {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    let template = std::fs::read_to_string(template).unwrap();
    let begin = template.find(&format!("\n  {resource}:\n")).unwrap();
    let (_, rest) = template[begin..].split_once("AccessString: >-").unwrap();
    let (rules, _) = rest.split_once("AuthenticationMode").unwrap();
    let rules = rules.split_whitespace();
    rules
        .map(|rule| rule.replace("~lark:*", "~contract*"))
        .collect()
}

/// A connection as `user`, who has the rules of `resource`.
async fn connect_as(user: &str, resource: &str) -> (ValkeyCache, ValkeySettings) {
    let open = settings(&required("LARK_TEST_VALKEY_URL"));
    let mut made = redis::cmd("ACL");
    made.arg("SETUSER")
        .arg(user)
        .arg("reset")
        .arg(rules(resource));
    made.arg(format!(">{PASSWORD}"));
    let client = redis::Client::open(open.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let _: String = made.query_async(&mut connection).await.unwrap();
    let settings = ValkeySettings {
        auth: ValkeyAuth::Password {
            user: Some(user.to_owned()),
            password: PASSWORD.into(),
        },
        ..open
    };
    (ValkeyCache::connect(&settings).unwrap(), settings)
}

test_cache_adapter!(async {
    let (cache, _) = connect_as("service", "CacheUser").await;
    Aged::new(cache, wait)
});

/// What the server says to `command` of a user.
async fn refusal(user: &str, resource: &str, command: &[&str]) -> Option<String> {
    let (_, settings) = connect_as(user, resource).await;
    let mut url = settings.url.clone();
    url.set_username(user).unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut call = redis::cmd(command[0]);
    call.arg(&command[1..]);
    let answer: redis::RedisResult<redis::Value> = call.query_async(&mut connection).await;
    answer
        .err()
        .and_then(|error| error.code().map(str::to_owned))
}

#[tokio::test]
async fn the_service_reaches_no_other_keys_and_cannot_list_or_empty_them() {
    for command in [
        &["SET", "another:key", "1"] as &[&str],
        &["GET", "another:key"],
        &["EVAL", "return redis.call('GET', 'another:key')", "0"],
        &["EVAL", "return redis.call('FLUSHALL')", "0"],
        &["KEYS", "*"],
        &["SCAN", "0"],
        &["FLUSHALL"],
        &["FLUSHDB"],
        &["CONFIG", "GET", "*"],
        &["ACL", "LIST"],
        &["CLIENT", "LIST"],
        &["CLIENT", "KILL", "ID", "1"],
        &["MONITOR"],
        &["SCRIPT", "FLUSH"],
        &["FUNCTION", "LIST"],
        &["PERSIST", "contract"],
        &["DUMP", "contract"],
        &["SHUTDOWN"],
        &["DEBUG", "SLEEP", "0"],
        &["SUBSCRIBE", "contract"],
    ] {
        let refusal = refusal("service", "CacheUser", command).await;
        let is_refused = matches!(refusal.as_deref(), Some("NOPERM" | "ERR"));
        assert!(is_refused, "{command:?}: {refusal:?}");
    }
}

#[tokio::test]
async fn the_health_check_can_ask_whether_the_cache_answers_and_nothing_else() {
    let (cache, _) = connect_as("probe", "CacheProbeUser").await;
    cache.ping().await.unwrap();
    assert!(cache.get("contract").await.is_err());
    assert!(
        cache
            .put("contract", b"1", Duration::from_secs(1))
            .await
            .is_err()
    );
    assert!(cache.now_us().await.is_err());
    for command in [
        &["GET", "contract"] as &[&str],
        &["EVAL", "return 1", "0"],
        &["INFO"],
        &["FLUSHALL"],
    ] {
        let refusal = refusal("probe", "CacheProbeUser", command).await;
        assert_eq!(refusal.as_deref(), Some("NOPERM"), "{command:?}");
    }
}
