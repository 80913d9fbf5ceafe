use std::sync::{Arc, OnceLock};

use futures_util::future::{AbortHandle, abortable};
use secrecy::ExposeSecret;

use super::*;
use crate::api_keys::{
    AllowedApps, AllowedTenants, ApiKey, ApiKeyChange, Authority, NewApiKey, Scope,
};
use crate::apps::{AppKind, NewApp};
use crate::callbacks::{Callbacks, Loopback, SigningSecret};
use crate::clock::ManualClock;
use crate::clock::Timestamp;
use crate::idempotency::Seed;
use crate::ids::{AppId, OpenId};
use crate::mirror::Mirror;
use crate::seal::{Fingerprint, KeyFile, KeySource};
use crate::store::embedded::EmbeddedStore;
use crate::store::{Key, Store, Value};
use crate::tokens::{Pair, RefreshToken, Token, TokenKey, TokenService, Trust};
use crate::{aws, config};

/// Some apps with tokens, logins and tickets, and the processes that work on them.
struct Place {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
}

/// One process, with its own copy of the keys.
struct Process {
    apps: Apps,
    tokens: TokenService,
    sealer: Sealer,
    resealer: Resealer,
}

const APPS: u64 = 5;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn app_id(number: u64) -> AppId {
    AppId::parse(&format!("cli_{number}")).unwrap()
}

fn open_id() -> OpenId {
    OpenId::parse("ou_a").unwrap()
}

impl Place {
    async fn begin() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_000_000)));
        let store = EmbeddedStore::in_memory(Arc::clone(&clock) as _).unwrap();
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            store: Arc::new(store),
            clock,
        };
        let process = place.process();
        for number in 0..APPS {
            process.fill(&app_id(number), &place).await;
        }
        place
    }

    fn process(&self) -> Process {
        let sealer = Sealer::new(KeySource::File(KeyFile::at(
            self.folder.path().join("keys"),
        )));
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let storage = Storage::new(Arc::clone(&self.store), Duration::from_secs(10));
        let mirror = Mirror::new(storage.clone(), None);
        let apps = Apps::new(mirror, sealer.clone(), Arc::clone(&clock));
        let config = config::Config::from_lookup(|name| {
            (name == "LARK_SERVICE_STORE").then(|| "embedded".to_owned())
        });
        let http = aws::http(aws::DEFAULT_IDLE_TIMEOUT).unwrap();
        let pacer = crate::limiter::Pacer::new(None, Arc::clone(&clock));
        let meter = crate::meter::Meter::new(storage.clone(), None, Arc::clone(&clock));
        let lark = crate::lark::LarkClient::new(http, config.unwrap().lark, pacer, meter);
        let tokens = TokenService::new(
            lark,
            apps.clone(),
            storage.clone(),
            None,
            sealer.clone(),
            Arc::clone(&clock),
        );
        Process {
            resealer: Resealer::new(apps.clone(), storage, sealer.clone(), clock),
            apps,
            tokens,
            sealer,
        }
    }
}

impl Process {
    async fn fill(&self, app_id: &AppId, place: &Place) {
        let new = NewApp {
            kind: AppKind::Marketplace,
            ..NewApp::new(app_id.clone(), "secret".into())
        };
        self.apps.register(&new, &actor(), soon()).await.unwrap();
        let ticket = "ticket".into();
        self.apps
            .keep_ticket(app_id, &ticket, soon())
            .await
            .unwrap();
        let issued_at = place.clock.now();
        let expires_at = issued_at + Duration::from_secs(7_200);
        let pair = Pair {
            token: Arc::new(Token {
                value: "access".into(),
                fingerprint: Fingerprint::from_stored("f"),
                issued_at,
                expires_at,
            }),
            refresh: Some(RefreshToken {
                value: Some("refresh".into()),
                issued_at,
                expires_at,
            }),
            scopes: String::new(),
        };
        let user = open_id();
        let begun = self.tokens.begin_login(app_id, &user, pair, soon());
        begun.await.unwrap();
    }

    async fn add_key(&self) -> String {
        let now = Timestamp::from_seconds(1_000_000);
        self.sealer.add_key(now, soon()).await.unwrap()
    }

