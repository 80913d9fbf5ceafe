//! For which app and tenant an operation is, and whose it is.

use std::sync::Arc;

use super::{App, AppKind};
use crate::asker::{Asker, Budget};
use crate::error::{Error, Result};
use crate::ids::TenantKey;
use crate::lark::Installation;

/// The app, and for a marketplace app the tenant, that an operation is for, and whose operation it is.
#[derive(Clone, Debug)]
pub struct AppContext {
    app: Arc<App>,
    tenant: Option<TenantKey>,
    asker: Option<Asker>,
}

/// The header that names the tenant of a marketplace app.
const TENANT_KEY_HEADER: &str = "header X-Lark-Tenant-Key";

impl AppContext {
    /// `app` for `tenant`, which a marketplace app needs and an internal app does not have.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the header.
    pub fn new(app: Arc<App>, tenant: Option<TenantKey>) -> Result<Self> {
        match (app.kind, &tenant) {
            (AppKind::Internal, None) | (AppKind::Marketplace, Some(_)) => Ok(Self {
                app,
                tenant,
                asker: None,
            }),
            (AppKind::Internal, Some(_)) => Err(Error::invalid(
                TENANT_KEY_HEADER,
                "must not be given: the app is an internal one and has one tenant",
            )),
            (AppKind::Marketplace, None) => Err(Error::invalid(
                TENANT_KEY_HEADER,
                "is required: the app is a marketplace app with a token for each tenant",
            )),
        }
    }

    /// The same for `asker`. Without one the service asks for itself.
    #[must_use]
    pub fn asked_by(mut self, asker: Asker) -> Self {
        self.asker = Some(asker);
        self
    }

    /// Whose operation it is; `None`: the service's own.
    #[must_use]
    pub const fn asker(&self) -> Option<&Asker> {
        self.asker.as_ref()
    }

    /// Passes if whoever asks may have the platform asked.
    ///
    /// # Errors
    /// [`Error::NotFoundLimit`].
    pub async fn may_ask(&self) -> Result<()> {
        match &self.asker {
            Some(asker) => asker.may_ask(Budget::NotFound).await,
            None => Ok(()),
        }
    }

    /// Charges whoever asked for a call of the platform that found nothing.
    pub async fn found_nothing(&self) {
        self.charge(Budget::NotFound).await;
    }

    /// Charges whoever asked.
    pub async fn charge(&self, budget: Budget) {
        if let Some(asker) = &self.asker {
            asker.charge(budget).await;
        }
    }

    /// The app.
    #[must_use]
    pub const fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The tenant, for a marketplace app.
    #[must_use]
    pub const fn tenant(&self) -> Option<&TenantKey> {
        self.tenant.as_ref()
    }

    /// The installation that calls count against at the platform.
    #[must_use]
    pub fn installation(&self) -> Installation<'_> {
        Installation {
            domain: self.app.domain,
            app_id: &self.app.app_id,
            tenant: self.tenant(),
        }
    }
}
