//! A service with something of every kind in its cache, and what callers are told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lark_service::apps::AppChange;
use lark_service::cache::Cache;
use lark_service::changes::Actor;
use lark_service::directory::users::Wanted;
use lark_service::error::Result;
use lark_service::ids::{AppId, OpenId};
use lark_service::lark::contacts::{UserId, UserIdKind};
use lark_service::page::PageRequest;
use lark_service::store::{Key, Record, Table};
use lark_service::tokens::TokenKey;
use lark_service_tests::directory::late;
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{Fault, FaultAction, UserPatch};
use secrecy::ExposeSecret;

use super::TEN_YEARS;

/// The user that most is about, and one whose login is in doubt.
const USER: u32 = 7;
const IN_DOUBT: u32 = 8;
/// Nobody.
const STRANGER: &str = "ou_00000000000000000000000000000000";
/// How long a user's token lives.
const LIFE: Duration = Duration::from_secs(7_200);
/// How far ahead a version in milliseconds may lie, and one in microseconds.
const AHEAD_MS: u64 = 24 * 3_600 * 1_000;
const AHEAD_US: u64 = 60 * 1_000_000;

pub(super) struct Scene {
    pub(super) world: World,
    open_id: OpenId,
    in_doubt: OpenId,
    live: BTreeMap<String, Bytes>,
}

/// The kind of a key: what stands behind `lark:`.
pub(super) fn kind_of(key: &str) -> &str {
    key.split(':').nth(1).unwrap_or_default()
}

impl Scene {
    pub(super) async fn begin() -> Self {
        let world = World::begin_with(40, 12).await;
        let process = world.process();
        let control = world.control();
        let open_id = process.log_in(control, USER).await.unwrap();
        let in_doubt = process.log_in(control, IN_DOUBT).await.unwrap();
        let mut scene = Self {
            world,
            open_id,
            in_doubt,
            live: BTreeMap::new(),
        };
        let mut kept = BTreeMap::new();
        scene.leave_a_pair_waiting(&mut kept).await;
        scene.leave_a_draft(&mut kept).await;
        let report = process.0.warmer().run(&[], late()).await.unwrap();
        assert_eq!(report.filters, 1, "{report:?}");
        for _ in 0..40 {
            process.user(USER).await.unwrap();
        }
        scene.world.advance(Duration::from_secs(11));
        for _ in 0..8 {
            process.user(USER).await.unwrap();
        }
        process.0.meter.hand_over().await;
        // What the answers need is what is worth an attack.
        scene.world.cache.forget_keys();
        scene.answers().await;
        for key in ["popular", "api-calls"].map(|kind| scene.key_of(kind)) {
            scene.world.cache.top_scores(&key, 1).await.unwrap();
        }
        for key in scene.world.cache.keys() {
            if let Some(value) = scene.world.cache.get(&key).await.unwrap() {
                scene.live.insert(key, value);
            }
        }
        for (key, value) in kept {
            scene.leave(&key, &value).await;
            scene.live.insert(key, value);
        }
        scene
    }

    fn key_of(&self, kind: &str) -> String {
        match kind {
            "api-calls" => format!("lark:{kind}:{APP}:{}", self.world.process().0.meter.month()),
            _ => format!("lark:{kind}:{APP}"),
        }
    }

    /// A refresh whose outcome the store does not take: the pair waits in the cache.
    async fn leave_a_pair_waiting(&self, kept: &mut BTreeMap<String, Bytes>) {
        self.world.advance(LIFE);
        self.world.store.stop_after(1);
        let process = self.world.process();
        process.user_token(&self.in_doubt).await.unwrap_err();
        self.world.store.start();
        let key = format!("lark:login-rescue:{APP}:{}", self.in_doubt);
        let pair = self.world.cache.get(&key).await.unwrap();
        kept.insert(key, pair.expect("a pair"));
    }

    /// A run that fails half-way leaves how far it came.
    async fn leave_a_draft(&self, kept: &mut BTreeMap<String, Bytes>) {
        let down = Fault::new("contact.user.find_by_department", FaultAction::Reset);
        self.world.control().add_fault(down).unwrap();
        let warmer = self.world.process().0.warmer();
        warmer.run(&[], late()).await.unwrap();
        self.world.control().clear_faults();
        self.world.advance(Duration::from_secs(60));
        let key = self.key_of("guard-draft");
        let draft = self.world.cache.get(&key).await.unwrap();
        kept.insert(key, draft.expect("a draft"));
    }