    async fn run(&self) -> Tally {
        self.resealer.run(&actor(), |_| ()).await.unwrap()
    }

    async fn keys_in_use(&self) -> Vec<(String, u64)> {
        let keys = self.resealer.keys_in_use(&mut |_| ()).await;
        keys.unwrap().into_iter().collect()
    }

    /// Checks that everything reads as it was written.
    async fn check(&self) {
        for number in 0..APPS {
            let app = self.apps.read(&app_id(number), soon()).await.unwrap();
            assert_eq!(app.secrets.current.value.expose_secret(), "secret");
            let ticket = self.apps.ticket(&app_id(number), soon()).await.unwrap();
            assert_eq!(ticket.unwrap().value.expose_secret(), "ticket");
            let key = TokenKey::user(app_id(number), &open_id());
            let trust = Trust::Shared;
            let token = self.tokens.token(&app, &key, trust, soon()).await.unwrap();
            assert_eq!(token.value.expose_secret(), "access");
        }
    }
}

fn actor() -> Actor {
    Actor::operator("a@b")
}

#[tokio::test]
async fn everything_is_sealed_anew_and_opens_for_those_who_had_the_old_keys() {
    let place = Place::begin().await;
    let (operator, bystander) = (place.process(), place.process());
    bystander.check().await;
    let key = operator.add_key().await;
    let tally = operator.run().await;
    assert_eq!((tally.apps, tally.unopened), (APPS, 0));
    assert_eq!((tally.records, tally.resealed), (APPS * 3, APPS * 3));
    assert_eq!(operator.keys_in_use().await, [(key, APPS * 3)]);
    bystander.check().await;
    assert_eq!(
        operator.run().await.resealed,
        0,
        "a second time there is nothing to do"
    );
}

#[tokio::test]
async fn what_was_broken_off_goes_on_where_it_was() {
    let place = Place::begin().await;
    let operator = place.process();
    let key = operator.add_key().await;
    let actor = actor();
    let handle: OnceLock<AbortHandle> = OnceLock::new();
    let (work, abort) = abortable(operator.resealer.run(&actor, |tally| {
        if tally.apps == 2 {
            handle.get().unwrap().abort();
        }
    }));
    handle.set(abort).unwrap();
    assert!(work.await.is_err());
    let done = place.process().keys_in_use().await;
    assert_eq!(
        done.len(),
        2,
        "some are under the old key, some under the new: {done:?}"
    );
    let successor = place.process();
    let tally = successor.run().await;
    assert_eq!(tally.records, APPS * 3);
    assert!(tally.resealed > 0 && tally.resealed < APPS * 3, "{tally:?}");
    assert_eq!(successor.keys_in_use().await, [(key, APPS * 3)]);
    place.process().check().await;
}

#[tokio::test]
async fn two_rotations_at_once_end_with_one_key_and_lose_none() {
    let place = Place::begin().await;
    let (one, other) = (place.process(), place.process());
    let first = one.add_key().await;
    let second = other.add_key().await;
    let (of_one, of_other) = tokio::join!(one.run(), other.run());
    assert_eq!((of_one.unopened, of_other.unopened), (0, 0));
    let late = place.process();
    assert_eq!(late.keys_in_use().await, [(second, APPS * 3)]);
    let ring = late.sealer.keyring(soon()).await.unwrap();
    assert_eq!(ring.key_ids().count(), 3);
    assert!(ring.key_ids().any(|id| id == first));
    late.check().await;
}

#[tokio::test]
async fn only_keys_that_nothing_needs_are_retired() {
    let place = Place::begin().await;
    let operator = place.process();
    let old = place.process().sealer.keyring(soon()).await.unwrap();
    let old = old.current_key_id().to_owned();
    operator.add_key().await;
    let retired = operator.resealer.retire(|_| ()).await.unwrap();
    assert_eq!((retired.removed.len(), retired.in_use[&old]), (0, APPS * 3));
    operator.run().await;
    let retired = operator.resealer.retire(|_| ()).await.unwrap();
    assert_eq!((retired.removed, retired.in_use.len()), (vec![old], 0));
    place.process().check().await;
}

