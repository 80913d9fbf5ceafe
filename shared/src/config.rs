//! Configuration: read from the environment once, at start-up. A bad value stops the start and names its variable, never its
//! value. An empty value counts as not set.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tracing::level_filters::LevelFilter;
use url::Url;

use crate::asker::NotFoundLimits;
use crate::aws::AwsSettings;
use crate::ids::AppId;
use crate::lark::LarkSettings;
use crate::queue::sqs::QueueUrls;
use crate::store::dynamodb::TableNames;

mod reader;
mod variables;

pub use variables::{Fallback, Part, Row, VARIABLES};

use reader::Reader;
pub(crate) use reader::{exposure, is_cache_url};

/// A variable is missing or wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct ConfigError {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong and what is right; never the value.
    pub problem: String,
}

/// The whole configuration. Units, defaults and what each variable means: [`VARIABLES`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Where records are stored and with which keys they are sealed.
    pub store: StoreConfig,
    /// The shared cache, if there is one.
    pub cache: Option<CacheConfig>,
    /// The queues of messages in SQS: `LARK_SERVICE_NORMAL_QUEUE_URL` and `LARK_SERVICE_BULK_QUEUE_URL`. None for a function that
    /// uses no queue; with the embedded store the queue is a file beside it.
    pub queue: Option<QueueUrls>,
    /// `LARK_SERVICE_UPLOADS_BUCKET`: the bucket for what is too large for a request.
    pub uploads_bucket: Option<String>,
    /// The addresses of Lark: `LARK_SERVICE_FEISHU_URL`, `LARK_SERVICE_LARK_URL`, `LARK_SERVICE_LARK_TIMEOUT_MS`; calls per
    /// app, tenant and API with the platform's standard limits: `LARK_SERVICE_LARK_LIMIT_PER_MINUTE` and
    /// `LARK_SERVICE_LARK_LIMIT_PER_SECOND`; for logins: `LARK_SERVICE_FEISHU_ACCOUNTS_URL`, `LARK_SERVICE_LARK_ACCOUNTS_URL`,
    /// `LARK_SERVICE_OAUTH_VERSION`.
    pub lark: LarkSettings,
    /// `LARK_SERVICE_PUBLIC_URL`: the origin at which browsers reach the service, where logins end. Without it: the host in
    /// the request, over HTTPS.
    pub public_url: Option<Url>,
    /// `LARK_SERVICE_DEFAULT_APP_ID`: the app of requests that do not name one.
    pub default_app_id: Option<AppId>,
    /// `LARK_SERVICE_STORE_TIMEOUT_MS`: the time for one store operation.
    pub store_timeout: Duration,
    /// `LARK_SERVICE_CACHE_TIMEOUT_MS`: the time to connect to the cache.
    pub cache_timeout: Duration,
    /// `LARK_SERVICE_QUEUE_TIMEOUT_MS`: the time for one operation of the queue.
    pub queue_timeout: Duration,
    /// `LARK_SERVICE_USER_TTL_SECONDS`: how long a profile is fresh.
    pub user_ttl: Duration,
    /// `LARK_SERVICE_USER_ABSENT_TTL_SECONDS`: how long an absence is cached, for every kind of object.
    pub user_absent_ttl: Duration,
    /// `LARK_SERVICE_DEPARTMENT_TTL_SECONDS`: how long a department is fresh.
    pub department_ttl: Duration,
    /// `LARK_SERVICE_CHAT_TTL_SECONDS`: how long a chat is fresh.
    pub chat_ttl: Duration,
    /// `LARK_SERVICE_LIST_TTL_SECONDS`: how long a page of a list is fresh: users of a department, chats, members of a chat.
    pub list_ttl: Duration,
    /// `LARK_SERVICE_LOCAL_CACHE_BYTES`: the size limit of the process's own cache of the directory, in bytes.
    pub local_cache_bytes: u64,
    /// `LARK_SERVICE_LOGINS_PER_MINUTE`: how many logins may be begun in a minute, all browsers together.
    pub logins_per_minute: NonZeroU32,
    /// `LARK_SERVICE_NOT_FOUND_PER_MINUTE` and `LARK_SERVICE_NOT_FOUND_PER_DAY`: how many calls of each API key may find nothing.
    pub not_found_limits: NotFoundLimits,
    /// `LARK_SERVICE_CALLBACKS_TO_LOOPBACK`: whether callbacks may go to this machine.
    pub callbacks_to_loopback: bool,
    /// `LARK_SERVICE_REFRESH_CONCURRENCY`: how many tokens are refreshed at a time.
    pub refresh_concurrency: usize,
    /// `LARK_SERVICE_LOG`: the lowest level of log lines that are written.
    pub log_level: LevelFilter,
    /// What AWS clients need: `AWS_REGION`, `LARK_SERVICE_AWS_ENDPOINT_URL` or else `AWS_ENDPOINT_URL` (an emulator in place
    /// of AWS), `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, as Lambda sets them. What is missing
    /// comes from the SDK's default chain.
    pub aws: AwsSettings,
}

