//! The limiter over the cache in memory, over an unreachable one, and without one.

use std::num::NonZeroU32;

use tokio::task::JoinSet;

use super::*;
use crate::cache::valkey::{ValkeyAuth, ValkeyCache, ValkeySettings};
use crate::clock::{ManualClock, Timestamp};
use crate::telemetry::emf::EmfRecorder;

const TIMEOUT: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)))
}

fn shared(clock: &Arc<ManualClock>) -> CacheClient {
    let cache = MemoryCache::new(1_024 * 1_024, Arc::clone(clock) as Arc<dyn Clock>);
    CacheClient::new(Arc::new(cache), TIMEOUT)
}

/// A cache without a server.
fn out_of_reach() -> CacheClient {
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

fn key() -> LimitKey {
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

#[tokio::test]
async fn a_pause_reaches_the_other_processes() {
    let clock = clock();
    let cache = shared(&clock);
    let (one, other) = (
        limiter(Some(cache.clone()), &clock),
        limiter(Some(cache), &clock),
    );
    one.pause(&key(), MINUTE).await;
    for limiter in [&one, &other] {
        let decision = limiter.admit(&key(), &[quota(40)], 1).await;
        assert!(!decision.is_allowed);
        assert_eq!((decision.retry_after, decision.limit), (MINUTE, 40));
    }
    clock.advance(MINUTE);
    assert!(one.admit(&key(), &[quota(40)], 1).await.is_allowed);
    assert!(other.admit(&key(), &[quota(40)], 1).await.is_allowed);
}

#[tokio::test]
async fn a_pause_is_kept_without_the_cache() {
    let clock = clock();
    let limiter = limiter(Some(out_of_reach()), &clock);
    limiter.pause(&key(), MINUTE).await;
    let refused = limiter.admit(&key(), &[quota(40)], 1).await;
    assert_eq!((refused.is_allowed, refused.retry_after), (false, MINUTE));
    clock.advance(MINUTE);
    assert!(limiter.admit(&key(), &[quota(40)], 1).await.is_allowed);
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

#[tokio::test]
async fn places_in_the_queue_are_given_to_all_processes_together() {
    let clock = clock();
    let cache = shared(&clock);
    let (one, other) = (
        limiter(Some(cache.clone()), &clock),
        limiter(Some(cache), &clock),
    );
    // Two at once, and one per second.
    let quota = [quota(60).with_burst(NonZeroU32::new(2).unwrap())];
    let mut waits = Vec::new();
    for limiter in [&one, &other, &one, &other] {
        let decision = limiter.reserve(&key(), &quota, 1, gcra::MAX_PATIENCE).await;
        assert!(decision.is_allowed);
        waits.push(decision.wait.as_secs());
    }
    assert_eq!(waits, [0, 0, 1, 2]);
    let refused = one.admit(&key(), &quota, 1).await;
    assert_eq!(
        (refused.is_allowed, refused.retry_after),
        (false, Duration::from_secs(3))
    );
}

#[tokio::test]
async fn a_cache_that_lost_a_pause_is_told_again_so_that_nobody_crowds_at_its_end() {
    let clock = clock();
    let cache = shared(&clock);
    let limiter = limiter(Some(cache.clone()), &clock);
    let (quota, pause) = (
        [quota(60).with_burst(NonZeroU32::MIN)],
        Duration::from_secs(4),
    );
    limiter.pause(&key(), pause).await;
    cache.delete(&key().text).await.unwrap();
    for place in 0..3 {
        let decision = limiter.reserve(&key(), &quota, 1, gcra::MAX_PATIENCE).await;
        assert!(decision.is_allowed && decision.wait >= pause);
        // The first request's place from before the pause is lost.
        assert_eq!(decision.wait.as_secs(), 4 + place);
    }
    cache.delete(&key().text).await.unwrap();
    let refused = limiter.admit(&key(), &quota, 1).await;
    assert_eq!((refused.is_allowed, refused.retry_after), (false, pause));
}

#[tokio::test]
async fn without_the_cache_a_process_queues_for_its_share() {
    let clock = clock();
    let limiter = limiter(None, &clock);
    let quota = [quota(240).with_burst(NonZeroU32::MIN)];
    limiter.pause(&key(), Duration::from_secs(2)).await;
    for seconds in 2..5 {
        let decision = limiter.reserve(&key(), &quota, 1, gcra::MAX_PATIENCE).await;
        assert_eq!(
            (decision.is_allowed, decision.wait),
            (true, Duration::from_secs(seconds))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_goes_on_when_it_comes() {
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::TokioClock::start());
    let limiter = Limiter::new(None, clock).with_share(NonZeroU32::MIN);
    let quota = [quota(60).with_burst(NonZeroU32::MIN)];
    let began = tokio::time::Instant::now();
    for seconds in 0..3 {
        let decision = limiter
            .wait_for_turn(&key(), &quota, 1, gcra::MAX_PATIENCE)
            .await;
        assert!(decision.is_allowed);
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
    let refused = limiter
        .wait_for_turn(&key(), &quota, 1, Duration::from_millis(10))
        .await;
    assert!(!refused.is_allowed);
    assert_eq!(began.elapsed().as_secs(), 2);
}

/// One call per second, and none at once after another.
fn one_per_second() -> [Quota; 1] {
    [quota(60).with_burst(NonZeroU32::MIN)]
}

/// The turn of a call for which there is time.
async fn turn(limiter: &Limiter) -> bool {
    let (key, quotas) = (key(), one_per_second());
    let turn = limiter.wait_for_turn(&key, &quotas, 1, gcra::MAX_PATIENCE);
    turn.await.is_allowed
}

/// Limiters of two processes, over one cache or each by itself, that go by Tokio's time.
fn by_tokio_s_time(is_shared: bool) -> [Limiter; 2] {
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::TokioClock::start());
    let cache = MemoryCache::new(1 << 20, Arc::clone(&clock));
    let cache = is_shared.then(|| CacheClient::new(Arc::new(cache), TIMEOUT));
    let one = Limiter::new(cache, clock).with_share(NonZeroU32::MIN);
    [one.clone(), one]
}

#[tokio::test(start_paused = true)]
async fn seven_callers_that_thaw_together_still_go_out_one_by_one() {
    for is_shared in [true, false] {
        let limiters = by_tokio_s_time(is_shared);
        let began = tokio::time::Instant::now();
        let calls = (0..7_usize).map(|number| {
            let limiter = limiters[number % 2].clone();
            async move { turn(&limiter).await.then(|| began.elapsed()) }
        });
        let calls: JoinSet<_> = calls.collect();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        // Frozen: all timers run out at once, and their patience is over.
        tokio::time::advance(Duration::from_secs(70)).await;
        let moments = calls.join_all().await;
        let mut moments: Vec<Duration> = moments.into_iter().flatten().collect();
        moments.sort_unstable();
        // Two had their turns before, one had its turn after; the others are told to come again.
        assert_eq!(moments.len(), 3, "{moments:?}");
        for pair in moments.windows(2) {
            assert!(pair[1] - pair[0] >= Duration::from_secs(1), "{moments:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_thaws_with_patience_left_waits_for_another_place() {
    let [one, other] = by_tokio_s_time(true);
    let began = tokio::time::Instant::now();
    let wait = |limiter: Limiter| async move {
        assert!(turn(&limiter).await);
        began.elapsed()
    };
    let calls: JoinSet<_> = (0..4).map(|_| wait(one.clone())).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::time::advance(Duration::from_secs(4)).await;
    let mut moments = vec![wait(other).await];
    moments.extend(calls.join_all().await);
    moments.sort_unstable();
    assert_eq!(moments.len(), 5);
    for pair in moments.windows(2) {
        assert!(
            pair[1] - pair[0] >= Duration::from_millis(990),
            "{moments:?}"
        );
    }
}

/// A process that is suspended with its timers notices it by the clock.
#[tokio::test(start_paused = true)]
async fn timers_that_stood_still_make_nobody_punctual() {
    let clock = clock();
    let limiter = limiter(Some(shared(&clock)), &clock);
    assert!(limiter.admit(&key(), &one_per_second(), 1).await.is_allowed);
    let suspended = async { clock.advance(Duration::from_secs(70)) };
    let (late, ()) = tokio::join!(turn(&limiter), suspended);
    assert!(late);
    // The call counts at the moment at which it goes out.
    let next = limiter.admit(&key(), &one_per_second(), 1).await;
    assert_eq!(
        (next.is_allowed, next.retry_after),
        (false, Duration::from_secs(1))
    );
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_caller_who_gave_up_is_the_next_one_s() {
    for is_shared in [true, false] {
        let [limiter, _] = by_tokio_s_time(is_shared);
        let next = || turn(&limiter);
        assert!(next().await);
        // Five wait in line, and all of them leave.
        let waiting = futures_util::future::join_all((0..5).map(|_| next()));
        let gave_up = tokio::time::timeout(Duration::from_millis(500), waiting).await;
        assert!(gave_up.is_err());
        let began = tokio::time::Instant::now();
        assert!(next().await);
        assert!(
            began.elapsed() <= Duration::from_millis(501),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_others_stand_behind_is_lost() {
    let [limiter, other] = by_tokio_s_time(true);
    let next = || turn(&limiter);
    assert!(next().await);
    let gives_up = tokio::time::timeout(Duration::from_millis(500), next());
    let stays = turn(&other);
    let began = tokio::time::Instant::now();
    let (gave_up, stayed) = tokio::join!(gives_up, stays);
    assert!(gave_up.is_err() && stayed);
    assert_eq!(began.elapsed().as_secs(), 2);
    assert!(next().await);
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn unused_places_are_remembered_within_bounds() {
    let clock = clock();
    let limiter = limiter(None, &clock);
    for number in 0..2 * MAX_UNUSED {
        let key = LimitKey::new("api_key", number);
        let quotas = [quota(240).with_burst(NonZeroU32::MIN)];
        drop(Place {
            limiter: &limiter,
            key: &key,
            quotas: &quotas,
            cost: 1,
            place_us: 1,
        });
    }
    assert_eq!(limiter.unused().len(), MAX_UNUSED);
    limiter
        .admit(&LimitKey::new("api_key", 7), &[quota(240)], 1)
        .await;
    assert_eq!(limiter.unused().len(), MAX_UNUSED - 1);
}
