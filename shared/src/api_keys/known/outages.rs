//! The front door while the store is slow, silent or failing, in paused time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::api_keys::{
    AllowedApps, AllowedTenants, ApiKey, ApiKeyChange, ApiKeys, Authority, Caller, NewApiKey, Scope,
};
use crate::changes::Actor;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::store::moody::{Mood, Moody};
use crate::store::{Storage, Store};

struct World {
    store: Arc<dyn Store>,
    moods: Arc<Moody>,
    clock: Arc<ManualClock>,
    /// The process that decides.
    door: ApiKeys,
    key: ApiKey,
}

/// Whether the holder of a key gets in.
#[derive(Debug, Eq, PartialEq)]
enum Answer {
    Yes,
    No,
    /// It cannot be told.
    Error,
}

impl World {
    /// A key that nobody has presented yet.
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)));
        let (store, moods) = Moody::store();
        let door = process(&store, &clock);
        let key = ApiKey::generate().unwrap();
        let new = NewApiKey {
            key: key.clone(),
            name: "portal".to_owned(),
            scopes: BTreeSet::from([Scope::UsersRead]),
            apps: AllowedApps::All,
            tenants: AllowedTenants::All,
            rate_limit: None,
            expires_at: Some(clock.now() + Duration::from_secs(3_600)),
        };
        door.add(&new, &actor(), soon()).await.unwrap();
        Self {
            store,
            moods,
            clock,
            door,
            key,
        }
    }

    async fn ask(&self) -> (Answer, Duration) {
        ask(&self.door, self.key.reveal().expose_secret()).await
    }
}

fn process(store: &Arc<dyn Store>, clock: &Arc<ManualClock>) -> ApiKeys {
    let storage = Storage::new(Arc::clone(store), Duration::from_secs(10));
    ApiKeys::new(storage, None, Arc::clone(clock) as Arc<dyn Clock>)
}

async fn ask(door: &ApiKeys, token: &str) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = answer(door.authenticate(token, soon()).await);
    (answer, began.elapsed())
}

fn answer(outcome: Result<Option<Caller>>) -> Answer {
    match outcome {
        Ok(Some(_)) => Answer::Yes,
        Ok(None) => Answer::No,
        Err(Error::Store(_)) => Answer::Error,
        Err(error) => panic!("not an answer: {error}"),
    }
}

fn actor() -> Authority {
    Authority::Operator(Actor::operator("test"))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

const NOTHING: Duration = Duration::ZERO;
const SILENT: Mood = Mood::Silent;
const SLOW: Mood = Mood::Takes(Duration::from_millis(151));

#[tokio::test(start_paused = true)]
async fn a_key_that_was_admitted_a_moment_ago_gets_in_whatever_the_store_does() {
    let waits = Duration::from_millis(150);
    for (mood, wait) in [(Mood::Fails, NOTHING), (SILENT, waits), (SLOW, waits)] {
        let world = World::new().await;
        assert_eq!(world.ask().await, (Answer::Yes, NOTHING));
        world.moods.reads(mood);
        for _ in 0..3 {
            world.clock.advance(Duration::from_secs(19));
            assert_eq!(world.ask().await, (Answer::Yes, wait), "{mood:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_after_its_last_confirmation_it_is_unknown_again() {
    let world = World::new().await;
    world.ask().await;
    world.moods.reads(Mood::Fails);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.ask().await.0, Answer::Error);
    world.moods.reads(Mood::WELL);
    assert_eq!(world.ask().await.0, Answer::Yes);
    world.moods.reads(Mood::Fails);
    assert_eq!(world.ask().await.0, Answer::Yes);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_admitted_is_neither_admitted_nor_refused() {
    for mood in [Mood::Fails, SILENT] {
        let world = World::new().await;
        world.moods.reads(mood);
        assert_eq!(world.ask().await.0, Answer::Error, "it was never presented");
        world.moods.reads(Mood::WELL);
        let stranger = ApiKey::generate().unwrap().reveal();
        let stranger = stranger.expose_secret();
        assert_eq!(ask(&world.door, stranger).await.0, Answer::No);
        world.moods.reads(mood);
        assert_eq!(ask(&world.door, stranger).await.0, Answer::Error);
        let cold = process(&world.store, &world.clock);
        let token = world.key.reveal();
        let outcome = ask(&cold, token.expose_secret()).await;
        assert_eq!(outcome.0, Answer::Error, "another process admitted it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_key_with_another_secret_stays_out_and_does_not_make_it_forgotten() {
    let world = World::new().await;
    world.ask().await;
    let other = ApiKey {
        id: world.key.id().to_owned(),
        ..ApiKey::generate().unwrap()
    };
    let other = other.reveal();
    for mood in [Mood::WELL, Mood::Fails] {
        world.moods.reads(mood);
        assert_eq!(ask(&world.door, other.expose_secret()).await.0, Answer::No);
    }
    assert_eq!(world.ask().await.0, Answer::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_store_refused_is_forgotten_at_once() {
    let disabled = ApiKeyChange {
        is_enabled: Some(false),
        ..ApiKeyChange::default()
    };
    for is_revoked in [false, true] {
        let world = World::new().await;
        let operator = process(&world.store, &world.clock);
        world.ask().await;
        let (id, actor) = (world.key.id(), actor());
        if is_revoked {
            operator.revoke(id, &actor, soon()).await.unwrap();
        } else {
            let changed = operator.change(id, &disabled, &actor, soon()).await;
            changed.unwrap();
        }
        assert_eq!(world.ask().await.0, Answer::No);
        world.moods.reads(Mood::Fails);
        assert_eq!(world.ask().await.0, Answer::Error, "revoked: {is_revoked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_changes_a_key_does_not_go_on_with_what_it_knew() {
    let world = World::new().await;
    world.ask().await;
    let revoked = world.door.revoke(world.key.id(), &actor(), soon()).await;
    revoked.unwrap();
    world.moods.reads(Mood::Fails);
    assert_eq!(world.ask().await.0, Answer::Error);
}

#[tokio::test(start_paused = true)]
async fn a_key_ends_on_time_while_the_store_fails() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(3_570));
    world.ask().await;
    world.moods.reads(Mood::Fails);
    world.clock.advance(Duration::from_secs(29));
    assert_eq!(world.ask().await.0, Answer::Yes);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.ask().await.0, Answer::No);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_has_the_last_word_on_a_key_that_is_not_known() {
    let world = World::new().await;
    world.moods.reads(Mood::Takes(Duration::from_millis(1_500)));
    let (answer, waited) = world.ask().await;
    assert_eq!(
        (answer, waited),
        (Answer::Yes, Duration::from_millis(1_500))
    );
}
