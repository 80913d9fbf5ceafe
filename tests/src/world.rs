//! One simulated platform, one store, one shared cache, and processes of the service over them.

use std::sync::Arc;
use std::time::Duration;

use lark_service::apps::AppContext;
use lark_service::cache::Cache;
use lark_service::cache::memory::MemoryCache;
use lark_service::clock::{Clock, Timestamp};
use lark_service::config::Config;
use lark_service::deadline::Deadline;
use lark_service::directory::tiers::Found;
use lark_service::directory::users::{Batch, Wanted};
use lark_service::ids::{AppId, OpenId};
use lark_service::lark::contacts::{Contact, UserId, UserIdKind};
use lark_service::queue::embedded::EmbeddedQueue;
use lark_service::seal::{KeyRing, KeySource, Sealer};
use lark_service::seed::Seed;
use lark_service::staging::folder::FolderStaging;
use lark_service::store::Store;
use lark_service::store::embedded::EmbeddedStore;
use lark_service::store::intercepted::InterceptedStore;
use lark_service::tokens::{SharedToken, TokenKey, Trust};
use lark_service::wiring::{Adapters, Services};
use lark_service::{aws, error};
use lark_simulator::{ClockMode, Control, Options, Simulator};
use tempfile::TempDir;
use url::Url;

use crate::clocks::FastClock;
pub use crate::clocks::SimulatedClock;
use crate::switchable::{StoreSwitch, SwitchableCache};

/// The app that every world has.
pub const APP: &str = "cli_sim000001";
/// The app that the sample events name.
pub const DEMO_APP: &str = "cli_demo000001";
/// Its secret.
const DEMO_SECRET: &str = "demo-secret-000001";
/// The API key that the sample events present.
pub const DEMO_KEY: &str = "lsk_demo0000key0_demo000000000000000000000000000000000000000";
/// When every world begins: 2026-01-31, in milliseconds since the Unix epoch.
const BEGINNING_MS: u64 = 1_769_846_400_000;

/// How a process reaches what it shares with others, and how fast its clock is.
#[derive(Debug)]
pub struct Parts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The shared cache.
    pub cache: Arc<dyn Cache>,
    /// How fast its clock is.
    pub fast: Duration,
}

/// A simulated platform with a store and a shared cache that can be made to fail.
pub struct World {
    /// The platform; `pause` makes it refuse connections.
    pub simulator: Simulator,
    /// Switches the store of every process off and on.
    pub store: Arc<StoreSwitch>,
    /// The shared cache of every process.
    pub cache: Arc<SwitchableCache>,
    /// The queue of every process.
    pub queue: Arc<EmbeddedQueue>,
    /// The place for uploads of every process.
    pub staging: FolderStaging,
    pub(crate) folder: TempDir,
    shared_store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
}

impl World {
    /// A world whose clock stands still until [`World::advance`].
    pub async fn begin() -> Self {
        let Options { users, chats, .. } = Options::default();
        Self::begin_with(users, chats).await
    }

