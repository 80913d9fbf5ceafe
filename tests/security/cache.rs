//! Who can write into the shared cache: every key of it, at any time, with anything that was ever in it.

use std::time::Duration;

use lark_service::cache::{Cache, versioned};
use lark_service::directory::users::Wanted;
use lark_service::ids::AppId;
use lark_service::lark::contacts::{UserId, UserIdKind};
use lark_service::store::{Expect, Record, Table, Value};
use lark_service::tokens::TokenKey;
use lark_service_tests::world::{APP, Process, World};

mod fuzz;
mod places;
mod scene;

/// Longer than anything in the cache should last.
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
/// A caller who is answered within this did not wait for a foreign lease.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How far ahead a version may lie: a day is more than any clock that AWS takes a signature from.
const TOLERATED_MS: u64 = 24 * 3_600 * 1_000;

fn token_key() -> TokenKey {
    TokenKey::tenant(AppId::parse(APP).unwrap(), None)
}

fn token_entry() -> String {
    format!("lark:token:{APP}:tenant#")
}

fn now_ms(process: &Process) -> u64 {
    u64::try_from(process.0.clock.now().as_millis()).unwrap()
}

async fn stored_token(world: &World) -> Record {
    let key = token_key().store_key();
    let stored = world.shared_store().get(Table::Tokens, &key).await;
    stored.unwrap().expect("a record")
}

/// The record of the token is as good as any: its numbers are of the present.
async fn assert_sane(world: &World, process: &Process) {
    let record = stored_token(world).await;
    let latest = now_ms(process) + TOLERATED_MS;
    assert!(record.version <= latest, "{record:?}");
    let voided = record.number("voided").unwrap_or(0);
    assert!(voided <= i64::try_from(latest).unwrap(), "{record:?}");
}

