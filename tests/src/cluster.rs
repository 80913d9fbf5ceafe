//! The service with real servers: the simulator over HTTP, a Valkey, tables in a DynamoDB API, and worker processes.

use crate::worker::Worker;
use crate::world::{APP, Process};
use aws_sdk_dynamodb::Client;
use lark_service::aws::{self, AwsCredentials, AwsSettings, SdkConfig};
use lark_service::store::Table;
use lark_service::store::dynamodb::TableNames;
use lark_service::store::dynamodb::schema::create_tables;
use lark_simulator::{Options, Simulator};
use tokio::io::AsyncWriteExt;

use crate::door::Door;
use crate::http_proxy::aws_proxy;
use crate::network::Servers;
use crate::queues::create_queues;
use crate::servers::{Valkey, tcp_proxy, variable};
use crate::traffic::Traffic;

/// A simulator, a Valkey, a DynamoDB API behind a proxy, and the variables that point a process to them.
pub struct TestCluster {
    /// The platform.
    pub simulator: Simulator,
    /// The shared cache.
    pub valkey: Valkey,
    /// The proxy in front of the store.
    pub dynamodb: Door,
    variables: Vec<(String, String)>,
    _keys: tempfile::TempDir,
}

impl TestCluster {
    /// Starts one with the simulator's first app registered.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// The same with these options of the simulator.
    pub async fn start_with(options: Options) -> Self {
        let cluster = Self::start_without_app(options).await;
        let secret = lark_simulator::seeded_app_secret(APP);
        cluster
            .seed(&format!(
                r#"{{"apps":[{{"app_id":"{APP}","secret":"{secret}"}}]}}"#
            ))
            .await;
        cluster
    }

    /// The same without a registered app.
    pub async fn start_without_app(options: Options) -> Self {
        let simulator = Simulator::start(options).await.expect("a free port");
        let valkey = Valkey::start().await;
        let api = variable("LARK_TEST_DYNAMODB_URL_2");
        let api = api.trim_start_matches("http://");
        let dynamodb = tcp_proxy(api.to_owned()).await;
        Self::start_behind(simulator, valkey, dynamodb, &[]).await
    }

    /// One with queues: these apps of the simulator are registered.
    pub async fn start_with_queues(options: Options, apps: &[&str]) -> Self {
        let simulator = Simulator::start(options).await.expect("a free port");
        let valkey = Valkey::start().await;
        let host = |name| {
            let url = variable(name);
            url.trim_start_matches("http://").to_owned()
        };
        let (store, queue) = (
            host("LARK_TEST_DYNAMODB_URL_2"),
            host("LARK_TEST_DYNAMODB_URL_1"),
        );
        let dynamodb = aws_proxy(&store, &queue, Traffic::default()).await;
        let prefix = format!("load{}x{}-", std::process::id(), simulator.addr().port());
        let queues = create_queues(&format!("http://{queue}"), &prefix).await;
        let cluster = Self::start_behind(simulator, valkey, dynamodb, &queues).await;
        for app in apps {
            let secret = lark_simulator::seeded_app_secret(app);
            let seed = serde_json::json!({"apps": [{"app_id": app, "secret": secret}]});
            cluster.seed(&seed.to_string()).await;
        }
        cluster
    }

    async fn start_behind(
        simulator: Simulator,
        valkey: Valkey,
        dynamodb: Door,
        more: &[(String, String)],
    ) -> Self {
        let servers = Servers {
            store: dynamodb.address().to_string(),
            cache: format!("127.0.0.1:{}", valkey.port()),
            platform: simulator.addr().to_string(),
        };
        let prefix = format!(
            "faults-{}-{:08x}-",
            std::process::id(),
            simulator.addr().port()
        );
        let keys = tempfile::tempdir().expect("a folder");
        let mut variables = create(&servers.variables(), &prefix, keys.path()).await;
        variables.extend(more.iter().cloned());
        Self {
            simulator,
            valkey,
            dynamodb,
            variables,
            _keys: keys,
        }
    }

    /// A process of the service.
    pub async fn worker(&self) -> Worker {
        Worker::start(&worker_path(), &self.variables).await
    }

    /// A process of the service with one more variable.
    pub async fn worker_with(&self, name: &str, value: &str) -> Worker {
        self.worker_as(&[(name, value)]).await
    }

    /// A process of the service with these variables, which take precedence over the cluster's.
    pub async fn worker_as(&self, variables: &[(&str, &str)]) -> Worker {
        let given = variables.iter();
        let given = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // Of two variables with the same name the later one wins.
        let all: Vec<_> = self.variables.iter().cloned().chain(given).collect();
        Worker::start(&worker_path(), &all).await
    }

