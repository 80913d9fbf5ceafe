//! Tokens and logins of a running service.

use lark_service::ids::{AppId, OpenId, TenantKey};
use reqwest::Method;
use serde_json::Value;

use crate::failure::Failure;
use crate::remote::{Remote, Repeat};

/// Which token of a running service.
pub(crate) enum Asked<'a> {
    App,
    Tenant(Option<&'a TenantKey>),
    User(&'a OpenId),
}

impl Remote {
    /// When the token ends. Its value, which the service answers with, is dropped.
    pub(crate) async fn token_end(
        &self,
        app_id: &AppId,
        asked: &Asked<'_>,
    ) -> Result<Option<String>, Failure> {
        let kind = match asked {
            Asked::App => "app",
            Asked::Tenant(_) => "tenant",
            Asked::User(_) => "user",
        };
        let mut get = self.call(Method::GET, &["tokens", kind]).app(app_id);
        match asked {
            Asked::Tenant(Some(tenant)) => {
                get = get.header("x-lark-tenant-key", tenant.as_str());
            }
            Asked::User(open_id) => get = get.query("open_id", open_id.as_str()),
            Asked::App | Asked::Tenant(None) => {}
        }
        let answer = get.send(Repeat::Safe).await?;
        Ok(answer["expires_at"].as_str().map(str::to_owned))
    }

    /// Ends a login. A user without one is no failure.
    pub(crate) async fn end_login(&self, app_id: &AppId, open_id: &OpenId) -> Result<(), Failure> {
        let path = ["oauth", "users", open_id.as_str()];
        let delete = self.call(Method::DELETE, &path).app(app_id);
        delete.send(Repeat::Safe).await.map(|_: Value| ())
    }
}
