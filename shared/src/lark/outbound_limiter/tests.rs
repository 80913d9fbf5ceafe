//! The limiter in Tokio's paused time, which its clock follows.

use std::sync::Arc;

use futures_util::future::join_all;

use super::*;
use crate::cache::CacheClient;
use crate::cache::memory::MemoryCache;
use crate::clock::{Clock, TokioClock};
use crate::lark::apis::{Api, CONTACT_USER_GET, OAUTH_CODE, OAUTH_REFRESH};
use crate::telemetry::emf::EmfRecorder;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// The window of a second, with its margin.
const WINDOW_MS: u128 = 1_080;

impl OutboundLimiter {
    /// Waits until a call goes out, unless that is too late for an answer by `deadline`.
    async fn acquire(
        &self,
        installation: Installation<'_>,
        api: &Api,
        receivers: &[Receiver],
        deadline: Deadline,
    ) -> Result<(), LarkFailure> {
        let patience = patience_until(deadline);
        let mut turn = self.turn(installation, api, receivers, patience).await?;
        Self::come(api, &mut turn, deadline).await?;
        turn.use_up();
        Ok(())
    }
}

/// The limiters of `N` processes with one cache.
fn processes<const N: usize>() -> [OutboundLimiter; N] {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::start());
    let cache = MemoryCache::new(1_024 * 1_024, Arc::clone(&clock));
    let cache = CacheClient::new(Arc::new(cache), SECOND);
    std::array::from_fn(|_| {
        let pacer = Pacer::new(Some(cache.clone()), Arc::clone(&clock));
        OutboundLimiter::new(pacer, StandardLimits::default())
    })
}

fn app(id: &str) -> AppId {
    AppId::parse(id).unwrap()
}

const fn installation<'i>(app_id: &'i AppId, tenant: Option<&'i TenantKey>) -> Installation<'i> {
    Installation {
        domain: Domain::Feishu,
        app_id,
        tenant,
    }
}

/// When each of `calls` calls that begin together goes out, if it does; each process sends its share of them.
async fn rush(
    processes: &[OutboundLimiter],
    calls: usize,
    time: Duration,
) -> Vec<Option<Duration>> {
    let app_id = &app("cli_a");
    let began = Instant::now();
    let calls = processes
        .iter()
        .cycle()
        .take(calls)
        .map(|limiter| async move {
            let deadline = Deadline::after(time);
            let turn = limiter
                .acquire(installation(app_id, None), &CONTACT_USER_GET, &[], deadline)
                .await;
            turn.ok().map(|()| began.elapsed())
        });
    join_all(calls).await
}

