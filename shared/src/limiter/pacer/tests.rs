//! The pacer over the cache in memory, over an unreachable one, and without one.

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::tests::{clock, key, out_of_reach, shared};
use super::*;
use crate::clock::{ManualClock, TokioClock};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn pacer(cache: Option<CacheClient>, clock: &Arc<ManualClock>) -> Pacer {
    Pacer::new(cache, Arc::clone(clock) as Arc<dyn Clock>)
}

impl Pacer {
    /// Waits until a call that counts in `pace` goes out.
    async fn wait(&self, pace: &Pace, patience: Duration) -> Result<(), Reservation> {
        self.wait_for_all(std::slice::from_ref(pace), patience)
            .await
    }

    async fn wait_for_all(&self, paces: &[Pace], patience: Duration) -> Result<(), Reservation> {
        let patience = Deadline::after(patience);
        let mut turn = self.turn(paces.to_vec(), patience.remaining()).await?;
        turn.come(patience.remaining()).await?;
        turn.use_up();
        Ok(())
    }
}

/// So many calls in any second.
fn per_second(limit: u32) -> Pace {
    named(key(), limit)
}

fn named(key: LimitKey, limit: u32) -> Pace {
    let windows = vec![Window::new(NonZeroU32::new(limit).unwrap(), SECOND)];
    Pace { key, windows }
}

#[tokio::test]
async fn a_pause_reaches_the_other_processes() {
    let clock = clock();
    let cache = shared(&clock);
    let (one, other) = (
        pacer(Some(cache.clone()), &clock),
        pacer(Some(cache), &clock),
    );
    one.pause(&key(), MINUTE).await;
    for pacer in [&one, &other] {
        let refused = pacer.reserve(&per_second(5), MAX_PATIENCE).await;
        assert!(!refused.is_allowed);
        assert_eq!(refused.retry_after, MINUTE - MAX_PATIENCE);
    }
    clock.advance(MINUTE);
    assert!(one.reserve(&per_second(5), Duration::ZERO).await.is_allowed);
    assert!(
        other
            .reserve(&per_second(5), Duration::ZERO)
            .await
            .is_allowed
    );
}

#[tokio::test]
async fn a_pause_is_kept_without_the_cache_and_has_an_end() {
    let clock = clock();
    let pacer = pacer(Some(out_of_reach()), &clock);
    pacer.pause(&key(), MINUTE * 1_000).await;
    let refused = pacer.reserve(&per_second(5), Duration::ZERO).await;
    assert_eq!(
        (refused.is_allowed, refused.retry_after),
        (false, MAX_PAUSE)
    );
    clock.advance(MAX_PAUSE);
    assert!(
        pacer
            .reserve(&per_second(5), Duration::ZERO)
            .await
            .is_allowed
    );
}

#[tokio::test]
async fn places_are_given_to_all_processes_together() {
    let clock = clock();
    let cache = shared(&clock);
    let (one, other) = (
        pacer(Some(cache.clone()), &clock),
        pacer(Some(cache), &clock),
    );
    let mut waits = Vec::new();
    for pacer in [&one, &other, &one, &other, &one] {
        let reservation = pacer.reserve(&per_second(2), MAX_PATIENCE).await;
        assert!(reservation.is_allowed);
        waits.push(reservation.wait.as_secs());
    }
    assert_eq!(waits, [0, 0, 1, 1, 2]);
}

#[tokio::test]
async fn a_cache_that_lost_a_pause_is_told_again_so_that_nobody_crowds_at_its_end() {
    let clock = clock();
    let cache = shared(&clock);
    let pacer = pacer(Some(cache.clone()), &clock);
    let pause = SECOND * 4;
    pacer.pause(&key(), pause).await;
    cache.delete(&key().text).await.unwrap();
    for place in 0..3 {
        let reservation = pacer.reserve(&per_second(1), MAX_PATIENCE).await;
        assert!(reservation.is_allowed && reservation.wait >= pause);
        // The first call's place from before the pause is lost.
        assert_eq!(reservation.wait.as_secs(), 4 + place);
    }
    cache.delete(&key().text).await.unwrap();
    let refused = pacer.reserve(&per_second(1), Duration::ZERO).await;
    assert_eq!((refused.is_allowed, refused.retry_after), (false, pause));
}

#[tokio::test]
async fn without_the_cache_a_process_queues_for_its_share() {
    for cache in [None, Some(out_of_reach())] {
        let pacer = pacer(cache, &clock());
        pacer.pause(&key(), SECOND * 2).await;
        for seconds in [2, 2, 3, 3, 4] {
            let reservation = pacer.reserve(&per_second(8), MAX_PATIENCE).await;
            assert_eq!(
                (reservation.is_allowed, reservation.wait),
                (true, SECOND * seconds)
            );
        }
    }
}

/// Pacers of two processes, over one cache or each by itself, that go by Tokio's time.
fn by_tokio_s_time(is_shared: bool) -> [Pacer; 2] {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::start());
    let cache = MemoryCache::new(1 << 20, Arc::clone(&clock));
    let cache = is_shared.then(|| CacheClient::new(Arc::new(cache), SECOND));
    let one = Pacer::new(cache, clock).with_share(NonZeroU32::MIN);
    [one.clone(), one]
}

