//! The checks of every function that needs an API key: scope, app, tenant, rate limit.

use std::sync::Arc;
use std::time::Duration;

use super::Call;
use crate::api_keys::{Caller, Scope};
use crate::apps::{App, AppContext, Apps};
use crate::directory::tiers::AppTenant;
use crate::error::{Error, Result};
use crate::ids::{AppId, TenantKey};
use crate::limiter::{LimitKey, Limiter};
use crate::quota::{Decision, Quota};

/// The name of the policy in the header `RateLimit`.
const POLICY: &str = "api-key";

/// Admits callers as far as their API key allows.
#[derive(Clone, Debug)]
pub struct Admission {
    apps: Apps,
    limiter: Limiter,
    default_app: Option<AppId>,
}

impl Admission {
    /// An admission to `apps`; `default_app` is the app of requests that do not name one.
    #[must_use]
    pub const fn new(apps: Apps, limiter: Limiter, default_app: Option<AppId>) -> Self {
        Self {
            apps,
            limiter,
            default_app,
        }
    }

    /// The caller, who must have `scope` and be within the rate limit.
    ///
    /// # Errors
    /// As [`Call::authorized`]; [`Error::RateLimited`].
    pub async fn caller<'c>(&self, call: &'c Call<'_>, scope: Scope) -> Result<&'c Caller> {
        let caller = call.authorized(scope)?;
        self.count(call, caller).await?;
        Ok(caller)
    }

    /// The enabled app to act for; the caller must have `scope` and be within the rate limit.
    ///
    /// # Errors
    /// As [`Call::app_id`] and [`Apps::enabled`]; [`Error::RateLimited`].
    pub async fn app(&self, call: &Call<'_>, scope: Scope) -> Result<Arc<App>> {
        let caller = call.authorized(scope)?;
        let app_id = call.app_id(scope, self.default_app.as_ref())?;
        // Both use the shared cache: concurrently they take one round trip.
        let (counted, app) = tokio::join!(
            self.count(call, caller),
            self.apps.enabled(&app_id, call.deadline())
        );
        counted?;
        app
    }

    /// As [`Admission::app`], with the tenant that the header `X-Lark-Tenant-Key` names.
    ///
    /// # Errors
    /// As [`Admission::app`] and [`AppContext::new`].
    pub async fn app_context(&self, call: &Call<'_>, scope: Scope) -> Result<AppContext> {
        let tenant = tenant_key(call)?;
        AppContext::new(self.app(call, scope).await?, tenant)
    }

    /// The app and tenant that the caller asks to act for, before [`Admission::app_context`] allows it.
    ///
    /// # Errors
    /// As [`Call::app_id`]; [`Error::InvalidArgument`] for a malformed tenant key.
    pub fn app_tenant(&self, call: &Call<'_>, scope: Scope) -> Result<AppTenant> {
        Ok(AppTenant {
            app_id: call.app_id(scope, self.default_app.as_ref())?,
            tenant: tenant_key(call)?,
        })
    }

    async fn count(&self, call: &Call<'_>, caller: &Caller) -> Result<()> {
        let Some(limit) = caller.rate_limit else {
            return Ok(());
        };
        let window = Duration::from_secs(limit.window_seconds.get().into());
        let key = LimitKey::new("api_key", &caller.key_id);
        let decision = self
            .limiter
            .admit(&key, &[Quota::new(limit.limit, window)], 1)
            .await;
        let outcome = refused(&decision);
        for (name, value) in decision.headers(POLICY) {
            call.answer_with(name, value);
        }
        outcome
    }

    /// Limits requests without an API key to `quota` per sender.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub async fn public(&self, call: &Call<'_>, scope: &'static str, quota: Quota) -> Result<()> {
        let Some(sender) = call.sender() else {
            return Ok(());
        };
        let key = LimitKey::new(scope, sender);
        let decision = self.limiter.admit(&key, &[quota], 1).await;
        refused(&decision)
    }
}

fn refused(decision: &Decision) -> Result<()> {
    if decision.is_allowed {
        return Ok(());
    }
    Err(Error::RateLimited {
        retry_after: decision.retry_after,
        failure: None,
    })
}

/// The tenant that the request names.
fn tenant_key(call: &Call<'_>) -> Result<Option<TenantKey>> {
    let Some(text) = call.header("x-lark-tenant-key")? else {
        return Ok(None);
    };
    let tenant = TenantKey::parse(text).ok_or_else(|| {
        Error::invalid(
            "header X-Lark-Tenant-Key",
            "must be a tenant key: 1 to 64 letters, digits, `_` or `-`",
        )
    })?;
    Ok(Some(tenant))
}
