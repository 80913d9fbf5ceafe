//! A key that the gateway remembers while the store is silent or fails, in paused time.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::*;
use crate::api_keys::{
    AllowedApps, AllowedTenants, ApiKey, ApiKeyChange, Authority, NewApiKey, Scope,
};
use crate::cache::memory::MemoryCache;
use crate::changes::Actor;
use crate::clock::{Clock, ManualClock};
use crate::store::Storage;
use crate::store::moody::{Mood, Moody};

struct World {
    moods: Arc<Moody>,
    clock: Arc<ManualClock>,
    /// The process that answers callers.
    door: ApiKeys,
    operator: ApiKeys,
    /// What the gateway remembers.
    given: Caller,
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn operator() -> Authority {
    Authority::Operator(Actor::operator("test"))
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_700_000_000)));
        let (store, moods) = Moody::store();
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let cache = Arc::new(MemoryCache::new(1024 * 1024, Arc::clone(&shared)));
        let process = || {
            let storage = Storage::new(Arc::clone(&store), Duration::from_secs(10));
            let cache = CacheClient::new(cache.clone(), Duration::from_secs(5));
            ApiKeys::new(storage, Some(cache), Arc::clone(&shared))
        };
        let (door, keys) = (process(), process());
        let key = ApiKey::generate().unwrap();
        let new = NewApiKey {
            key: key.clone(),
            name: String::new(),
            scopes: BTreeSet::from([Scope::UsersRead]),
            apps: AllowedApps::All,
            tenants: AllowedTenants::All,
            rate_limit: None,
            expires_at: None,
        };
        keys.add(&new, &operator(), soon()).await.unwrap();
        let token = key.reveal();
        let token = secrecy::ExposeSecret::expose_secret(&token);
        let given = keys.prove(token, soon()).await.unwrap().unwrap();
        let world = Self {
            moods,
            clock,
            door,
            operator: keys,
            given,
        };
        // From now on there is a mark.
        world.clock.advance(UNMARKED);
        assert!(world.ask().await.0.is_ok());
        world
    }

    async fn ask(&self) -> (Result<()>, Duration) {
        let began = Instant::now();
        let latest = self.door.latest(&self.given);
        let confirmed = self.door.confirm(latest, soon()).await;
        (confirmed.map(drop), began.elapsed())
    }

    async fn stop(&self) {
        let change = ApiKeyChange {
            is_enabled: Some(false),
            ..ApiKeyChange::default()
        };
        let id = &self.given.key_id;
        let changed = self.operator.change(id, &change, &operator(), soon()).await;
        changed.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_is_waited_for_once_in_five_seconds() {
    let world = World::new().await;
    world.moods.reads(Mood::Silent);
    world.clock.advance(MARKED);
    for _ in 0..3 {
        let (outcome, took) = world.ask().await;
        assert!(outcome.is_ok() && took == known::PATIENCE, "{took:?}");
        let (outcome, took) = world.ask().await;
        assert!(outcome.is_ok() && took.is_zero(), "{took:?}");
        world.clock.advance(EXCUSED);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_can_read_is_an_error_and_no_answer() {
    for mood in [Mood::Fails, Mood::Silent] {
        let world = World::new().await;
        world.stop().await;
        world.moods.reads(mood);
        let (outcome, _) = world.ask().await;
        assert!(matches!(outcome, Err(Error::Store(_))), "{outcome:?}");
        world.moods.reads(Mood::WELL);
        // The breaker lets somebody ask again after its pause.
        tokio::time::advance(Duration::from_secs(6)).await;
        let (outcome, _) = world.ask().await;
        assert!(matches!(outcome, Err(Error::PermissionDenied(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_which_the_store_was_silent_is_learnt_when_it_speaks() {
    let world = World::new().await;
    world.moods.reads(Mood::Silent);
    world.clock.advance(MARKED);
    assert!(world.ask().await.0.is_ok());
    world.moods.reads(Mood::WELL);
    world.stop().await;
    let (outcome, _) = world.ask().await;
    assert!(matches!(outcome, Err(Error::PermissionDenied(_))));
}
