//! What every AWS client is built on: one HTTP client, one TLS configuration, one SDK configuration.
//!
//! The SDKs' own HTTPS client is left out. It would bring a second TLS stack and a second pool, and its scan of the
//! trust store is most of an SDK's start-up time.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

pub use aws_config::SdkConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::future::ProvideCredentials as ProvidedCredentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::connections::TellLayer;

mod http_client;
pub mod secret;

pub use http_client::ReqwestClient;

/// How long an unused connection stays in the pool by default.
///
/// AWS and Lark do not publish when they close idle connections; the AWS SDK for Java gives up on one after 60 s, and so do
/// the usual load balancers (ALB 60 s, nginx 75 s). We close first: a connection that the peer closes while we write to it
/// costs a retry. 20 s leaves room for clocks that stop while Lambda freezes the process.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Idle connections kept per host.
const IDLE_PER_HOST: usize = 20;
/// How long a TCP and TLS handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection is idle before TCP sends keepalive probes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// The most attempts per call.
const ATTEMPTS: u32 = 3;
/// The longest wait before the second attempt; it doubles for the third. The SDK's default of a second would make every
/// connection that died during a freeze cost a caller half a second.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// How long credentials may be looked up at the start.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long before their end credentials are looked up again.
const ENDS_SOON: Duration = Duration::from_secs(5 * 60);
/// How long one attempt may take. The caller's own time-out bounds all of them.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// Settings for the SDKs. What is absent comes from the SDK's default chain: environment, profile files, container and
/// instance metadata.
#[derive(Clone, Debug, Default)]
pub struct AwsSettings {
    /// The region, such as `eu-central-1`.
    pub region: Option<String>,
    /// The endpoint of every service instead of its public one: an emulator's address.
    pub endpoint_url: Option<String>,
    /// Credentials that are valid as long as the process lives, as Lambda puts them into the environment.
    pub credentials: Option<AwsCredentials>,
}

/// Credentials that are not renewed.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: SecretString,
    /// `AWS_SESSION_TOKEN`; Lambda always has one.
    pub session_token: Option<SecretString>,
}

/// Why the HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The TLS library refuses the requested protocol versions.
    #[error("the TLS configuration is refused")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refuses the configuration.
    #[error("the HTTP client cannot be built")]
    Http(#[from] reqwest::Error),
}

/// The TLS configuration of every connection that this process opens: TLS 1.2 and 1.3 by `ring`, Mozilla's roots.
///
/// # Errors
/// [`rustls::Error`] when `ring` offers no cipher suite for these versions, which depends on the build alone.
pub fn tls_config() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Makes `ring` the process's default for TLS, for libraries that do not accept a configuration (`redis`). Repeating it has no
/// effect.
pub fn install_crypto_provider() {
    // An error means that a default is already installed, which is fine.
    let _ = ring::default_provider().install_default();
}

/// The HTTP client for Lark and for AWS: HTTP/1.1, at most 20 idle connections per host for at most `idle_timeout`
/// ([`DEFAULT_IDLE_TIMEOUT`]), no proxy, no redirect. Clones share the pool.
///
/// Callers set their own time-outs; only connecting is bounded here, by 3 s.
///
/// # Errors
/// [`HttpClientError`] when a library refuses this configuration.
pub fn http(idle_timeout: Duration) -> Result<reqwest::Client, HttpClientError> {
    install_crypto_provider();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config()?)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(idle_timeout)
        .connect_timeout(CONNECT_TIMEOUT)
        .connector_layer(TellLayer)
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEPALIVE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?)
}

/// The configuration from which the SDK clients are built.
///
/// With a region and credentials given, as on Lambda, nothing is read and nothing is fetched; otherwise the SDK's default
/// chain looks for what is missing. A call is tried three times with short, jittered backoff; the time-out over all
/// attempts is the caller's.
pub async fn sdk_config(http: &reqwest::Client, settings: &AwsSettings) -> SdkConfig {
    match (&settings.region, &settings.credentials) {
        (Some(region), Some(credentials)) => fixed(http, settings, region, credentials),
        _ => from_default_chain(http, settings).await,
    }
}

