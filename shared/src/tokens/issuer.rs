//! Requests tokens from the platform, by kind of token and kind of app.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::logins::{Pair, RefreshToken};
use super::{SharedToken, Token, TokenKind};
use crate::apps::{App, AppKind, Apps, Secret};
use crate::cache::{CacheClient, Lease};
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, LarkFailure};
use crate::ids::TenantKey;
use crate::lark::auth::{self, AppCredentials, Issue, IssuedToken};
use crate::lark::oauth::{self, Grant, IssuedLogin};
use crate::lark::{Installation, LarkClient, Sender};
use crate::seal::Fingerprint;
use crate::telemetry::metrics;

/// The time for a token request, retries included.
pub(super) const ISSUE_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest time between two requests for a missing ticket.
const RESEND_PAUSE: Duration = Duration::from_secs(60);

/// What the platform issued, or its failure.
pub(super) type Issued<T> = Result<T, LarkFailure>;

/// Requests tokens from the platform. It stores nothing.
#[derive(Debug)]
pub(super) struct Issuer {
    lark: LarkClient,
    /// For codes: anybody can bring one, so they leave half of each limit to refreshes.
    for_codes: LarkClient,
    apps: Apps,
    cache: Option<CacheClient>,
    clock: Arc<dyn Clock>,
}

impl Issuer {
    pub(super) fn new(
        lark: LarkClient,
        apps: Apps,
        cache: Option<CacheClient>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let for_codes = lark.in_background();
        Self {
            lark,
            for_codes,
            apps,
            cache,
            clock,
        }
    }

    /// A new token of `kind`, for neither a user nor a tenant of a marketplace app, requested with the current secret or else
    /// the previous one.
    pub(super) async fn issue(
        &self,
        app: &App,
        kind: TokenKind,
        deadline: Deadline,
    ) -> Issued<SharedToken> {
        let asked_at = self.clock.now();
        let deadline = deadline.at_most(ISSUE_TIMEOUT);
        let mut attempts = SecretAttempts::of(app, asked_at);
        let outcome = loop {
            let issued = self
                .issue_with(app, kind, attempts.secret(), deadline)
                .await;
            if let Some(outcome) = attempts.ended(issued) {
                break outcome;
            }
        };
        let (issued, fingerprint) = outcome?;
        Ok(shared(issued, fingerprint, asked_at))
    }

    /// A new token of the marketplace app `app` for `tenant`; the platform requires the app's own token for it.
    pub(super) async fn issue_for_tenant(
        &self,
        app: &App,
        app_token: &Token,
        tenant: &TenantKey,
        deadline: Deadline,
    ) -> Issued<SharedToken> {
        let asked_at = self.clock.now();
        let issue = Issue::MarketplaceTenant {
            app_access_token: &app_token.value,
            tenant_key: tenant,
        };
        let issued = self.ask(app, &issue, deadline.at_most(ISSUE_TIMEOUT)).await;
        let fingerprint = app.secrets.current.fingerprint.clone();
        Ok(shared(issued?, fingerprint, asked_at))
    }

    /// The next token pair of a user's login.
    pub(super) async fn exchange(
        &self,
        app: &App,
        grant: &Grant<'_>,
        deadline: Deadline,
    ) -> Issued<Pair> {
        let asked_at = self.clock.now();
        let deadline = deadline.at_most(ISSUE_TIMEOUT);
        let version = self.lark.settings().oauth_version;
        let (lark, is_refresh) = match grant {
            Grant::Code { .. } => (&self.for_codes, false),
            Grant::Refresh(_) => (&self.lark, true),
        };
        let mut attempts = SecretAttempts::of(app, asked_at);
        let outcome = loop {
            let request = oauth::exchange(version, credentials(app, attempts.secret()), grant);
            let issued = lark.send(sender(app), &request, deadline).await;
            if let Some(outcome) = attempts.ended(issued) {
                break outcome;
            }
        };
        // A made-up code is no failed refresh, of which an alarm would tell.
        let outcome = if is_refresh {
            counted(TokenKind::User, outcome)
        } else {
            outcome
        };
        let (issued, fingerprint) = outcome?;
        Ok(pair(issued, fingerprint, asked_at))
    }

    async fn issue_with(
        &self,
        app: &App,
        kind: TokenKind,
        secret: &Secret,
        deadline: Deadline,
    ) -> Issued<IssuedToken> {
        let credentials = credentials(app, secret);
        match (app.kind, kind) {
            (AppKind::Internal, TokenKind::Tenant) => {
                let issue = Issue::InternalTenant(credentials);
                self.ask(app, &issue, deadline).await
            }
            (AppKind::Internal, TokenKind::App) => {
                let issue = Issue::InternalApp(credentials);
                self.ask(app, &issue, deadline).await
            }
            (AppKind::Marketplace, TokenKind::App) => {
                self.issue_with_ticket(app, secret, deadline).await
            }
            (AppKind::Marketplace, TokenKind::Tenant) | (_, TokenKind::User) => {
                Err(LarkFailure::without_answer(
                    FailureKind::Invalid,
                    "a user's token comes from a login alone, and a tenant's of a marketplace app needs the app's own",
                ))
            }
        }
    }

