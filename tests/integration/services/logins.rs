//! Logins of users: begun, finished, refreshed exactly once, lost, ended.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use lark_service::apps::AppContext;
use lark_service::error::Error;
use lark_service::error::LoginEnd;
use lark_service::ids::{AppId, OpenId};
use lark_service::lark::oauth;
use lark_service::tokens::{SharedToken, TokenKey, TokenKind};
use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{Fault, FaultAction, FaultStage, Settings};
use secrecy::ExposeSecret;

/// A user's access token lives two hours.
pub(super) const LIFE: Duration = Duration::from_secs(7_200);
/// Longer than every pause and lease.
pub(super) const LATER: Duration = Duration::from_secs(120);

pub(super) fn app_id() -> AppId {
    AppId::parse(APP).unwrap()
}

pub(super) fn value(token: &SharedToken) -> &str {
    token.value.expose_secret()
}

#[track_caller]
pub(super) fn end_of(outcome: lark_service::error::Result<SharedToken>) -> LoginEnd {
    match outcome {
        Err(Error::ReauthorizationRequired { end, .. }) => end,
        other => panic!("not the end of a login: {other:?}"),
    }
}

pub(super) async fn world() -> (World, Process, OpenId) {
    let world = World::begin().await;
    let process = world.process();
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    (world, process, open_id)
}

/// A fault at the token endpoint: the platform does its work, but its answer never arrives.
pub(super) fn lost_answer() -> Fault {
    Fault {
        stage: FaultStage::After,
        count: Some(1),
        ..Fault::new("authen.oauth_token", FaultAction::Reset)
    }
}

#[tokio::test]
async fn a_login_gives_the_users_token_to_every_process() {
    let (world, process, open_id) = world().await;
    let token = process.user_token(&open_id).await.unwrap();
    let other = world.process().user_token(&open_id).await.unwrap();
    assert_eq!(value(&token), value(&other));
    assert_eq!(open_id.as_str(), lark_simulator::open_id(APP, 7));
    let counters = world.control().counters();
    assert_eq!((counters.code_grants, counters.refresh_grants), (1, 0));
}

#[tokio::test]
async fn an_answer_of_the_log_in_page_counts_for_ten_minutes_and_once() {
    let (world, process, _) = world().await;
    for (wait, expected) in [(0, 403), (599, 403), (600, 400)] {
        let started = TestRequest::new("GET", &format!("/v1/oauth/authorize?app_id={APP}"))
            .without_key()
            .send(&process)
            .await;
        assert_eq!(started.status, 302, "{:?}", started.body);
        let (_, state) = started.header("location").split_once("state=").unwrap();
        let state = state.split('&').next().unwrap();
        let cookie = started.header("set-cookie").split(';').next().unwrap();
        world.advance(Duration::from_secs(wait));
        let target = format!("/v1/oauth/callback?state={state}&error=access_denied");
        let back = TestRequest::new("GET", &target)
            .without_key()
            .header("cookie", cookie);
        assert_eq!(
            back.clone().send(&process).await.status,
            expected,
            "after {wait} s"
        );
        let again = back.send(&process).await;
        assert_eq!((again.status, again.code()), (400, "login_invalid"));
    }
}

#[tokio::test]
async fn a_user_without_a_login_is_asked_to_log_in() {
    let (world, process, _) = world().await;
    let stranger = OpenId::parse("ou_stranger").unwrap();
    let end = end_of(process.user_token(&stranger).await);
    assert_eq!(end, LoginEnd::NotLoggedIn);
    assert_eq!(world.control().counters().refresh_grants, 0);
}

#[tokio::test]
async fn at_its_end_a_token_is_refreshed_once_for_all_callers_and_processes() {
    let (world, _, open_id) = world().await;
    world.advance(LIFE);
    let processes: Vec<_> = (0..8).map(|_| world.process()).collect();
    let callers = processes
        .iter()
        .flat_map(|process| (0..25).map(|_| process.user_token(&open_id)));
    let tokens: Vec<_> = join_all(callers)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(tokens.len(), 200);
    assert!(tokens.iter().all(|token| value(token) == value(&tokens[0])));
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
}

#[tokio::test]
async fn a_login_that_is_used_goes_on_for_weeks() {
    let (world, process, open_id) = world().await;
    for _ in 0..60 {
        world.advance(Duration::from_secs(8 * 3_600));
        process.user_token(&open_id).await.unwrap();
    }
    assert_eq!(world.control().counters().refresh_rejected, 0);
}

