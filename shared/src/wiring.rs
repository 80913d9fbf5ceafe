//! Builds the services from the configuration: each `main` calls it once per process.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use secrecy::ExposeSecret;
use tracing::warn;
use url::Url;

use crate::api_keys::ApiKeys;
use crate::apps::Apps;
use crate::aws;
use crate::cache::iam::IamAuth;
use crate::cache::valkey::{ValkeyAuth, ValkeyCache, ValkeySettings};
use crate::cache::{Cache, CacheClient, discovery};
use crate::callbacks::Callbacks;
use crate::clock::{Clock, SystemClock};
use crate::config::{
    CacheConfig, CacheEndpoint, Config, ConfigError, StoreConfig, exposure, is_cache_url,
};
use crate::delivery::{Delivery, Parts, Receivers};
use crate::directory::chats::ChatService;
use crate::directory::departments::DepartmentService;
use crate::directory::tiers::Tiers;
use crate::directory::users::UserService;
use crate::directory::warm_up::Warmer;
use crate::http::Admission;
use crate::lark::LarkClient;
use crate::logins::Logins;
use crate::meter::Meter;
use crate::platform::Platform;
use crate::queue::sqs::SqsQueue;
use crate::queue::{ObservedQueue, Queue};
use crate::seal::{KeyFile, KeySource, Sealer};
use crate::staging::Staging;
use crate::store::dynamodb::DynamoDbStore;
use crate::store::{Storage, Store};
use crate::telemetry;
use crate::tokens::{Refresher, TokenService};
use crate::uploads::Uploads;

mod embedded;
mod keys;
mod services;
mod staging;

use keys::key_source;
use services::{Base, Directory};

/// How long the start waits for the cache's connection. After that it continues without; the first request then connects.
const WARM_UP: Duration = Duration::from_millis(500);

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built")]
    Http(#[from] aws::HttpClientError),
    /// The cache cannot be found or its settings are wrong.
    #[error("the cache cannot be set up: {0}")]
    Cache(String),
    /// The embedded store or queue cannot be opened.
    #[error("{0}")]
    Store(String),
    /// The place for uploads cannot be used.
    #[error("{0}")]
    Staging(String),
}

/// The adapters of a process.
#[derive(Clone, Debug)]
pub struct Adapters {
    /// The durable store.
    pub store: Arc<dyn Store>,
    /// The shared cache, if there is one.
    pub cache: Option<Arc<dyn Cache>>,
    /// The queue of messages, if this process uses it.
    pub queue: Option<Arc<dyn Queue>>,
    /// The place for what is too large for a request, if there is one.
    pub staging: Option<Arc<dyn Staging>>,
    /// The data keys.
    pub keys: Arc<Sealer>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The connections to Lark.
    pub http: reqwest::Client,
}

