//! An app as scripts see it.

use lark_service::apps::{App, AppKind, AppStatus};
use lark_service::changes::Change;
use lark_service::lark::Domain;
use lark_service::tokens::TokenInfo;
use serde::Serialize;

/// An app as scripts see it: everything but its secrets.
#[derive(Serialize)]
pub(super) struct AppView<'a> {
    pub(super) app_id: &'a str,
    pub(super) name: &'a str,
    pub(super) domain: Domain,
    pub(super) kind: AppKind,
    pub(super) status: AppStatus,
    pub(super) secret_fingerprint: &'a str,
    pub(super) previous_secret_until: Option<String>,
    pub(super) redirect_targets: &'a [String],
    pub(super) created_at: String,
    pub(super) changed_at: String,
    pub(super) version: u64,
}

/// An app with all about it.
#[derive(Serialize)]
pub(super) struct AppDetails<'a> {
    #[serde(flatten)]
    pub(super) app: AppView<'a>,
    /// The first ones.
    pub(super) tokens: &'a [TokenInfo],
    /// Whether there are more.
    pub(super) has_more_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<Vec<Change>>,
}

impl<'a> AppView<'a> {
    pub(super) fn of(app: &'a App) -> Self {
        let previous = app.secrets.previous.as_ref();
        Self {
            app_id: app.app_id.as_str(),
            name: &app.name,
            domain: app.domain,
            kind: app.kind,
            status: app.status,
            secret_fingerprint: app.secrets.current.fingerprint.as_str(),
            previous_secret_until: previous.map(|(_, until)| until.to_string()),
            redirect_targets: &app.redirect_targets,
            created_at: app.created_at.to_string(),
            changed_at: app.changed_at.to_string(),
            version: app.version,
        }
    }
}