/// The turn of a call for which there is time, one in a second.
async fn turn(pacer: &Pacer) -> bool {
    pacer.wait(&per_second(1), MAX_PATIENCE).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_goes_on_when_it_comes() {
    let [pacer, _] = by_tokio_s_time(false);
    let began = Instant::now();
    for seconds in 0..3 {
        assert!(turn(&pacer).await);
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
    let refused = pacer.wait(&per_second(1), Duration::from_millis(10)).await;
    assert!(refused.is_err());
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn seven_callers_that_thaw_together_still_go_out_one_by_one() {
    for is_shared in [true, false] {
        let pacers = by_tokio_s_time(is_shared);
        let began = Instant::now();
        let calls = (0..7_usize).map(|number| {
            let pacer = pacers[number % 2].clone();
            async move { turn(&pacer).await.then(|| began.elapsed()) }
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
            assert!(pair[1] - pair[0] >= SECOND, "{moments:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_thaws_with_patience_left_waits_for_another_place() {
    let [one, other] = by_tokio_s_time(true);
    let began = Instant::now();
    let wait = |pacer: Pacer| async move {
        assert!(turn(&pacer).await);
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
    let pacer = pacer(Some(shared(&clock)), &clock);
    let pace = per_second(1);
    assert!(pacer.reserve(&pace, Duration::ZERO).await.is_allowed);
    let suspended = async { clock.advance(Duration::from_secs(70)) };
    let (late, ()) = tokio::join!(turn(&pacer), suspended);
    assert!(late);
    // The call counts at the moment at which it goes out.
    let next = pacer.reserve(&pace, Duration::ZERO).await;
    assert_eq!((next.is_allowed, next.retry_after), (false, SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_caller_who_gave_up_is_the_next_one_s() {
    for is_shared in [true, false] {
        let [pacer, _] = by_tokio_s_time(is_shared);
        let next = || turn(&pacer);
        assert!(next().await);
        // Five wait in line, and all of them leave.
        let waiting = futures_util::future::join_all((0..5).map(|_| next()));
        let gave_up = tokio::time::timeout(SECOND / 2, waiting).await;
        assert!(gave_up.is_err());
        let began = Instant::now();
        assert!(next().await);
        let waited = began.elapsed();
        assert!(waited <= Duration::from_millis(501), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_others_stand_behind_is_lost() {
    let [pacer, other] = by_tokio_s_time(true);
    let next = || turn(&pacer);
    assert!(next().await);
    let gives_up = tokio::time::timeout(SECOND / 2, next());
    let stays = turn(&other);
    let began = Instant::now();
    let (gave_up, stayed) = tokio::join!(gives_up, stays);
    assert!(gave_up.is_err() && stayed);
    assert_eq!(began.elapsed().as_secs(), 2);
    assert!(next().await);
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn unused_places_are_remembered_within_bounds() {
    let pacer = pacer(None, &clock());
    let place = Place {
        number: 0,
        at_us: 1,
    };
    for number in 0..2 * MAX_UNUSED {
        pacer.note_unused(&named(LimitKey::new("api_key", number), 1), place);
    }
    assert_eq!(pacer.unused().len(), MAX_UNUSED);
    let pace = named(LimitKey::new("api_key", 7), 1);
    assert!(pacer.reserve(&pace, Duration::ZERO).await.is_allowed);
    assert_eq!(pacer.unused().len(), MAX_UNUSED - 1);
}

fn chat(number: u32) -> Pace {
    named(LimitKey::new("chat", number), 1)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_counts_in_several_keys_keeps_within_all_of_them() {
    let pacers = by_tokio_s_time(true);
    let began = Instant::now();
    // Three chats with one a second each, of an app with two a second.
    let calls = (0..9_u32).map(|number| {
        let pacer = pacers[number as usize % 2].clone();
        async move {
            let paces = [chat(number % 3), per_second(2)];
            let turn = pacer.wait_for_all(&paces, MAX_PATIENCE).await;
            turn.is_ok().then(|| (number % 3, began.elapsed()))
        }
    });
    let calls: JoinSet<_> = calls.collect();
    let moments: Vec<_> = calls.join_all().await.into_iter().flatten().collect();
    // Whoever is told to come again was not sent.
    assert!(moments.len() >= 6, "{moments:?}");
    let kept = |most: usize, moments: Vec<Duration>| {
        let mut moments = moments;
        moments.sort_unstable();
        for apart in moments.windows(most + 1) {
            // A call goes out up to thirty milliseconds after its place.
            assert!(apart[most] - apart[0] >= SECOND - LATE, "{moments:?}");
        }
    };
    kept(2, moments.iter().map(|(_, at)| *at).collect());
    for number in 0..3 {
        let of_chat = moments.iter().filter(|(chat, _)| *chat == number);
        kept(1, of_chat.map(|(_, at)| *at).collect());
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_whose_time_passes_while_the_call_waits_for_another_is_taken_anew() {
    let [pacer, _] = by_tokio_s_time(true);
    assert!(turn(&pacer).await);
    let began = Instant::now();
    let paces = [chat(1), per_second(1)];
    assert!(pacer.wait_for_all(&paces, MAX_PATIENCE).await.is_ok());
    assert_eq!(began.elapsed(), SECOND);
    // The chat's second begins when the call went out, or right before.
    let next = pacer.reserve(&chat(1), MAX_PATIENCE).await;
    assert_eq!((next.is_allowed, next.wait), (true, SECOND - turn::EARLY));
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_goes_back_when_another_key_refuses() {
    let [pacer, _] = by_tokio_s_time(true);
    pacer.pause(&key(), MINUTE).await;
    for _ in 0..3 {
        let paces = [chat(1), chat(2), per_second(1)];
        let refused = pacer.wait_for_all(&paces, MAX_PATIENCE).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.is_allowed, refused.retry_after),
            (false, MINUTE - MAX_PATIENCE)
        );
    }
    for number in [1, 2] {
        let free = pacer.reserve(&chat(number), Duration::ZERO).await;
        assert!(free.is_allowed);
    }
}

mod turns;
