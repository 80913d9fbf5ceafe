//! The limiter over the cache in memory, over an unreachable one, and without one.

use std::time::Duration;

use super::*;
use crate::cache::valkey::{ValkeyAuth, ValkeyCache, ValkeySettings};
use crate::clock::{ManualClock, Timestamp};
use crate::telemetry::emf::EmfRecorder;

const TIMEOUT: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)))
}

pub(super) fn shared(clock: &Arc<ManualClock>) -> CacheClient {
    let cache = MemoryCache::new(1_024 * 1_024, Arc::clone(clock) as Arc<dyn Clock>);
    CacheClient::new(Arc::new(cache), TIMEOUT)
}

/// A cache without a server.
pub(super) fn out_of_reach() -> CacheClient {
    let cache = ValkeyCache::connect(&ValkeySettings {
        url: "redis://127.0.0.1:1".parse().unwrap(),
        cluster: false,
        auth: ValkeyAuth::None,
        connect_timeout: TIMEOUT,
        response_timeout: TIMEOUT,
        root_certificates: None,
    });
    CacheClient::new(Arc::new(cache.unwrap()), TIMEOUT)
}

fn limiter(cache: Option<CacheClient>, clock: &Arc<ManualClock>) -> Limiter {
    Limiter::new(cache, Arc::clone(clock) as Arc<dyn Clock>)
}

pub(super) fn key() -> LimitKey {
    LimitKey::new("api_key", "lsk_1")
}

fn quota(limit: u32) -> Quota {
    Quota::new(NonZeroU32::new(limit).unwrap(), MINUTE)
}

/// How many of 100 requests at once are admitted.
async fn admitted(limiter: &Limiter, key: &LimitKey, quotas: &[Quota]) -> usize {
    let mut admitted = 0;
    for _ in 0..100 {
        admitted += usize::from(limiter.admit(key, quotas, 1).await.is_allowed);
    }
    admitted
}

#[tokio::test]
async fn processes_with_one_cache_share_a_quota() {
    let clock = clock();
    let cache = shared(&clock);
    let (one, other) = (
        limiter(Some(cache.clone()), &clock),
        limiter(Some(cache), &clock),
    );
    assert!(one.admit(&key(), &[quota(40)], 1).await.is_allowed);
    assert_eq!(admitted(&other, &key(), &[quota(40)]).await, 39);
    assert_eq!(admitted(&one, &key(), &[quota(40)]).await, 0);
    clock.advance(MINUTE / 4);
    assert_eq!(admitted(&one, &key(), &[quota(40)]).await, 10);
    let stranger = LimitKey::new("api_key", "lsk_2");
    assert_eq!(admitted(&one, &stranger, &[quota(40)]).await, 40);
    let elsewhere = LimitKey::new("app", "lsk_1");
    assert_eq!(admitted(&one, &elsewhere, &[quota(40)]).await, 40);
}

#[tokio::test]
async fn without_an_answer_of_the_cache_a_process_takes_its_share() {
    for cache in [None, Some(out_of_reach())] {
        let clock = clock();
        let limiter = limiter(cache, &clock);
        assert_eq!(admitted(&limiter, &key(), &[quota(40)]).await, 10);
        clock.advance(MINUTE / 2);
        assert_eq!(admitted(&limiter, &key(), &[quota(40)]).await, 5);
        let decision = limiter.admit(&key(), &[quota(40)], 1).await;
        assert_eq!((decision.limit, decision.retry_after), (10, MINUTE / 10));
        let alone = limiter.with_share(NonZeroU32::MIN);
        let stranger = LimitKey::new("api_key", "lsk_2");
        assert_eq!(admitted(&alone, &stranger, &[quota(40)]).await, 40);
    }
}

#[tokio::test]
async fn a_share_admits_what_costs_more_than_it() {
    let limiter = limiter(None, &clock());
    assert!(limiter.admit(&key(), &[quota(8)], 5).await.is_allowed);
    let refused = limiter.admit(&key(), &[quota(8)], 5).await;
    // Five units at two per minute.
    assert_eq!(refused.retry_after, MINUTE * 5 / 2);
}

#[test]
fn each_decision_is_counted_by_who_made_it() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let recorder = EmfRecorder::default();
    ::metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let clock = clock();
            let together = limiter(Some(shared(&clock)), &clock);
            assert_eq!(admitted(&together, &key(), &[quota(40)]).await, 40);
            let alone = limiter(None, &clock);
            assert_eq!(admitted(&alone, &key(), &[quota(40)]).await, 10);
        });
    });
    let mut out = Vec::new();
    recorder.flush(&mut out);
    let out = String::from_utf8(out).unwrap();
    for (tier, result, count) in [
        ("shared", "allowed", "40.0"),
        ("shared", "refused", "60.0"),
        ("local", "allowed", "10.0"),
        ("local", "refused", "90.0"),
    ] {
        let is_counted = |line: &str| {
            line.contains(&format!(
                r#""result":"{result}","scope":"api_key","tier":"{tier}""#
            )) && line.contains(&format!(r#""{}":{count}"#, metrics::RATE_LIMIT))
        };
        assert!(out.lines().any(is_counted), "{tier} {result}: {out}");
    }
}

/// The cache's user may not touch other keys.
#[test]
fn keys_of_the_cache_have_the_service_s_prefix() {
    assert_eq!(key().text, "lark:limit:api_key:lsk_1");
}
