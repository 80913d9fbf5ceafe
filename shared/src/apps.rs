//! Registered apps: whose secret is whose, on which platform, switched on or off.
//!
//! Records live in [`Table::Apps`] with the secret sealed. A process remembers an app for [`REMEMBERED`] and longer while the
//! store is out of reach, so that a failing store stops nobody whose app was seen before.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;
use secrecy::SecretString;
use tracing::warn;

use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::lark::Domain;
use crate::seal::{Fingerprint, Sealer};
use crate::store::{Expect, Key, Mirror, Record, StoreError, Table, Value};

/// How long a process believes what it read about an app.
pub const REMEMBERED: Duration = Duration::from_secs(60);
/// How many apps a process remembers.
const MAX_REMEMBERED: usize = 10_000;
/// The sort key of an app's record.
const SORT: &str = "app";

/// A registered app.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id.
    pub app_id: AppId,
    /// The platform it lives on.
    pub domain: Domain,
    /// Whether it may be used.
    pub is_enabled: bool,
    /// Its secret.
    pub secret: SecretString,
    /// What tells tokens made with this secret from others.
    pub fingerprint: Fingerprint,
    /// Grows with each change.
    pub version: u64,
}

/// What an operator says of a new app.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Its id.
    pub app_id: AppId,
    /// The platform it lives on.
    pub domain: Domain,
    /// Its secret.
    pub secret: SecretString,
}

/// Reads and writes registered apps.
#[derive(Clone, Debug)]
pub struct Apps {
    mirror: Mirror,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    remembered: Arc<LocalCache<AppId, (Arc<App>, Timestamp)>>,
}

impl Apps {
    /// The apps in `mirror`, their secrets sealed by `sealer`.
    #[must_use]
    pub fn new(mirror: Mirror, sealer: Sealer, clock: Arc<dyn Clock>) -> Self {
        Self {
            mirror,
            sealer,
            clock,
            remembered: Arc::new(LocalCache::new(MAX_REMEMBERED)),
        }
    }

    /// The app `app_id`, switched on.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::AppDisabled`], [`Error::Store`], [`Error::Seal`].
    pub async fn enabled(&self, app_id: &AppId, deadline: Deadline) -> Result<Arc<App>> {
        let remembered = self.remembered.get(app_id);
        if let Some((app, read_at)) = &remembered
            && read_at.since(self.clock.now() - REMEMBERED) > Duration::ZERO
        {
            return usable(Arc::clone(app));
        }
        match self.read(app_id, deadline).await {
            Ok(app) => usable(app),
            Err(Error::Store(error)) => match remembered {
                Some((app, _)) => {
                    warn!(lark.app_id = app_id.as_str(), %error, "going on with what is remembered of an app");
                    usable(app)
                }
                None => Err(error.into()),
            },
            Err(error) => Err(error),
        }
    }

    /// The app `app_id` as it is stored now, switched on or off.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::Store`], [`Error::Seal`].
    pub async fn read(&self, app_id: &AppId, deadline: Deadline) -> Result<Arc<App>> {
        let Some(record) = self.mirror.get(Table::Apps, &key(app_id), deadline).await? else {
            self.remembered.remove(app_id);
            return Err(Error::AppNotFound(app_id.clone()));
        };
        self.remember(&record, deadline).await
    }

    /// Those of `app_ids` that are registered, read in one go.
    ///
    /// # Errors
    /// [`Error::Store`]. An app whose secret does not open is left out, with a line in the log.
    pub async fn read_many(&self, app_ids: &[AppId], deadline: Deadline) -> Result<Vec<Arc<App>>> {
        let keys: Vec<_> = app_ids.iter().map(key).collect();
        let records = self.mirror.get_many(Table::Apps, &keys, deadline).await?;
        let mut apps = Vec::with_capacity(records.len());
        for record in records {
            match self.remember(&record, deadline).await {
                Ok(app) => apps.push(app),
                Err(error) => {
                    warn!(lark.app_id = record.key.partition, %error, "an app's record cannot be used")
                }
            }
        }
        Ok(apps)
    }

