//! What a login begins with: an app without its secrets.

use super::{AppStatus, Apps, corrupt, key, record};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::lark::Domain;
use crate::store::{Record, Table};

/// An app as a browser gets to know it. No secret is opened for it: anybody can begin a login.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoginApp {
    /// Its id.
    pub app_id: AppId,
    /// The platform it lives on.
    pub domain: Domain,
    /// See [`super::App::redirect_targets`].
    pub redirect_targets: Vec<String>,
    /// See [`super::App::login_scopes`].
    pub login_scopes: Vec<String>,
}

impl Apps {
    /// The app `app_id`, if logins to it can begin.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], also for a disabled one: it is nobody's business which apps there are; [`Error::Store`].
    pub async fn for_login(&self, app_id: &AppId, deadline: Deadline) -> Result<LoginApp> {
        let found = self.mirror.get(Table::Apps, &key(app_id), deadline).await?;
        let is_enabled =
            |record: &Record| record.text("status") == Some(AppStatus::Enabled.as_str());
        let record = found.filter(is_enabled);
        let record = record.ok_or_else(|| Error::AppNotFound(app_id.clone()))?;
        Ok(LoginApp {
            app_id: app_id.clone(),
            domain: record::domain(&record)
                .ok_or_else(|| corrupt(&record, record::WRONG_DOMAIN))?,
            redirect_targets: record::words(&record, "redirect_targets"),
            login_scopes: record::words(&record, "login_scopes"),
        })
    }
}