    /// How many requests reached this endpoint of the platform, named as in the simulator.
    #[must_use]
    pub fn requests(&self, endpoint: &str) -> u64 {
        let counters = self.simulator.control().counters();
        let endpoint = counters.endpoints.get(endpoint);
        endpoint.map_or(0, |endpoint| endpoint.requests)
    }

    /// The service in the test's own process.
    pub async fn process(&self) -> Process {
        self.process_as(&[]).await
    }

    /// The service in the test's own process, with these variables which take precedence over the cluster's.
    pub async fn process_as(&self, variables: &[(&str, &str)]) -> Process {
        let given = variables.iter();
        let given = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let all: Vec<_> = self.variables.iter().cloned().chain(given).collect();
        process(&all).await
    }

    /// Applies a seed document, as an operator does.
    pub async fn seed(&self, document: &str) {
        let Process(services) = self.process().await;
        let seed = lark_service::seed::Seed::parse(document).expect("a right seed");
        let deadline = crate::world::soon();
        seed.apply(
            &services.apps,
            &services.api_keys,
            &services.tokens,
            deadline,
        )
        .await
        .expect("a working store");
    }

    /// How many token requests reached the platform.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        let counters = self.simulator.control().counters();
        counters
            .endpoints
            .get("auth.tenant_access_token.internal")
            .map_or(0, |endpoint| endpoint.requests)
    }

    /// How many calls the platform rejected because of their token.
    #[must_use]
    pub fn rejected_calls(&self) -> u64 {
        self.simulator
            .control()
            .counters()
            .endpoints
            .values()
            .map(|endpoint| endpoint.rejected_tokens)
            .sum()
    }
}

/// The program `worker`, which cargo builds beside the test.
fn worker_path() -> String {
    let own = std::env::current_exe().expect("a program");
    let folder = own
        .parent()
        .and_then(std::path::Path::parent)
        .expect("target/…/deps");
    folder.join("worker").display().to_string()
}

/// Prints a figure for `docs/reliability.md`.
pub async fn figure(text: String) {
    let _ = tokio::io::stdout()
        .write_all(format!("FIGURE {text}\n").as_bytes())
        .await;
}

/// Creates tables whose names begin with `prefix` at the addresses in `servers`. Returns the variables of a process that uses
/// them, with its key ring in `folder`.
pub(crate) async fn create(
    servers: &[(String, String)],
    prefix: &str,
    folder: &std::path::Path,
) -> Vec<(String, String)> {
    let names = TableNames::prefixed(prefix);
    let endpoint = servers.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL");
    let (_, endpoint) = endpoint.expect("an address of the store");
    create_tables(&client(endpoint).await, &names)
        .await
        .expect("new tables");
    let tables = Table::ALL.map(|table| {
        let variable = format!("LARK_SERVICE_{}_TABLE", table.name().to_uppercase());
        (variable, names.get(table).to_owned())
    });
    let key_file = folder.join("data-keys").display().to_string();
    [
        ("LARK_SERVICE_STORE", "dynamodb"),
        ("LARK_SERVICE_KEY_FILE", &key_file),
        // These tests are about outages, not about the platform's limits.
        ("LARK_SERVICE_LARK_LIMIT_PER_MINUTE", "1000000"),
        ("LARK_SERVICE_LARK_LIMIT_PER_SECOND", "1000000"),
        ("LARK_SERVICE_LOG", "error"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into_iter()
    .chain(servers.iter().cloned())
    .chain(tables)
    .collect()
}

/// The service in the test's own process, with these variables; of two with the same name the later one wins.
pub(crate) async fn process(variables: &[(String, String)]) -> Process {
    let lookup = |name: &'static str| {
        let found = variables.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let config = lark_service::config::Config::from_lookup(lookup).expect("a right configuration");
    let adapters = lark_service::wiring::Adapters::connect(&config)
        .await
        .expect("adapters");
    Process(lark_service::wiring::Services::new(config, &adapters))
}

async fn client(url: &str) -> Client {
    Client::new(&sdk_config(url).await)
}

/// The configuration of a client of an emulator at `url`.
pub(crate) async fn sdk_config(url: &str) -> SdkConfig {
    let http = aws::http(aws::DEFAULT_IDLE_TIMEOUT).expect("a client");
    let settings = AwsSettings {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(url.to_owned()),
        credentials: Some(AwsCredentials {
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned().into(),
            session_token: None,
        }),
    };
    aws::sdk_config(&http, &settings).await
}
