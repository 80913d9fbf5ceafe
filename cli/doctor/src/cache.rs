//! Checks of the shared cache: connection, login, writes, and an eviction policy.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use redis::{ErrorKind, RedisError};

use super::report::because;
use super::{Check, soon};
use lark_service::aws;
use lark_service::cache::valkey::{ValkeyCache, ValkeySettings};
use lark_service::cache::{Cache, CacheError};
use lark_service::clock::Clock;
use lark_service::config::{CacheConfig, CacheEndpoint, Config};
use lark_service::wiring;

const CACHE: &str = "cache";
const PERMISSIONS: &str = "cache_permissions";
const EVICTION: &str = "cache_eviction";
/// The TTL of a probe that cannot be removed.
const PROBE_TTL: Duration = Duration::from_secs(10);

/// Checks the cache that `config` names.
pub(super) async fn examine(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Check> {
    let Some(cache_config) = &config.cache else {
        let why = "none is configured; every process then remembers for itself";
        return vec![Check::skipped(CACHE, why)];
    };
    let (cache, scheme) = match connect(config, cache_config, clock).await {
        Ok(found) => found,
        Err(check) => return skipping_rest(check),
    };
    let answers = soon().run(async {
        cache.warm().await?;
        cache.ping().await
    });
    let answer = answers.await.unwrap_or(Err(CacheError::Timeout));
    if let Err(error) = answer {
        return skipping_rest(unreachable(&error, &scheme));
    }
    vec![
        Check::ok(CACHE, "it answers"),
        permissions(&cache).await,
        eviction(&cache).await,
    ]
}

fn skipping_rest(check: Check) -> Vec<Check> {
    let why = "needs the cache";
    vec![
        check,
        Check::skipped(PERMISSIONS, why),
        Check::skipped(EVICTION, why),
    ]
}

async fn connect(
    config: &Config,
    cache: &CacheConfig,
    clock: &Arc<dyn Clock>,
) -> Result<(ValkeyCache, String), Check> {
    let wrong = |detail: String| {
        let remedy = match &cache.endpoint {
            CacheEndpoint::Url(_) => {
                "correct LARK_SERVICE_CACHE_URL (and, for IAM, LARK_SERVICE_CACHE_NAME and AWS_REGION)"
            }
            CacheEndpoint::Secret(_) => {
                "correct LARK_SERVICE_CACHE_URL_SECRET and what is in the secret, and allow secretsmanager:GetSecretValue"
            }
            CacheEndpoint::ByName(_) => {
                "correct LARK_SERVICE_CACHE_NAME and LARK_SERVICE_CACHE_SERVERLESS, and allow elasticache:DescribeReplicationGroups and elasticache:DescribeServerlessCaches"
            }
        };
        Check::failed(CACHE, detail, remedy)
    };
    let settings = soon().run(Box::pin(settings(config, cache, clock))).await;
    let settings = settings.map_err(|_| wrong("its address was not found in time".to_owned()))?;
    let settings = settings.map_err(wrong)?;
    let connected = ValkeyCache::connect(&settings);
    let cache = connected.map_err(|error| wrong(because(&error)))?;
    Ok((cache, settings.url.scheme().to_owned()))
}

async fn settings(
    config: &Config,
    cache: &CacheConfig,
    clock: &Arc<dyn Clock>,
) -> Result<ValkeySettings, String> {
    let needs_aws = cache.iam_user.is_some() || !matches!(cache.endpoint, CacheEndpoint::Url(_));
    let sdk = if needs_aws {
        let http = aws::http(aws::DEFAULT_IDLE_TIMEOUT).map_err(|error| because(&error))?;
        aws::sdk_config(&http, &config.aws).await
    } else {
        SdkConfig::builder().build()
    };
    let found = wiring::cache_settings(cache, config.cache_timeout, &sdk, clock).await;
    found.map_err(|error| because(&error))
}

/// What a failure to connect to the cache by `scheme` means.
fn unreachable(error: &CacheError, scheme: &str) -> Check {
    let detail = because(error);
    let remedy = match error {
        CacheError::Timeout if scheme == "rediss" => {
            "see that the server runs and that security groups let this machine reach it; a server without TLS stays silent to rediss:// in LARK_SERVICE_CACHE_URL: use redis://"
        }
        CacheError::Timeout => {
            "see that the server runs and that security groups let this machine reach it; a server that wants TLS may stay silent to redis:// in LARK_SERVICE_CACHE_URL: use rediss://"
        }
        CacheError::Skipped => "try again",
        CacheError::Unavailable(source) => match source.downcast_ref::<RedisError>() {
            Some(error) => remedy(error),
            None => "correct LARK_SERVICE_CACHE_URL",
        },
    };
    Check::failed(CACHE, detail, remedy)
}

/// The remedy for `error` while connecting.
fn remedy(error: &RedisError) -> &'static str {
    let is_login = error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
    // The libraries below report no more than this about TLS.
    let text = because(error).to_lowercase();
    let is_tls = [
        "invalidcontenttype",
        "certificate",
        "corrupt message",
        "tls",
        "handshake",
    ];
    if is_login {
        "put the right user and password into LARK_SERVICE_CACHE_URL (redis://user:password@host), or for IAM the right LARK_SERVICE_CACHE_IAM_USER, and allow elasticache:Connect"
    } else if is_tls.iter().any(|word| text.contains(word)) {
        "rediss:// in LARK_SERVICE_CACHE_URL wants a server with TLS and a certificate of a public authority; for a server without TLS use redis://"
    } else if error.is_connection_dropped() && !error.is_connection_refusal() {
        "the server hung up: if it wants TLS, use rediss:// in LARK_SERVICE_CACHE_URL"
    } else {
        "start the server, or correct LARK_SERVICE_CACHE_URL"
    }
}

/// Writes, reads and removes a key with the service's prefix.
async fn permissions(cache: &ValkeyCache) -> Check {
    let key = format!("lark:doctor:{:016x}", fastrand::u64(..));
    let probe = soon().run(async {
        cache.put(&key, b"1", PROBE_TTL).await?;
        cache.get(&key).await?;
        cache.delete(&key, Some(b"1")).await
    });
    match probe.await.unwrap_or(Err(CacheError::Timeout)) {
        Ok(_) => Check::ok(PERMISSIONS, "keys under lark: can be read and written"),
        Err(error) => Check::failed(
            PERMISSIONS,
            because(&error),
            "give the cache's user the access string `on ~lark:* +@all -@admin -@dangerous`",
        ),
    }
}

async fn eviction(cache: &ValkeyCache) -> Check {
    let policy = soon().run(cache.eviction_policy()).await;
    match policy.unwrap_or(Err(CacheError::Timeout)) {
        Ok(Some(policy)) if policy == "noeviction" => Check::warning(
            EVICTION,
            "a full cache refuses writes: maxmemory-policy is noeviction",
            "valkey-cli config set maxmemory-policy volatile-lru; on ElastiCache in the parameter group",
        ),
        Ok(Some(policy)) => Check::ok(EVICTION, policy),
        Ok(None) => Check::skipped(EVICTION, "the server does not say"),
        Err(_) => Check::skipped(EVICTION, "this user may not ask"),
    }
}
