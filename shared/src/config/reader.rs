//! How single variables are read and validated, with the error for a wrong value.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::variables::{self, Variable};
use super::{CacheConfig, CacheEndpoint, ConfigError, KeysConfig, StoreConfig};
use crate::asker::NotFoundLimits;
use crate::aws::{AwsCredentials, AwsSettings};
use crate::ids::AppId;
use crate::lark::apis::StandardLimits;
use crate::lark::{LarkSettings, OAuthVersion};
use crate::queue::sqs::QueueUrls;
use crate::store::Table;
use crate::store::dynamodb::TableNames;

const ORIGIN: &str =
    "must be an http or https origin without a path, such as https://open.feishu.cn";

const PLAIN: &str = "names another machine without TLS: use https://; secrets and tokens go there";

/// Reads variables through a lookup and treats an empty value as none.
pub(super) struct Reader<L>(pub(super) L);

impl<L: Fn(&'static str) -> Option<String>> Reader<L> {
    /// The variable's value, else its default, if it has one.
    fn text(&self, variable: Variable) -> Option<String> {
        (self.0)(variable.name).or_else(|| variable.default.map(str::to_owned))
    }

    fn parsed<T: FromStr>(
        &self,
        variable: Variable,
        right: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(variable) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| wrong(variable, right))
    }

    /// A variable that has a default or must be set.
    pub(super) fn required<T: FromStr>(
        &self,
        variable: Variable,
        right: &str,
    ) -> Result<T, ConfigError> {
        self.parsed(variable, right)?
            .ok_or_else(|| wrong(variable, right))
    }

    pub(super) fn flag(&self, variable: Variable) -> Result<bool, ConfigError> {
        self.required(variable, "must be true or false")
    }

    pub(super) fn millis(&self, variable: Variable) -> Result<Duration, ConfigError> {
        let right = "must be a number of milliseconds above 0";
        let millis = self.required::<NonZeroU64>(variable, right)?;
        Ok(Duration::from_millis(millis.get()))
    }

    pub(super) fn seconds(&self, variable: Variable) -> Result<Duration, ConfigError> {
        let right = "must be a number of seconds above 0";
        let seconds = self.required::<NonZeroU64>(variable, right)?;
        Ok(Duration::from_secs(seconds.get()))
    }

    fn origin(&self, variable: Variable) -> Result<Url, ConfigError> {
        self.optional_origin(variable)?
            .ok_or_else(|| wrong(variable, ORIGIN))
    }

    pub(super) fn optional_origin(&self, variable: Variable) -> Result<Option<Url>, ConfigError> {
        let Some(url) = self.parsed::<Url>(variable, ORIGIN)? else {
            return Ok(None);
        };
        let is_origin = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && matches!(url.path(), "" | "/");
        if !is_origin {
            return Err(wrong(variable, ORIGIN));
        }
        if url.scheme() == "http" && !is_own_machine(&url) {
            return Err(wrong(variable, PLAIN));
        }
        Ok(Some(url))
    }

    pub(super) fn lark(&self) -> Result<LarkSettings, ConfigError> {
        Ok(LarkSettings {
            feishu_url: self.origin(variables::LARK_SERVICE_FEISHU_URL)?,
            lark_url: self.origin(variables::LARK_SERVICE_LARK_URL)?,
            feishu_accounts_url: self.origin(variables::LARK_SERVICE_FEISHU_ACCOUNTS_URL)?,
            lark_accounts_url: self.origin(variables::LARK_SERVICE_LARK_ACCOUNTS_URL)?,
            oauth_version: self.oauth_version()?,
            timeout: self.millis(variables::LARK_SERVICE_LARK_TIMEOUT_MS)?,
            limits: self.lark_limits()?,
        })
    }

    pub(super) fn queue(&self) -> Result<Option<QueueUrls>, ConfigError> {
        let right = "must be the URL of an SQS FIFO queue, whose name ends in .fifo, and both queues are set or neither";
        let url = |variable| {
            let url = self.parsed::<Url>(variable, right)?;
            match url {
                Some(url) if !url.has_host() || !url.path().ends_with(".fifo") => {
                    Err(wrong(variable, right))
                }
                url => Ok(url.map(String::from)),
            }
        };
        let (normal, bulk) = (
            variables::LARK_SERVICE_NORMAL_QUEUE_URL,
            variables::LARK_SERVICE_BULK_QUEUE_URL,
        );
        match (url(normal)?, url(bulk)?) {
            (Some(normal), Some(bulk)) => Ok(Some(QueueUrls { normal, bulk })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(wrong(normal, right)),
            (Some(_), None) => Err(wrong(bulk, right)),
        }
    }

    /// The name of a bucket.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
    pub(super) fn bucket(&self, variable: Variable) -> Result<Option<String>, ConfigError> {
        let Some(name) = self.text(variable) else {
            return Ok(None);
        };
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (3..=63).contains(&name.len()) && name.bytes().all(is_plain) {
            return Ok(Some(name));
        }
        let right = "must be the name of an S3 bucket: 3 to 63 lower-case letters, digits or `-`";
        Err(wrong(variable, right))
    }

    fn oauth_version(&self) -> Result<OAuthVersion, ConfigError> {
        let variable = variables::LARK_SERVICE_OAUTH_VERSION;
        match self.text(variable).as_deref() {
            Some("v2") => Ok(OAuthVersion::V2),
            Some("v3") => Ok(OAuthVersion::V3),
            Some(_) | None => Err(wrong(variable, "must be v2 or v3")),
        }
    }

    /// Zero means the platform's own limit: an operator can reset a variable without removing it.
    fn lark_limits(&self) -> Result<StandardLimits, ConfigError> {
        let limit = |variable| {
            let limit = self.required::<u32>(variable, "must be a number of calls, or 0")?;
            Ok(NonZeroU32::new(limit))
        };
        let documented = StandardLimits::default();
        let per_minute = limit(variables::LARK_SERVICE_LARK_LIMIT_PER_MINUTE)?;
        let per_second = limit(variables::LARK_SERVICE_LARK_LIMIT_PER_SECOND)?;
        Ok(StandardLimits {
            per_minute: per_minute.unwrap_or(documented.per_minute),
            per_second: per_second.unwrap_or(documented.per_second),
        })
    }

    pub(super) fn not_found_limits(&self) -> Result<NotFoundLimits, ConfigError> {
        let right = "must be a number of calls from 1 to 1000000";
        let limit = |variable| {
            let limit: NonZeroU32 = self.required(variable, right)?;
            // Its debts are counted beside it.
            let is_right = limit <= NotFoundLimits::MOST;
            is_right
                .then_some(limit)
                .ok_or_else(|| wrong(variable, right))
        };
        Ok(NotFoundLimits {
            per_minute: limit(variables::LARK_SERVICE_NOT_FOUND_PER_MINUTE)?,
            per_day: limit(variables::LARK_SERVICE_NOT_FOUND_PER_DAY)?,
        })
    }

    pub(super) fn app_id(&self, variable: Variable) -> Result<Option<AppId>, ConfigError> {
        let Some(text) = self.text(variable) else {
            return Ok(None);
        };
        let right = "must be an app id: 1 to 64 letters, digits, `_` or `-`";
        AppId::parse(&text)
            .map(Some)
            .ok_or_else(|| wrong(variable, right))
    }

    pub(super) fn store(&self) -> Result<StoreConfig, ConfigError> {
        let variable = variables::LARK_SERVICE_STORE;
        match self.text(variable).as_deref() {
            Some("dynamodb") => Ok(StoreConfig::DynamoDb {
                tables: self.tables()?,
                keys: self.keys(),
            }),
            Some("embedded") => {
                let data_dir =
                    self.required(variables::LARK_SERVICE_DATA_DIR, "must be a folder")?;
                Ok(StoreConfig::Embedded { data_dir })
            }
            Some(_) | None => Err(wrong(variable, "must be dynamodb or embedded")),
        }
    }

    fn tables(&self) -> Result<TableNames, ConfigError> {
        TableNames::read(|table| {
            let variable = match table {
                Table::Tokens => variables::LARK_SERVICE_TOKENS_TABLE,
                Table::Directory => variables::LARK_SERVICE_DIRECTORY_TABLE,
                Table::Apps => variables::LARK_SERVICE_APPS_TABLE,
                Table::ApiKeys => variables::LARK_SERVICE_API_KEYS_TABLE,
                Table::DataKeys => variables::LARK_SERVICE_DATA_KEYS_TABLE,
                Table::MessageJobs => variables::LARK_SERVICE_MESSAGE_JOBS_TABLE,
            };
            self.required(variable, "must be the name of a DynamoDB table")
        })
    }

    fn keys(&self) -> KeysConfig {
        match (
            self.text(variables::LARK_SERVICE_KMS_KEY_ID),
            self.text(variables::LARK_SERVICE_KEY_FILE),
        ) {
            (Some(key_id), _) => KeysConfig::Kms(key_id),
            (None, Some(path)) => KeysConfig::File(path.into()),
            (None, None) => KeysConfig::Absent,
        }
    }

    pub(super) fn cache(&self) -> Result<Option<CacheConfig>, ConfigError> {
        let name = self.text(variables::LARK_SERVICE_CACHE_NAME);
        let secret = self.text(variables::LARK_SERVICE_CACHE_URL_SECRET);
        let endpoint = match (self.cache_url()?, secret, &name) {
            (Some(_), Some(_), _) => {
                return Err(wrong(
                    variables::LARK_SERVICE_CACHE_URL_SECRET,
                    "must not be set beside LARK_SERVICE_CACHE_URL: which of them is right?",
                ));
            }
            (Some(url), None, _) => CacheEndpoint::Url(url),
            (None, Some(secret), _) => CacheEndpoint::Secret(secret),
            (None, None, Some(name)) => CacheEndpoint::ByName(name.clone()),
            (None, None, None) => return Ok(None),
        };
        let iam_user = self.text(variables::LARK_SERVICE_CACHE_IAM_USER);
        if iam_user.is_some() && name.is_none() {
            return Err(wrong(
                variables::LARK_SERVICE_CACHE_NAME,
                "is needed for LARK_SERVICE_CACHE_IAM_USER: the log-in is made for the cache's name",
            ));
        }
        let insecure = self.flag(variables::LARK_SERVICE_CACHE_INSECURE)?;
        if !insecure {
            check_protected(&endpoint, iam_user.is_some())?;
        }
        let cluster = self.flag(variables::LARK_SERVICE_CACHE_CLUSTER)?;
        let serverless = self.flag(variables::LARK_SERVICE_CACHE_SERVERLESS)?;
        Ok(Some(CacheConfig {
            endpoint,
            cluster,
            iam_user,
            name,
            insecure,
            serverless,
        }))
    }

    fn cache_url(&self) -> Result<Option<SecretString>, ConfigError> {
        let variable = variables::LARK_SERVICE_CACHE_URL;
        let Some(text) = self.text(variable) else {
            return Ok(None);
        };
        if is_cache_url(&text) {
            Ok(Some(text.into()))
        } else {
            let right = "must be redis://host:port or rediss://host:port";
            Err(wrong(variable, right))
        }
    }

    pub(super) fn aws(&self) -> AwsSettings {
        let credentials = self
            .text(variables::AWS_ACCESS_KEY_ID)
            .zip(self.text(variables::AWS_SECRET_ACCESS_KEY));
        AwsSettings {
            region: self.text(variables::AWS_REGION),
            endpoint_url: self
                .text(variables::LARK_SERVICE_AWS_ENDPOINT_URL)
                .or_else(|| self.text(variables::AWS_ENDPOINT_URL)),
            credentials: credentials.map(|(access_key_id, secret)| AwsCredentials {
                access_key_id,
                secret_access_key: secret.into(),
                session_token: self.text(variables::AWS_SESSION_TOKEN).map(Into::into),
            }),
        }
    }
}

