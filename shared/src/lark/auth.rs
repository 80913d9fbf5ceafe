//! Tokens of internal apps: the platform's `auth/v3` family.
//!
//! Sources: "Get custom app's tenant_access_token" and "Get custom app's app_access_token". With 30 minutes or more left the
//! platform answers with the same token, else with a new one, and both work until their own end. `expire` is the time that
//! is left, in seconds.

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::transport::LarkCall;
use super::{Domain, FailureKind, LarkClient, LarkFailure};
use crate::deadline::Deadline;
use crate::ids::AppId;

/// A token as the platform handed it out.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub value: SecretString,
    /// How long it lives from the moment of the answer; up to two hours.
    pub expires_in: Duration,
}

#[derive(Serialize)]
struct Credentials<'c> {
    app_id: &'c str,
    app_secret: &'c str,
}

#[derive(Deserialize)]
struct TokenAnswer {
    tenant_access_token: Option<SecretString>,
    app_access_token: Option<SecretString>,
    expire: u64,
}

impl LarkClient {
    /// The tenant access token of an internal app. Safe to repeat.
    ///
    /// # Errors
    /// [`FailureKind::AppRefused`] for a wrong id or secret, and what the transport says.
    pub async fn fetch_tenant_access_token(
        &self,
        domain: Domain,
        app_id: &AppId,
        secret: &SecretString,
        deadline: Deadline,
    ) -> Result<IssuedToken, LarkFailure> {
        let answer = self
            .fetch_internal("tenant_access_token", domain, app_id, secret, deadline)
            .await?;
        issued(answer.tenant_access_token, answer.expire)
    }

    /// The app access token of an internal app. Safe to repeat.
    ///
    /// # Errors
    /// [`FailureKind::AppRefused`] for a wrong id or secret, and what the transport says.
    pub async fn fetch_app_access_token(
        &self,
        domain: Domain,
        app_id: &AppId,
        secret: &SecretString,
        deadline: Deadline,
    ) -> Result<IssuedToken, LarkFailure> {
        let answer = self
            .fetch_internal("app_access_token", domain, app_id, secret, deadline)
            .await?;
        issued(answer.app_access_token, answer.expire)
    }

    async fn fetch_internal(
        &self,
        endpoint: &'static str,
        domain: Domain,
        app_id: &AppId,
        secret: &SecretString,
        deadline: Deadline,
    ) -> Result<TokenAnswer, LarkFailure> {
        let credentials = Credentials {
            app_id: app_id.as_str(),
            app_secret: secret.expose_secret(),
        };
        let call = LarkCall {
            endpoint,
            domain,
            method: Method::POST,
            path: &["open-apis", "auth", "v3", endpoint, "internal"],
            query: &[],
            token: None,
            body: Some(serde_json::to_vec(&credentials).expect("two texts are JSON")),
            repeatable: true,
        };
        self.send(&call, deadline).await
    }
}

/// Only what was validated becomes a token.
fn issued(value: Option<SecretString>, expire: u64) -> Result<IssuedToken, LarkFailure> {
    let value = value.filter(|value| !value.expose_secret().is_empty());
    match value {
        Some(value) if expire > 0 => Ok(IssuedToken {
            value,
            expires_in: Duration::from_secs(expire),
        }),
        Some(_) | None => Err(LarkFailure::without_answer(
            FailureKind::Rejected,
            "Lark's answer has no token or no time left on it",
        )),
    }
}
