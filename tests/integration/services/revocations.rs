//! What revokes a token reaches every process: a logout, a rejection, the end of a login, whatever happens to the shared cache
//! meanwhile. And nothing else voids a token that works.

use std::time::Duration;

use lark_service::cache::{Cache, Put, split_version};
use lark_service::error::{Error, LoginEnd};
use lark_service::ids::{AppId, OpenId};
use lark_service::tokens::{TokenKey, Trust};
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{Fault, FaultAction};
use secrecy::ExposeSecret;

/// Longer than a process trusts what it remembers.
const TRUSTED: Duration = Duration::from_secs(6);
const TOKEN: &str = "auth.tenant_access_token.internal";

fn app_id() -> AppId {
    AppId::parse(APP).unwrap()
}

fn cache_key(open_id: &OpenId) -> String {
    format!("lark:token:{APP}:user#{open_id}")
}

/// Two processes that both hand out the token of a user.
async fn world() -> (World, Process, Process, OpenId) {
    let world = World::begin().await;
    let (process, other) = (world.process(), world.process());
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    other.user_token(&open_id).await.unwrap();
    (world, process, other, open_id)
}

async fn log_out(process: &Process, open_id: &OpenId) -> bool {
    let ended = process.0.logins.end(&app_id(), open_id, soon()).await;
    ended.unwrap()
}

#[track_caller]
fn assert_logged_out(outcome: lark_service::error::Result<lark_service::tokens::SharedToken>) {
    match outcome {
        Err(Error::ReauthorizationRequired {
            end: LoginEnd::NotLoggedIn,
            ..
        }) => {}
        other => panic!("still handed out: {other:?}"),
    }
}

/// Fails reads until the process skips the cache.
async fn open_the_breaker(world: &World, process: &Process) {
    world.cache.stop();
    let cache = process.0.cache.as_ref().unwrap();
    for _ in 0..5 {
        let _ = cache.get("anything").await;
    }
    world.cache.start();
}

#[tokio::test]
async fn a_logout_is_not_held_back_by_the_breaker() {
    let (world, process, other, open_id) = world().await;
    open_the_breaker(&world, &process).await;
    assert!(log_out(&process, &open_id).await);
    world.advance(TRUSTED);
    assert_logged_out(other.user_token(&open_id).await);
    assert_logged_out(world.process().user_token(&open_id).await);
}

#[tokio::test]
async fn a_logout_that_cannot_reach_the_cache_is_repeated_by_the_scheduled_run() {
    let (world, process, other, open_id) = world().await;
    world.cache.stop();
    assert!(log_out(&process, &open_id).await);
    // The run of the same minute cannot reach it either.
    let run = process.0.refresher().run(soon()).await.unwrap();
    assert_eq!((run.failed, run.retired), (1, 0), "{run:?}");
    world.cache.start();
    world.advance(Duration::from_secs(60));
    let run = world.process().0.refresher().run(soon()).await.unwrap();
    assert_eq!(run.retired, 1, "{run:?}");
    world.advance(TRUSTED);
    assert_logged_out(other.user_token(&open_id).await);
    assert_logged_out(world.process().user_token(&open_id).await);
    let run = world.process().0.refresher().run(soon()).await.unwrap();
    assert_eq!(run.due, 0, "once is enough: {run:?}");
}

#[tokio::test]
async fn a_process_that_dies_between_logout_and_cache_leaves_it_to_the_scheduled_run() {
    let (world, process, other, open_id) = world().await;
    // The store has the logout; of the cache the process sees nothing any more.
    world.cache.stop();
    assert!(log_out(&process, &open_id).await);
    world.cache.start();
    drop(process);
    world.process().0.refresher().run(soon()).await.unwrap();
    world.advance(TRUSTED);
    assert_logged_out(other.user_token(&open_id).await);
}

#[tokio::test]
async fn whoever_was_frozen_with_an_old_token_does_not_put_it_back() {
    for frozen_for in [4, 12, 70, 3_600, 7_000] {
        let (world, process, other, open_id) = world().await;
        let key = cache_key(&open_id);
        let old = world.cache.get(&key).await.unwrap().expect("a token");
        let (version, value) = split_version(&old).unwrap();
        assert!(log_out(&process, &open_id).await);
        world.advance(Duration::from_secs(frozen_for));
        let put = Put {
            key,
            version,
            value,
            ttl: Duration::from_secs(7_000),
        };
        let put = world.cache.put_newer(&[put]).await.unwrap();
        assert_eq!(put, 0, "put back after {frozen_for} s");
        world.advance(TRUSTED);
        assert_logged_out(other.user_token(&open_id).await);
    }
}

