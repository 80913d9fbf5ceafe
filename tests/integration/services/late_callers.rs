//! Callers who come while somebody else is at it: whom they wait for, and whom not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lark_service::apps::{AppChange, AppStatus};
use lark_service::changes::Actor;
use lark_service::error::ErrorCode;
use lark_service::ids::AppId;
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::store::{StoreError, Table};
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{Fault, FaultAction};
use secrecy::ExposeSecret;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

/// Holds the answer to one read of an app back until the test lets it go, once there is somebody to tell.
#[derive(Debug)]
struct Held(Mutex<Option<mpsc::UnboundedSender<oneshot::Sender<()>>>>);

#[async_trait]
impl StoreHook for Held {
    async fn before(&self, _: Operation, _: Option<Table>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn after_get(&self, table: Table) {
        if table != Table::Apps {
            return;
        }
        let held = self.0.lock().await.take();
        if let Some(held) = held {
            let (let_go, gone) = oneshot::channel();
            held.send(let_go).unwrap();
            let _ = gone.await;
        }
    }
}

async fn change(process: &Process, change: AppChange) {
    let app_id = AppId::parse(APP).unwrap();
    let apps = &process.0.apps;
    let actor = Actor::operator("test");
    let changed = apps.change(&app_id, &change, &actor, soon());
    changed.await.unwrap();
}

/// The read that is in flight began before the app was disabled: its answer is an old one.
#[tokio::test]
async fn a_caller_who_sees_that_an_app_changed_joins_no_read_from_before() {
    let world = World::begin().await;
    let hook = Arc::new(Held(Mutex::new(None)));
    let store = InterceptedStore::new(world.shared_store(), Arc::clone(&hook) as _);
    let (process, other) = (world.process_over(Arc::new(store)), world.process());
    let app_id = AppId::parse(APP).unwrap();
    process.0.apps.enabled(&app_id, soon()).await.unwrap();

    let renamed = AppChange {
        name: Some("Renamed".to_owned()),
        ..AppChange::default()
    };
    change(&other, renamed).await;
    let (hold, mut held) = mpsc::unbounded_channel();
    *hook.0.lock().await = Some(hold);
    let mut early = JoinSet::new();
    early.spawn({
        let (process, app_id) = (process.clone(), app_id.clone());
        async move { process.0.apps.enabled(&app_id, soon()).await }
    });
    let let_go = held.recv().await.unwrap();

    let disabled = AppChange {
        status: Some(AppStatus::Disabled),
        ..AppChange::default()
    };
    change(&other, disabled).await;
    let late = process.0.apps.enabled(&app_id, soon());
    let let_go = async {
        tokio::task::yield_now().await;
        let_go.send(()).unwrap();
    };
    let (late, ()) = tokio::join!(late, let_go);
    assert_eq!(late.unwrap_err().code(), ErrorCode::AppDisabled);
    let early = early.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(early.name, "Renamed", "what was true when it asked");
}

/// Without the shared cache the lease in the store alone says that another process is at it.
#[tokio::test]
async fn who_finds_a_lease_of_another_in_the_store_waits_for_it() {
    let world = World::begin().await;
    let (one, other) = (world.process(), world.process());
    world.cache.stop();
    let slow = Fault {
        delay_ms: 300,
        ..Fault::new("auth.tenant_access_token.internal", FaultAction::Continue)
    };
    world.control().add_fault(slow).unwrap();
    let mut first = JoinSet::new();
    first.spawn(async move { one.token().await });
    let asked = world
        .control()
        .arrived("auth.tenant_access_token.internal", 1);
    let asked = tokio::time::timeout(Duration::from_secs(10), asked).await;
    asked.expect("the platform is asked");
    let second = other.token().await.unwrap();
    let first = first.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(first.value.expose_secret(), second.value.expose_secret());
    assert_eq!(world.token_requests(), 1);
}