/// Refuses a cache on another machine without TLS or log-in. What a secret says, and whether a cache that is only named has TLS,
/// turns out later.
fn check_protected(endpoint: &CacheEndpoint, by_iam: bool) -> Result<(), ConfigError> {
    let (variable, problem) = match endpoint {
        CacheEndpoint::Url(url) => (
            variables::LARK_SERVICE_CACHE_URL,
            Url::parse(url.expose_secret())
                .ok()
                .and_then(|url| exposure(&url, by_iam)),
        ),
        CacheEndpoint::Secret(_) => return Ok(()),
        CacheEndpoint::ByName(_) => (
            variables::LARK_SERVICE_CACHE_NAME,
            (!by_iam).then_some(NO_LOG_IN),
        ),
    };
    problem.map_or(Ok(()), |problem| Err(wrong(variable, problem)))
}

const NO_TLS: &str = "names another machine without TLS: use rediss://, or set LARK_SERVICE_CACHE_INSECURE=true if that \
                      network is yours alone";
const NO_LOG_IN: &str = "names another machine without a log-in: add a user and a password to the URL, set \
                         LARK_SERVICE_CACHE_IAM_USER, or set LARK_SERVICE_CACHE_INSECURE=true if nobody else reaches it";

/// What is wrong with a cache at `url` whose network others may reach.
pub(crate) fn exposure(url: &Url, by_iam: bool) -> Option<&'static str> {
    let has_password = url.password().is_some_and(|password| !password.is_empty());
    if is_loopback(url) {
        None
    } else if url.scheme() != "rediss" {
        Some(NO_TLS)
    } else {
        (!has_password && !by_iam).then_some(NO_LOG_IN)
    }
}

/// Whether `url` leads to this machine, or from a container to the machine that it runs on.
fn is_own_machine(url: &Url) -> bool {
    is_loopback(url) || url.host_str() == Some("host.docker.internal")
}

/// Whether `url` stays on this machine. A name other than `localhost` may lead anywhere.
fn is_loopback(url: &Url) -> bool {
    // The scheme is not one that the URL library knows the hosts of: an address is a name to it.
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = host.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

fn wrong(variable: Variable, problem: &str) -> ConfigError {
    ConfigError {
        variable: variable.name,
        problem: problem.to_owned(),
    }
}

/// Whether `text` is the address of a cache.
pub(crate) fn is_cache_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host())
}
