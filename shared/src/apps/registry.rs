//! What an operator does to apps: register, list, change, switch, delete.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tracing::info;

use super::{App, AppKind, AppStatus, Apps, key, record};
use crate::changes::{self, Actor, ChangePage};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, FieldError, Result};
use crate::ids::AppId;
use crate::lark::Domain;
use crate::store::{Expect, Key, Record, StoreError, Table, Value};

/// How often a change is tried again when others change the same app meanwhile.
const ATTEMPTS: u32 = 8;
/// How long a deleted app's record stays, so that nothing that was made for it outlives it.
const DELETED: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long the secret before counts unless said otherwise.
const PREVIOUS_SECRET: Duration = Duration::from_secs(24 * 3_600);
/// How many addresses an app may have its logins end at.
const MAX_REDIRECT_TARGETS: usize = 20;
/// The longest name and the longest address.
const MAX_TEXT_BYTES: usize = 256;
/// The longest secret; the platform's have 32 characters.
const MAX_SECRET_BYTES: usize = 256;
/// The partition in which every app is listed, one record each with the sort key `id#<app id>`.
pub(super) const LISTED: &str = "listed";
/// What the sort keys in the list begin with.
pub(super) const LISTED_PREFIX: &str = "id#";

/// What an operator says of a new app.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Its id.
    pub app_id: AppId,
    /// How people call it.
    pub name: String,
    /// The platform it lives on.
    pub domain: Domain,
    /// How it came to its tenants.
    pub kind: AppKind,
    /// Its secret.
    pub secret: SecretString,
    /// See [`App::redirect_targets`].
    pub redirect_targets: Vec<String>,
}

impl NewApp {
    /// An internal app on Feishu with nothing but its secret.
    #[must_use]
    pub fn new(app_id: AppId, secret: SecretString) -> Self {
        Self {
            app_id,
            name: String::new(),
            domain: Domain::default(),
            kind: AppKind::default(),
            secret,
            redirect_targets: Vec::new(),
        }
    }
}

/// What is to become of an app; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct AppChange {
    /// How people call it.
    pub name: Option<String>,
    /// The platform it lives on.
    pub domain: Option<Domain>,
    /// Whether it may be used.
    pub status: Option<AppStatus>,
    /// A new secret; the one in force becomes the one before.
    pub secret: Option<SecretString>,
    /// How long the secret before counts from now on; zero: not at all. With a new secret the default is a day.
    pub previous_secret_ttl: Option<Duration>,
    /// See [`App::redirect_targets`].
    pub redirect_targets: Option<Vec<String>>,
}

impl AppChange {
    /// Whether everything stays as it is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                name: None,
                domain: None,
                status: None,
                secret: None,
                previous_secret_ttl: None,
                redirect_targets: None,
            }
        )
    }
}

/// A page of apps, by id.
#[derive(Clone, Debug, Default)]
pub struct AppPage {
    /// The apps.
    pub apps: Vec<std::sync::Arc<App>>,
    /// Where the next page begins; `None` on the last one.
    pub next_page_token: Option<String>,
}