/// A state of a token as the service wrote it before entries were authenticated.
fn forged_state(version: u64) -> Vec<u8> {
    versioned(
        version,
        format!(r#"{{"token":null,"failure":null,"voided":{version}}}"#).as_bytes(),
    )
}

#[tokio::test]
async fn a_version_from_the_cache_reaches_no_store_and_keeps_nobody_from_a_token() {
    for version in [u64::MAX, u64::MAX - 1, 1 << 60] {
        let world = World::begin().await;
        let process = world.process();
        process.token().await.unwrap();
        let forged = forged_state(version);
        world
            .cache
            .put(&token_entry(), &forged, TEN_YEARS)
            .await
            .unwrap();
        for victim in [&process, &world.process(), &world.process()] {
            world.advance(Duration::from_secs(6));
            victim.token().await.unwrap();
            assert_sane(&world, victim).await;
        }
        // The entry gave way, so that the cache serves again.
        let entry = world.cache.get(&token_entry()).await.unwrap().unwrap();
        assert_ne!(entry, forged);
        assert_eq!(world.token_requests(), 1);
    }
}

#[tokio::test]
async fn a_failure_from_the_cache_is_nobodys_answer_and_reaches_no_store() {
    let world = World::begin().await;
    let process = world.process();
    let token = process.token().await.unwrap();
    let fingerprint = token.fingerprint.as_str();
    let version = now_ms(&process) + 1;
    let failure = format!(
        r#"{{"token":null,"failure":{{"count":9,"fingerprint":"{fingerprint}","kind":"app_refused","code":10003,"msg":"forged","log_id":null,"http_status":200,"retry_at":{}}},"voided":{version}}}"#,
        version + 600_000
    );
    let forged = versioned(version, failure.as_bytes());
    world
        .cache
        .put(&token_entry(), &forged, TEN_YEARS)
        .await
        .unwrap();
    world.process().token().await.unwrap();
    assert_sane(&world, &process).await;
    assert_eq!(stored_token(&world).await.text("failure"), None);
}

#[tokio::test]
async fn a_store_that_was_poisoned_heals_by_itself() {
    for version in [u64::MAX, u64::MAX - 1, u64::from(u32::MAX) << 20] {
        for has_token in [true, false] {
            let world = World::begin().await;
            world.process().token().await.unwrap();
            let mut record = stored_token(&world).await;
            record.version = version;
            let voided = i64::try_from(version).unwrap_or(i64::MAX);
            record = record.with("voided", Value::Number(voided));
            if !has_token {
                record.attributes.remove("value");
            }
            let store = world.shared_store();
            let put = store.put(Table::Tokens, &record, Expect::Anything);
            put.await.unwrap();
            world.cache.delete(&token_entry(), None).await.unwrap();
            let processes = [world.process(), world.process()];
            for _ in 0..3 {
                for process in &processes {
                    process.token().await.unwrap();
                }
                world.advance(Duration::from_secs(7_200));
            }
            assert_sane(&world, &processes[0]).await;
            // Each round needs one token for both.
            assert!(world.token_requests() <= 5, "{}", world.token_requests());
        }
    }
}

#[tokio::test]
async fn a_foreign_lease_without_an_end_keeps_nobody_waiting() {
    let world = World::begin().await;
    let process = world.process();
    let open_id = lark_simulator::open_id(APP, 7);
    for lease in [
        format!("lark:token-lease:{APP}:tenant#"),
        format!("lark:fill:{{{APP}:open_id:{open_id}}}"),
    ] {
        world
            .cache
            .put(&lease, b"foreign", TEN_YEARS)
            .await
            .unwrap();
    }
    let token = tokio::time::timeout(AT_ONCE, process.token()).await;
    token.expect("nobody waits for the lease").unwrap();
    let user = tokio::time::timeout(AT_ONCE, process.user(7)).await;
    user.expect("nobody waits for the lease").unwrap();
}

#[tokio::test]
async fn a_profile_a_pointer_or_an_absence_from_the_cache_is_nobodys_answer() {
    let world = World::begin().await;
    let process = world.process();
    let right = process.user(7).await.unwrap().body;
    let now = process.0.clock.now();
    let version = now_ms(&process) * 1_000 + 1;
    let until = now + Duration::from_secs(600);
    let times = format!(
        "{} {} {} 1",
        now.as_millis(),
        until.as_millis(),
        until.as_millis()
    );
    let open_id = lark_simulator::open_id(APP, 7);
    let key = format!("lark:users:{{{APP}:open_id:{open_id}}}");
    let other = lark_simulator::open_id(APP, 8);
    for value in [
        format!("1b {times} \n{{\"open_id\":\"{open_id}\",\"name\":\"Mallory\"}}"),
        format!("1p {times} open_id:{other}\n"),
        format!("1a {times} unknown\n"),
    ] {
        let forged = versioned(version, value.as_bytes());
        world.cache.put(&key, &forged, TEN_YEARS).await.unwrap();
        let victim = world.process();
        assert_eq!(victim.user(7).await.unwrap().body, right, "{value}");
        let wanted = UserId::parse(UserIdKind::OpenId, &open_id).unwrap();
        let batch = victim.batch(&[Wanted::Id(wanted)]).await.unwrap();
        assert_eq!(batch.users[0].1.body, right, "{value}");
    }
    let store = world.shared_store();
    let id = lark_service::store::Key::new(format!("{APP}#{open_id}"), "open_id");
    let record = store.get(Table::Directory, &id).await.unwrap().unwrap();
    assert!(record.version < version + 60_000_000, "{record:?}");
    assert_eq!(record.text("body"), Some(right.as_str()));
}

#[tokio::test]
async fn a_limit_that_says_the_impossible_counts_as_empty() {
    let world = World::begin().await;
    let process = world.process();
    process.user(3).await.unwrap();
    let limits = world.cache.keys();
    let limits: Vec<_> = limits
        .iter()
        .filter(|key| key.starts_with("lark:limit:"))
        .collect();
    assert!(!limits.is_empty());
    let far = now_ms(&process) * 1_000 + 30 * 24 * 3_600 * 1_000_000;
    for state in [
        format!("{far} {far} {far}"),
        format!("0 {far} {far} {far}"),
        format!("{far}"),
        u64::MAX.to_string(),
        "99999999999999999999999999 99999999999999999999999999".to_owned(),
    ] {
        for key in &limits {
            world
                .cache
                .put(key, state.as_bytes(), TEN_YEARS)
                .await
                .unwrap();
        }
        let number = 10 + u32::try_from(state.len()).unwrap();
        let asked = tokio::time::timeout(AT_ONCE, process.user(number)).await;
        asked
            .expect("nobody waits")
            .unwrap_or_else(|error| panic!("{state}: {error}"));
    }
}
