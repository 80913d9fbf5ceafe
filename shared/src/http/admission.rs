//! The checks of every function that needs an API key: scope, app, tenant, rate limit.

use std::sync::Arc;
use std::time::Duration;

use super::Call;
use crate::api_keys::{ApiKeys, Caller, RateLimit, Scope};
use crate::apps::{App, AppContext, AppKind, Apps};
use crate::asker::{Asker, NotFoundLimits};
use crate::directory::tiers::AppTenant;
use crate::error::{Error, Result};
use crate::idempotency::Claims;
use crate::ids::{AppId, TenantKey};
use crate::limiter::{LimitKey, Limiter};
use crate::quota::{Decision, Quota};

/// The name of the policy in the header `RateLimit`.
const POLICY: &str = "api-key";

/// In place of a sender: everybody together.
const EVERYBODY: &str = "everybody";

/// Admits callers as far as their API key allows.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The registered apps.
    pub apps: Apps,
    /// The API keys.
    pub api_keys: ApiKeys,
    /// Counts requests.
    pub limiter: Limiter,
    /// The app of requests that do not name one.
    pub default_app: Option<AppId>,
    /// How many calls of each API key may find nothing.
    pub not_found_limits: NotFoundLimits,
    /// Which requests were done already.
    pub claims: Claims,
}

impl Admission {
    /// Who administers, by what the record of the key that they present says now. The authorizer's word does not count, and
    /// neither does anybody's who invokes a function without it. They must be within the rate limit.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without a key, [`Error::PermissionDenied`] for one that may not be used, lacks the scope, or
    /// is not the one that the authorizer let in; [`Error::RateLimited`], [`Error::Store`].
    pub async fn administrator(&self, call: &Call<'_>) -> Result<Caller> {
        let told = call.told_caller()?;
        let proven = self
            .api_keys
            .prove(call.api_key()?, call.deadline())
            .await?;
        let caller = proven
            .filter(|caller| caller.key_id == told.key_id)
            .ok_or_else(|| Error::PermissionDenied("the API key is not valid".to_owned()))?;
        caller.require(Scope::Admin)?;
        self.count(call, &caller.key_id, caller.rate_limit).await?;
        Ok(caller)
    }

    /// The enabled app to act for; the caller must have `scope` and be within the rate limit, and their key must still be good.
    ///
    /// # Errors
    /// As [`Call::app_id`], [`ApiKeys::confirm`] and [`Apps::enabled`]; [`Error::RateLimited`].
    pub async fn app(&self, call: &Call<'_>, scope: Scope) -> Result<Arc<App>> {
        self.admitted(call, scope, None).await
    }

    /// The caller, who must have `scope` and be within the rate limit, and whose key must still be good: for what is about no app.
    ///
    /// # Errors
    /// As [`Call::authorized`] and [`ApiKeys::confirm`]; [`Error::RateLimited`].
    pub async fn caller(&self, call: &Call<'_>, scope: Scope) -> Result<Caller> {
        let told = call.authorized(scope)?;
        let latest = self.api_keys.latest(told);
        let limit = latest.rate_limit();
        let (confirmed, counted) = tokio::join!(
            self.api_keys.confirm(latest, call.deadline()),
            self.count(call, &told.key_id, limit),
        );
        let confirmed = confirmed?;
        let caller = confirmed.caller();
        caller.require(scope)?;
        counted?;
        Ok(caller.clone())
    }

    async fn admitted(
        &self,
        call: &Call<'_>,
        scope: Scope,
        tenant: Option<&TenantKey>,
    ) -> Result<Arc<App>> {
        let told = call.authorized(scope)?;
        let app_id = call.app_id(scope, self.default_app.as_ref())?;
        let latest = self.api_keys.latest(told);
        let limit = latest.rate_limit();
        // All use the shared cache: concurrently they take one round trip.
        let (confirmed, counted, app) = tokio::join!(
            self.api_keys.confirm(latest, call.deadline()),
            self.count(call, &told.key_id, limit),
            self.apps.enabled(&app_id, call.deadline())
        );
        let confirmed = confirmed?;
        let caller = confirmed.caller();
        caller.require(scope)?;
        caller.allows(&app_id)?;
        counted?;
        let app = app?;
        if app.kind == AppKind::Marketplace {
            caller.allows_tenant(tenant)?;
        }
        Ok(app)
    }

    /// As [`Admission::app`], with the tenant that the header `X-Lark-Tenant-Key` names.
    ///
    /// # Errors
    /// As [`Admission::app`] and [`AppContext::new`].
    pub async fn app_context(&self, call: &Call<'_>, scope: Scope) -> Result<AppContext> {
        let tenant = tenant_key(call)?;
        let app = self.admitted(call, scope, tenant.as_ref()).await?;
        let context = AppContext::new(app, tenant)?;
        let key_id = &call.authorized(scope)?.key_id;
        let asker = Asker::new(self.limiter.clone(), key_id, self.not_found_limits);
        Ok(context.asked_by(asker))
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

    async fn count(&self, call: &Call<'_>, key_id: &str, limit: Option<RateLimit>) -> Result<()> {
        let Some(limit) = limit else {
            return Ok(());
        };
        let window = Duration::from_secs(limit.window_seconds.get().into());
        let key = LimitKey::new("api_key", key_id);
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

    /// Limits requests without an API key: each sender to `each`, and everybody together to `all`.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub async fn public(
        &self,
        call: &Call<'_>,
        scope: &'static str,
        each: Quota,
        all: Quota,
    ) -> Result<()> {
        if let Some(sender) = call.sender() {
            let key = LimitKey::new(scope, sender);
            refused(&self.limiter.admit(&key, &[each], 1).await)?;
        }
        // After the sender's own: nobody uses up what is everybody's beyond their part.
        let everybody = LimitKey::new(scope, EVERYBODY);
        refused(&self.limiter.admit(&everybody, &[all], 1).await)
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