impl Apps {
    /// Registers an app.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::InvalidArgument`], [`Error::Store`], [`Error::Seal`].
    pub async fn register(&self, new: &NewApp, actor: &Actor, deadline: Deadline) -> Result<()> {
        check(&[
            name_problem(&new.name),
            secret_problem(&new.secret),
            targets_problem(&new.redirect_targets),
        ])?;
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
        let record = Record::new(key(&new.app_id), version)
            .with("name", Value::Text(new.name.clone()))
            .with("domain", Value::Text(new.domain.as_str().to_owned()))
            .with("kind", Value::Text(new.kind.as_str().to_owned()))
            .with(
                "status",
                Value::Text(AppStatus::Enabled.as_str().to_owned()),
            )
            .with("secret", Value::Bytes(sealed))
            .with(
                "redirect_targets",
                Value::Text(new.redirect_targets.join(" ")),
            )
            .with("created_at", Value::Number(now.as_millis()));
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

    /// Changes an app and answers what it is now.
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
        ])?;
        let sealed = match &change.secret {
            Some(secret) => {
                let context = record::seal_context(app_id);
                Some(self.sealer.seal(&context, secret, deadline).await?)
            }
            None => None,
        };
        let edit = |record: Record, now| changed(record, change, sealed.clone(), actor, now);
        let record = self.edit(app_id, edit, deadline).await?;
        self.remember(&record, deadline).await
    }

    /// Deletes an app: nothing is done for it any more. Its tokens are for the caller to remove.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::Store`].
    pub async fn delete(&self, app_id: &AppId, actor: &Actor, deadline: Deadline) -> Result<()> {
        let listed = Key::new(LISTED, format!("{LISTED_PREFIX}{app_id}"));
        let entry = self.storage().get(Table::Apps, &listed, deadline).await?;
        let edit = |record: Record, now: Timestamp| {
            let mut deleted = Record::new(record.key, record.version)
                .with("status", Value::Text("deleted".to_owned()));
            deleted.expires_at = Some(now + DELETED);
            changes::stamped(deleted, actor, "deleted", &[], now)
        };
        self.edit(app_id, edit, deadline).await?;
        self.remembered.remove(app_id);
        if let Some(entry) = entry {
            let expect = Expect::Version(entry.version);
            match self
                .storage()
                .delete(Table::Apps, &listed, expect, deadline)
                .await
            {
                // Registered again meanwhile: then it belongs on the list.
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.forget_ticket(app_id, deadline).await
    }

    /// A page of apps, by id. `after` is where the page before said that it begins.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<AppPage> {
        let after = after.map(|id| format!("{LISTED_PREFIX}{id}"));
        let page = self
            .storage()
            .list(
                Table::Apps,
                LISTED,
                LISTED_PREFIX,
                after.as_deref(),
                limit,
                deadline,
            )
            .await?;
        let app_id = |sort: &str| AppId::parse(sort.strip_prefix(LISTED_PREFIX)?);
        let app_ids: Vec<_> = page
            .records
            .iter()
            .filter_map(|record| app_id(&record.key.sort))
            .collect();
        let mut apps = self.read_many(&app_ids, deadline).await?;
        apps.sort_by(|one, other| one.app_id.cmp(&other.app_id));
        let next = page.next.as_deref().and_then(app_id);
        Ok(AppPage {
            apps,
            next_page_token: next.map(|id| id.to_string()),
        })
    }

    /// Who changed the app, how and when, oldest first. An app that was deleted has its changes still.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn changes(
        &self,
        app_id: &AppId,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<ChangePage> {
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

    /// Writes what `edit` makes of the record, again if others wrote meanwhile.
    async fn edit(
        &self,
        app_id: &AppId,
        edit: impl Fn(Record, Timestamp) -> Record,
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
            let edited = Record {
                version,
                ..edit(record, self.clock.now())
            };
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

    /// Puts the app on the list. Its version is new each time, so that a deletion under way does not take it off again.
    pub(super) async fn listed(&self, app_id: &AppId, deadline: Deadline) -> Result<()> {
        let listed = Key::new(LISTED, format!("{LISTED_PREFIX}{app_id}"));
        let record = Record::new(listed, self.version_after(0));
        Ok(self
            .storage()
            .put(Table::Apps, &record, Expect::Anything, deadline)
            .await?)
    }

    pub(super) const fn storage(&self) -> &crate::store::Storage {
        self.mirror.storage()
    }

    /// Higher than `version` and than any that an app of this id had before it was deleted.
    pub(super) fn version_after(&self, version: u64) -> u64 {
        u64::try_from(self.clock.now().as_millis())
            .unwrap_or(0)
            .max(version + 1)
    }
}

/// `record` after `change`.
fn changed(
    mut record: Record,
    change: &AppChange,
    sealed: Option<Vec<u8>>,
    actor: &Actor,
    now: Timestamp,
) -> Record {
    let (mut fields, mut action) = (Vec::new(), "changed");
    if let Some(name) = &change.name {
        record = record.with("name", Value::Text(name.clone()));
        fields.push("name");
    }
    if let Some(domain) = change.domain {
        record = record.with("domain", Value::Text(domain.as_str().to_owned()));
        fields.push("domain");
    }
    if let Some(targets) = &change.redirect_targets {
        record = record.with("redirect_targets", Value::Text(targets.join(" ")));
        fields.push("redirect_targets");
    }
    if let Some(status) = change.status {
        record = record.with("status", Value::Text(status.as_str().to_owned()));
        fields.push("status");
        action = status.as_str();
    }
    let mut previous_ttl = change.previous_secret_ttl;
    if let Some(sealed) = sealed {
        if let Some(current) = record
            .attributes
            .insert("secret".to_owned(), Value::Bytes(sealed))
        {
            record = record.with("previous_secret", current);
        }
        previous_ttl = Some(previous_ttl.unwrap_or(PREVIOUS_SECRET));
        fields.push("secret");
        action = "secret_rotated";
    }
    if let Some(ttl) = previous_ttl {
        fields.push("previous_secret");
        if ttl.is_zero() {
            record.attributes.remove("previous_secret");
            record.attributes.remove("previous_secret_until");
            if change.secret.is_none() {
                action = "previous_secret_dropped";
            }
        } else {
            let until = (now + ttl).as_millis();
            record = record.with("previous_secret_until", Value::Number(until));
        }
    }
    changes::stamped(record, actor, action, &fields, now)
}

fn check(problems: &[Option<FieldError>]) -> Result<()> {
    let problems: Vec<_> = problems.iter().flatten().cloned().collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidArgument(problems))
    }
}

