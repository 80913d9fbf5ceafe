//! An app of its own with everything around it: a platform, tables, a key, and the functions over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lark_service::error::Result;
use lark_service::ids::OpenId;
use lark_simulator::{App, Control, Options, Settings, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::browser::PUBLIC_URL;
use crate::cluster::{create, process};
use crate::faked_clock::FakedClock;
use crate::function::Function;
use crate::network::{Network, Servers};
use crate::queues::create_queues;
use crate::requests::{TestRequest, authorizer_event};
use crate::servers::variable;
use crate::world::{Process, soon};

/// The secret of every site's app.
pub const SECRET: &str = "frozen-secret-000001";
/// How many sites this program has.
static SITES: AtomicU32 = AtomicU32::new(0);

/// A simulated platform with one app of its own, tables, and a Valkey that it shares with others unless it was given one.
pub struct Site {
    /// The platform.
    pub simulator: Simulator,
    /// The app's id.
    pub app: String,
    /// An API key that may do everything.
    pub api_key: String,
    servers: Servers,
    variables: Vec<(String, String)>,
    keys: Arc<TempDir>,
    operator: OnceCell<Process>,
}

impl Site {
    /// A site with tables of its own, its app and its API key registered.
    pub async fn start() -> Self {
        Self::start_over(&variable("LARK_TEST_VALKEY_URL")).await
    }

    /// The same over this Valkey.
    pub async fn start_over(valkey_url: &str) -> Self {
        Self::start_between("LARK_TEST_DYNAMODB_URL_2", valkey_url).await
    }

    /// The same over the DynamoDB API that knows transactions; it is the slower one.
    pub async fn start_with_transactions() -> Self {
        let valkey_url = variable("LARK_TEST_VALKEY_URL");
        Self::start_between("LARK_TEST_DYNAMODB_URL_1", &valkey_url).await
    }

    /// The same, with queues.
    pub async fn start_with_queues() -> Self {
        let mut site = Self::start_with_transactions().await;
        let url = variable("LARK_TEST_DYNAMODB_URL_1");
        let queues = create_queues(&url, &format!("{}-", site.app)).await;
        site.variables.extend(queues);
        // The operator's process is made anew, with the queues.
        site.operator = OnceCell::new();
        site
    }

    async fn start_between(store: &str, valkey_url: &str) -> Self {
        let servers = Servers {
            store: host_of(&variable(store)),
            cache: host_of(valkey_url),
            platform: String::new(),
        };
        let keys = tempfile::tempdir().expect("a folder");
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("frozen{}t{number}-", std::process::id());
        let mut variables = Box::pin(create(&servers.variables(), &prefix, keys.path())).await;
        let public_url = ("LARK_SERVICE_PUBLIC_URL", PUBLIC_URL);
        variables.push((public_url.0.to_owned(), public_url.1.to_owned()));
        Box::pin(Self::with(servers, variables, Arc::new(keys))).await
    }

    /// Another one, with a platform, an app and a key of its own over the same tables.
    pub async fn beside(&self) -> Self {
        let (servers, variables) = (self.servers.clone(), self.variables.clone());
        Box::pin(Self::with(servers, variables, Arc::clone(&self.keys))).await
    }

    async fn with(
        servers: Servers,
        mut variables: Vec<(String, String)>,
        keys: Arc<TempDir>,
    ) -> Self {
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let app = format!("cli_frozen{}x{number}", std::process::id());
        let options = Options {
            users: 100,
            chats: 1,
            apps: vec![App::new(&app, SECRET)],
            ..Options::default()
        };
        let simulator = Simulator::start(options).await.expect("a free port");
        let servers = Servers {
            platform: simulator.addr().to_string(),
            ..servers
        };
        variables.extend(servers.variables());
        let site = Self {
            simulator,
            app,
            api_key: format!("lsk_frozen{number:06}_{:0>43}", "frozen"),
            servers,
            variables,
            keys,
            operator: OnceCell::new(),
        };
        site.seed(&json!({
            "apps": [{"app_id": site.app, "secret": SECRET}],
            "api_keys": [{
                "token": site.api_key,
                "scopes": ["tokens:read", "user_tokens:read", "users:read", "messages:send", "admin"],
                "apps": ["*"],
            }],
        }))
        .await;
        site
    }

    /// A process of the function `name`, with proxies between it and its servers.
    pub async fn function(&self, name: &str) -> Function {
        self.function_as(name, &[]).await
    }

    /// The same with these variables, which take precedence.
    pub async fn function_as(&self, name: &str, variables: &[(&str, &str)]) -> Function {
        let given = variables.iter();
        let given = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let all: Vec<_> = self.variables.iter().cloned().chain(given).collect();
        let network = Network::between(&self.servers).await;
        Box::pin(Function::start(name, &all, network, None)).await
    }

    /// The same on a host with this wall clock.
    pub async fn function_with_clock(&self, name: &str, clock: FakedClock) -> Function {
        let network = Network::between(&self.servers).await;
        Box::pin(Function::start(name, &self.variables, network, Some(clock))).await
    }

    /// The service in the test's own process, without proxies.
    pub async fn process(&self) -> Process {
        Box::pin(process(&self.variables)).await
    }

    /// The service as an operator's command line: the same process each time.
    pub async fn operator(&self) -> &Process {
        self.operator.get_or_init(|| self.process()).await
    }

    /// Applies a seed document, as an operator does.
    pub async fn seed(&self, document: &Value) {
        let Process(services) = self.operator().await;
        let seed = lark_service::seed::Seed::parse(&document.to_string()).expect("a right seed");
        let (apps, keys) = (&services.apps, &services.api_keys);
        let applied = seed.apply(apps, keys, &services.tokens, soon());
        applied.await.expect("a working store");
    }

    /// The platform's control.
    #[must_use]
    pub fn control(&self) -> &Control {
        self.simulator.control()
    }

    /// Changes the platform's settings.
    pub fn set(&self, change: impl FnOnce(Settings) -> Settings) {
        let changed = change(self.control().settings());
        self.control()
            .set_settings(changed)
            .expect("right settings");
    }

    /// How many requests reached this endpoint of the platform, named as in the simulator.
    #[must_use]
    pub fn requests(&self, endpoint: &str) -> u64 {
        let counters = self.control().counters();
        let endpoint = counters.endpoints.get(endpoint);
        endpoint.map_or(0, |endpoint| endpoint.requests)
    }

    /// Logs the user with this number in, as their browser does.
    ///
    /// # Errors
    /// As the end of the login.
    pub async fn log_in(&self, user: u32) -> Result<OpenId> {
        let process = self.operator().await;
        process.log_in_to(&self.app, self.control(), user).await
    }

    /// The event with which the browser of the user with this number comes back from the log-in page.
    ///
    /// # Errors
    /// As the begin of the login.
    pub async fn callback(&self, user: u32) -> Result<Value> {
        let process = self.operator().await;
        let begun = process.begin_login(&self.app, self.control(), user).await?;
        let target = format!(
            "/v1/oauth/callback?code={}&state={}",
            begun.code, begun.state
        );
        let (name, value) = begun.cookie;
        let request = TestRequest::new("GET", &target).without_key();
        let request = request.header("cookie", &format!("{name}={value}"));
        Ok(request.event("GET /v1/oauth/callback"))
    }

    /// What API Gateway asks the authorizer about the site's key.
    #[must_use]
    pub fn question(&self) -> Value {
        authorizer_event(&format!("Bearer {}", self.api_key))
    }

    /// A request for the app's tenant token.
    #[must_use]
    pub fn tenant_token(&self) -> Value {
        let request = self.request("GET", "/v1/tokens/tenant");
        request.event("GET /v1/tokens/{kind}")
    }

    /// A request for the token of the user with this number.
    #[must_use]
    pub fn user_token(&self, user: u32) -> Value {
        let target = format!("/v1/tokens/user?open_id={}", self.open_id(user));
        self.request("GET", &target).event("GET /v1/tokens/{kind}")
    }

    /// A request for the profile of the user with this number.
    #[must_use]
    pub fn user(&self, user: u32) -> Value {
        let target = format!("/v1/users/{}", self.open_id(user));
        self.request("GET", &target).event("GET /v1/users/{id}")
    }

    /// A pattern for requests like the one with this name in any site: `*` for what is this site's own.
    #[must_use]
    pub fn pattern(&self, name: &str) -> String {
        let mut pattern = name.replace(&self.app, "*");
        if let Some(key_id) = self.api_key.split('_').nth(1) {
            pattern = pattern.replace(key_id, "*");
        }
        // Which of many keys comes first is not the same each time.
        if let Some(many) = pattern.strip_prefix("cache MGET ")
            && let Some((kind, _)) = many.split_once('{')
        {
            pattern = format!("cache MGET {kind}*");
        }
        while let Some(at) = pattern.find("ou_") {
            let id = pattern[at..].char_indices();
            let end = id.skip(3).find(|(_, it)| !it.is_ascii_alphanumeric());
            let end = end.map_or(pattern.len(), |(end, _)| at + end);
            pattern.replace_range(at..end, "*");
        }
        pattern
    }

    /// The open_id of the user with this number.
    #[must_use]
    pub fn open_id(&self, user: u32) -> String {
        lark_simulator::open_id(&self.app, user)
    }

    /// A request for this app from a caller who may do everything.
    #[must_use]
    pub fn request(&self, method: &'static str, target: &str) -> TestRequest {
        TestRequest::new(method, target)
            .key(&self.api_key)
            .header("x-lark-app-id", &self.app)
    }
}

fn host_of(url: &str) -> String {
    let (_, host) = url.split_once("://").expect("a URL");
    host.trim_end_matches('/').to_owned()
}
