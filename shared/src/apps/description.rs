//! An app as operators see it, through the API and on the command line.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::{App, AppKind, AppStatus};
use crate::ids::AppId;
use crate::lark::Domain;
use crate::schema::{LoginScopes, Name, RedirectTargets, one_of};

/// What stands for a secret.
const HIDDEN: &str = "********";

/// An app, without its secret.
#[derive(Serialize, ToSchema)]
#[expect(
    missing_docs,
    reason = "their types say it, once, in the API's document too"
)]
#[schema(as = App)]
pub struct AppDescription<'a> {
    #[schema(value_type = AppId)]
    pub app_id: &'a str,
    #[schema(value_type = Name)]
    pub name: &'a str,
    pub domain: Domain,
    pub kind: AppKind,
    pub status: AppStatus,
    #[schema(schema_with = hidden)]
    pub secret: &'static str,
    /// Tells secrets of one installation apart and says nothing about them.
    pub secret_fingerprint: &'a str,
    /// Until when the secret before counts; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub previous_secret_until: Option<String>,
    #[schema(value_type = RedirectTargets)]
    pub redirect_targets: &'a [String],
    #[schema(value_type = LoginScopes)]
    pub login_scopes: &'a [String],
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub changed_at: String,
    /// Grows with each change.
    pub version: u64,
}

fn hidden() -> Object {
    one_of("Secrets go in and never out.", [HIDDEN])
}

impl<'a> AppDescription<'a> {
    /// The description of `app`.
    #[must_use]
    pub fn of(app: &'a App) -> Self {
        // Every field, so that the compiler asks for a new one here.
        let App {
            app_id,
            name,
            domain,
            kind,
            status,
            secrets,
            redirect_targets,
            login_scopes,
            created_at,
            changed_at,
            version,
        } = app;
        let previous = secrets.previous.as_ref();
        Self {
            app_id: app_id.as_str(),
            name,
            domain: *domain,
            kind: *kind,
            status: *status,
            secret: HIDDEN,
            secret_fingerprint: secrets.current.fingerprint.as_str(),
            previous_secret_until: previous.map(|(_, until)| until.to_string()),
            redirect_targets,
            login_scopes,
            created_at: created_at.to_string(),
            changed_at: changed_at.to_string(),
            version: *version,
        }
    }
}
