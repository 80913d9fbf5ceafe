//! The proxies do what they promise: each fate, seen from a process behind them.

use std::time::Duration;

use lark_service_tests::site::Site;
use lark_service_tests::traffic::Fate;

/// A tenant token is fetched behind a fate of one request, and the process's answer and what the platform saw are right.
async fn check(pattern: &str, fate: Fate, outcome: &str, requests: u64, at_least: usize) {
    let site = Site::start().await;
    let mut function = site.function("get-token").await;
    function.network.traffic.nth(1, pattern, fate.clone());
    let ended = function.invoke(&site.tenant_token()).await;
    assert_eq!(ended.outcome(), outcome, "{pattern} {fate:?}: {ended:?}");
    let asked = site.requests("auth.tenant_access_token.internal");
    assert_eq!(asked, requests, "{pattern} {fate:?}");
    let seen = function.network.traffic.count(pattern);
    assert!(seen >= at_least, "{pattern} {fate:?}: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_store_that_is_lost_or_throttled_is_asked_for_again() {
    for fate in [Fate::LoseAnswer, Fate::Refuse, Fate::Throttle] {
        check("store GetItem apps", fate, "200", 1, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_never_reached_its_server_and_one_whose_answer_is_lost_did() {
    let token = "platform POST /open-apis/auth/v3/tenant_access_token/internal";
    check(token, Fate::Refuse, "200", 1, 2).await;
    check(token, Fate::LoseAnswer, "200", 2, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_loses_answers_or_falls_silent_costs_no_token() {
    for fate in [Fate::LoseAnswer, Fate::Refuse, Fate::Hang, Fate::HangAnswer] {
        check("cache GET *", fate, "200", 1, 1).await;
    }
    let late = Fate::Delay(Duration::from_millis(100));
    check("cache *", late, "200", 1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_request_is_answered_when_the_test_says_so() {
    let site = Site::start().await;
    let mut function = site.function("get-token").await;
    let held = function.network.traffic.hold("platform *");
    function.begin(&site.tenant_token());
    held.arrived().await;
    assert_eq!(site.control().counters().tokens_issued, 0);
    held.forward();
    held.answered().await;
    assert_eq!(site.control().counters().tokens_issued, 1);
    held.release();
    assert_eq!(function.end().await.outcome(), "200");
}