    async fn ask(&self, app: &App, issue: &Issue<'_>, deadline: Deadline) -> Issued<IssuedToken> {
        self.lark
            .send(sender(app), &auth::issue(issue), deadline)
            .await
    }

    async fn issue_with_ticket(
        &self,
        app: &App,
        secret: &Secret,
        deadline: Deadline,
    ) -> Issued<IssuedToken> {
        let ticket = self.apps.ticket(&app.app_id, deadline).await;
        let ticket = match ticket.map_err(|error| unasked(&error))? {
            Some(ticket) => ticket,
            None => return Err(self.ask_for_ticket(app, secret, deadline).await),
        };
        let issue = Issue::MarketplaceApp(credentials(app, secret), &ticket.value);
        match self.ask(app, &issue, deadline).await {
            // "get app access token fail": the ticket is an old one.
            Err(failure) if failure.code == Some(10_012) => {
                Err(self.ask_for_ticket(app, secret, deadline).await)
            }
            outcome => outcome,
        }
    }

    /// Asks the platform to resend the app's ticket, unless a process did so a moment ago; returns the failure for the caller.
    async fn ask_for_ticket(&self, app: &App, secret: &Secret, deadline: Deadline) -> LarkFailure {
        let is_first = match &self.cache {
            Some(cache) => {
                // Never released: its TTL is the pause.
                let asked = format!("lark:ticket-asked:{}", app.app_id);
                let lease = Lease::new(cache, asked, RESEND_PAUSE);
                lease.may_proceed().await
            }
            None => true,
        };
        if is_first {
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

/// The app without a tenant: token requests count against no tenant and need no token.
const fn sender(app: &App) -> Sender<'_> {
    Sender::without_token(Installation::without_tenant(app.domain, &app.app_id))
}

const fn credentials<'a>(app: &'a App, secret: &'a Secret) -> AppCredentials<'a> {
    AppCredentials {
        app_id: &app.app_id,
        secret: &secret.value,
    }
}

/// The issued token, shared by callers.
fn shared(issued: IssuedToken, fingerprint: Fingerprint, asked_at: Timestamp) -> SharedToken {
    Arc::new(Token {
        value: issued.value,
        fingerprint,
        issued_at: asked_at,
        expires_at: asked_at + issued.expires_in,
    })
}

/// The attempts with the current secret and, if the platform refuses it, with the previous one while that is valid: a rotation
/// may have reached us before the platform.
struct SecretAttempts<'a> {
    app: &'a App,
    previous: Option<&'a Secret>,
    refusal: Option<LarkFailure>,
}

impl<'a> SecretAttempts<'a> {
    fn of(app: &'a App, now: Timestamp) -> Self {
        Self {
            app,
            previous: app.secrets.previous(now),
            refusal: None,
        }
    }

    /// The secret to present now.
    const fn secret(&self) -> &'a Secret {
        match (&self.refusal, self.previous) {
            (Some(_), Some(previous)) => previous,
            (_, _) => &self.app.secrets.current,
        }
    }

    /// The final outcome, with the fingerprint of the secret that worked; `None`: there is another secret to try.
    fn ended<T>(&mut self, outcome: Issued<T>) -> Option<Issued<(T, Fingerprint)>> {
        let fingerprint = self.secret().fingerprint.clone();
        match (outcome, self.refusal.take()) {
            (Ok(answer), _) => Some(Ok((answer, fingerprint))),
            // The refusal of the current secret is the one to report.
            (Err(_), Some(refusal)) => Some(Err(refusal)),
            (Err(failure), None)
                if failure.kind == FailureKind::AppRefused && self.previous.is_some() =>
            {
                info!(
                    lark.app_id = self.app.app_id.as_str(),
                    lark.code = failure.code,
                    "Lark refuses the app's new secret; trying the previous one"
                );
                self.refusal = Some(failure);
                None
            }
            (Err(failure), None) => Some(Err(failure)),
        }
    }
}

/// The token pair of the answer, its lifetimes as moments.
pub(super) fn pair(issued: IssuedLogin, fingerprint: Fingerprint, asked_at: Timestamp) -> Pair {
    let token = Token {
        value: issued.access_token,
        fingerprint,
        issued_at: asked_at,
        expires_at: asked_at + issued.expires_in,
    };
    // A refresh token without a lifetime is taken to live as long as the access token.
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

/// `outcome`, counted in the metrics.
pub(super) fn counted<T>(kind: TokenKind, outcome: Issued<T>) -> Issued<T> {
    let result = outcome
        .as_ref()
        .map_or_else(|failure| failure.kind.as_str(), |_| "ok");
    metrics::token_refresh(kind.as_str(), result);
    outcome
}

/// Whether the platform rejects the app access token in the body.
pub(super) fn is_about_app_token(failure: &LarkFailure) -> bool {
    failure.kind == FailureKind::TokenInvalid || failure.code == Some(10_012)
}

/// A failure on our side before the request was sent.
pub(super) fn unasked(error: &Error) -> LarkFailure {
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