/// Where records are stored and with which keys they are sealed.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// `LARK_SERVICE_STORE=dynamodb`.
    DynamoDb {
        /// `LARK_SERVICE_TOKENS_TABLE`, `LARK_SERVICE_DIRECTORY_TABLE`, `LARK_SERVICE_APPS_TABLE`,
        /// `LARK_SERVICE_API_KEYS_TABLE`, `LARK_SERVICE_DATA_KEYS_TABLE`, `LARK_SERVICE_MESSAGE_JOBS_TABLE`: all required.
        tables: TableNames,
        /// Where the data keys come from.
        keys: KeysConfig,
    },
    /// `LARK_SERVICE_STORE=embedded`: files under `LARK_SERVICE_DATA_DIR`.
    Embedded {
        /// The folder of the database and the data keys.
        data_dir: PathBuf,
    },
}

/// Where the data keys come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeysConfig {
    /// `LARK_SERVICE_KMS_KEY_ID`: id, ARN or alias of a KMS key.
    Kms(String),
    /// `LARK_SERVICE_KEY_FILE`: a file of mode 0600.
    File(PathBuf),
    /// Neither is set: fine for functions that never seal or open anything.
    Absent,
}

/// The shared cache.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Where it is.
    pub endpoint: CacheEndpoint,
    /// `LARK_SERVICE_CACHE_CLUSTER`: whether it speaks the cluster protocol.
    pub cluster: bool,
    /// `LARK_SERVICE_CACHE_IAM_USER`: log in as this user with IAM. Without it: only the log-in in the URL.
    pub iam_user: Option<String>,
    /// `LARK_SERVICE_CACHE_NAME`, which IAM log-in needs even with a URL.
    pub name: Option<String>,
    /// `LARK_SERVICE_CACHE_INSECURE`: whether it may be reached without TLS or without a log-in, off this machine.
    pub insecure: bool,
    /// `LARK_SERVICE_CACHE_SERVERLESS`: whether the name belongs to a serverless cache.
    pub serverless: bool,
}

/// Where the shared cache is.
#[derive(Clone, Debug)]
pub enum CacheEndpoint {
    /// `LARK_SERVICE_CACHE_URL`: `redis://host:port` or `rediss://host:port`. May hold a password. Off this machine it has TLS and
    /// a log-in, unless `LARK_SERVICE_CACHE_INSECURE` is set.
    Url(SecretString),
    /// `LARK_SERVICE_CACHE_URL_SECRET`: name or ARN of the secret of AWS Secrets Manager that is the URL. It is read when the
    /// process starts.
    Secret(String),
    /// `LARK_SERVICE_CACHE_NAME` alone: looked up through the ElastiCache API.
    ByName(String),
}

impl Config {
    /// The configuration in the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(variable)
    }

    /// The configuration from the values that `lookup` returns for the variables' names.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first variable that is missing or wrong.
    pub fn from_lookup(
        lookup: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let read = Reader(|name| {
            lookup(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        });
        Ok(Self {
            store: read.store()?,
            cache: read.cache()?,
            queue: read.queue()?,
            uploads_bucket: read.bucket(variables::LARK_SERVICE_UPLOADS_BUCKET)?,
            lark: read.lark()?,
            public_url: read.optional_origin(variables::LARK_SERVICE_PUBLIC_URL)?,
            default_app_id: read.app_id(variables::LARK_SERVICE_DEFAULT_APP_ID)?,
            store_timeout: read.millis(variables::LARK_SERVICE_STORE_TIMEOUT_MS)?,
            cache_timeout: read.millis(variables::LARK_SERVICE_CACHE_TIMEOUT_MS)?,
            queue_timeout: read.millis(variables::LARK_SERVICE_QUEUE_TIMEOUT_MS)?,
            user_ttl: read.seconds(variables::LARK_SERVICE_USER_TTL_SECONDS)?,
            user_absent_ttl: read.seconds(variables::LARK_SERVICE_USER_ABSENT_TTL_SECONDS)?,
            department_ttl: read.seconds(variables::LARK_SERVICE_DEPARTMENT_TTL_SECONDS)?,
            chat_ttl: read.seconds(variables::LARK_SERVICE_CHAT_TTL_SECONDS)?,
            list_ttl: read.seconds(variables::LARK_SERVICE_LIST_TTL_SECONDS)?,
            local_cache_bytes: read
                .required::<NonZeroU64>(
                    variables::LARK_SERVICE_LOCAL_CACHE_BYTES,
                    "must be a number of bytes above 0",
                )?
                .get(),
            logins_per_minute: read.required(
                variables::LARK_SERVICE_LOGINS_PER_MINUTE,
                "must be a number of logins above 0",
            )?,
            not_found_limits: read.not_found_limits()?,
            callbacks_to_loopback: read.flag(variables::LARK_SERVICE_CALLBACKS_TO_LOOPBACK)?,
            refresh_concurrency: read
                .required::<NonZeroU16>(
                    variables::LARK_SERVICE_REFRESH_CONCURRENCY,
                    "must be from 1 to 65535",
                )?
                .get()
                .into(),
            log_level: read.required(
                variables::LARK_SERVICE_LOG,
                "must be error, warn, info, debug, trace or off",
            )?,
            aws: read.aws(),
        })
    }
}

/// The variable `name` in the process's environment, if it is set to text.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
#[must_use]
pub fn variable(name: &'static str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests;