fn assert_within_limits(moments: &[Duration]) {
    for (limit, window) in [(50, SECOND), (1_000, MINUTE)] {
        for one_more in moments.windows(limit + 1) {
            assert!(one_more[limit] - one_more[0] > window, "{one_more:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_all_processes_go_out_in_the_order_of_asking_and_within_the_limits() {
    let moments = rush(&processes::<3>(), 150, MINUTE).await;
    let moments: Vec<Duration> = moments.into_iter().flatten().collect();
    assert_eq!(moments.len(), 150);
    assert!(moments.is_sorted());
    assert_within_limits(&moments);
    // Fifty at once, and fifty more each time they count no longer.
    assert_eq!(moments[149].as_millis(), 2 * WINDOW_MS, "{moments:?}");
}

#[test]
fn a_call_asks_once_for_its_turn_and_says_how_long_it_waited() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let recorder = EmfRecorder::default();
    ::metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async { rush(&processes::<2>(), 150, MINUTE).await });
    });
    let mut out = Vec::new();
    recorder.flush(&mut out);
    let out = String::from_utf8(out).unwrap();
    let decisions: Vec<&str> = out
        .lines()
        .filter(|line| line.contains(r#""scope":"lark""#))
        .collect();
    assert_eq!(decisions.len(), 1, "{decisions:?}");
    let counted = format!(r#""{}":150.0"#, metrics::RATE_LIMIT);
    assert!(decisions[0].contains(&counted), "{decisions:?}");
    assert!(
        decisions[0].contains(r#""result":"allowed""#),
        "{decisions:?}"
    );
    assert!(out.contains(metrics::LARK_WAIT), "{out}");
}

#[tokio::test(start_paused = true)]
async fn what_has_to_wait_too_long_is_told_so_at_once_and_is_not_sent() {
    let [limiter] = processes();
    let moments = rush(std::slice::from_ref(&limiter), 600, MINUTE).await;
    let sent: Vec<Duration> = moments.into_iter().flatten().collect();
    // The calls that fit into a wait of ten seconds: nine more fifties after the first.
    assert_eq!(sent.len(), 500);
    assert_within_limits(&sent);

    let (app_id, began) = (app("cli_a"), Instant::now());
    let refused = loop {
        let deadline = Deadline::after(SECOND);
        let turn = limiter
            .acquire(
                installation(&app_id, None),
                &CONTACT_USER_GET,
                &[],
                deadline,
            )
            .await;
        if let Err(refused) = turn {
            break refused;
        }
    };
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(
        (refused.kind, refused.is_unsent),
        (FailureKind::RateLimited, true)
    );
    assert!(!refused.may_have_happened());
    assert_eq!(refused.retry_after, Some(Duration::from_millis(1_080)));
    assert!(refused.msg.starts_with("not sent"), "{}", refused.msg);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_has_time_left_for_itself() {
    let [limiter] = processes();
    let time = SECOND * 3;
    let moments = rush(std::slice::from_ref(&limiter), 300, time).await;
    let sent: Vec<Duration> = moments.into_iter().flatten().collect();
    // A third fifty could go after 2.16 seconds, and an answer takes up to one.
    assert_eq!((sent.len(), sent[99].as_millis()), (100, WINDOW_MS));
}

#[tokio::test(start_paused = true)]
async fn apps_tenants_and_apis_do_not_wait_for_each_other() {
    let [limiter] = processes();
    rush(std::slice::from_ref(&limiter), 500, MINUTE / 6).await;
    let (one, other) = (app("cli_a"), app("cli_b"));
    let tenant = TenantKey::parse("t").unwrap();
    let began = Instant::now();
    for (installation, api) in [
        (installation(&other, None), CONTACT_USER_GET),
        (installation(&one, Some(&tenant)), CONTACT_USER_GET),
        (installation(&one, None), OAUTH_CODE),
    ] {
        let deadline = Deadline::after(MINUTE);
        limiter
            .acquire(installation, &api, &[], deadline)
            .await
            .unwrap();
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    let key = |api: Api| key("lark", installation(&one, None), &api);
    assert_eq!(key(OAUTH_CODE), key(OAUTH_REFRESH));
}

#[tokio::test(start_paused = true)]
async fn calls_in_the_background_leave_half_of_the_limit_to_others() {
    let [limiter] = processes();
    let background = limiter.in_background();
    let (crowd, other) = tokio::join!(
        rush(std::slice::from_ref(&background), 200, MINUTE),
        rush(std::slice::from_ref(&limiter), 20, MINUTE),
    );
    let crowd: Vec<Duration> = crowd.into_iter().flatten().collect();
    let others: Vec<Duration> = other.into_iter().flatten().collect();
    assert_eq!(others.len(), 20);
    assert!(others[19] < SECOND, "{others:?}");
    let mut all = [crowd, others].concat();
    all.sort_unstable();
    assert_within_limits(&all);
}

#[tokio::test(start_paused = true)]
async fn calls_in_the_background_take_half_of_the_limit_when_alone() {
    let [limiter] = processes();
    let background = limiter.in_background();
    let moments = rush(std::slice::from_ref(&background), 150, MINUTE).await;
    let moments: Vec<Duration> = moments.into_iter().flatten().collect();
    for one_more in moments.windows(26) {
        assert!(one_more[25] - one_more[0] > SECOND, "{one_more:?}");
    }
    assert_eq!(moments.len(), 150);
    assert_eq!(moments[149].as_millis(), 5 * WINDOW_MS);
}

#[tokio::test(start_paused = true)]
async fn a_background_call_that_is_held_back_leaves_its_half_to_the_next() {
    let [limiter] = processes();
    let background = limiter.in_background();
    let app_id = app("cli_a");
    let installation = installation(&app_id, None);
    let refusal = failure(Some(FREQUENCY_LIMIT), 429, Some(MINUTE));
    limiter
        .pause_after(installation, &CONTACT_USER_GET, &[], &refusal)
        .await;
    for _ in 0..100 {
        let deadline = Deadline::after(SECOND * 5);
        let turn = background
            .acquire(installation, &CONTACT_USER_GET, &[], deadline)
            .await;
        assert!(turn.is_err());
    }
    let half = limiter.half(installation, &CONTACT_USER_GET);
    for _ in 0..25 {
        let free = limiter.pacer.reserve(&half, Duration::ZERO).await;
        assert!(free.is_allowed);
    }
}

fn failure(code: Option<i64>, http_status: u16, retry_after: Option<Duration>) -> LarkFailure {
    LarkFailure {
        code,
        http_status: Some(http_status),
        retry_after,
        ..LarkFailure::without_answer(FailureKind::RateLimited, "")
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_platforms_refusal_nobody_goes_out_before_the_moment_it_names() {
    let [one, other] = processes();
    let app_id = app("cli_a");
    let installation = installation(&app_id, None);
    let wish = SECOND * 5;
    let refusal = failure(Some(FREQUENCY_LIMIT), 429, Some(wish));
    assert!(
        one.pause_after(installation, &CONTACT_USER_GET, &[], &refusal)
            .await
    );
    let moments = rush(&[one, other], 60, MINUTE).await;
    let moments: Vec<Duration> = moments.into_iter().flatten().collect();
    assert_eq!((moments.len(), moments[0]), (60, wish));
    assert_within_limits(&moments);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_hear_of_a_refusal_of_their_own_process() {
    let [limiter] = processes();
    let app_id = app("cli_a");
    let refused = async {
        tokio::time::sleep(SECOND / 2).await;
        let installation = installation(&app_id, None);
        limiter
            .pause_after(
                installation,
                &CONTACT_USER_GET,
                &[],
                &failure(None, 429, None),
            )
            .await
    };
    let (moments, is_paused) =
        tokio::join!(rush(std::slice::from_ref(&limiter), 60, MINUTE), refused);
    assert!(is_paused);
    let moments: Vec<Duration> = moments.into_iter().flatten().collect();
    assert_eq!(moments.len(), 60);
    let pause = SECOND / 2..SECOND / 2 + DEFAULT_PAUSE;
    assert!(
        !moments.iter().any(|moment| pause.contains(moment)),
        "{moments:?}"
    );
}

#[tokio::test]
async fn the_limit_of_a_chat_or_a_user_is_no_reason_to_hold_the_others_back() {
    let [limiter] = processes();
    let app_id = app("cli_a");
    let installation = installation(&app_id, None);
    for failure in [
        failure(Some(230_020), 400, None),
        // The month's quota is used up: nothing that it does not count is held back.
        failure(Some(99_991_403), 429, Some(MINUTE)),
        failure(None, 503, None),
        held_back(&Reservation::refused(&[], SECOND)),
    ] {
        assert!(
            !limiter
                .pause_after(installation, &CONTACT_USER_GET, &[], &failure)
                .await
        );
    }
}

fn chat(id: &str) -> [Receiver; 1] {
    [Receiver::Chat(id.to_owned())]
}

/// When each of the messages to `receivers` goes out, if they begin together.
async fn messages(
    processes: &[OutboundLimiter],
    receivers: &[[Receiver; 1]],
    each: usize,
) -> Vec<Duration> {
    let (app_id, tenant) = (app("cli_a"), TenantKey::parse("t").unwrap());
    let (app_id, tenant) = (&app_id, &tenant);
    let began = Instant::now();
    let all = receivers.iter().cycle().take(receivers.len() * each);
    let calls = all.zip(processes.iter().cycle()).map(|(to, limiter)| {
        let installation = installation(app_id, Some(tenant));
        async move {
            let api = Api::standard("im_message_create");
            let deadline = Deadline::after(MINUTE);
            let turn = limiter.acquire(installation, &api, to, deadline).await;
            turn.unwrap();
            began.elapsed()
        }
    });
    join_all(calls).await
}

#[tokio::test(start_paused = true)]
async fn a_chat_gets_five_messages_a_second_from_all_processes_and_keeps_no_other_waiting() {
    let processes = processes::<2>();
    let (busy, quiet) = ([chat("oc_1")], [chat("oc_2"), chat("oc_3")]);
    let (busy, quiet) = tokio::join!(
        messages(&processes, &busy, 20),
        messages(&processes, &quiet, 5)
    );
    assert!(quiet.iter().all(Duration::is_zero), "{quiet:?}");
    for one_more in busy.windows(6) {
        assert!(one_more[5] - one_more[0] > SECOND, "{one_more:?}");
    }
    assert_eq!(busy[19].as_millis(), 3 * WINDOW_MS);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_chat_holds_back_what_goes_there_and_nothing_else() {
    let [limiter] = processes();
    let (app_id, tenant) = (app("cli_a"), TenantKey::parse("t").unwrap());
    let installation = installation(&app_id, Some(&tenant));
    let (api, to) = (Api::standard("im_message_create"), chat("oc_1"));
    let refusal = failure(Some(RECEIVER_FREQUENCY_LIMIT), 400, None);
    assert!(limiter.pause_after(installation, &api, &to, &refusal).await);
    let limiters = [limiter];
    let moments = messages(&limiters, &[chat("oc_1"), chat("oc_2")], 1).await;
    assert_eq!(moments, [DEFAULT_PAUSE, Duration::ZERO]);
}

#[test]
fn the_apps_of_a_tenant_share_a_chat_and_internal_apps_each_chat() {
    let (one, other) = (app("cli_a"), app("cli_b"));
    let tenant = TenantKey::parse("t").unwrap();
    let [chat] = chat("oc_1");
    let pace = |app_id, tenant| pace_of(installation(app_id, tenant), &chat);
    assert_eq!(pace(&one, Some(&tenant)), pace(&other, Some(&tenant)));
    // A chat's id is the platform's, and one of all: whose internal app it is does not matter.
    assert_eq!(pace(&one, None), pace(&other, None));
    assert_ne!(pace(&one, None), pace(&one, Some(&tenant)));
    // An open_id is the app's own.
    let person = Receiver::Person("oc_1".to_owned());
    let [ours, theirs] = [&one, &other].map(|app_id| pace_of(installation(app_id, None), &person));
    assert_ne!(ours.key, theirs.key);
    assert_ne!(ours.key, pace(&one, None).key);
    assert_eq!(ours.windows, pace(&one, None).windows);
}

mod rush;