#[tokio::test]
async fn after_a_logout_a_new_login_works_and_is_later_than_any_before() {
    let (world, process, other, open_id) = world().await;
    let mut last = process.known_generation(&open_id);
    for _ in 0..3 {
        assert!(log_out(&process, &open_id).await);
        assert!(!log_out(&process, &open_id).await, "there is none any more");
        process.log_in(world.control(), 7).await.unwrap();
        let generation = process.known_generation(&open_id);
        assert!(generation > last, "{generation} after {last}");
        last = generation;
        world.advance(TRUSTED);
        other.user_token(&open_id).await.unwrap();
    }
}

#[tokio::test]
async fn a_rejected_token_is_not_held_back_by_the_breaker() {
    let world = World::begin().await;
    let (process, other) = (world.process(), world.process());
    let token = process.token().await.unwrap();
    other.token().await.unwrap();
    world.control().revoke_app_tokens(APP);
    open_the_breaker(&world, &process).await;
    let key = TokenKey::tenant(app_id(), None);
    let tokens = &process.0.tokens;
    tokens.invalidate(&key, &token, soon()).await;
    // Another process is told before it presents the token.
    other.user(3).await.unwrap();
    assert_eq!(world.rejected_calls(), 0);
}

#[tokio::test]
async fn a_rejection_that_cannot_reach_the_cache_is_repeated_by_the_scheduled_run() {
    let (world, process, other, open_id) = world().await;
    let key = TokenKey::user(app_id(), &open_id);
    let old = process.user_token(&open_id).await.unwrap();
    world.control().revoke_token(old.value.expose_secret());
    world.cache.stop();
    process.0.tokens.invalidate(&key, &old, soon()).await;
    world.cache.start();
    let run = world.process().0.refresher().run(soon()).await.unwrap();
    assert_eq!(run.refreshed, 2, "the app's own token too: {run:?}");
    let app = other.0.apps.enabled(&app_id(), soon()).await.unwrap();
    let token = other
        .0
        .tokens
        .token(&app, &key, Trust::Shared, soon())
        .await;
    let token = token.unwrap();
    assert_ne!(token.value.expose_secret(), old.value.expose_secret());
}

#[tokio::test]
async fn a_failure_of_a_process_without_the_store_makes_nobody_refuse_a_token_that_works() {
    let world = World::begin().await;
    let warm = world.process();
    let token = warm.token().await.unwrap();
    // The cache lost its copy; a new process sees neither that nor the store, and the platform fails it.
    let key = format!("lark:token:{APP}:tenant#");
    world.cache.delete(&key, None).await.unwrap();
    world.store.stop();
    let down = Fault::new(
        TOKEN,
        FaultAction::Answer {
            status: 503,
            code: 5_000,
            msg: "down".to_owned(),
            body: None,
            headers: std::collections::BTreeMap::new(),
        },
    );
    world.control().add_fault(down).unwrap();
    let error = world.process().token().await.unwrap_err();
    assert_eq!(error.code().as_str(), "lark_unavailable");
    assert_eq!(
        world.cache.get(&key).await.unwrap(),
        None,
        "what was seen blindly is nobody else's business"
    );
    world.advance(TRUSTED);
    let again = warm.token().await.unwrap();
    assert_eq!(again.value.expose_secret(), token.value.expose_secret());
}

#[tokio::test]
async fn a_newer_failure_in_the_store_does_not_void_a_token_that_a_process_knows() {
    let mut world = World::begin().await;
    // A token that only this process and the cache have: the store was away.
    world.store.stop();
    let warm = world.process();
    let token = warm.token().await.unwrap();
    world.store.start();
    let key = format!("lark:token:{APP}:tenant#");
    world.cache.delete(&key, None).await.unwrap();
    world.advance(Duration::from_secs(1));
    world.simulator.pause().await;
    let error = world.process().token().await.unwrap_err();
    assert_eq!(error.code().as_str(), "lark_unavailable");
    assert!(
        world.cache.get(&key).await.unwrap().is_some(),
        "the failure is on record"
    );
    world.advance(TRUSTED);
    let again = warm.token().await.unwrap();
    assert_eq!(again.value.expose_secret(), token.value.expose_secret());
}
