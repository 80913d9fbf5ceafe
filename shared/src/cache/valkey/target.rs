//! What to connect to: a node or a cluster.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisFuture,
    RedisResult, TlsCertificates, Value,
};
use secrecy::ExposeSecret;

use super::{ValkeyAuth, ValkeySettings};
use crate::aws::install_crypto_provider;

/// How long a connection is idle before TCP sends keepalive probes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// How often a cluster's client retries after a moved key or a replaced node.
const CLUSTER_RETRIES: u32 = 2;
/// The longest pause between two of these, in milliseconds.
const CLUSTER_RETRY_WAIT_MS: u64 = 50;
/// How many commands may be queued; callers of more wait.
const QUEUE: usize = 1_024;

/// A node or a cluster.
#[derive(Debug)]
pub(super) enum Target {
    Node(Box<Client>, Box<AsyncConnectionConfig>),
    Cluster(Box<ClusterClient>),
}

impl Target {
    pub(super) fn new(settings: &ValkeySettings) -> RedisResult<Self> {
        install_crypto_provider();
        if settings.cluster {
            cluster(settings)
        } else {
            node(settings)
        }
    }

    /// Connects and logs in.
    pub(super) fn connect(&self) -> BoxFuture<'static, RedisResult<Connection>> {
        match self {
            Self::Node(client, config) => {
                let (client, config) = (client.clone(), config.clone());
                async move {
                    client
                        .get_multiplexed_async_connection_with_config(&config)
                        .await
                        .map(Connection::Node)
                }
                .boxed()
            }
            Self::Cluster(client) => {
                let client = client.clone();
                async move { client.get_async_connection().await.map(Connection::Cluster) }.boxed()
            }
        }
    }
}

fn node(settings: &ValkeySettings) -> RedisResult<Target> {
    let mut info = connection_info(settings)?;
    if let ValkeyAuth::Password { user, password } = &settings.auth {
        let mut login = info
            .redis_settings()
            .clone()
            .set_password(password.expose_secret());
        if let Some(user) = user {
            login = login.set_username(user);
        }
        info = info.set_redis_settings(login);
    }
    let client = match certificates(settings) {
        Some(certificates) => Client::build_with_tls(info, certificates)?,
        None => Client::open(info)?,
    };
    let mut config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(Some(settings.response_timeout))
        .set_pipeline_buffer_size(QUEUE);
    if let ValkeyAuth::Iam(auth) = &settings.auth {
        config = config.set_credentials_provider(auth.clone());
    }
    Ok(Target::Node(Box::new(client), Box::new(config)))
}

fn cluster(settings: &ValkeySettings) -> RedisResult<Target> {
    let mut builder = ClusterClientBuilder::new([connection_info(settings)?])
        .connection_timeout(settings.connect_timeout)
        .response_timeout(settings.response_timeout)
        .overall_response_timeout(Some(settings.response_timeout))
        .retries(CLUSTER_RETRIES)
        .min_retry_wait(1)
        .max_retry_wait(CLUSTER_RETRY_WAIT_MS)
        .tcp_settings(tcp_settings(settings));
    if let Some(certificates) = certificates(settings) {
        builder = builder.certs(certificates);
    }
    builder = match &settings.auth {
        ValkeyAuth::None => builder,
        ValkeyAuth::Password {
            user: None,
            password,
        } => builder.password(password.expose_secret()),
        ValkeyAuth::Password {
            user: Some(user),
            password,
        } => builder.username(user).password(password.expose_secret()),
        ValkeyAuth::Iam(auth) => builder.set_credentials_provider(auth.clone()),
    };
    Ok(Target::Cluster(Box::new(builder.build()?)))
}

fn connection_info(settings: &ValkeySettings) -> RedisResult<ConnectionInfo> {
    Ok(settings
        .url
        .clone()
        .into_connection_info()?
        .set_tcp_settings(tcp_settings(settings)))
}

fn certificates(settings: &ValkeySettings) -> Option<TlsCertificates> {
    let root_cert = Some(settings.root_certificates.clone()?);
    Some(TlsCertificates {
        client_tls: None,
        root_cert,
    })
}

fn tcp_settings(settings: &ValkeySettings) -> TcpSettings {
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(TCP_KEEPALIVE));
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(settings.response_timeout);
    tcp
}

/// A connection that many callers share.
#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(node) => node.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Node(node) => node.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Node(node) => node.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
