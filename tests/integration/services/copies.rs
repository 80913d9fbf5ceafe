//! Copies of apps in the shared cache and in the processes, which may be lost at any time.

use lark_service::apps::{AppChange, AppStatus};
use lark_service::cache::Cache;
use lark_service::changes::Actor;
use lark_service::error::Error;
use lark_service::ids::AppId;
use lark_service_tests::world::{APP, World, soon};

/// Where the cache has the copy of the world's app.
fn cache_key() -> String {
    format!("lark:record:apps:{APP}/app")
}

#[tokio::test]
async fn an_app_whose_copy_the_cache_lost_is_read_from_the_store() {
    let world = World::begin().await;
    let app_id = AppId::parse(APP).unwrap();
    let process = world.process();
    process.0.apps.enabled(&app_id, soon()).await.unwrap();
    // An operator without the cache disables the app.
    world.cache.stop();
    let disabled = AppChange {
        status: Some(AppStatus::Disabled),
        ..AppChange::default()
    };
    let operator = world.process();
    let (apps, actor) = (&operator.0.apps, Actor::operator("test"));
    let changed = apps.change(&app_id, &disabled, &actor, soon());
    changed.await.unwrap();
    world.cache.start();
    world.cache.delete(&cache_key(), None).await.unwrap();
    let outcome = process.0.apps.enabled(&app_id, soon()).await;
    assert!(matches!(outcome, Err(Error::AppDisabled(_))), "{outcome:?}");
    let copy = world.cache.get(&cache_key()).await.unwrap();
    assert!(copy.is_some(), "the read fills the cache again");
}

#[tokio::test]
async fn a_disabled_app_is_refused_at_the_next_request_although_the_operators_process_skips_the_cache()
 {
    let world = World::begin().await;
    let app_id = AppId::parse(APP).unwrap();
    let process = world.process();
    process.0.apps.enabled(&app_id, soon()).await.unwrap();
    let operator = world.process();
    world.cache.stop();
    let cache = operator.0.cache.as_ref().unwrap();
    for _ in 0..5 {
        let _ = cache.get("anything").await;
    }
    world.cache.start();
    let disabled = AppChange {
        status: Some(AppStatus::Disabled),
        ..AppChange::default()
    };
    let (apps, actor) = (&operator.0.apps, Actor::operator("test"));
    let changed = apps.change(&app_id, &disabled, &actor, soon());
    changed.await.unwrap();
    let outcome = process.0.apps.enabled(&app_id, soon()).await;
    assert!(matches!(outcome, Err(Error::AppDisabled(_))), "{outcome:?}");
}
