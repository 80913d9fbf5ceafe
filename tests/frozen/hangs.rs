//! A dependency that accepts and never answers, under load: every answer is bounded, and every error is the right one.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service_tests::cluster::figure;
use lark_service_tests::function::{Ended, Function};
use lark_service_tests::requests::authorizer_event;
use lark_service_tests::site::Site;
use lark_service_tests::traffic::Fate;
use serde_json::Value;

/// Processes of a function that are under load.
const PROCESSES: usize = 4;
/// Invocations of each, one after the other.
const INVOCATIONS: u32 = 5;
/// API Gateway waits so long.
const GATEWAY: Duration = Duration::from_secs(30);

/// Processes of `name`, each of which has answered `warm` once.
async fn processes(
    site: &Site,
    name: &str,
    variables: &[(&str, &str)],
    warm: &Value,
) -> Vec<Function> {
    join_all((0..PROCESSES).map(async |_| {
        let mut function = site.function_as(name, variables).await;
        let ended = function.invoke(warm).await;
        assert!(ended.answer.is_ok(), "{ended:?}");
        function
    }))
    .await
}

/// Lets everything that matches `pattern` hang, and invokes all processes at once, several times. `event` makes the event
/// with this number.
async fn load(
    functions: &mut [Function],
    pattern: &str,
    event: impl Fn(u32) -> Value,
) -> Vec<Ended> {
    let event = &event;
    let all = functions
        .iter_mut()
        .zip(0_u32..)
        .map(async |(function, process)| {
            function.network.traffic.every(pattern, Fate::Hang);
            let mut ended = Vec::new();
            for number in 0..INVOCATIONS {
                let event = event(process * INVOCATIONS + number);
                ended.push(function.invoke(&event).await);
            }
            ended
        });
    join_all(all).await.into_iter().flatten().collect()
}

/// Each ended within `bound`, as `outcome` says.
async fn check(what: &str, ended: &[Ended], bound: Duration, outcome: &str) {
    for ended in ended {
        assert_eq!(ended.outcome(), outcome, "{what}: {ended:?}");
        assert!(ended.took < bound, "{what}: {ended:?}");
    }
    let longest = ended.iter().map(|ended| ended.took).max();
    let number = ended.len();
    figure(format!(
        "{what}: {number} answers, the longest after {longest:?}"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_hangs_costs_no_answer_and_little_time() {
    let site = Site::start().await;
    let mut functions = processes(&site, "get-user", &[], &site.user(100)).await;
    let ended = load(&mut functions, "cache *", |number| site.user(number + 1)).await;
    check("a cache that hangs", &ended, Duration::from_secs(2), "200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_keeps_no_token_from_a_warm_process() {
    let site = Site::start().await;
    let mut functions = processes(&site, "get-token", &[], &site.tenant_token()).await;
    let ended = load(&mut functions, "store *", |_| site.tenant_token()).await;
    check(
        "a store that hangs: tokens",
        &ended,
        Duration::from_secs(2),
        "200",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_lets_nobody_in_and_says_so_in_time() {
    let site = Site::start().await;
    let event =
        authorizer_event("Bearer lsk_unknown0key0_unknown000000000000000000000000000000000000");
    let mut functions = processes(&site, "authorize", &[], &event).await;
    functions.truncate(2);
    let known = site.question();
    let all = functions.iter_mut().map(async |function| {
        function.network.traffic.every("store *", Fate::Hang);
        function.invoke(&known).await
    });
    let ended: Vec<Ended> = join_all(all).await;
    // API Gateway answers 500 for it.
    check(
        "a store that hangs: decisions",
        &ended,
        Duration::from_secs(11),
        "failed",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_hangs_costs_what_is_not_cached_and_nothing_else() {
    let site = Site::start().await;
    let short = [("LARK_SERVICE_LARK_TIMEOUT_MS", "1500")];
    let mut functions = processes(&site, "get-user", &short, &site.user(100)).await;
    let cached = load(&mut functions, "platform *", |_| site.user(100)).await;
    check(
        "a platform that hangs: cached",
        &cached,
        Duration::from_secs(1),
        "200",
    )
    .await;
    let missing = load(&mut functions, "platform *", |number| site.user(number + 1)).await;
    check(
        "a platform that hangs: not cached",
        &missing,
        GATEWAY,
        "503 lark_unavailable",
    )
    .await;
}
