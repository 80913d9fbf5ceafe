//! Tokens for callers: from L1, L2, L3, and only then by a renewal.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::issuer::Issuer;
use super::logins::LoginKeeper;
use super::renewal::{RENEWAL_TIMEOUT, Renewal};
use super::tiers::{Shared, TokenTiers};
use super::{Login, SharedToken, Token, TokenKey, TokenKind, TokenState, Verdict};
use crate::apps::{App, Apps};
use crate::asker::{Asker, Budget};
use crate::clock::Clock;
use crate::coalesce::Flights;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lark::LarkClient;
use crate::seal::Sealer;
use crate::sealed_cache::SealedCache;
use crate::store::Storage;
use crate::telemetry::metrics;

/// How long a caller waits for a newer token when there is one near its end. Not for a login whose refresh token has been
/// presented: that caller waits until the outcome is stored.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(2);

/// Which tier a caller trusts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The process, for five seconds after a shared tier confirmed the token.
    Local,
    /// Only a shared tier: a token that another process saw rejected is not used again. The round trip is small compared to
    /// the call to Lark that follows.
    Shared,
}

/// Hands out tokens. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct TokenService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tiers: Arc<TokenTiers>,
    issuer: Arc<Issuer>,
    logins: LoginKeeper,
    flights: Flights<TokenKey, Result<SharedToken>>,
}

impl TokenService {
    /// A service over these tiers; `cache` is the shared cache, if there is one.
    #[must_use]
    pub fn new(
        lark: LarkClient,
        apps: Apps,
        storage: Storage,
        cache: Option<SealedCache>,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let shared = cache.as_ref().map(|cache| cache.client().clone());
        let issuer = Arc::new(Issuer::new(lark, apps, shared, Arc::clone(&clock)));
        let tiers = Arc::new(TokenTiers::new(storage, cache, sealer, clock));
        let inner = Inner {
            logins: LoginKeeper::new(Arc::clone(&tiers), Arc::clone(&issuer)),
            tiers,
            issuer,
            flights: Flights::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(super) fn tiers(&self) -> &TokenTiers {
        &self.inner.tiers
    }

    pub(super) fn issuer(&self) -> &Issuer {
        &self.inner.issuer
    }

    pub(super) fn logins(&self) -> &LoginKeeper {
        &self.inner.logins
    }

    /// The token `key` of `app`, valid for at least [`super::schedule::MARGIN`] unless Lark is down.
    ///
    /// # Errors
    /// [`Error::AppRefused`], [`Error::LarkUnavailable`], [`Error::RateLimited`] when Lark issues no token and none is left;
    /// [`Error::ReauthorizationRequired`] for a user without a login; [`Error::AppTicketMissing`] for a marketplace app;
    /// [`Error::DeadlineExceeded`]; [`Error::Seal`] when the data keys are unreachable.
    pub async fn token(
        &self,
        app: &App,
        key: &TokenKey,
        trust: Trust,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        self.token_for(None, app, key, trust, deadline).await
    }

    /// The same for `asker`, who pays for a tenant that nobody knows and that the platform refuses.
    ///
    /// # Errors
    /// As [`TokenService::token`]; [`Error::NotFoundLimit`].
    pub async fn token_for(
        &self,
        asker: Option<&Asker>,
        app: &App,
        key: &TokenKey,
        trust: Trust,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        let tiers = self.tiers();
        let now = tiers.clock.now();
        let remembered = tiers.remembered(key);
        if let (Trust::Local, Some(remembered)) = (trust, &remembered)
            && remembered.is_trusted(now)
            && let Verdict::Serve(token) = remembered.verdict(&app.secrets, now)
        {
            metrics::cache_request("tokens", "memory", "hit");
            return Ok(token);
        }
        metrics::cache_request("tokens", "memory", "miss");
        let found = tiers.read(key, deadline).await?;
        // Read again: the process may have been frozen meanwhile.
        let now = tiers.clock.now();
        let is_new = match &found {
            Shared::Nothing => true,
            Shared::State(state) => state.was_never_issued(),
            Shared::Unknown => false,
        };
        let stranger = asker.filter(|_| is_new && !key.subject.is_empty());
        let verdict = match found {
            Shared::State(state) => state.verdict(&app.secrets, now),
            // No shared tier answers: the process's own token is better than another token request.
            Shared::Unknown => remembered.as_ref().map_or(Verdict::Renew(None), |known| {
                known.verdict(&app.secrets, now)
            }),
            // A login without a record has ended; any other token fetched without the store is valid.
            Shared::Nothing => match remembered {
                Some(known) if key.kind != TokenKind::User => known.verdict(&app.secrets, now),
                Some(_) | None => TokenState::unknown(key.clone(), now).verdict(&app.secrets, now),
            },
        };
        match verdict {
            Verdict::Serve(token) => Ok(token),
            Verdict::Refuse(error) => Err(*error),
            Verdict::Renew(None) => {
                if let Some(asker) = stranger {
                    asker.may_ask(Budget::NotFound).await?;
                }
                let renewed = self.renewed(key, app, deadline, deadline).await;
                let is_refused = |error: &Error| {
                    !error.is_outage() && error.lark().is_some_and(|failure| failure.code.is_some())
                };
                if let Some(asker) = stranger.filter(|_| renewed.as_ref().is_err_and(is_refused)) {
                    asker.charge(Budget::NotFound).await;
                }
                renewed
            }
            Verdict::Renew(Some(old)) => match self
                .renewed(key, app, deadline.at_most(RENEWAL_PATIENCE), deadline)
                .await
            {
                Ok(token) => Ok(token),
                Err(error) if old.expires_at <= tiers.clock.now() => Err(error),
                Err(error) => {
                    warn!(lark.app_id = app.app_id.as_str(), %error, "handing out a token near its end");
                    Ok(old)
                }
            },
        }
    }

    /// Invalidates `rejected`, which the platform refused: exactly that value, nothing newer. A tier that does not answer
    /// keeps it; the platform then rejects it again at its next use.
    pub async fn invalidate(&self, key: &TokenKey, rejected: &Token, deadline: Deadline) {
        self.tiers().invalidate(key, rejected, deadline).await;
    }

    /// The login, as far as this process knows it, behind a user's token that it handed out.
    #[must_use]
    pub fn known_login(&self, key: &TokenKey) -> Option<Login> {
        self.tiers().remembered_login(key)
    }

    /// Joins the renewal in flight in this process, or starts one. Waits for `patience`; for a login whose refresh token has
    /// been presented meanwhile, until the outcome is stored.
    async fn renewed(
        &self,
        key: &TokenKey,
        app: &App,
        patience: Deadline,
        deadline: Deadline,
    ) -> Result<SharedToken> {
        let waiting =
            (key.kind == TokenKind::User).then(|| self.logins().callers().wait(key, deadline));
        let renewal = || Renewal::begin(self.clone(), key.clone(), app.clone()).run();
        // A renewal that was frozen beyond its time has nothing to say to a caller who comes now; but what it asked for a login is
        // not asked again.
        let longest = if waiting.is_some() {
            Duration::MAX
        } else {
            RENEWAL_TIMEOUT
        };
        let clock = &*self.tiers().clock;
        let flights = &self.inner.flights;
        let flight = flights.join(key.clone(), longest, clock, renewal);
        let mut flight = pin!(flight);
        let outcome = match patience.run(flight.as_mut()).await {
            Err(_) if waiting.as_ref().is_some_and(|waiting| !waiting.leave()) => {
                deadline.run(flight).await?
            }
            outcome => outcome?,
        };
        outcome.map_err(|panicked| Error::internal(panicked.to_string()))?
    }
}