#[tokio::test]
async fn what_signs_callbacks_is_sealed_anew_and_signs_on() {
    let place = Place::begin().await;
    let operator = place.process();
    let old = operator.sealer.keyring(soon()).await.unwrap();
    let old = old.current_key_id().to_owned();
    let clock: Arc<dyn Clock> = Arc::clone(&place.clock) as _;
    let storage = Storage::new(Arc::clone(&place.store), Duration::from_secs(10));
    let keys = ApiKeys::new(storage, None, Arc::clone(&clock));
    let sealer = operator.sealer.clone();
    let callbacks = Callbacks::new(keys.clone(), sealer, clock, Loopback::Refused);
    let new = NewApiKey {
        key: ApiKey::generate().unwrap(),
        name: String::new(),
        scopes: [Scope::MessagesSend].into(),
        apps: AllowedApps::All,
        tenants: AllowedTenants::All,
        rate_limit: None,
        expires_at: None,
    };
    let (key_id, authority) = (new.key.id(), Authority::Operator(actor()));
    keys.add(&new, &authority, soon()).await.unwrap();
    let url = callbacks.address("https://example.com/callbacks").unwrap();
    let secret = SigningSecret::from_seed(&Seed::generate().unwrap());
    let setting = callbacks.setting(key_id, &url, &secret, soon()).await;
    let change = ApiKeyChange {
        callback: Some(Some(setting.unwrap())),
        ..ApiKeyChange::default()
    };
    let changed = keys.change(key_id, &change, &authority, soon());
    changed.await.unwrap();
    let new_key = operator.add_key().await;
    operator.run().await;
    assert_eq!(operator.keys_in_use().await, [(new_key, APPS * 3 + 1)]);
    let retired = operator.resealer.retire(|_| ()).await.unwrap();
    assert_eq!(retired.removed, [old]);
    let receiver = callbacks.receiver(key_id, soon()).await.unwrap();
    assert!(receiver.is_some());
}

#[tokio::test]
async fn what_does_not_open_is_named_and_stops_nothing() {
    let place = Place::begin().await;
    let key = Key::new("user#cli_1", "user#ou_a");
    let mut record = place.store.get(Table::Tokens, &key).await.unwrap().unwrap();
    let value = record.bytes("value").unwrap().to_vec();
    record = record.with("refresh", Value::Bytes(value));
    place
        .store
        .put(Table::Tokens, &record, Expect::Anything)
        .await
        .unwrap();
    let operator = place.process();
    operator.add_key().await;
    let tally = operator.run().await;
    assert_eq!((tally.unopened, tally.resealed), (1, APPS * 3 - 1));
    assert_eq!(tally.unopened_records, ["tokens user#cli_1/user#ou_a"]);
}

#[tokio::test]
async fn who_renews_a_token_is_waited_for() {
    let place = Place::begin().await;
    let key = Key::new("user#cli_1", "user#ou_a");
    let record = place.store.get(Table::Tokens, &key).await.unwrap().unwrap();
    let until = place.clock.now() + Duration::from_secs(5);
    let leased = record
        .clone()
        .with("leased_until", Value::Number(until.as_millis()));
    place
        .store
        .put(Table::Tokens, &leased, Expect::Anything)
        .await
        .unwrap();
    let operator = place.process();
    let new = operator.add_key().await;
    let started = tokio::time::Instant::now();
    let holder = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let version = record.version + 1;
        let renewed = Record { version, ..record };
        let expect = Expect::Version(leased.version);
        place
            .store
            .put(Table::Tokens, &renewed, expect)
            .await
            .unwrap();
    };
    let (tally, ()) = tokio::join!(operator.run(), holder);
    assert_eq!(tally.resealed, APPS * 3);
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(operator.keys_in_use().await, [(new, APPS * 3)]);
}

#[tokio::test]
async fn the_audit_says_who_sealed_an_app_anew() {
    let place = Place::begin().await;
    let operator = place.process();
    operator.add_key().await;
    operator.run().await;
    let changes = operator.apps.changes(&app_id(0), None, 10, soon()).await;
    let changes = changes.unwrap().items;
    let actions: Vec<_> = changes
        .iter()
        .map(|change| (change.action.as_str(), change.by.as_str()))
        .collect();
    assert_eq!(actions, [("created", "cli:a@b"), ("resealed", "cli:a@b")]);
}