    /// A world with so many users and chats.
    pub async fn begin_with(users: u32, chats: u32) -> Self {
        let options = Options {
            apps: vec![lark_simulator::App::new(DEMO_APP, DEMO_SECRET)],
            clock: ClockMode::Frozen(BEGINNING_MS),
            users,
            chats,
            ..Options::default()
        };
        let simulator = Simulator::start(options).await.expect("a free port");
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::of(simulator.control().clone()));
        let store = EmbeddedStore::in_memory(Arc::clone(&clock)).expect("memory");
        let switch = Arc::new(StoreSwitch::default());
        let cache = MemoryCache::new(64 * 1024 * 1024, Arc::clone(&clock));
        let keyring = KeyRing::generate().expect("randomness");
        let queue = EmbeddedQueue::in_memory(Arc::clone(&clock)).expect("memory");
        let folder = tempfile::tempdir().expect("a folder");
        let host = Url::parse("http://127.0.0.1:9000").ok();
        let world = Self {
            simulator,
            staging: FolderStaging::new(folder.path(), host, Arc::clone(&clock)),
            folder,
            queue: Arc::new(queue),
            shared_store: Arc::new(InterceptedStore::new(
                Arc::new(store),
                Arc::clone(&switch) as _,
            )),
            store: switch,
            cache: Arc::new(SwitchableCache::over(Arc::new(cache))),
            sealer: Arc::new(Sealer::new(KeySource::Given(keyring))),
            clock,
        };
        let secret = lark_simulator::seeded_app_secret(APP);
        world
            .seed(&format!(
                r#"{{"apps":[{{"app_id":"{APP}","secret":"{secret}"}}]}}"#
            ))
            .await;
        world
    }

    /// A process of the service, with a local cache of its own and the world's store and shared cache.
    #[must_use]
    pub fn process(&self) -> Process {
        self.process_with(&[])
    }

    /// A process with these variables set.
    #[must_use]
    pub fn process_with(&self, variables: &[(&str, &str)]) -> Process {
        self.build(self.shared_store(), variables)
    }

    /// A process that reaches the store through `store`.
    #[must_use]
    pub fn process_over(&self, store: Arc<dyn Store>) -> Process {
        self.build(store, &[])
    }

    /// A process that reaches the store through `store`, with these variables set.
    #[must_use]
    pub fn process_over_with(&self, store: Arc<dyn Store>, variables: &[(&str, &str)]) -> Process {
        self.build(store, variables)
    }

    /// A process whose host's clock is fast by `fast`. The store and the shared cache keep the right time.
    #[must_use]
    pub fn process_that_is_fast(&self, fast: Duration) -> Process {
        let parts = Parts {
            store: self.shared_store(),
            cache: Arc::clone(&self.cache) as _,
            fast,
        };
        self.process_of(parts, &[])
    }

    /// A process of these parts, with these variables set.
    #[must_use]
    pub fn process_of(&self, parts: Parts, variables: &[(&str, &str)]) -> Process {
        let Parts { store, cache, fast } = parts;
        let clock: Arc<dyn Clock> = if fast.is_zero() {
            Arc::clone(&self.clock)
        } else {
            Arc::new(FastClock(Arc::clone(&self.clock), fast))
        };
        self.build_of(store, cache, clock, variables)
    }

    /// The store that processes share.
    #[must_use]
    pub fn shared_store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.shared_store)
    }

    fn build(&self, store: Arc<dyn Store>, variables: &[(&str, &str)]) -> Process {
        let cache = Arc::clone(&self.cache) as _;
        self.build_of(store, cache, Arc::clone(&self.clock), variables)
    }

    fn build_of(
        &self,
        store: Arc<dyn Store>,
        cache: Arc<dyn Cache>,
        clock: Arc<dyn Clock>,
        variables: &[(&str, &str)],
    ) -> Process {
        let base_url = self.simulator.base_url();
        let config = Config::from_lookup(|name| {
            let given = variables.iter().find(|(known, _)| *known == name);
            given
                .map(|(_, value)| (*value).to_owned())
                .or_else(|| match name {
                    "LARK_SERVICE_FEISHU_URL"
                    | "LARK_SERVICE_LARK_URL"
                    | "LARK_SERVICE_FEISHU_ACCOUNTS_URL"
                    | "LARK_SERVICE_LARK_ACCOUNTS_URL" => Some(base_url.clone()),
                    "LARK_SERVICE_STORE" => Some("embedded".to_owned()),
                    // The limiter would never refill: the clock stands still.
                    "LARK_SERVICE_LARK_LIMIT_PER_MINUTE" | "LARK_SERVICE_LARK_LIMIT_PER_SECOND" => {
                        Some("1000000".to_owned())
                    }
                    _ => None,
                })
        });
        let adapters = Adapters {
            store,
            queue: Some(Arc::clone(&self.queue) as _),
            cache: Some(cache),
            staging: Some(Arc::new(self.staging.clone())),
            keys: Arc::clone(&self.sealer),
            clock,
            http: aws::http(aws::DEFAULT_IDLE_TIMEOUT).expect("a client"),
        };
        let config = config.expect("a right configuration");
        Process(Services::new(config, &adapters))
    }

    /// Applies a seed document.
    pub async fn seed(&self, document: &str) {
        let Process(services) = self.process();
        let seed = Seed::parse(document).expect("a right seed");
        seed.apply(&services.apps, &services.api_keys, &services.tokens, soon())
            .await
            .expect("a working store");
    }

    /// Registers the app and the API key that the sample events name.
    pub async fn seed_demo(&self) {
        self.seed(&format!(
            r#"{{"apps":[{{"app_id":"{DEMO_APP}","secret":"{DEMO_SECRET}","login_scopes":["contact:user.base:readonly"]}}],
                "api_keys":[{{"token":"{DEMO_KEY}","scopes":["tokens:read","user_tokens:read","users:read"],"apps":["*"]}}]}}"#
        ))
        .await;
    }

    /// The simulator's control: settings, faults, counters.
    #[must_use]
    pub fn control(&self) -> &Control {
        self.simulator.control()
    }

    /// The time of platform and service.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Advances the clock of platform and service.
    pub fn advance(&self, length: Duration) {
        self.control().advance(length);
    }

    /// How many token requests reached the platform.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.requests("auth.tenant_access_token.internal")
    }

    /// How many look-ups of a user reached the platform.
    #[must_use]
    pub fn user_requests(&self) -> u64 {
        self.requests("contact.user.get")
    }

    /// How many calls the platform rejected because of their token.
    #[must_use]
    pub fn rejected_calls(&self) -> u64 {
        self.control()
            .counters()
            .endpoints
            .values()
            .map(|endpoint| endpoint.rejected_tokens)
            .sum()
    }

    /// How many calls of the endpoint reached the platform, by its name in the simulator.
    #[must_use]
    pub fn requests(&self, endpoint: &str) -> u64 {
        self.control()
            .counters()
            .endpoints
            .get(endpoint)
            .map_or(0, |endpoint| endpoint.requests)
    }
}

