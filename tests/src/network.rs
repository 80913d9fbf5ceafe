//! The proxies between one process and its servers.

use crate::door::Door;
use crate::http_proxy::{aws_request, http_proxy, platform_request};
use crate::traffic::Traffic;
use crate::valkey_proxy::valkey_proxy;

/// Three proxies with one journal: what a process sends passes here, in its order.
#[derive(Debug)]
pub struct Network {
    /// The journal, and the rules for requests.
    pub traffic: Traffic,
    /// In front of the DynamoDB API, and of the queues where they share its address.
    pub store: Door,
    /// In front of the Valkey.
    pub cache: Door,
    /// In front of the platform.
    pub platform: Door,
}

/// The servers behind the proxies: each `host:port`.
#[derive(Clone, Debug)]
pub struct Servers {
    /// The DynamoDB API.
    pub store: String,
    /// The Valkey.
    pub cache: String,
    /// The platform.
    pub platform: String,
}

impl Network {
    /// Proxies in front of `servers`.
    pub async fn between(servers: &Servers) -> Self {
        let traffic = Traffic::default();
        Self {
            store: http_proxy(&servers.store, traffic.clone(), aws_request).await,
            cache: valkey_proxy(&servers.cache, traffic.clone()).await,
            platform: http_proxy(&servers.platform, traffic.clone(), platform_request).await,
            traffic,
        }
    }

    /// The variables that lead a process through the proxies.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let cache = format!("redis://{}", self.cache.address());
        addresses(&self.store.url(), &cache, &self.platform.url())
    }
}

impl Servers {
    /// The variables that lead a process to the servers directly.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        addresses(
            &format!("http://{}", self.store),
            &format!("redis://{}", self.cache),
            &format!("http://{}", self.platform),
        )
    }
}

fn addresses(store: &str, cache: &str, platform: &str) -> Vec<(String, String)> {
    [
        ("AWS_ENDPOINT_URL", store),
        ("LARK_SERVICE_CACHE_URL", cache),
        ("LARK_SERVICE_FEISHU_URL", platform),
        ("LARK_SERVICE_LARK_URL", platform),
        ("LARK_SERVICE_FEISHU_ACCOUNTS_URL", platform),
        ("LARK_SERVICE_LARK_ACCOUNTS_URL", platform),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
