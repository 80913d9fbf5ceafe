//! Finding an ElastiCache endpoint by the cache's name.

use std::fmt;

use aws_sdk_elasticache::Client;
use aws_sdk_elasticache::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_elasticache::types::{Endpoint as SdkEndpoint, ReplicationGroup, ServerlessCache};

/// The states in which a cache can be used. It also answers while `modifying` and `snapshotting`.
const USABLE: [&str; 3] = ["available", "modifying", "snapshotting"];

/// Where a cache is and of what kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The host name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether keys are spread over several nodes.
    pub cluster: bool,
    /// Whether it accepts only TLS connections.
    pub tls: bool,
    /// Whether it is a serverless cache, which IAM tokens must say.
    pub serverless: bool,
}

/// `rediss://host:port`, or `redis://` without TLS.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// Neither a replication group nor a serverless cache has this name in this account and region.
    #[error("there is no ElastiCache replication group or serverless cache named {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// It exists and cannot be used yet, or any more.
    #[error("the ElastiCache cache {name} is {status}, not available")]
    NotAvailable {
        /// The name.
        name: String,
        /// ElastiCache's name for its state: `creating`, `deleting`, …
        status: String,
    },
    /// ElastiCache refused, or is unreachable.
    #[error("asking ElastiCache for {name} failed: {detail}")]
    Refused {
        /// The name.
        name: String,
        /// What the SDK says.
        detail: String,
    },
}

/// The endpoint of the replication group called `name`. Needs `elasticache:DescribeReplicationGroups`.
///
/// # Errors
/// [`DiscoveryError`] when there is none, when it is not ready, and when ElastiCache does not answer.
pub async fn find_group(client: &Client, name: &str) -> Result<Endpoint, DiscoveryError> {
    let described = client
        .describe_replication_groups()
        .replication_group_id(name)
        .send()
        .await;
    match described {
        Ok(output) => match output.replication_groups.unwrap_or_default().first() {
            Some(group) => of_group(name, group),
            None => Err(DiscoveryError::Unknown {
                name: name.to_owned(),
            }),
        },
        Err(error) if is_not_found(&error) => Err(DiscoveryError::Unknown {
            name: name.to_owned(),
        }),
        Err(error) => Err(refused(name, &error)),
    }
}

/// The endpoint of the serverless cache called `name`. Needs `elasticache:DescribeServerlessCaches`.
///
/// # Errors
/// [`DiscoveryError`] when there is none, when it is not ready, and when ElastiCache does not answer.
pub async fn find_serverless(client: &Client, name: &str) -> Result<Endpoint, DiscoveryError> {
    let described = client
        .describe_serverless_caches()
        .serverless_cache_name(name)
        .send()
        .await;
    match described {
        Ok(output) => match output.serverless_caches.unwrap_or_default().first() {
            Some(cache) => of_serverless(name, cache),
            None => Err(DiscoveryError::Unknown {
                name: name.to_owned(),
            }),
        },
        Err(error) if is_not_found(&error) => Err(DiscoveryError::Unknown {
            name: name.to_owned(),
        }),
        Err(error) => Err(refused(name, &error)),
    }
}

/// A cluster has a configuration endpoint, anything else a primary one.
fn of_group(name: &str, group: &ReplicationGroup) -> Result<Endpoint, DiscoveryError> {
    let cluster = group.cluster_enabled().unwrap_or_default();
    let primary = || {
        group
            .node_groups()
            .first()
            .and_then(|nodes| nodes.primary_endpoint())
    };
    let endpoint = if cluster {
        group.configuration_endpoint()
    } else {
        primary()
    };
    let tls = group.transit_encryption_enabled().unwrap_or_default();
    let (host, port) = address(name, group.status(), endpoint)?;
    Ok(Endpoint {
        host,
        port,
        cluster,
        tls,
        serverless: false,
    })
}

fn of_serverless(name: &str, cache: &ServerlessCache) -> Result<Endpoint, DiscoveryError> {
    let (host, port) = address(name, cache.status(), cache.endpoint())?;
    Ok(Endpoint {
        host,
        port,
        cluster: true,
        tls: true,
        serverless: true,
    })
}

fn address(
    name: &str,
    status: Option<&str>,
    endpoint: Option<&SdkEndpoint>,
) -> Result<(String, u16), DiscoveryError> {
    let status = status.unwrap_or("in an unknown state").to_lowercase();
    let not_available = || DiscoveryError::NotAvailable {
        name: name.to_owned(),
        status: status.clone(),
    };
    if !USABLE.contains(&status.as_str()) {
        return Err(not_available());
    }
    let endpoint = endpoint.ok_or_else(not_available)?;
    let host = endpoint.address().ok_or_else(not_available)?.to_owned();
    let port = endpoint
        .port()
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(6_379);
    Ok((host, port))
}

fn is_not_found<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    matches!(
        code,
        Some("ReplicationGroupNotFoundFault" | "ServerlessCacheNotFoundFault")
    )
}

fn refused<E, R>(name: &str, error: &SdkError<E, R>) -> DiscoveryError
where
    SdkError<E, R>: std::error::Error,
{
    DiscoveryError::Refused {
        name: name.to_owned(),
        detail: DisplayErrorContext(error).to_string(),
    }
}
