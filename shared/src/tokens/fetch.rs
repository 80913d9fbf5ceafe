//! How a token is had from the platform: by kind of token and kind of app.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::service::Inner;
use super::{Pair, RefreshToken, SharedToken, Token, TokenKey, TokenKind, TokenService, Trust};
use crate::apps::{App, AppKind, Secret};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, LarkFailure};
use crate::ids::TenantKey;
use crate::lark::auth::{self, AppCredentials, Issue, IssuedToken};
use crate::lark::oauth::{self, Grant, IssuedLogin};
use crate::lark::{Installation, Sender};
use crate::seal::Fingerprint;
use crate::telemetry::metrics;

/// The time for a token request, its repetitions included.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// The platform is asked for a missing ticket at most this often.
const RESEND_PAUSE: Duration = Duration::from_secs(60);

type Fetched<T> = Result<T, LarkFailure>;

impl Inner {
    /// A new token `key`, which is none of a user's, made with the secret in force or else the one before.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        key: &TokenKey,
        app: &App,
        deadline: Deadline,
    ) -> Fetched<SharedToken> {
        let asked_at = self.clock.now();
        let deadline = deadline.at_most(FETCH_TIMEOUT);
        let mut trial = Trial::of(app, asked_at);
        let outcome = loop {
            let secret = trial.secret();
            let outcome = self.issue(key, app, secret, deadline).await;
            if let Some(outcome) = trial.ended(outcome) {
                break outcome;
            }
        };
        let (issued, fingerprint) = counted(key.kind, outcome)?;
        Ok(Arc::new(Token {
            value: issued.value,
            fingerprint,
            issued_at: asked_at,
            expires_at: asked_at + issued.expires_in,
        }))
    }

    /// The next pair of a user's login.
    pub(super) async fn exchange(
        &self,
        kind: TokenKind,
        app: &App,
        grant: &Grant<'_>,
        deadline: Deadline,
    ) -> Fetched<Pair> {
        let asked_at = self.clock.now();
        let deadline = deadline.at_most(FETCH_TIMEOUT);
        let mut trial = Trial::of(app, asked_at);
        let outcome = loop {
            let credentials = credentials(app, trial.secret());
            let version = self.lark.settings().oauth_version;
            let request = oauth::exchange(version, credentials, grant);
            let outcome = self.lark.send(sender(app), &request, deadline).await;
            if let Some(outcome) = trial.ended(outcome) {
                break outcome;
            }
        };
        let (issued, fingerprint) = counted(kind, outcome)?;
        Ok(pair(issued, fingerprint, asked_at))
    }

    async fn issue(
        self: &Arc<Self>,
        key: &TokenKey,
        app: &App,
        secret: &Secret,
        deadline: Deadline,
    ) -> Fetched<IssuedToken> {
        match (app.kind, key.kind) {
            (AppKind::Internal, TokenKind::Tenant) => {
                let issue = Issue::InternalTenant(credentials(app, secret));
                self.ask_for(app, &issue, deadline).await
            }
            (AppKind::Internal, TokenKind::App) => {
                let issue = Issue::InternalApp(credentials(app, secret));
                self.ask_for(app, &issue, deadline).await
            }
            (AppKind::Marketplace, TokenKind::App) => {
                self.issue_with_ticket(app, secret, deadline).await
            }
            (AppKind::Marketplace, TokenKind::Tenant) => {
                self.issue_for_tenant(app, &key.subject, deadline).await
            }
            (_, TokenKind::User) => Err(LarkFailure::without_answer(
                FailureKind::Invalid,
                "a user's token comes from a login alone",
            )),
        }
    }

    async fn ask_for(
        &self,
        app: &App,
        issue: &Issue<'_>,
        deadline: Deadline,
    ) -> Fetched<IssuedToken> {
        let request = auth::issue(issue);
        self.lark.send(sender(app), &request, deadline).await
    }

    async fn issue_with_ticket(
        &self,
        app: &App,
        secret: &Secret,
        deadline: Deadline,
    ) -> Fetched<IssuedToken> {
        let ticket = self.apps.ticket(&app.app_id, deadline).await;
        let ticket = match ticket.map_err(|error| unasked(&error))? {
            Some(ticket) => ticket,
            None => return Err(self.ask_for_ticket(app, secret, deadline).await),
        };
        let issue = Issue::MarketplaceApp(credentials(app, secret), &ticket.value);
        match self.ask_for(app, &issue, deadline).await {
            // "get app access token fail": the ticket is an old one.
            Err(failure) if failure.code == Some(10_012) => {
                Err(self.ask_for_ticket(app, secret, deadline).await)
            }
            outcome => outcome,
        }
    }

    async fn issue_for_tenant(
        self: &Arc<Self>,
        app: &App,
        tenant_key: &str,
        deadline: Deadline,
    ) -> Fetched<IssuedToken> {
        let Some(tenant) = TenantKey::parse(tenant_key) else {
            let msg = "a marketplace app's token needs a tenant";
            return Err(LarkFailure::without_answer(FailureKind::Invalid, msg));
        };
        let app_key = TokenKey::app(app.app_id.clone());
        let mut attempt = 1;
        loop {
            let app_token = self.app_token(app, &app_key, deadline).await?;
            let issue = Issue::MarketplaceTenant {
                app_access_token: &app_token.value,
                tenant_key: &tenant,
            };
            match self.ask_for(app, &issue, deadline).await {
                // The app's own token is void: exactly this one is dropped, and another is had, once.
                Err(failure) if is_about_app_token(&failure) && attempt == 1 => {
                    self.invalidate(&app_key, &app_token, deadline).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The app's own token, which a renewal of a tenant's token waits for. On the heap, because it is a renewal too.
    fn app_token<'a>(
        self: &'a Arc<Self>,
        app: &'a App,
        key: &'a TokenKey,
        deadline: Deadline,
    ) -> Pin<Box<dyn Future<Output = Fetched<SharedToken>> + Send + 'a>> {
        Box::pin(async move {
            let tokens = TokenService {
                inner: Arc::clone(self),
            };
            let token = tokens.token(app, key, Trust::Shared, deadline).await;
            token.map_err(|error| unasked(&error))
        })
    }

    /// Asks the platform to send the app's ticket again, unless somebody did a moment ago, and says what is missing.
    async fn ask_for_ticket(&self, app: &App, secret: &Secret, deadline: Deadline) -> LarkFailure {
        let asked = format!("lark:ticket-asked:{}", app.app_id);
        let is_first = match &self.cache {
            Some(cache) => cache.put_absent(&asked, b"1", RESEND_PAUSE).await,
            None => Ok(true),
        };
        if is_first.unwrap_or(true) {
            let request = auth::resend_app_ticket(credentials(app, secret));
            let outcome = self.lark.send(sender(app), &request, deadline).await;
            match outcome {
                Ok(()) => info!(
                    lark.app_id = app.app_id.as_str(),
                    "the platform was asked to send the app's ticket"
                ),
                Err(failure) => {
                    warn!(lark.app_id = app.app_id.as_str(), error = %failure, lark.log_id = failure.log_id, "the platform does not send the app's ticket");
                    if failure.kind == FailureKind::AppRefused {
                        return failure;
                    }
                }
            }
        }
        let msg = "the platform has not sent the app's ticket yet";
        LarkFailure::without_answer(FailureKind::TicketMissing, msg)
    }
}

/// The app by itself: token requests count against no tenant and need no token.
const fn sender(app: &App) -> Sender<'_> {
    Sender::without_token(Installation::without_tenant(app.domain, &app.app_id))
}

