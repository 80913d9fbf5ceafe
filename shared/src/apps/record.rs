//! An app as a record of the store. Its secrets are sealed.

use super::{App, AppKind, AppStatus, NewApp, Secret, Secrets, corrupt};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::ids::AppId;
use crate::lark::Domain;
use crate::seal::Sealer;
use crate::store::{Key, Record, Value};

/// Whether the app was deleted: its record stays for a while, so that every process learns of it.
pub(super) fn is_deleted(record: &Record) -> bool {
    record.text("status") == Some("deleted")
}

/// The context that a sealed secret of the app is bound to. It is the same for both secrets, since a rotation moves one to the
/// other attribute unchanged.
pub(super) fn seal_context(app_id: &AppId) -> String {
    format!("apps/{app_id}/secret")
}

/// The record of a new app, at `key`, with its `sealed` secret.
pub(super) fn new(key: Key, version: u64, new: &NewApp, sealed: Vec<u8>, now: Timestamp) -> Record {
    // Every field, so that the compiler asks for a new one here.
    let NewApp {
        app_id: _,
        name,
        domain,
        kind,
        secret: _,
        redirect_targets,
        login_scopes,
    } = new;
    let text = |text: &str| Value::Text(text.to_owned());
    Record::new(key, version)
        .with("name", text(name))
        .with("domain", text(domain.as_str()))
        .with("kind", text(kind.as_str()))
        .with("status", text(AppStatus::Enabled.as_str()))
        .with("secret", Value::Bytes(sealed))
        .with("redirect_targets", Value::Text(redirect_targets.join(" ")))
        .with("login_scopes", Value::Text(login_scopes.join(" ")))
        .with("created_at", Value::Number(now.as_millis()))
}

/// Why [`domain`] found none.
pub(super) const WRONG_DOMAIN: &str = "`domain` is neither feishu nor lark";

/// The platform that the app in `record` lives on.
pub(super) fn domain(record: &Record) -> Option<Domain> {
    match record.text("domain")? {
        "feishu" => Some(Domain::Feishu),
        "lark" => Some(Domain::Lark),
        _ => None,
    }
}

/// The list in the attribute `name`, which may be missing.
pub(super) fn words(record: &Record, name: &str) -> Vec<String> {
    let words = record.text(name).unwrap_or_default();
    let words = words.split_ascii_whitespace().map(str::to_owned);
    words.collect()
}

/// The app that `record` holds. A previous secret that is no longer valid at `now` is left out.
pub(super) async fn open(
    record: &Record,
    sealer: &Sealer,
    now: Timestamp,
    deadline: Deadline,
) -> Result<App> {
    let wrong = |detail: &str| corrupt(record, detail);
    let app_id =
        AppId::parse(&record.key.partition).ok_or_else(|| wrong("the key is not an app id"))?;
    let domain = domain(record).ok_or_else(|| wrong(WRONG_DOMAIN))?;
    let kind = match record.text("kind") {
        Some("marketplace") => AppKind::Marketplace,
        Some(_) | None => AppKind::Internal,
    };
    let status = match record.text("status") {
        Some("enabled") => AppStatus::Enabled,
        Some(_) | None => AppStatus::Disabled,
    };
    let secret = async |name: &str| -> Result<Option<Secret>> {
        let Some(sealed) = record.bytes(name) else {
            return Ok(None);
        };
        let value = sealer
            .open(&seal_context(&app_id), sealed, deadline)
            .await?;
        let fingerprint = sealer.fingerprint(&value, deadline).await?;
        Ok(Some(Secret { value, fingerprint }))
    };
    let current = secret("secret").await?;
    let current = current.ok_or_else(|| wrong("`secret` is missing"))?;
    let moment = |name| record.number(name).map(Timestamp::from_millis);
    let previous = secret("previous_secret")
        .await?
        .zip(moment("previous_secret_until"))
        .filter(|(_, until)| *until > now);
    let created_at = moment("created_at").unwrap_or_default();
    Ok(App {
        name: record.text("name").unwrap_or_default().to_owned(),
        domain,
        kind,
        status,
        secrets: Secrets { current, previous },
        redirect_targets: words(record, "redirect_targets"),
        login_scopes: words(record, "login_scopes"),
        created_at,
        changed_at: moment("changed_at").unwrap_or(created_at),
        version: record.version,
        app_id,
    })
}