/// Every service, ready for handlers. Building them is cheap; connections open on first use.
#[derive(Clone, Debug)]
pub struct Services {
    /// The configuration they were built from.
    pub config: Arc<Config>,
    /// The durable store.
    pub storage: Storage,
    /// The shared cache, if there is one.
    pub cache: Option<CacheClient>,
    /// The queue of messages, if this process uses it.
    pub queue: Option<Arc<dyn Queue>>,
    /// Registered apps.
    pub apps: Apps,
    /// API keys.
    pub api_keys: ApiKeys,
    /// Access tokens.
    pub tokens: TokenService,
    /// The directory's tiers.
    pub tiers: Tiers,
    /// Users.
    pub users: UserService,
    warmer: Arc<Warmer>,
    /// Departments and their users.
    pub departments: DepartmentService,
    /// Chats and their members.
    pub chats: ChatService,
    /// Finds whom messages go to.
    pub receivers: Receivers,
    /// Delivers messages.
    pub delivery: Delivery,
    /// Tells callers how their messages ended.
    pub callbacks: Callbacks,
    /// Uploads that were staged before.
    pub uploads: Uploads,
    /// Logins of users.
    pub logins: Logins,
    /// Admission for functions that need an API key.
    pub admission: Admission,
    /// The data keys.
    pub sealer: Sealer,
    /// The client of the platform.
    pub lark: LarkClient,
    /// Sends requests to the platform as an app.
    pub platform: Platform,
    /// How often the platform was called.
    pub meter: Meter,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Services {
    /// Starts logs and metrics and builds the services, as a function does on Lambda.
    ///
    /// # Errors
    /// [`StartError`]; the process should then exit.
    pub async fn start() -> Result<Self, StartError> {
        let config = Config::from_env()?;
        telemetry::init_for_lambda(config.log_level);
        let adapters = Adapters::connect(&config).await?;
        Ok(Self::new(config, &adapters))
    }

    /// The services over `adapters`.
    #[must_use]
    pub fn new(config: Config, adapters: &Adapters) -> Self {
        let base = Base::new(&config, adapters);
        let directory = Directory::new(&config, &base);
        let logins = services::logins(&base);
        let (storage, cache) = (base.storage.clone(), base.cache.clone());
        let api_keys = ApiKeys::new(storage, cache, Arc::clone(&base.clock));
        let receivers = Receivers::new(directory.users.clone(), directory.chats.clone());
        let queue = adapters.queue.as_ref();
        let queue = queue.map(|it| ObservedQueue::new(Arc::clone(it), config.queue_timeout));
        let queue = queue.map(|it| Arc::new(it) as Arc<dyn Queue>);
        let callbacks = services::callbacks(&config, &base, &api_keys);
        let delivery = Delivery::new(Parts {
            storage: base.storage.clone(),
            sealer: base.sealer.clone(),
            queue: queue.clone(),
            apps: base.apps.clone(),
            platform: base.platform.clone(),
            callbacks: callbacks.clone(),
            receivers: receivers.clone(),
            limiter: base.limiter.clone(),
            clock: Arc::clone(&base.clock),
        });
        let claims = base.claims();
        let admission = Admission {
            apps: base.apps.clone(),
            api_keys: api_keys.clone(),
            limiter: base.limiter,
            default_app: config.default_app_id.clone(),
            not_found_limits: config.not_found_limits,
            claims,
        };
        Self {
            config: Arc::new(config),
            storage: base.storage,
            cache: base.cache,
            queue,
            apps: base.apps,
            api_keys,
            tokens: base.tokens,
            tiers: directory.tiers,
            users: directory.users,
            warmer: Arc::new(directory.warmer),
            departments: directory.departments,
            chats: directory.chats,
            receivers,
            delivery,
            callbacks,
            uploads: Uploads::new(adapters.staging.clone(), Arc::clone(&base.clock)),
            logins,
            admission,
            sealer: base.sealer,
            lark: base.lark,
            platform: base.platform,
            meter: base.meter,
            clock: base.clock,
        }
    }

    /// The scheduled warm-up.
    #[must_use]
    pub fn warmer(&self) -> Arc<Warmer> {
        Arc::clone(&self.warmer)
    }

    /// The scheduled refresh.
    #[must_use]
    pub fn refresher(&self) -> Refresher {
        Refresher::new(
            &self.tokens,
            self.apps.clone(),
            self.config.refresh_concurrency,
        )
    }
}

impl Adapters {
    /// The adapters that `config` asks for.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn connect(config: &Config) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let http = aws::http(aws::DEFAULT_IDLE_TIMEOUT)?;
        let sdk = match &config.store {
            StoreConfig::DynamoDb { .. } => aws::sdk_config(&http, &config.aws).await,
            StoreConfig::Embedded { .. } => SdkConfig::builder().build(),
        };
        let cache = match &config.cache {
            Some(cache) => Some(connect_cache(cache, config.cache_timeout, &sdk, &clock).await?),
            None => None,
        };
        let (store, queue, keys) = match &config.store {
            StoreConfig::DynamoDb { tables, keys } => {
                let client = aws_sdk_dynamodb::Client::new(&sdk);
                let store = DynamoDbStore::new(client, tables.clone(), Arc::clone(&clock));
                let store: Arc<dyn Store> = Arc::new(store);
                let keys = key_source(keys, &sdk, &store, cache.as_ref(), config);
                let queue = config.queue.clone();
                let queue = queue.map(|urls| SqsQueue::new(&aws_sdk_sqs::Client::new(&sdk), urls));
                (store, queue.map(|it| Arc::new(it) as _), keys)
            }
            StoreConfig::Embedded { data_dir } => {
                let keys = KeySource::File(KeyFile::at(data_dir.join("data-keys")));
                let (store, queue) = embedded::open(data_dir, &clock)?;
                (store, Some(queue), keys)
            }
        };
        let staging = staging::of(config, &sdk, &http, &clock)?;
        Ok(Self {
            store,
            cache,
            queue,
            staging,
            keys: Arc::new(Sealer::new(keys)),
            clock,
            http,
        })
    }
}

