//! While a process stands still its servers go on: they close connections, restart, or vanish without a word.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service_tests::function::Function;
use lark_service_tests::network::Network;
use lark_service_tests::servers::Valkey;
use lark_service_tests::site::Site;
use serde_json::Value;

/// Less than one attempt of a call of the store may take, and more than a busy machine adds.
const PROMPT: Duration = Duration::from_secs(3);

/// What becomes of the connections.
type Event = (&'static str, fn(&Network));

const CLOSED: [Event; 4] = [
    ("the store closed them", |network| {
        network.store.break_connections();
    }),
    ("the cache closed them", |network| {
        network.cache.break_connections();
    }),
    ("the platform closed them", |network| {
        network.platform.break_connections();
    }),
    ("everybody closed them", |network| {
        network.store.break_connections();
        network.cache.break_connections();
        network.platform.break_connections();
    }),
];

/// Invokes `function` with `first`, lets `happens` happen while it stands still, and returns how long the answer to `second`
/// takes, which must be right.
async fn after(function: &mut Function, happens: Event, first: &Value, second: &Value) -> Duration {
    let (what, happens) = happens;
    let before = function.invoke(first).await;
    assert!(is_right(&before.answer), "{what}: {before:?}");
    happens(&function.network);
    let after = function.invoke(second).await;
    assert!(is_right(&after.answer), "{what}: {after:?}");
    after.took
}

/// Whether it answers 200, or lets the caller in.
fn is_right(answer: &Result<Value, Value>) -> bool {
    let Ok(answer) = answer else { return false };
    answer["statusCode"] == 200 || answer["isAuthorized"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_closed_during_a_freeze_cost_no_answer() {
    join_all(CLOSED.map(async |happens| {
        let site = Site::start().await;
        let mut function = site.function("get-user").await;
        // Another user: all three are asked again.
        let (first, second) = (site.user(1), site.user(2));
        let took = after(&mut function, happens, &first, &second).await;
        assert!(took < PROMPT, "{}: {took:?}", happens.0);
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_the_store_that_was_closed_during_a_freeze_costs_no_decision() {
    let site = Site::start().await;
    let mut function = site.function("authorize").await;
    let event = site.question();
    let took = after(&mut function, CLOSED[0], &event, &event).await;
    assert!(took < PROMPT, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_the_cache_that_fell_silent_during_a_freeze_costs_a_moment() {
    let site = Site::start().await;
    let mut function = site.function("get-user").await;
    let silent: Event = ("the cache fell silent", |network| {
        network.cache.silence_connections();
    });
    let took = after(&mut function, silent, &site.user(1), &site.user(2)).await;
    assert!(took < PROMPT, "{took:?}");
    // It has a new connection by now.
    let again = function.invoke(&site.user(2)).await;
    assert_eq!(again.outcome(), "200");
    assert!(again.took < Duration::from_millis(200), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_restarted_empty_during_a_freeze_costs_no_answer() {
    let mut valkey = Valkey::start().await;
    let site = Site::start_over(&valkey.url()).await;
    let mut function = site.function("get-token").await;
    let first = function.invoke(&site.tenant_token()).await.response();
    valkey.kill().await;
    valkey.restart().await;
    let second = function.invoke(&site.tenant_token()).await.response();
    assert_eq!((first.status, second.status), (200, 200), "{second:?}");
    assert_eq!(first.body["token"], second.body["token"]);
    assert_eq!(site.requests("auth.tenant_access_token.internal"), 1);
}
