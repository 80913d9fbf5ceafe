//! Registered apps: their secrets, their platform, enabled or disabled.
//!
//! Records live in [`Table::Apps`] with the secrets sealed. A process remembers apps. At each use it checks the version in the
//! shared cache, where every change is published, so that a disabled app is refused at once everywhere. Without the shared
//! cache a process trusts its copy for [`UNCHECKED`], and longer while the store is unreachable too, so that a failing store
//! does not affect apps seen before.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;
use secrecy::SecretString;
use tracing::warn;

use crate::clock::{Clock, Timestamp};
use crate::coalesce::Flights;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::lark::Domain;
use crate::mirror::{Copied, Mirror};
use crate::seal::{Fingerprint, Sealer};
use crate::store::{Attributes, Key, StoreError, Table};

mod change;
mod context;
mod description;
mod login_app;
mod record;
mod registry;
mod sealed;
mod tickets;

pub use change::{AppChange, MAX_LOGIN_SCOPES, NewApp, is_login_scope};
pub use context::AppContext;
pub use description::AppDescription;
pub use login_app::LoginApp;
pub(crate) use sealed::{sealed_attributes, sealed_records};
pub use tickets::AppTicket;

/// How long a process trusts its copy of an app while the shared cache is unavailable.
pub const UNCHECKED: Duration = Duration::from_secs(5);
/// How long a process trusts its copy at most: the cache may have lost the change.
pub const REMEMBERED: Duration = Duration::from_secs(60);
/// How many apps a process remembers.
const MAX_REMEMBERED: usize = 10_000;
/// The sort key of an app's record.
const SORT: &str = "app";

/// How an app gets into the tenants that use it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Hash,
    PartialEq,
    serde::Deserialize,
    serde::Serialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(
    description = "`internal`: made by the tenant for itself. `marketplace`: from the platform's app directory, in many tenants."
)]
pub enum AppKind {
    /// Built by a tenant for itself ("custom app").
    #[default]
    Internal,
    /// Installed from the platform's app directory ("store app"), in many tenants.
    Marketplace,
}

impl AppKind {
    /// The kind as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Marketplace => "marketplace",
        }
    }
}

/// Whether an app may be used.
#[derive(
    Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Deserialize, serde::Serialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AppStatus {
    /// It may.
    Enabled,
    /// It may not, until it is enabled again.
    Disabled,
}

impl AppStatus {
    /// The status as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

/// A secret of an app.
#[derive(Clone)]
pub struct Secret {
    /// The secret itself.
    pub value: SecretString,
    /// Identifies the tokens issued for this secret.
    pub fingerprint: Fingerprint,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.fingerprint).finish()
    }
}

/// The secrets of an app: the current one, and the previous one during a rotation. Tokens of both are valid; the previous one
/// is presented only when the platform refuses the current one.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The current one.
    pub current: Secret,
    /// The previous one, and until when it is valid.
    pub previous: Option<(Secret, Timestamp)>,
}

impl Secrets {
    /// The previous one, if it is still valid at `now`.
    #[must_use]
    pub fn previous(&self, now: Timestamp) -> Option<&Secret> {
        let (secret, until) = self.previous.as_ref()?;
        (*until > now).then_some(secret)
    }

    /// Whether a token issued for the secret with this fingerprint is valid at `now`.
    #[must_use]
    pub fn accept(&self, fingerprint: &Fingerprint, now: Timestamp) -> bool {
        self.current.fingerprint == *fingerprint
            || self
                .previous(now)
                .is_some_and(|previous| previous.fingerprint == *fingerprint)
    }
}

/// A registered app.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id.
    pub app_id: AppId,
    /// Its display name; may be empty.
    pub name: String,
    /// The platform it lives on.
    pub domain: Domain,
    /// How it gets into its tenants.
    pub kind: AppKind,
    /// Whether it may be used.
    pub status: AppStatus,
    /// Its secrets.
    pub secrets: Secrets,
    /// Where a browser may be sent after a login: origins such as `https://portal.example`, or addresses with a path, which
    /// include everything below it.
    pub redirect_targets: Vec<String>,
    /// The scopes that a login may ask for beside `offline_access`, which every login asks for. Anybody can make a link to a login.
    pub login_scopes: Vec<String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub changed_at: Timestamp,
    /// Grows with each change.
    pub version: u64,
}

impl App {
    /// Whether it may be used.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        matches!(self.status, AppStatus::Enabled)
    }
}

/// The time for a read, whether or not a caller still waits for it.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads and writes registered apps.
#[derive(Clone, Debug)]
pub struct Apps {
    mirror: Mirror,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    remembered: Arc<LocalCache<AppId, Remembered>>,
    /// Reads in flight for callers without a remembered copy.
    reads: Arc<Flights<AppId, Result<Arc<App>>>>,
}