fn problem(field: &str, message: impl Into<String>) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: message.into(),
    }
}

fn name_problem(name: &str) -> Option<FieldError> {
    let is_wrong = name.len() > MAX_TEXT_BYTES || name.chars().any(char::is_control);
    is_wrong.then(|| problem("name", "must be up to 256 bytes of text on one line"))
}

fn secret_problem(secret: &SecretString) -> Option<FieldError> {
    let secret = secret.expose_secret();
    let is_wrong = secret.is_empty()
        || secret.len() > MAX_SECRET_BYTES
        || !secret.bytes().all(|byte| byte.is_ascii_graphic());
    is_wrong.then(|| problem("secret", "must be 1 to 256 visible ASCII characters"))
}

fn targets_problem(targets: &[String]) -> Option<FieldError> {
    if targets.len() > MAX_REDIRECT_TARGETS {
        return Some(problem("redirect_targets", "must be 20 addresses at most"));
    }
    let position = targets.iter().position(|target| !is_target(target))?;
    Some(problem(
        &format!("redirect_targets[{position}]"),
        "must be an https address such as https://portal.example or https://portal.example/done, without user, query and \
         fragment; http only for 127.0.0.1 and localhost",
    ))
}

fn is_target(target: &str) -> bool {
    let Ok(url) = url::Url::parse(target) else {
        return false;
    };
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    target.len() <= MAX_TEXT_BYTES
        && (url.scheme() == "https" || url.scheme() == "http" && is_local)
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !target.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_target_is_an_https_address_or_a_local_one() {
        for right in [
            "https://portal.example",
            "https://portal.example:8443/done/",
            "http://127.0.0.1:3000",
            "http://localhost/x",
        ] {
            assert!(is_target(right), "{right}");
        }
        for wrong in [
            "",
            "portal.example",
            "http://portal.example",
            "javascript:alert(1)",
            "https://a@portal.example",
            "https://portal.example/?x=1",
            "https://portal.example/#x",
            "https://portal .example",
        ] {
            assert!(!is_target(wrong), "{wrong}");
        }
    }
}