fn fixed(
    http: &reqwest::Client,
    settings: &AwsSettings,
    region: &str,
    credentials: &AwsCredentials,
) -> SdkConfig {
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(ReqwestClient::new(http.clone()))
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(static_credentials(
            credentials,
        )))
        .sleep_impl(TokioSleep::new())
        .retry_config(retry_config())
        .timeout_config(timeout_config());
    builder.set_endpoint_url(settings.endpoint_url.clone());
    builder.build()
}

async fn from_default_chain(http: &reqwest::Client, settings: &AwsSettings) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(ReqwestClient::new(http.clone()))
        .retry_config(retry_config())
        .timeout_config(timeout_config());
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &settings.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(credentials) = &settings.credentials {
        loader = loader.credentials_provider(static_credentials(credentials));
    }
    let config = loader.load().await;
    match config.credentials_provider() {
        Some(chain) => {
            let provider = SharedCredentialsProvider::new(LookedUp::of(chain).await);
            config.into_builder().credentials_provider(provider).build()
        }
        None => config,
    }
}

/// The credentials of the default chain, looked up before the first request: a role or a program may take seconds, for which
/// the time-outs of requests leave no room.
#[derive(Debug)]
struct LookedUp {
    chain: SharedCredentialsProvider,
    first: Option<Credentials>,
}

impl LookedUp {
    async fn of(chain: SharedCredentialsProvider) -> Self {
        let look_up = chain.provide_credentials();
        let first = tokio::time::timeout(LOOK_UP_TIMEOUT, look_up).await;
        // If there are none, the first request says why.
        let first = first.ok().and_then(Result::ok);
        Self { chain, first }
    }
}

impl ProvideCredentials for LookedUp {
    fn provide_credentials<'a>(&'a self) -> ProvidedCredentials<'a>
    where
        Self: 'a,
    {
        match &self.first {
            Some(first) if is_good(first, SystemClock.now()) => {
                ProvidedCredentials::ready(Ok(first.clone()))
            }
            _ => self.chain.provide_credentials(),
        }
    }
}

/// Whether the credentials do not end soon.
fn is_good(credentials: &Credentials, now: Timestamp) -> bool {
    let expiry = credentials.expiry().map(|expiry| {
        let since_epoch = expiry.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::default() + since_epoch
    });
    expiry.is_none_or(|expiry| expiry > now + ENDS_SOON)
}

fn static_credentials(credentials: &AwsCredentials) -> Credentials {
    let session_token = credentials
        .session_token
        .as_ref()
        .map(|token| token.expose_secret().to_owned());
    Credentials::new(
        credentials.access_key_id.clone(),
        credentials.secret_access_key.expose_secret(),
        session_token,
        None,
        "settings",
    )
}

fn retry_config() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
}

fn timeout_config() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A chain whose credentials end when the test says.
    #[derive(Debug)]
    struct Chain {
        ends_in: Option<Duration>,
        asked: Arc<AtomicU32>,
    }

    impl ProvideCredentials for Chain {
        fn provide_credentials<'a>(&'a self) -> ProvidedCredentials<'a>
        where
            Self: 'a,
        {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let now = u64::try_from(SystemClock.now().as_millis()).unwrap();
            let end = |ends_in| UNIX_EPOCH + Duration::from_millis(now) + ends_in;
            let end = self.ends_in.map(end);
            ProvidedCredentials::ready(Ok(Credentials::new("id", "key", None, end, "test")))
        }
    }

    #[tokio::test]
    async fn credentials_are_looked_up_at_the_start_and_again_before_they_end() {
        for (ends_in, lookups) in [(None, 1), (Some(3_600), 1), (Some(299), 3)] {
            let asked = Arc::<AtomicU32>::default();
            let chain = Chain {
                ends_in: ends_in.map(Duration::from_secs),
                asked: Arc::clone(&asked),
            };
            let provider = LookedUp::of(SharedCredentialsProvider::new(chain)).await;
            for _ in 0..2 {
                provider.provide_credentials().await.unwrap();
            }
            assert_eq!(asked.load(Ordering::SeqCst), lookups, "{ends_in:?} s");
        }
    }
}