/// A process of the service.
#[derive(Clone)]
pub struct Process(pub Services);

impl Process {
    /// The tenant token, as `get-token` answers with it.
    ///
    /// # Errors
    /// As the token service.
    pub async fn token(&self) -> error::Result<SharedToken> {
        self.token_of(APP).await
    }

    /// The tenant token of `app_id`.
    ///
    /// # Errors
    /// As the token service.
    pub async fn token_of(&self, app_id: &str) -> error::Result<SharedToken> {
        let app_id = AppId::parse(app_id).expect("an app id");
        let app = self.0.apps.enabled(&app_id, soon()).await?;
        let key = TokenKey::tenant(app_id, None);
        self.0.tokens.token(&app, &key, Trust::Local, soon()).await
    }

    /// The token of a user who logged in.
    ///
    /// # Errors
    /// As the token service.
    pub async fn user_token(&self, open_id: &OpenId) -> error::Result<SharedToken> {
        let app_id = AppId::parse(APP).expect("an app id");
        let app = self.0.apps.enabled(&app_id, soon()).await?;
        let key = TokenKey::user(app_id, open_id);
        self.0.tokens.token(&app, &key, Trust::Local, soon()).await
    }

    /// The generation of the user's login, as this process knows it.
    #[must_use]
    pub fn known_generation(&self, open_id: &OpenId) -> u64 {
        let key = TokenKey::user(AppId::parse(APP).expect("an app id"), open_id);
        let login = self.0.tokens.known_login(&key);
        login.expect("a login").generation
    }

    /// The user with this number in the simulator's directory.
    ///
    /// # Errors
    /// As the user service.
    pub async fn user(&self, number: u32) -> error::Result<Found> {
        self.user_by(UserIdKind::OpenId, &lark_simulator::open_id(APP, number))
            .await
    }

    /// The user with this e-mail address.
    ///
    /// # Errors
    /// As the user service.
    pub async fn user_with_email(&self, email: &str) -> error::Result<Found> {
        self.user_with(&Contact::email(email)?).await
    }

    /// The user with this mobile number.
    ///
    /// # Errors
    /// As the user service.
    pub async fn user_with_mobile(&self, mobile: &str) -> error::Result<Found> {
        self.user_with(&Contact::mobile(mobile)?).await
    }

    async fn user_with(&self, contact: &Contact) -> error::Result<Found> {
        let context = self.app_context().await?;
        self.0.users.find(&context, contact, soon()).await
    }

    /// Many users at once.
    ///
    /// # Errors
    /// As the user service.
    pub async fn batch(&self, wanted: &[Wanted]) -> error::Result<Batch> {
        let context = self.app_context().await?;
        self.0.users.batch(&context, wanted, soon()).await
    }

    /// The world's app, as the one to act for.
    ///
    /// # Errors
    /// As the apps.
    pub async fn app_context(&self) -> error::Result<AppContext> {
        let app_id = AppId::parse(APP).expect("an app id");
        AppContext::new(self.0.apps.enabled(&app_id, soon()).await?, None)
    }

    /// The user with this id.
    ///
    /// # Errors
    /// As the user service.
    pub async fn user_by(&self, kind: UserIdKind, id: &str) -> error::Result<Found> {
        let app_id = AppId::parse(APP).expect("an app id");
        let app = self.0.apps.enabled(&app_id, soon()).await?;
        let context = AppContext::new(app, None)?;
        self.0
            .users
            .user(&context, &UserId::parse(kind, id)?, soon())
            .await
    }
}

/// A deadline that no test reaches.
#[must_use]
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}
