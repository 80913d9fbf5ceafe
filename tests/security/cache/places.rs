//! Poison: for each kind of key in the cache, the live entry is corrupted byte by byte, put where another one belongs, and put
//! back a day later. No answer changes, and nothing of it reaches the store.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lark_service::cache::Cache;
use lark_service_tests::world::{APP, World};

use super::TEN_YEARS;
use super::scene::{Scene, kind_of};

/// How long the attacker waits with what was in the cache: longer than anything in it may last.
const LATER: Duration = Duration::from_secs(25 * 3_600);

/// One position of each class: version, layout, length and text of the key's id, nonce, content, tag; and a few at even distances.
fn positions(length: usize) -> Vec<usize> {
    let classes = [0, 9, 19, 20, 21, 22, 30, 31, 42, 43, 51, 52];
    let tag = [1, 16, 17].map(|from_end| length.saturating_sub(from_end));
    let even = (1..4).map(|part| length * part / 4);
    let all = classes.into_iter().chain(tag).chain(even);
    let mut all: Vec<usize> = all.filter(|position| *position < length).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What may be made of an entry.
pub(super) fn corruptions(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for position in positions(value.len()) {
        let mut changed = value.to_vec();
        changed[position] ^= 0x01;
        all.push(changed.clone());
        changed[position] ^= 0x81;
        all.push(changed);
        all.push(value[..position].to_vec());
    }
    // Another version in front, in digits: the one class of bytes that stays well formed.
    for version in [
        "00000000000000000000",
        "00001800000000000000",
        "18446744073709551615",
    ] {
        if value.len() > version.len() {
            all.push([version.as_bytes(), &value[version.len()..]].concat());
        }
    }
    all.push([value, b"\0"].concat());
    all.push([value, value].concat());
    all.push(vec![b'0'; 1 << 20]);
    all.push(Vec::new());
    all
}

#[tokio::test]
async fn every_kind_of_entry_is_there() {
    let scene = Scene::begin().await;
    let live = scene.live().await;
    let kinds: Vec<&str> = live.keys().map(|key| kind_of(key)).collect();
    for kind in [
        "token",
        "record",
        "users",
        "departments",
        "department_users",
        "chats",
        "chat_lists",
        "chat_members",
        "guard",
        "guard-version",
        "guard-draft",
        "login-rescue",
        "limit",
        "popular",
        "api-calls",
    ] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
}

#[tokio::test]
async fn a_corrupted_entry_is_a_miss_and_reaches_no_store() {
    let scene = Scene::begin().await;
    let right = scene.answers().await;
    for (key, value) in scene.live().await {
        for corrupted in corruptions(&value) {
            scene.leave(&key, &corrupted).await;
            let answers = scene.answers().await;
            assert_eq!(answers, right, "{key}: {:?}", Bytes::from(corrupted));
        }
        scene.leave(&key, &value).await;
    }
    scene.assert_store_is_sane().await;
}

#[tokio::test]
async fn an_entry_in_another_place_is_a_miss_and_reaches_no_store() {
    let scene = Scene::begin().await;
    let right = scene.answers().await;
    let live = scene.live().await;
    // One of each kind moves to every place, and so does a neighbour of the same kind.
    let movers: BTreeMap<&str, &Bytes> = live.iter().map(|(key, it)| (kind_of(key), it)).collect();
    for (place, own) in &live {
        let mut neighbours = live
            .iter()
            .filter(|(key, _)| kind_of(key) == kind_of(place));
        let neighbour = neighbours.find(|(key, _)| *key != place);
        let neighbour = neighbour.map(|(_, value)| ("a neighbour", value));
        let movers = movers.iter().map(|(kind, value)| (*kind, *value));
        for (kind, value) in movers.chain(neighbour) {
            if value != own {
                scene.leave(place, value).await;
                assert_eq!(scene.answers().await, right, "{kind} at {place}");
            }
        }
        scene.leave(place, own).await;
    }
    scene.assert_store_is_sane().await;
}

#[tokio::test]
async fn what_was_in_the_cache_a_day_ago_is_a_miss_and_reaches_no_store() {
    let scene = Scene::begin().await;
    let old = scene.live().await;
    let before = scene.answers().await;
    scene.change_everything(LATER).await;
    let right = scene.answers().await;
    assert_ne!(before, right);
    for (key, value) in &old {
        let own = scene.world.cache.get(key).await.unwrap();
        scene.leave(key, value).await;
        assert_eq!(scene.answers().await, right, "{key}");
        match own {
            Some(own) => scene.leave(key, &own).await,
            None => drop(scene.world.cache.delete(key, None).await.unwrap()),
        }
    }
    // All of it at once.
    for (key, value) in &old {
        scene.leave(key, value).await;
    }
    assert_eq!(scene.answers().await, right);
    scene.assert_store_is_sane().await;
}

/// A store that is down makes the copies answer: of those, too, only ours.
#[tokio::test]
async fn a_forged_copy_of_an_app_answers_nobody_while_the_store_is_down() {
    let world = World::begin().await;
    world.process().token().await.unwrap();
    let key = format!("lark:record:apps:{APP}/app");
    let right = world.cache.get(&key).await.unwrap().expect("a copy");
    world.store.stop();
    assert!(world.process().app_context().await.is_ok(), "it stands in");
    for corrupted in corruptions(&right) {
        let put = world.cache.put(&key, &corrupted, TEN_YEARS);
        put.await.unwrap();
        let refused = world.process().app_context().await;
        assert!(refused.is_err(), "{:?}", Bytes::from(corrupted));
    }
}

/// What a user is told whose login was in doubt while `pair` was in its place in the cache.
async fn told_after(pair: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Result<(), String> {
    let world = World::begin_with(40, 12).await;
    let process = world.process();
    let open_id = process.log_in(world.control(), 8).await.unwrap();
    world.advance(Duration::from_secs(7_200));
    // The platform has issued the pair, and the store does not take it.
    world.store.stop_after(1);
    process.user_token(&open_id).await.unwrap_err();
    world.store.start();
    let key = format!("lark:login-rescue:{APP}:{open_id}");
    let right = world.cache.get(&key).await.unwrap().expect("a pair");
    match pair(&right) {
        Some(pair) => world.cache.put(&key, &pair, TEN_YEARS).await.unwrap(),
        None => drop(world.cache.delete(&key, None).await.unwrap()),
    }
    world.advance(Duration::from_secs(1_000));
    let token = world.process().user_token(&open_id).await;
    token
        .map(drop)
        .map_err(|error| error.code().as_str().to_owned())
}

/// A pair that waits for the store is the one thing that goes from the cache into it.
#[tokio::test]
async fn a_corrupted_pair_that_waits_is_as_good_as_none() {
    assert_eq!(told_after(|right| Some(right.to_vec())).await, Ok(()));
    let without = told_after(|_| None).await;
    assert!(without.is_err());
    for part in [0, 1, 3, 5, 8] {
        let changed = told_after(|right| {
            let mut changed = right.to_vec();
            let at = (right.len() * part / 8).min(right.len() - 1);
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            Some(changed)
        });
        assert_eq!(changed.await, without, "changed at {part} of 8");
        let cut = told_after(|right| Some(right[..right.len() * part / 9].to_vec()));
        assert_eq!(cut.await, without, "cut at {part} of 9");
    }
}
