//! Operations for operators on apps: register, list, change, enable and disable, delete.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tracing::info;

use super::change::{
    changed, check, name_problem, scopes_problem, secret_problem, targets_problem,
};
use super::{App, AppChange, Apps, NewApp, key, record};
use crate::changes::{self, Actor, Change};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::page::Page;
use crate::seal::SealError;
use crate::store::{self, Expect, Key, Record, StoreError, Table, Value};

/// How often a change is retried after a conflict.
const ATTEMPTS: u32 = 8;
/// How long a deleted app's record stays, so that it outlives everything made for the app.
const DELETED: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The partition in which every app is listed, one record each with the sort key `id#<app id>`.
pub(super) const LISTED: &str = "listed";
/// The prefix of the sort keys in the list.
pub(super) const LISTED_PREFIX: &str = "id#";

impl Apps {
    /// Registers an app.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::InvalidArgument`], [`Error::Store`], [`Error::Seal`].
    pub async fn register(&self, new: &NewApp, actor: &Actor, deadline: Deadline) -> Result<()> {
        new.check()?;
        let now = self.clock.now();
        let context = record::seal_context(&new.app_id);
        let sealed = self.sealer.seal(&context, &new.secret, deadline).await?;
        let old = self
            .storage()
            .get(Table::Apps, &key(&new.app_id), deadline)
            .await?;
        self.listed(&new.app_id, deadline).await?;
        let expect = match &old {
            None => Expect::Absent,
            Some(old) if record::is_deleted(old) => {
                changes::keep(self.storage(), Table::Apps, old, deadline).await?;
                Expect::Version(old.version)
            }
            Some(_) => return Err(Error::AlreadyExists(format!("the app {}", new.app_id))),
        };
        let version = self.version_after(old.map_or(0, |old| old.version));
        let record = record::new(key(&new.app_id), version, new, sealed, now);
        let record = changes::stamped(record, actor, "created", &[], now);
        match self
            .mirror
            .put(Table::Apps, &record, expect, deadline)
            .await
        {
            Ok(()) => {}
            Err(StoreError::Conflict) => {
                return Err(Error::AlreadyExists(format!("the app {}", new.app_id)));
            }
            Err(error) => return Err(error.into()),
        }
        info!(lark.app_id = new.app_id.as_str(), "an app was registered");
        changes::keep(self.storage(), Table::Apps, &record, deadline).await
    }