#[derive(Clone, Debug)]
struct Remembered {
    app: Arc<App>,
    read_at: Timestamp,
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
            reads: Arc::default(),
        }
    }

    /// The app `app_id`, if it is enabled.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::AppDisabled`], [`Error::Store`], [`Error::Seal`].
    pub async fn enabled(&self, app_id: &AppId, deadline: Deadline) -> Result<Arc<App>> {
        let remembered = self.remembered.get(app_id);
        if let Some(known) = &remembered
            && self.is_unchanged(known).await
        {
            return usable(Arc::clone(&known.app));
        }
        // A read in flight may have begun before a change that this caller has seen: only callers without a copy join it.
        let read = match &remembered {
            Some(_) => self.read(app_id, deadline).await,
            None => self.read_shared(app_id, deadline).await,
        };
        match read {
            Ok(app) => usable(app),
            Err(Error::Store(error)) => match remembered {
                Some(known) => {
                    warn!(lark.app_id = app_id.as_str(), %error, "using the remembered copy of an app");
                    usable(known.app)
                }
                None => Err(error.into()),
            },
            Err(error) => Err(error),
        }
    }

    /// One read for all concurrent callers in this process for the same app.
    async fn read_shared(&self, app_id: &AppId, deadline: Deadline) -> Result<Arc<App>> {
        let work = || {
            let (apps, app_id) = (self.clone(), app_id.clone());
            async move { apps.read(&app_id, Deadline::after(READ_TIMEOUT)).await }
        };
        let reads = &self.reads;
        let read = reads.join(app_id.clone(), READ_TIMEOUT, &*self.clock, work);
        let outcome = deadline.run(read).await?;
        outcome.map_err(|panicked| Error::internal(panicked.to_string()))?
    }

    /// The app `app_id` as it is stored now, enabled or disabled.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::Store`], [`Error::Seal`].
    pub async fn read(&self, app_id: &AppId, deadline: Deadline) -> Result<Arc<App>> {
        let record = self.mirror.get(Table::Apps, &key(app_id), deadline).await?;
        let Some(record) = record.filter(|record| !record::is_deleted(record)) else {
            self.remembered.remove(app_id);
            return Err(Error::AppNotFound(app_id.clone()));
        };
        self.remember(&record, deadline).await
    }

    /// Those of `app_ids` that are registered, in one batch read.
    ///
    /// # Errors
    /// [`Error::Store`]. An app whose secret cannot be opened is left out and logged.
    pub async fn read_many(&self, app_ids: &[AppId], deadline: Deadline) -> Result<Vec<Arc<App>>> {
        let keys: Vec<_> = app_ids.iter().map(key).collect();
        let records = self
            .mirror
            .get_many(Table::Apps, &keys, Attributes::All, deadline)
            .await?;
        let mut apps = Vec::with_capacity(records.len());
        for record in records {
            if record::is_deleted(&record) {
                continue;
            }
            match self.remember(&record, deadline).await {
                Ok(app) => apps.push(app),
                Err(error) => {
                    warn!(lark.app_id = record.key.partition, %error, "an app's record cannot be used")
                }
            }
        }
        Ok(apps)
    }

    /// Whether the remembered copy of an app is still current, as far as the shared cache can tell.
    async fn is_unchanged(&self, known: &Remembered) -> bool {
        let now = self.clock.now();
        let age = now.since(known.read_at);
        // From the future: the clock was set back, and how old it is cannot be known.
        if age >= REMEMBERED || known.read_at > now {
            return false;
        }
        match self
            .mirror
            .copied_version(Table::Apps, &key(&known.app.app_id))
            .await
        {
            Copied::Version(version) => version <= known.app.version,
            // The cache lost it: a read of the store fills the cache again.
            Copied::Nothing => false,
            Copied::Unknown => age < UNCHECKED,
        }
    }

    async fn remember(
        &self,
        record: &crate::store::Record,
        deadline: Deadline,
    ) -> Result<Arc<App>> {
        let app = Arc::new(record::open(record, &self.sealer, self.clock.now(), deadline).await?);
        let known = Remembered {
            app: Arc::clone(&app),
            read_at: self.clock.now(),
        };
        self.remembered.insert(app.app_id.clone(), known);
        Ok(app)
    }
}

fn usable(app: Arc<App>) -> Result<Arc<App>> {
    if app.is_enabled() {
        Ok(app)
    } else {
        Err(Error::AppDisabled(app.app_id.clone()))
    }
}

fn key(app_id: &AppId) -> Key {
    Key::new(app_id.as_str(), SORT)
}

fn corrupt(record: &crate::store::Record, detail: &str) -> StoreError {
    StoreError::Corrupt {
        table: Table::Apps.name(),
        key: record.key.to_string(),
        detail: detail.to_owned(),
    }
}