    /// The entries that are worth an attack, by key.
    pub(super) async fn live(&self) -> BTreeMap<String, Bytes> {
        self.live.clone()
    }

    /// Puts `value` at `key`, as an attacker does: whatever is there, and without an end.
    pub(super) async fn leave(&self, key: &str, value: &[u8]) {
        let put = self.world.cache.put(key, value, TEN_YEARS);
        put.await.unwrap();
    }

    /// What callers of a process are told that remembers nothing, in one line each.
    pub(super) async fn answers(&self) -> Vec<String> {
        let process = self.world.process();
        let page = PageRequest::first(20);
        let mail = lark_simulator::email(USER);
        let own_id = lark_simulator::user_id(USER);
        let body =
            |found: Result<lark_service::directory::tiers::Found>| told(found.map(|it| it.body));
        let value = |token: Result<lark_service::tokens::SharedToken>| {
            told(token.map(|token| token.value.expose_secret().to_owned()))
        };
        let by_id = UserId::parse(UserIdKind::OpenId, &lark_simulator::open_id(APP, USER)).unwrap();
        let batch = process.batch(&[Wanted::Id(by_id)]).await;
        let batch = batch.map(|batch| batch.users.into_iter().map(|(_, it)| it.body).collect());
        vec![
            value(process.token().await),
            value(process.user_token(&self.open_id).await),
            body(process.user(USER).await),
            body(process.user_with_email(&mail).await),
            body(process.user_by(UserIdKind::UserId, &own_id).await),
            body(process.user_by(UserIdKind::OpenId, STRANGER).await),
            told(batch),
            body(process.department(1).await),
            body(process.department_users(1, &page).await),
            body(process.chat(3).await),
            body(process.chats(&page).await),
            body(process.chat_members(3, &page).await),
            told(process.app_context().await.map(|it| it.app().name.clone())),
        ]
    }

    /// Whatever the answers are about becomes different; `by` passes.
    pub(super) async fn change_everything(&self, by: Duration) {
        let process = self.world.process();
        let app_id = AppId::parse(APP).unwrap();
        let ended = process.0.logins.end(&app_id, &self.open_id, soon()).await;
        assert!(ended.unwrap());
        let renamed = AppChange {
            name: Some("renamed".to_owned()),
            ..AppChange::default()
        };
        let actor = Actor::operator("test");
        let changed = process.0.apps.change(&app_id, &renamed, &actor, soon());
        changed.await.unwrap();
        let renamed = UserPatch {
            name: Some("Renamed".to_owned()),
            ..UserPatch::default()
        };
        self.world.control().update_user(USER, renamed).unwrap();
        self.world.advance(by);
    }

    /// Nothing in the store has a number that only an attacker can have thought of.
    pub(super) async fn assert_store_is_sane(&self) {
        let process = self.world.process();
        let app_id = AppId::parse(APP).unwrap();
        for key in [
            TokenKey::tenant(app_id.clone(), None),
            TokenKey::user(app_id.clone(), &self.open_id),
            TokenKey::user(app_id.clone(), &self.in_doubt),
        ] {
            // A login that was ended is forgotten after a day.
            let Some(record) = self.record(Table::Tokens, &key.store_key()).await else {
                continue;
            };
            assert_dated(&record, now_ms(&process) + AHEAD_MS);
            let voided = u64::try_from(record.number("voided").unwrap_or(0)).unwrap();
            assert!(voided <= now_ms(&process) + AHEAD_MS, "{record:?}");
        }
        let app = self.record(Table::Apps, &Key::new(APP, "app")).await;
        assert_dated(&app.expect("a record"), now_ms(&process) + AHEAD_MS);
        let user = Key::new(
            format!("{APP}#{}", lark_simulator::open_id(APP, USER)),
            "open_id",
        );
        let user = self.record(Table::Directory, &user).await;
        assert_dated(
            &user.expect("a record"),
            now_ms(&process) * 1_000 + AHEAD_US,
        );
    }

    async fn record(&self, table: Table, key: &Key) -> Option<Record> {
        let store = self.world.shared_store();
        store.get(table, key).await.unwrap()
    }
}

#[track_caller]
fn assert_dated(record: &Record, latest: u64) {
    assert!(record.version <= latest, "{record:?}");
}

fn now_ms(process: &Process) -> u64 {
    u64::try_from(process.0.clock.now().as_millis()).unwrap()
}

fn told(answer: Result<String>) -> String {
    answer.unwrap_or_else(|error| error.code().as_str().to_owned())
}
