//! The host: start, calls, stop.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lark_service::cache::memory::MemoryCache;
use lark_service::config::Config;
use lark_service::deadline::Deadline;
use lark_service::seed::Seed;
use lark_service::staging::folder::FolderStaging;
use lark_service::telemetry::prometheus;
use lark_service::wiring::{Adapters, Services};
use lark_simulator::Simulator;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::banner::Banner;
use crate::data_dir::DataDir;
use crate::error::HostError;
use crate::functions;
use crate::gateway::Gateway;
use crate::options::Options;
use crate::platform::{self, Connected};
use crate::queues;
use crate::schedules::{self, Scheduled};
use crate::server::{self, Stop};
use crate::template::Template;

/// The shared cache of a host without a Valkey: in the process, otherwise like Valkey.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// The time to write the app and the API key.
const SEED_TIME: Duration = Duration::from_secs(10);
/// How often metrics are aggregated; until then each value is held separately.
const METRICS_EVERY: Duration = Duration::from_secs(5);

/// The process's metrics; there can be only one recorder.
static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// A running host. Dropping it stops everything at once; [`Host::shutdown`] lets requests finish.
pub struct Host {
    addr: SocketAddr,
    data: DataDir,
    platform: Connected,
    api_key: SecretString,
    gateway: Arc<Gateway>,
    schedules: Vec<Scheduled>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Host {
    /// Starts everything. `environment` looks up variables by name; the options take precedence.
    ///
    /// # Errors
    /// [`HostError`], in one line.
    pub async fn start(
        options: Options,
        environment: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, HostError> {
        let template = Template::read(&options.template)?;
        functions::check(&template)?;
        let schedules = schedules::all(&template)?;
        let fed = queues::all(&template)?;
        let listener = listen(options.listen).await?;
        let addr = listener.local_addr().map_err(|source| HostError::Listen {
            addr: options.listen,
            source,
        })?;
        let data = platform::data_dir(&options)?;
        let metrics = METRICS.get_or_init(|| prometheus::init().ok());
        let metrics = metrics.clone().ok_or(HostError::Metrics)?;

        let platform = platform::connect(&options, &data, addr).await?;
        let config = Config::from_lookup(|name| match name {
            "LARK_SERVICE_STORE" => Some("embedded".to_owned()),
            "LARK_SERVICE_DATA_DIR" => Some(data.path().display().to_string()),
            "LARK_SERVICE_PUBLIC_URL" => {
                environment(name).or_else(|| Some(format!("http://{addr}")))
            }
            // What is tried out here listens here.
            "LARK_SERVICE_CALLBACKS_TO_LOOPBACK" => {
                environment(name).or_else(|| Some("true".to_owned()))
            }
            name => platform.variable(name).or_else(|| environment(name)),
        })?;
        let mut adapters = Adapters::connect(&config).await?;
        if adapters.cache.is_none() {
            let cache = MemoryCache::new(CACHE_BYTES, Arc::clone(&adapters.clock));
            adapters.cache = Some(Arc::new(cache));
        }
        let api_key = data.api_key()?;
        let services = Services::new(config, &adapters);
        seed(&services, &platform.seed(&api_key)).await?;

        let gateway = gateway(&template, services, metrics, data.path())?;
        let (stop, stopped) = Stop::new();
        let mut tasks = JoinSet::new();
        let serving = (Arc::clone(&gateway), options.head_timeout, stopped.clone());
        tasks.spawn(server::run(listener, serving.0, serving.1, serving.2));
        tasks.spawn(gather_metrics(Arc::clone(&gateway), stopped.clone()));
        for schedule in &schedules {
            let running = schedule.clone();
            tasks.spawn(running.keep_running(Arc::clone(&gateway), stopped.clone()));
        }
        if let Some(queue) = &adapters.queue {
            for function in fed {
                let (gateway, queue) = (Arc::clone(&gateway), Arc::clone(queue));
                tasks.spawn(function.keep_working(gateway, queue, stopped.clone()));
            }
        }
        Ok(Self {
            addr,
            data,
            platform,
            api_key,
            gateway,
            schedules,
            stop,
            tasks,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The API key that may do everything.
    #[must_use]
    pub const fn api_key(&self) -> &SecretString {
        &self.api_key
    }

    /// The simulator, unless the platform is the real one.
    #[must_use]
    pub const fn simulator(&self) -> Option<&Simulator> {
        self.platform.simulator.as_ref()
    }

    /// The text to print at the start.
    #[must_use]
    pub fn banner(&self) -> Banner<'_> {
        Banner {
            addr: self.addr,
            data_dir: self.data.path(),
            api_key: &self.api_key,
            app_id: &self.platform.app_id,
            domain: self.platform.domain,
            simulator: self.platform.simulator.as_ref().map(Simulator::base_url),
            users: self.platform.users,
            schedules: self
                .schedules
                .iter()
                .map(|s| (s.name.as_str(), s.every))
                .collect(),
        }
    }

    /// Runs the function `name` now, as its schedule would, and returns its result; `None` if no schedule starts it.
    ///
    /// # Errors
    /// The function's own.
    pub async fn run_scheduled(&self, name: &str) -> Option<Result<Value, lambda_runtime::Error>> {
        let scheduled = self.schedules.iter().find(|s| s.name == name)?;
        Some(scheduled.run(&self.gateway).await)
    }

    /// Accepts no more connections, lets open requests finish (ten seconds at most), and closes the store.
    #[expect(clippy::disallowed_methods, reason = "awaited here")]
    pub async fn shutdown(self) {
        let Self {
            platform,
            gateway,
            stop,
            mut tasks,
            ..
        } = self;
        stop.send_replace(true);
        while tasks.join_next().await.is_some() {}
        if let Some(simulator) = platform.simulator {
            simulator.shutdown().await;
        }
        // Dropping the last reference closes the store, which waits for its writer.
        let _only_a_panic = tokio::task::spawn_blocking(move || drop(gateway)).await;
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, HostError> {
    let bound = TcpListener::bind(addr).await;
    bound.map_err(|source| HostError::Listen { addr, source })
}

/// The gateway that also answers with metrics, and takes uploads into the folder of data.
fn gateway(
    template: &Template,
    services: Services,
    metrics: PrometheusHandle,
    data_dir: &Path,
) -> Result<Arc<Gateway>, HostError> {
    let host = services.config.public_url.clone();
    let uploads = FolderStaging::new(data_dir, host, Arc::clone(&services.clock));
    let gateway = Gateway::new(template, services)?.with_metrics(metrics);
    Ok(Arc::new(gateway.with_uploads(uploads)))
}

async fn seed(services: &Services, document: &str) -> Result<(), HostError> {
    let (apps, keys, tokens) = (&services.apps, &services.api_keys, &services.tokens);
    let deadline = Deadline::after(SEED_TIME);
    Seed::parse(document)?
        .apply(apps, keys, tokens, deadline)
        .await?;
    Ok(())
}

async fn gather_metrics(gateway: Arc<Gateway>, mut stop: Stop) {
    while tokio::time::timeout(METRICS_EVERY, stop.stopped())
        .await
        .is_err()
    {
        gateway.gather_metrics();
    }
}
