//! How single variables are read: what is right, and the error that says so.

use std::fmt::Display;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{CacheConfig, CacheEndpoint, ConfigError, KeysConfig, STORE, StoreConfig};
use crate::aws::{AwsCredentials, AwsSettings};
use crate::ids::AppId;
use crate::lark::OAuthVersion;
use crate::lark::apis::StandardLimits;
use crate::store::dynamodb::TableNames;

/// Reads variables through a look-up that treats an empty value as none.
pub(super) struct Reader<L>(pub(super) L);

impl<L: Fn(&'static str) -> Option<String>> Reader<L> {
    fn text(&self, name: &'static str) -> Option<String> {
        (self.0)(name)
    }

    pub(super) fn parsed<T: FromStr>(
        &self,
        name: &'static str,
        right: impl Display,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| ConfigError {
            variable: name,
            problem: right.to_string(),
        })
    }

    fn flag(&self, name: &'static str) -> Result<bool, ConfigError> {
        Ok(self.parsed(name, "must be true or false")?.unwrap_or(false))
    }

    pub(super) fn millis(&self, name: &'static str, default: u64) -> Result<Duration, ConfigError> {
        let millis = self.parsed::<NonZeroU64>(name, "must be a number of milliseconds above 0")?;
        Ok(Duration::from_millis(
            millis.map_or(default, NonZeroU64::get),
        ))
    }

    pub(super) fn seconds(
        &self,
        name: &'static str,
        default: u64,
    ) -> Result<Duration, ConfigError> {
        let seconds = self.parsed::<NonZeroU64>(name, "must be a number of seconds above 0")?;
        Ok(Duration::from_secs(
            seconds.map_or(default, NonZeroU64::get),
        ))
    }

    pub(super) fn origin(&self, name: &'static str, default: &str) -> Result<Url, ConfigError> {
        let wrong = || ConfigError {
            variable: name,
            problem:
                "must be an http or https origin without a path, such as https://open.feishu.cn"
                    .to_owned(),
        };
        let url: Url = self
            .text(name)
            .as_deref()
            .unwrap_or(default)
            .parse()
            .map_err(|_| wrong())?;
        let is_origin = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && matches!(url.path(), "" | "/");
        if is_origin { Ok(url) } else { Err(wrong()) }
    }

    pub(super) fn optional_origin(&self, name: &'static str) -> Result<Option<Url>, ConfigError> {
        match self.text(name) {
            Some(text) => self.origin(name, &text).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn oauth_version(&self) -> Result<OAuthVersion, ConfigError> {
        const NAME: &str = "LARK_SERVICE_OAUTH_VERSION";
        match self.text(NAME).as_deref() {
            None | Some("v2") => Ok(OAuthVersion::V2),
            Some("v3") => Ok(OAuthVersion::V3),
            Some(_) => Err(ConfigError {
                variable: NAME,
                problem: "must be v2 or v3".to_owned(),
            }),
        }
    }

    /// Zero stands for the platform's own: an operator can set a variable back without taking it away.
    pub(super) fn lark_limits(&self) -> Result<StandardLimits, ConfigError> {
        let limit = |name| {
            let limit = self.parsed::<u32>(name, "must be a number of calls, or 0")?;
            Ok(limit.and_then(NonZeroU32::new))
        };
        let documented = StandardLimits::default();
        let per_minute = limit("LARK_SERVICE_LARK_LIMIT_PER_MINUTE")?;
        let per_second = limit("LARK_SERVICE_LARK_LIMIT_PER_SECOND")?;
        Ok(StandardLimits {
            per_minute: per_minute.unwrap_or(documented.per_minute),
            per_second: per_second.unwrap_or(documented.per_second),
        })
    }

    pub(super) fn app_id(&self, name: &'static str) -> Result<Option<AppId>, ConfigError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let problem = || "must be an app id: 1 to 64 letters, digits, `_` or `-`".to_owned();
        AppId::parse(&text).map(Some).ok_or_else(|| ConfigError {
            variable: name,
            problem: problem(),
        })
    }

    pub(super) fn store(&self) -> Result<StoreConfig, ConfigError> {
        match self.text(STORE).as_deref() {
            None | Some("dynamodb") => Ok(StoreConfig::DynamoDb {
                tables: self.tables()?,
                keys: self.keys(),
            }),
            Some("embedded") => {
                let data_dir = self
                    .text("LARK_SERVICE_DATA_DIR")
                    .unwrap_or_else(|| ".data".to_owned());
                Ok(StoreConfig::Embedded {
                    data_dir: data_dir.into(),
                })
            }
            Some(_) => Err(ConfigError {
                variable: STORE,
                problem: "must be dynamodb or embedded".to_owned(),
            }),
        }
    }

    fn tables(&self) -> Result<TableNames, ConfigError> {
        let table = |name: &'static str| {
            let problem = || "must be the name of a DynamoDB table".to_owned();
            self.text(name).ok_or_else(|| ConfigError {
                variable: name,
                problem: problem(),
            })
        };
        Ok(TableNames {
            tokens: table("LARK_SERVICE_TOKENS_TABLE")?,
            users: table("LARK_SERVICE_USERS_TABLE")?,
            apps: table("LARK_SERVICE_APPS_TABLE")?,
            api_keys: table("LARK_SERVICE_API_KEYS_TABLE")?,
            data_keys: table("LARK_SERVICE_DATA_KEYS_TABLE")?,
        })
    }

    fn keys(&self) -> KeysConfig {
        match (
            self.text("LARK_SERVICE_KMS_KEY_ID"),
            self.text("LARK_SERVICE_KEY_FILE"),
        ) {
            (Some(key_id), _) => KeysConfig::Kms(key_id),
            (None, Some(path)) => KeysConfig::File(path.into()),
            (None, None) => KeysConfig::Absent,
        }
    }

    pub(super) fn cache(&self) -> Result<Option<CacheConfig>, ConfigError> {
        let name = self.text("LARK_SERVICE_CACHE_NAME");
        let endpoint = match (self.cache_url()?, &name) {
            (Some(url), _) => CacheEndpoint::Url(url),
            (None, Some(name)) => CacheEndpoint::ByName(name.clone()),
            (None, None) => return Ok(None),
        };
        let iam_user = self.text("LARK_SERVICE_CACHE_IAM_USER");
        if iam_user.is_some() && name.is_none() {
            let problem = "is needed for LARK_SERVICE_CACHE_IAM_USER: the log-in is made for the cache's name".to_owned();
            return Err(ConfigError {
                variable: "LARK_SERVICE_CACHE_NAME",
                problem,
            });
        }
        let cluster = self.flag("LARK_SERVICE_CACHE_CLUSTER")?;
        let serverless = self.flag("LARK_SERVICE_CACHE_SERVERLESS")?;
        Ok(Some(CacheConfig {
            endpoint,
            cluster,
            iam_user,
            name,
            serverless,
        }))
    }

    fn cache_url(&self) -> Result<Option<SecretString>, ConfigError> {
        let name = "LARK_SERVICE_CACHE_URL";
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let is_right = Url::parse(&text)
            .is_ok_and(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
        let problem = || "must be redis://host:port or rediss://host:port".to_owned();
        if is_right {
            Ok(Some(text.into()))
        } else {
            Err(ConfigError {
                variable: name,
                problem: problem(),
            })
        }
    }

    pub(super) fn aws(&self) -> AwsSettings {
        let credentials = self
            .text("AWS_ACCESS_KEY_ID")
            .zip(self.text("AWS_SECRET_ACCESS_KEY"));
        AwsSettings {
            region: self.text("AWS_REGION"),
            endpoint_url: self
                .text("LARK_SERVICE_AWS_ENDPOINT_URL")
                .or_else(|| self.text("AWS_ENDPOINT_URL")),
            credentials: credentials.map(|(access_key_id, secret)| AwsCredentials {
                access_key_id,
                secret_access_key: secret.into(),
                session_token: self.text("AWS_SESSION_TOKEN").map(Into::into),
            }),
        }
    }
}
