//! Everything a fault test needs, for real: the simulator over HTTP, a Valkey, tables in a DynamoDB API, worker processes.

use crate::worker::Worker;
use crate::world::{APP, Process};
use aws_sdk_dynamodb::Client;
use lark_service::aws::{self, AwsCredentials, AwsSettings};
use lark_service::store::dynamodb::TableNames;
use lark_service::store::dynamodb::schema::create_tables;
use lark_simulator::{Options, Simulator};
use tokio::io::AsyncWriteExt;

use crate::servers::{Door, Valkey, variable};

/// A simulator, a Valkey, a DynamoDB API behind a door, and the variables that lead a process to them.
pub struct Town {
    /// The platform.
    pub simulator: Simulator,
    /// The shared cache.
    pub valkey: Valkey,
    /// The way to the store.
    pub dynamodb: Door,
    variables: Vec<(String, String)>,
    _keys: tempfile::TempDir,
}

impl Town {
    /// With the simulator's first app registered.
    pub async fn found() -> Self {
        Self::found_in(Options::default()).await
    }

    /// With these options of the simulator and its first app registered.
    pub async fn found_in(options: Options) -> Self {
        let town = Self::found_with(options).await;
        let secret = lark_simulator::seeded_app_secret(APP);
        town.seed(&format!(
            r#"{{"apps":[{{"app_id":"{APP}","secret":"{secret}"}}]}}"#
        ))
        .await;
        town
    }

    /// With these options of the simulator and no app registered.
    pub async fn found_with(options: Options) -> Self {
        let simulator = Simulator::start(options).await.expect("a free port");
        let valkey = Valkey::start().await;
        let api = variable("LARK_TEST_DYNAMODB_URL_2");
        let dynamodb = Door::before(api.trim_start_matches("http://").to_owned()).await;
        let names = TableNames::prefixed(&format!(
            "faults-{}-{:08x}-",
            std::process::id(),
            simulator.addr().port()
        ));
        create_tables(&client(&dynamodb.url()).await, &names)
            .await
            .expect("new tables");
        let keys = tempfile::tempdir().expect("a folder");
        let variables = variables(&simulator, &valkey, &dynamodb, &names, keys.path());
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

    /// A process of the service with these variables, in place of the town's.
    pub async fn worker_as(&self, variables: &[(&str, &str)]) -> Worker {
        let given = variables.iter();
        let given = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // Of two with one name the later counts.
        let all: Vec<_> = self.variables.iter().cloned().chain(given).collect();
        Worker::start(&worker_path(), &all).await
    }

    /// How many requests to this endpoint reached the platform, by the simulator's name of it.
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

    /// The service in the test's own process, with these variables in place of the town's.
    pub async fn process_as(&self, variables: &[(&str, &str)]) -> Process {
        let lookup = |name: &'static str| {
            let given = variables.iter().find(|(known, _)| *known == name);
            let found = self.variables.iter().find(|(known, _)| known == name);
            given
                .map(|(_, value)| (*value).to_owned())
                .or_else(|| found.map(|(_, value)| value.clone()))
        };
        let config =
            lark_service::config::Config::from_lookup(lookup).expect("a right configuration");
        let adapters = lark_service::wiring::Adapters::connect(&config)
            .await
            .expect("adapters");
        Process(lark_service::wiring::Services::new(config, &adapters))
    }

    /// Applies a seed document through the operator's own way in.
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

/// The program beside the test's own, which cargo builds with it.
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

fn variables(
    simulator: &Simulator,
    valkey: &Valkey,
    dynamodb: &Door,
    names: &TableNames,
    folder: &std::path::Path,
) -> Vec<(String, String)> {
    let key_file = folder.join("data-keys").display().to_string();
    [
        ("LARK_SERVICE_STORE", "dynamodb".to_owned()),
        ("LARK_SERVICE_TOKENS_TABLE", names.tokens.clone()),
        ("LARK_SERVICE_USERS_TABLE", names.users.clone()),
        ("LARK_SERVICE_APPS_TABLE", names.apps.clone()),
        ("LARK_SERVICE_API_KEYS_TABLE", names.api_keys.clone()),
        ("LARK_SERVICE_DATA_KEYS_TABLE", names.data_keys.clone()),
        ("LARK_SERVICE_KEY_FILE", key_file),
        ("LARK_SERVICE_CACHE_URL", valkey.url()),
        ("LARK_SERVICE_FEISHU_URL", simulator.base_url()),
        ("LARK_SERVICE_LARK_URL", simulator.base_url()),
        ("LARK_SERVICE_FEISHU_ACCOUNTS_URL", simulator.base_url()),
        ("LARK_SERVICE_LARK_ACCOUNTS_URL", simulator.base_url()),
        // What is looked for here comes of outages, not of the platform's limits.
        ("LARK_SERVICE_LARK_LIMIT_PER_MINUTE", "1000000".to_owned()),
        ("LARK_SERVICE_LARK_LIMIT_PER_SECOND", "1000000".to_owned()),
        ("LARK_SERVICE_LOG", "error".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", dynamodb.url()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

async fn client(url: &str) -> Client {
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
    Client::new(&aws::sdk_config(&http, &settings).await)
}