#[tokio::test]
async fn the_scheduled_run_keeps_a_login_alive_that_nobody_uses() {
    let (world, process, open_id) = world().await;
    let refresher = process.0.refresher();
    let mut refreshed = 0;
    for _ in 0..30 * 4 {
        world.advance(Duration::from_secs(6 * 3_600));
        refreshed += refresher.run(soon()).await.unwrap().refreshed;
        // The app's own token is refreshed along with it, at most once a run.
    }
    process.user_token(&open_id).await.unwrap();
    let counters = world.control().counters();
    assert!((8..=12).contains(&counters.refresh_grants), "{counters:?}");
    assert!(refreshed >= counters.refresh_grants);
    assert_eq!(counters.refresh_rejected, 0);
}

#[tokio::test]
async fn a_login_that_nobody_renews_ends_by_the_platforms_word_which_is_asked_once() {
    let (world, process, open_id) = world().await;
    world.advance(Duration::from_secs(8 * 24 * 3_600));
    for process in [&process, &process, &world.process()] {
        assert_eq!(
            end_of(process.user_token(&open_id).await),
            LoginEnd::Expired
        );
    }
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (0, 1));
}

#[tokio::test]
async fn a_revoked_login_ends_for_this_user_alone() {
    let (world, process, open_id) = world().await;
    let other = process.log_in(world.control(), 8).await.unwrap();
    world.control().revoke_login(APP, 7);
    world.advance(LIFE);
    assert_eq!(
        end_of(process.user_token(&open_id).await),
        LoginEnd::Revoked
    );
    for _ in 0..3 {
        assert_eq!(
            end_of(process.user_token(&open_id).await),
            LoginEnd::Revoked
        );
    }
    process.user_token(&other).await.unwrap();
    assert_eq!(
        world.control().counters().refresh_rejected,
        1,
        "asked once, told for ever"
    );
    let again = process.log_in(world.control(), 7).await.unwrap();
    assert_eq!(again, open_id);
    process.user_token(&open_id).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_costs_nobody_the_token_that_still_lives_and_ends_only_this_login() {
    let (world, process, open_id) = world().await;
    let other = process.log_in(world.control(), 8).await.unwrap();
    let old = process.user_token(&open_id).await.unwrap();
    world.advance(LIFE - Duration::from_secs(100));
    world.control().add_fault(lost_answer()).unwrap();
    for _ in 0..5 {
        let token = process.user_token(&open_id).await.unwrap();
        assert_eq!(value(&token), value(&old), "it lives for another 100 s");
    }
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
    world.advance(LATER);
    let process = world.process();
    assert_eq!(
        end_of(process.user_token(&open_id).await),
        LoginEnd::OutcomeLost
    );
    assert_eq!(
        end_of(process.user_token(&open_id).await),
        LoginEnd::OutcomeLost
    );
    assert_eq!(
        world.control().counters().refresh_rejected,
        1,
        "presented once more, not again"
    );
    process.user_token(&other).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_was_lost_on_the_way_there_costs_nothing() {
    let (world, process, open_id) = world().await;
    world.advance(LIFE - Duration::from_secs(100));
    let lost = Fault {
        count: Some(1),
        ..Fault::new("authen.oauth_token", FaultAction::Reset)
    };
    world.control().add_fault(lost).unwrap();
    let old = process.user_token(&open_id).await.unwrap();
    world.advance(LATER);
    let new = process.user_token(&open_id).await.unwrap();
    assert_ne!(
        value(&old),
        value(&new),
        "recovered: the platform had not spent it"
    );
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
}

#[tokio::test]
async fn an_outage_of_the_platform_ends_no_login() {
    let (mut world, process, open_id) = world().await;
    world.advance(LIFE);
    world.simulator.pause().await;
    for _ in 0..20 {
        let error = process.user_token(&open_id).await.unwrap_err();
        assert_eq!(error.code().as_str(), "lark_unavailable");
        world.advance(Duration::from_secs(60));
    }
    world.simulator.resume().await.unwrap();
    world.advance(LATER);
    process.user_token(&open_id).await.unwrap();
    assert_eq!(world.control().counters().refresh_rejected, 0);
}

#[tokio::test]
async fn a_store_that_fails_between_answer_and_write_costs_no_login() {
    let (world, process, open_id) = world().await;
    world.advance(LIFE);
    // The lease is written; the result of the refresh is not.
    world.store.stop_after(1);
    let error = process.user_token(&open_id).await.unwrap_err();
    assert_eq!(error.code().as_str(), "store_unavailable");
    assert_eq!(world.control().counters().refresh_grants, 1);
    world.store.start();
    world.advance(LATER);
    let other = world.process();
    other.user_token(&open_id).await.unwrap();
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
}

#[tokio::test]
async fn without_the_store_no_refresh_token_is_spent() {
    let (world, process, open_id) = world().await;
    world.advance(LIFE);
    world.store.stop();
    let error = process.user_token(&open_id).await.unwrap_err();
    assert_eq!(error.code().as_str(), "store_unavailable");
    assert_eq!(world.control().counters().refresh_grants, 0);
    world.store.start();
    process.user_token(&open_id).await.unwrap();
}

#[tokio::test]
async fn a_rejected_user_token_is_replaced_by_a_refresh_and_the_login_lives_on() {
    let (world, process, open_id) = world().await;
    let old = process.user_token(&open_id).await.unwrap();
    world.control().revoke_token(value(&old));
    let app = process.0.apps.enabled(&app_id(), soon()).await.unwrap();
    let key = TokenKey::user(app_id(), &open_id);
    let context = AppContext::new(app, None).unwrap();
    let platform = &process.0.platform;
    let request = oauth::user_info();
    let identity = platform.send_with(&key, &context, &request, soon()).await;
    assert_eq!(identity.unwrap().open_id, open_id);
    assert_eq!(world.control().counters().refresh_grants, 1);
}

#[tokio::test]
async fn a_login_that_was_ended_gives_no_token_anywhere() {
    let (world, process, open_id) = world().await;
    let other = world.process();
    other.user_token(&open_id).await.unwrap();
    assert!(
        process
            .0
            .logins
            .end(&app_id(), &open_id, soon())
            .await
            .unwrap()
    );
    assert!(
        !process
            .0
            .logins
            .end(&app_id(), &open_id, soon())
            .await
            .unwrap()
    );
    assert_eq!(
        end_of(process.user_token(&open_id).await),
        LoginEnd::NotLoggedIn
    );
    world.advance(Duration::from_secs(5));
    assert_eq!(
        end_of(other.user_token(&open_id).await),
        LoginEnd::NotLoggedIn
    );
}

#[tokio::test]
async fn both_token_endpoints_of_the_platform_work() {
    let (world, _, _) = world().await;
    let process = world.process_with(&[("LARK_SERVICE_OAUTH_VERSION", "v3")]);
    let open_id = process.log_in(world.control(), 9).await.unwrap();
    world.advance(LIFE);
    process.user_token(&open_id).await.unwrap();
    let endpoints = world.control().counters().endpoints;
    let requests: BTreeMap<_, _> = endpoints
        .iter()
        .map(|(name, it)| (name.as_str(), it.requests))
        .collect();
    assert_eq!(requests["oauth.token"], 2, "a code and a refresh");
}

#[tokio::test]
async fn logins_are_listed_with_what_is_left_of_them_and_no_token() {
    let (world, process, open_id) = world().await;
    world.control().revoke_login(APP, 7);
    process.log_in(world.control(), 8).await.unwrap();
    world.advance(LIFE);
    end_of(process.user_token(&open_id).await);
    let page = process
        .0
        .tokens
        .list(&app_id(), TokenKind::User, None, 10, soon())
        .await
        .unwrap();
    let logins: BTreeMap<_, _> = page
        .items
        .iter()
        .map(|info| (info.subject.clone(), info.login.clone().unwrap()))
        .collect();
    let ended = &logins[open_id.as_str()];
    assert_eq!(ended.ended.as_deref(), Some("revoked"));
    let living = &logins[&lark_simulator::open_id(APP, 8)];
    assert_eq!((living.days_left, living.ended.as_deref()), (Some(6), None));
    let text = serde_json::to_string(&page.items).unwrap();
    assert!(!text.contains("eyJ"), "no token leaves: {text}");
}

#[tokio::test]
async fn a_reuse_that_kills_the_whole_login_is_not_provoked() {
    let (world, process, open_id) = world().await;
    let harsh = Settings {
        refresh_reuse_revokes: true,
        ..world.control().settings()
    };
    world.control().set_settings(harsh).unwrap();
    for _ in 0..5 {
        world.advance(LIFE);
        let processes: Vec<_> = (0..4).map(|_| world.process()).collect();
        let callers = processes.iter().map(|process| process.user_token(&open_id));
        assert!(join_all(callers).await.iter().all(Result::is_ok));
    }
    process.user_token(&open_id).await.unwrap();
    let counters = world.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (5, 0));
}