const fn credentials<'a>(app: &'a App, secret: &'a Secret) -> AppCredentials<'a> {
    AppCredentials {
        app_id: &app.app_id,
        secret: &secret.value,
    }
}

/// The secret in force and, if the platform refuses it, the one before, as long as that counts: a rotation may have reached
/// us before the platform.
struct Trial<'a> {
    app: &'a App,
    previous: Option<&'a Secret>,
    refusal: Option<LarkFailure>,
}

impl<'a> Trial<'a> {
    fn of(app: &'a App, now: Timestamp) -> Self {
        Self {
            app,
            previous: app.secrets.previous(now),
            refusal: None,
        }
    }

    /// The one to present now.
    const fn secret(&self) -> &'a Secret {
        match (&self.refusal, self.previous) {
            (Some(_), Some(previous)) => previous,
            (_, _) => &self.app.secrets.current,
        }
    }

    /// What came of it all, with the fingerprint of the secret that did it; `None`: there is another to be presented.
    fn ended<T>(&mut self, outcome: Fetched<T>) -> Option<Fetched<(T, Fingerprint)>> {
        let fingerprint = self.secret().fingerprint.clone();
        match (outcome, self.refusal.take()) {
            (Ok(answer), _) => Some(Ok((answer, fingerprint))),
            // What matters is what the platform thinks of the secret in force.
            (Err(_), Some(refusal)) => Some(Err(refusal)),
            (Err(failure), None)
                if failure.kind == FailureKind::AppRefused && self.previous.is_some() =>
            {
                info!(
                    lark.app_id = self.app.app_id.as_str(),
                    lark.code = failure.code,
                    "Lark refuses the app's new secret; the one before is tried"
                );
                self.refusal = Some(failure);
                None
            }
            (Err(failure), None) => Some(Err(failure)),
        }
    }
}

/// What came with the answer, at its moments.
pub(super) fn pair(issued: IssuedLogin, fingerprint: Fingerprint, asked_at: Timestamp) -> Pair {
    let token = Token {
        value: issued.access_token,
        fingerprint,
        issued_at: asked_at,
        expires_at: asked_at + issued.expires_in,
    };
    // Without a time of its own a refresh token is believed to live as long as the access token.
    let refresh_life = issued.refresh_expires_in.unwrap_or(issued.expires_in);
    let refresh = issued.refresh_token.map(|value| RefreshToken {
        value: Some(value),
        issued_at: asked_at,
        expires_at: asked_at + refresh_life,
    });
    Pair {
        token: Arc::new(token),
        refresh,
        scopes: issued.scope,
    }
}

fn counted<T>(kind: TokenKind, outcome: Fetched<T>) -> Fetched<T> {
    let result = outcome
        .as_ref()
        .map_or_else(|failure| failure.kind.as_str(), |_| "ok");
    metrics::token_refresh(kind.as_str(), result);
    outcome
}

/// Whether the platform finds fault with the app access token in the body.
fn is_about_app_token(failure: &LarkFailure) -> bool {
    failure.kind == FailureKind::TokenInvalid || failure.code == Some(10_012)
}

/// Something of ours failed before the platform could be asked.
fn unasked(error: &Error) -> LarkFailure {
    if let Some(failure) = error.lark() {
        return failure.clone();
    }
    let kind = if matches!(error, Error::AppTicketMissing { .. }) {
        FailureKind::TicketMissing
    } else if matches!(error, Error::DeadlineExceeded) {
        FailureKind::Timeout
    } else {
        FailureKind::Unavailable
    };
    LarkFailure {
        is_unsent: true,
        ..LarkFailure::without_answer(kind, error.to_string())
    }
}
