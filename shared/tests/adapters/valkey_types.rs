//! Values of other types at places of ours, as somebody else may leave them: each is a miss and gives way, and none of them is a
//! failure of the cache.

use std::num::NonZeroU32;
use std::time::Duration;

use lark_service::cache::Cache;
use lark_service::cache::valkey::ValkeyCache;
use lark_service::quota::{Place, Quota, Window};

use crate::required;
use crate::valkey::{put, settings};

const TTL: Duration = Duration::from_secs(60);

/// A cache, and a key at which there is a value of the type that `command` makes.
async fn left(command: &[&str]) -> (ValkeyCache, String) {
    let settings = settings(&required("LARK_TEST_VALKEY_URL"));
    let key = format!("types:{:016x}", fastrand::u64(..));
    let client = redis::Client::open(settings.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut made = redis::cmd(command[0]);
    made.arg(&key).arg(&command[1..]);
    let _: redis::Value = made.query_async(&mut connection).await.unwrap();
    (ValkeyCache::connect(&settings).unwrap(), key)
}

#[tokio::test]
async fn whatever_is_at_a_key_is_a_miss_and_gives_way() {
    let (quota, windows) = (
        Quota::new(NonZeroU32::MIN, TTL),
        [Window::new(NonZeroU32::MIN, TTL)],
    );
    for command in [
        &["LPUSH", "1"] as &[&str],
        &["SADD", "1"],
        &["HSET", "1", "1"],
        &["ZADD", "1", "1"],
        &["XADD", "*", "1", "1"],
        &["SET", "not a version"],
    ] {
        let is_set = command[0] == "ZADD";
        let (cache, key) = left(command).await;
        if command[0] != "SET" {
            assert_eq!(cache.get(&key).await.unwrap(), None, "{command:?}");
        }
        assert_eq!(
            cache.put_newer(&[put(&key)]).await.unwrap(),
            1,
            "{command:?}"
        );

        let (cache, key) = left(command).await;
        if command[0] != "SET" {
            let claim = cache.claim(&key, &key, b"me", TTL).await.unwrap();
            assert!(claim.is_taken(), "{command:?}");
        }
        let (cache, key) = left(command).await;
        assert!(
            !cache.extend(&key, b"me", TTL).await.unwrap(),
            "{command:?}"
        );
        assert!(!cache.put_held(&key, b"me", &put(&key)).await.unwrap());
        assert!(!cache.delete(&key, Some(b"me")).await.unwrap());

        let decision = cache.throttle(&key, &[quota], 1).await;
        assert!(decision.unwrap().is_allowed, "{command:?}");
        let (cache, key) = left(command).await;
        let reservation = cache.reserve(&key, &windows, Duration::ZERO).await;
        assert!(reservation.unwrap().is_allowed, "{command:?}");
        let (cache, key) = left(command).await;
        cache.pause(&key, TTL).await.unwrap();
        let reservation = cache.reserve(&key, &windows, Duration::ZERO).await;
        assert!(!reservation.unwrap().is_allowed, "{command:?}");
        let (cache, key) = left(command).await;
        let place = Place::default();
        assert!(!cache.give_back(&key, &windows, place).await.unwrap());

        if !is_set {
            let (cache, key) = left(command).await;
            assert_eq!(cache.top_scores(&key, 9).await.unwrap(), [], "{command:?}");
            let scores = [("a".to_owned(), 1.0)];
            cache.add_scores(&key, &scores, 9, TTL).await.unwrap();
            assert_eq!(cache.take_scores(&key).await.unwrap(), scores);
            let (cache, key) = left(command).await;
            assert_eq!(cache.take_scores(&key).await.unwrap(), [], "{command:?}");
        }
    }
}