    /// Whether `actor` registered just this app at `since` or later and nobody changed it: an earlier try of the same request.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn was_registered(
        &self,
        new: &NewApp,
        actor: &Actor,
        since: Timestamp,
        deadline: Deadline,
    ) -> Result<bool> {
        let at = key(&new.app_id);
        let Some(found) = self.storage().get(Table::Apps, &at, deadline).await? else {
            return Ok(false);
        };
        let (Some(sealed), Some(made_at)) = (found.bytes("secret"), found.number("created_at"))
        else {
            return Ok(false);
        };
        let made_at = Timestamp::from_millis(made_at);
        let asked = record::new(at, found.version, new, sealed.to_vec(), made_at);
        let asked = changes::stamped(asked, actor, "created", &[], made_at);
        Ok(asked.attributes == found.attributes
            && made_at >= since
            && self.is_current(&found, &new.secret, deadline).await?)
    }

    /// Changes an app and returns its new state.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::InvalidArgument`], [`Error::Store`], [`Error::Seal`].
    pub async fn change(
        &self,
        app_id: &AppId,
        change: &AppChange,
        actor: &Actor,
        deadline: Deadline,
    ) -> Result<std::sync::Arc<App>> {
        check(&[
            change.name.as_deref().and_then(name_problem),
            change.secret.as_ref().and_then(secret_problem),
            change.redirect_targets.as_deref().and_then(targets_problem),
            change.login_scopes.as_deref().and_then(scopes_problem),
        ])?;
        let sealed = match &change.secret {
            Some(secret) => {
                let context = record::seal_context(app_id);
                Some(self.sealer.seal(&context, secret, deadline).await?)
            }
            None => None,
        };
        let edit = |record: Record, has_secret: bool, now| {
            // The same request once more, or its write whose answer was lost: the secret before it stays the previous one.
            let sealed = sealed.clone().filter(|_| !has_secret);
            changed(record, change, sealed, actor, now)
        };
        let secret = change.secret.as_ref();
        let record = self.edit(app_id, secret, edit, deadline).await?;
        self.remember(&record, deadline).await
    }

    /// Whether `secret` is the current one in `record`. One that cannot be opened is not.
    async fn is_current(
        &self,
        record: &Record,
        secret: &SecretString,
        deadline: Deadline,
    ) -> Result<bool> {
        let (Some(sealed), Some(app_id)) =
            (record.bytes("secret"), AppId::parse(&record.key.partition))
        else {
            return Ok(false);
        };
        let context = record::seal_context(&app_id);
        match self.sealer.open(&context, sealed, deadline).await {
            Ok(current) => Ok(current.expose_secret() == secret.expose_secret()),
            Err(SealError::Broken | SealError::UnknownKey(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes an app: it can no longer be used. The caller must delete its tokens.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::Store`].
    pub async fn delete(&self, app_id: &AppId, actor: &Actor, deadline: Deadline) -> Result<()> {
        let listed = Key::new(LISTED, format!("{LISTED_PREFIX}{app_id}"));
        let entry = self.storage().get(Table::Apps, &listed, deadline).await?;
        let edit = |record: Record, _, now: Timestamp| {
            let mut deleted = Record::new(record.key, record.version)
                .with("status", Value::Text("deleted".to_owned()));
            deleted.expires_at = Some(now + DELETED);
            Some(changes::stamped(deleted, actor, "deleted", &[], now))
        };
        self.edit(app_id, None, edit, deadline).await?;
        self.remembered.remove(app_id);
        if let Some(entry) = entry {
            let expect = Expect::Version(entry.version);
            match self
                .storage()
                .delete(Table::Apps, &listed, expect, deadline)
                .await
            {
                // If it was registered again in the meantime, it stays on the list.
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.forget_ticket(app_id, deadline).await
    }

    /// A page of apps, by id. `after` is the previous page's `next_page_token`.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<std::sync::Arc<App>>> {
        let (app_ids, next_page_token) = self.ids(after, limit, deadline).await?;
        let mut apps = self.read_many(&app_ids, deadline).await?;
        apps.sort_by(|one, other| one.app_id.cmp(&other.app_id));
        Ok(Page {
            items: apps,
            next_page_token,
        })
    }

    /// Who changed the app, how and when, oldest first. A deleted app still has its changes.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn changes(
        &self,
        app_id: &AppId,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<Change>> {
        changes::list(
            self.storage(),
            Table::Apps,
            &key(app_id),
            after,
            limit,
            deadline,
        )
        .await
    }

    /// Writes the record as `edit` changes it, with retries on conflicts; without a change nothing is written. `edit` is told
    /// whether `secret` is the record's current one.
    async fn edit(
        &self,
        app_id: &AppId,
        secret: Option<&SecretString>,
        edit: impl Fn(Record, bool, Timestamp) -> Option<Record>,
        deadline: Deadline,
    ) -> Result<Record> {
        for _ in 0..ATTEMPTS {
            let found = self
                .storage()
                .get(Table::Apps, &key(app_id), deadline)
                .await?;
            let record = found
                .filter(|record| !record::is_deleted(record))
                .ok_or_else(|| Error::AppNotFound(app_id.clone()))?;
            changes::keep(self.storage(), Table::Apps, &record, deadline).await?;
            let expect = Expect::Version(record.version);
            let version = self.version_after(record.version);
            let has_secret = match secret {
                Some(secret) => self.is_current(&record, secret, deadline).await?,
                None => false,
            };
            let Some(edited) = edit(record.clone(), has_secret, self.clock.now()) else {
                return Ok(record);
            };
            let edited = Record { version, ..edited };
            match self
                .mirror
                .put(Table::Apps, &edited, expect, deadline)
                .await
            {
                Ok(()) => {
                    changes::keep(self.storage(), Table::Apps, &edited, deadline).await?;
                    return Ok(edited);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Puts the app on the list. Its version is new each time, so that a concurrent deletion does not remove it.
    pub(super) async fn listed(&self, app_id: &AppId, deadline: Deadline) -> Result<()> {
        let listed = Key::new(LISTED, format!("{LISTED_PREFIX}{app_id}"));
        let record = Record::new(listed, self.version_after(0));
        Ok(self
            .storage()
            .put(Table::Apps, &record, Expect::Anything, deadline)
            .await?)
    }

    pub(super) const fn storage(&self) -> &store::Storage {
        self.mirror.storage()
    }

    /// A version higher than `version` and than any that a deleted app with this id had.
    pub(super) fn version_after(&self, version: u64) -> u64 {
        store::next_version(version, self.clock.now())
    }
}
