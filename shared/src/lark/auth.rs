//! Tokens of apps: the platform's `auth/v3` family, for internal and for marketplace apps.
//!
//! With 30 minutes or more left the
//! platform answers with the same token, else with a new one, and both work until their own end. `expire` is the time that
//! is left, in seconds.

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::apis::{
    APP_ACCESS_TOKEN, APP_TICKET_RESEND, Api, MARKETPLACE_APP_ACCESS_TOKEN,
    MARKETPLACE_TENANT_ACCESS_TOKEN, TENANT_ACCESS_TOKEN,
};
use super::transport::{Host, LarkCall};
use super::{Domain, Installation, LarkClient};
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure};
use crate::ids::{AppId, TenantKey};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    app_ticket: Option<&'c str>,
}

#[derive(Serialize)]
struct TenantRequest<'c> {
    app_access_token: &'c str,
    tenant_key: &'c str,
}

#[derive(Deserialize)]
struct TokenAnswer {
    tenant_access_token: Option<SecretString>,
    app_access_token: Option<SecretString>,
    expire: u64,
}

#[derive(Deserialize)]
struct Done {}

impl LarkClient {
    /// The tenant access token of an internal app ("Get custom app's tenant_access_token"). Safe to repeat.
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
        let path = ["tenant_access_token", "internal"];
        let answer: TokenAnswer = self
            .ask(
                &TENANT_ACCESS_TOKEN,
                Installation::without_tenant(domain, app_id),
                &path,
                &credentials(app_id, secret, None),
                deadline,
            )
            .await?;
        issued(answer.tenant_access_token, answer.expire)
    }

    /// The app access token of an internal app ("Get custom app's app_access_token"). Safe to repeat.
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
        let path = ["app_access_token", "internal"];
        let answer: TokenAnswer = self
            .ask(
                &APP_ACCESS_TOKEN,
                Installation::without_tenant(domain, app_id),
                &path,
                &credentials(app_id, secret, None),
                deadline,
            )
            .await?;
        issued(answer.app_access_token, answer.expire)
    }

    /// The app access token of a marketplace app ("Get store app's app_access_token"), for which the platform wants the
    /// ticket that it sent last. Safe to repeat.
    ///
    /// # Errors
    /// [`FailureKind::AppRefused`] for a wrong id, secret or ticket, and what the transport says.
    pub async fn fetch_marketplace_app_access_token(
        &self,
        domain: Domain,
        app_id: &AppId,
        secret: &SecretString,
        ticket: &SecretString,
        deadline: Deadline,
    ) -> Result<IssuedToken, LarkFailure> {
        let body = credentials(app_id, secret, Some(ticket));
        let answer: TokenAnswer = self
            .ask(
                &MARKETPLACE_APP_ACCESS_TOKEN,
                Installation::without_tenant(domain, app_id),
                &["app_access_token"],
                &body,
                deadline,
            )
            .await?;
        issued(answer.app_access_token, answer.expire)
    }

    /// The token of the marketplace app `app_id` for the tenant `tenant_key` ("Get store app's tenant_access_token"). Safe to repeat.
    ///
    /// # Errors
    /// [`FailureKind::AppRefused`] for a wrong app access token or a tenant that did not install the app, and what the
    /// transport says.
    pub async fn fetch_marketplace_tenant_access_token(
        &self,
        domain: Domain,
        app_id: &AppId,
        app_access_token: &SecretString,
        tenant_key: &TenantKey,
        deadline: Deadline,
    ) -> Result<IssuedToken, LarkFailure> {
        let body = TenantRequest {
            app_access_token: app_access_token.expose_secret(),
            tenant_key: tenant_key.as_str(),
        };
        let answer: TokenAnswer = self
            .ask(
                &MARKETPLACE_TENANT_ACCESS_TOKEN,
                Installation::without_tenant(domain, app_id),
                &["tenant_access_token"],
                &body,
                deadline,
            )
            .await?;
        issued(answer.tenant_access_token, answer.expire)
    }

    /// Asks the platform to send the ticket of a marketplace app again ("Resend app_ticket"). Safe to repeat.
    ///
    /// # Errors
    /// [`FailureKind::AppRefused`] for a wrong id or secret or an app that is none of the marketplace, and what the
    /// transport says.
    pub async fn resend_app_ticket(
        &self,
        domain: Domain,
        app_id: &AppId,
        secret: &SecretString,
        deadline: Deadline,
    ) -> Result<(), LarkFailure> {
        let body = credentials(app_id, secret, None);
        let Done {} = self
            .ask(
                &APP_TICKET_RESEND,
                Installation::without_tenant(domain, app_id),
                &["app_ticket", "resend"],
                &body,
                deadline,
            )
            .await?;
        Ok(())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        api: &'static Api,
        installation: Installation<'_>,
        path: &[&str],
        body: &(impl Serialize + Sync),
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let path: Vec<_> = ["open-apis", "auth", "v3"]
            .iter()
            .chain(path)
            .copied()
            .collect();
        let call = LarkCall {
            api,
            installation,
            host: Host::Open,
            method: Method::POST,
            path: &path,
            query: &[],
            token: None,
            body: Some(serde_json::to_vec(body).expect("texts are JSON")),
            repeatable: true,
        };
        self.send(&call, deadline).await
    }
}

fn credentials<'c>(
    app_id: &'c AppId,
    secret: &'c SecretString,
    ticket: Option<&'c SecretString>,
) -> Credentials<'c> {
    Credentials {
        app_id: app_id.as_str(),
        app_secret: secret.expose_secret(),
        app_ticket: ticket.map(ExposeSecret::expose_secret),
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