    /// Registers an app.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] as [`Error::Store`] when it is registered already; [`Error::Store`], [`Error::Seal`].
    pub async fn register(&self, new: &NewApp, deadline: Deadline) -> Result<()> {
        let secret = self
            .sealer
            .seal(&seal_context(&new.app_id), &new.secret, deadline)
            .await?;
        let record = Record::new(key(&new.app_id), self.version_after(0))
            .with("domain", Value::Text(new.domain.as_str().to_owned()))
            .with("kind", Value::Text("internal".to_owned()))
            .with("status", Value::Text("enabled".to_owned()))
            .with("secret", Value::Bytes(secret))
            .with("created_at", Value::Number(self.clock.now().as_millis()));
        Ok(self
            .mirror
            .put(Table::Apps, &record, Expect::Absent, deadline)
            .await?)
    }

    /// Gives an app another secret.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::Store`], [`Error::Seal`].
    pub async fn change_secret(
        &self,
        app_id: &AppId,
        secret: &SecretString,
        deadline: Deadline,
    ) -> Result<()> {
        let sealed = self
            .sealer
            .seal(&seal_context(app_id), secret, deadline)
            .await?;
        let found = self.mirror.get(Table::Apps, &key(app_id), deadline).await?;
        let mut record = found.ok_or_else(|| Error::AppNotFound(app_id.clone()))?;
        let expect = Expect::Version(record.version);
        record.version = self.version_after(record.version);
        record
            .attributes
            .insert("secret".to_owned(), Value::Bytes(sealed));
        self.mirror
            .put(Table::Apps, &record, expect, deadline)
            .await?;
        self.remembered.remove(app_id);
        Ok(())
    }

    /// Higher than `version` and than any that an app of this id had before it was deleted.
    fn version_after(&self, version: u64) -> u64 {
        u64::try_from(self.clock.now().as_millis())
            .unwrap_or(0)
            .max(version + 1)
    }

    async fn remember(&self, record: &Record, deadline: Deadline) -> Result<Arc<App>> {
        let app = Arc::new(self.open(record, deadline).await?);
        self.remembered
            .insert(app.app_id.clone(), (Arc::clone(&app), self.clock.now()));
        Ok(app)
    }

    async fn open(&self, record: &Record, deadline: Deadline) -> Result<App> {
        let corrupt = |detail: &str| StoreError::Corrupt {
            table: Table::Apps.name(),
            key: record.key.to_string(),
            detail: detail.to_owned(),
        };
        let app_id = AppId::parse(&record.key.partition)
            .ok_or_else(|| corrupt("the key is not an app id"))?;
        let domain = match record.text("domain") {
            Some("feishu") => Domain::Feishu,
            Some("lark") => Domain::Lark,
            Some(_) | None => return Err(corrupt("`domain` is neither feishu nor lark").into()),
        };
        let sealed = record
            .bytes("secret")
            .ok_or_else(|| corrupt("`secret` is missing"))?;
        let secret = self
            .sealer
            .open(&seal_context(&app_id), sealed, deadline)
            .await?;
        let fingerprint = self.sealer.fingerprint(&secret, deadline).await?;
        let is_enabled = record.text("status") == Some("enabled");
        Ok(App {
            app_id,
            domain,
            is_enabled,
            secret,
            fingerprint,
            version: record.version,
        })
    }
}

fn usable(app: Arc<App>) -> Result<Arc<App>> {
    if app.is_enabled {
        Ok(app)
    } else {
        Err(Error::AppDisabled(app.app_id.clone()))
    }
}

fn key(app_id: &AppId) -> Key {
    Key::new(app_id.as_str(), SORT)
}

fn seal_context(app_id: &AppId) -> String {
    format!("apps/{app_id}/secret")
}