/// Sets the cache up and opens its connection while the process starts, before any request waits. A cache that is down now may
/// be up later: the start continues without it.
async fn connect_cache(
    config: &CacheConfig,
    timeout: Duration,
    sdk: &SdkConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Cache>, StartError> {
    let settings = cache_settings(config, timeout, sdk, clock).await?;
    let cache =
        ValkeyCache::connect(&settings).map_err(|error| StartError::Cache(error.to_string()))?;
    match tokio::time::timeout(WARM_UP, cache.warm()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "starting without the cache"),
        Err(_) => warn!("starting without the cache: no connection yet"),
    }
    Ok(Arc::new(cache))
}

/// The connection settings of the cache in `config`: its URL may be in a secret, and is looked up if only the name is known.
///
/// # Errors
/// [`StartError::Cache`] if the cache is not found or its URL cannot be read.
pub async fn cache_settings(
    config: &CacheConfig,
    timeout: Duration,
    sdk: &SdkConfig,
    clock: &Arc<dyn Clock>,
) -> Result<ValkeySettings, StartError> {
    let (url, cluster) = match &config.endpoint {
        CacheEndpoint::Url(url) => (url.expose_secret().to_owned(), config.cluster),
        CacheEndpoint::Secret(id) => {
            let url = aws::secret::text(sdk, id, &**clock).await;
            let url = url.map_err(|error| StartError::Cache(error.to_string()))?;
            if !is_cache_url(url.expose_secret()) {
                let wrong = "the secret is not redis://host:port or rediss://host:port";
                return Err(StartError::Cache(wrong.to_owned()));
            }
            (url.expose_secret().to_owned(), config.cluster)
        }
        CacheEndpoint::ByName(name) => {
            let client = aws_sdk_elasticache::Client::new(sdk);
            let found = if config.serverless {
                discovery::find_serverless(&client, name).await
            } else {
                discovery::find_group(&client, name).await
            };
            let endpoint = found.map_err(|error| StartError::Cache(error.to_string()))?;
            (endpoint.to_string(), endpoint.cluster)
        }
    };
    let url =
        Url::parse(&url).map_err(|_| StartError::Cache("its URL cannot be read".to_owned()))?;
    let is_secret = matches!(config.endpoint, CacheEndpoint::Secret(_));
    if is_secret
        && !config.insecure
        && let Some(problem) = exposure(&url, config.iam_user.is_some())
    {
        return Err(StartError::Cache(format!("the secret {problem}")));
    }
    let is_found = matches!(config.endpoint, CacheEndpoint::ByName(_));
    if is_found && url.scheme() != "rediss" && !config.insecure {
        let problem = "the cache that LARK_SERVICE_CACHE_NAME names has no TLS: turn its encryption in transit on, or set \
                       LARK_SERVICE_CACHE_INSECURE=true if that network is yours alone";
        return Err(StartError::Cache(problem.to_owned()));
    }
    Ok(ValkeySettings {
        auth: valkey_auth(config, &url, sdk, clock)?,
        url,
        cluster,
        connect_timeout: timeout,
        response_timeout: timeout,
        root_certificates: None,
    })
}

fn valkey_auth(
    config: &CacheConfig,
    url: &Url,
    sdk: &SdkConfig,
    clock: &Arc<dyn Clock>,
) -> Result<ValkeyAuth, StartError> {
    if let (Some(user), Some(cache_name)) = (&config.iam_user, &config.name) {
        let region = sdk
            .region()
            .ok_or_else(|| StartError::Cache("IAM log-in needs AWS_REGION".to_owned()))?;
        let credentials = sdk.credentials_provider();
        let credentials = credentials
            .ok_or_else(|| StartError::Cache("IAM log-in needs AWS credentials".to_owned()))?;
        return Ok(ValkeyAuth::Iam(IamAuth {
            user: user.clone(),
            cache_name: cache_name.clone(),
            serverless: config.serverless,
            region: region.to_string(),
            credentials,
            clock: Arc::clone(clock),
        }));
    }
    Ok(match url.password() {
        Some(password) => ValkeyAuth::Password {
            user: Some(url.username())
                .filter(|user| !user.is_empty())
                .map(str::to_owned),
            password: password.into(),
        },
        None => ValkeyAuth::None,
    })
}
