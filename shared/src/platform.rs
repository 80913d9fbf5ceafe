//! The one entry point to the platform: it sends a request of the service as an app, with that app's token.
//!
//! It gets the token, and replaces a rejected one, once. The client does rate limiting, time-outs and retries
//! ([`LarkClient::send`]). A request is a value that the API families of [`crate::lark`] make.

use std::time::Duration;

use tracing::warn;

use crate::apps::AppContext;
use crate::asker::Asker;
use crate::deadline::Deadline;
use crate::error::{Error, FailureKind, LarkFailure};
use crate::lark::{LarkClient, Request, Sender};
use crate::limiter::Turn;
use crate::page::PageRequest;
use crate::telemetry::metrics;
use crate::tokens::{SharedToken, Token, TokenKey, TokenService, Trust};

/// Sends requests as apps. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Platform {
    lark: LarkClient,
    tokens: TokenService,
}

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// The platform refused it, or did not answer.
    #[error(transparent)]
    Lark(#[from] LarkFailure),
    /// It could not be sent: there is no token.
    #[error(transparent)]
    Unsent(#[from] Error),
}

impl SendError {
    /// Whether the platform says that the requested item does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Lark(failure) if failure.kind == FailureKind::NotFound)
    }

    /// Whether the platform was asked for what it does not give: the same request costs another call next time.
    fn is_in_vain(&self) -> bool {
        let Self::Lark(failure) = self else {
            return false;
        };
        match failure.kind {
            // An answer without a code is a fault of the platform.
            FailureKind::NotFound
            | FailureKind::Forbidden
            | FailureKind::Invalid
            | FailureKind::Rejected
            | FailureKind::TenantRefused => failure.code.is_some(),
            FailureKind::TokenInvalid
            | FailureKind::AppRefused
            | FailureKind::GrantVoid
            | FailureKind::TicketMissing
            | FailureKind::RateLimited
            | FailureKind::QuotaExhausted
            | FailureKind::Unavailable
            | FailureKind::Timeout => false,
        }
    }

    /// The error for a caller who requested `page` of a list.
    #[must_use]
    pub fn of_page(self, page: &PageRequest) -> Error {
        match self {
            Self::Lark(failure) => page.refused(failure),
            Self::Unsent(error) => error,
        }
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Lark(failure) => Self::of_lark(failure),
            SendError::Unsent(error) => error,
        }
    }
}

impl Platform {
    /// A platform over `lark`, with tokens from `tokens`.
    #[must_use]
    pub const fn new(lark: LarkClient, tokens: TokenService) -> Self {
        Self { lark, tokens }
    }

    /// The same platform for background work: its calls leave half of each limit to others.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self {
            lark: self.lark.in_background(),
            tokens: self.tokens.clone(),
        }
    }

    /// Sends `request` as the app in `context`, with the token of its tenant. A call that finds nothing, or is refused, is charged
    /// to whoever asked.
    ///
    /// # Errors
    /// As [`Platform::send_with`].
    pub async fn send<T>(
        &self,
        context: &AppContext,
        request: &Request<T>,
        deadline: Deadline,
    ) -> Result<T, SendError> {
        let key = TokenKey::of_context(context);
        let answer = self.send_with(&key, context, request, deadline).await;
        if answer.as_ref().is_err_and(SendError::is_in_vain) {
            context.found_nothing().await;
        }
        answer
    }

    /// The turn of `request` as the app in `context`, within `patience`: see [`LarkClient::turn`].
    ///
    /// # Errors
    /// [`FailureKind::RateLimited`], with when a turn is to be had.
    pub async fn turn<T>(
        &self,
        context: &AppContext,
        request: &Request<T>,
        patience: Duration,
    ) -> Result<Turn, LarkFailure> {
        let sender = Sender::without_token(context.installation());
        self.lark.turn(sender, request, patience).await
    }

    /// Sends `request` for the app in `context` with the token `key`, such as a user's. If the platform rejects the token,
    /// exactly that token is invalidated everywhere, another one is fetched, and the request is sent once more.
    ///
    /// # Errors
    /// [`SendError::Unsent`] with the errors of [`TokenService::token`]; else the platform's failure.
    pub async fn send_with<T>(
        &self,
        key: &TokenKey,
        context: &AppContext,
        request: &Request<T>,
        deadline: Deadline,
    ) -> Result<T, SendError> {
        let app = context.app();
        let token = self.token(key, context, deadline).await?;
        let failure = match self.attempt(context, &token, request, deadline).await {
            Err(failure) if failure.kind == FailureKind::TokenInvalid => failure,
            outcome => return Ok(outcome?),
        };
        metrics::token_rejected(key.kind.as_str());
        warn!(
            lark.app_id = app.app_id.as_str(),
            lark.code = failure.code,
            lark.log_id = failure.log_id,
            "Lark rejected a token"
        );
        self.tokens.invalidate(key, &token, deadline).await;
        let token = self.token(key, context, deadline).await?;
        Ok(self.attempt(context, &token, request, deadline).await?)
    }

    async fn token(
        &self,
        key: &TokenKey,
        context: &AppContext,
        deadline: Deadline,
    ) -> Result<SharedToken, Error> {
        let (asker, app) = (context.asker(), context.app());
        let tokens = &self.tokens;
        tokens
            .token_for(asker, app, key, Trust::Shared, deadline)
            .await
    }

    async fn attempt<T>(
        &self,
        context: &AppContext,
        token: &Token,
        request: &Request<T>,
        deadline: Deadline,
    ) -> Result<T, LarkFailure> {
        let sender = Sender {
            installation: context.installation(),
            token: Some(&token.value),
            key_id: context.asker().map(Asker::key_id),
        };
        self.lark.send(sender, request, deadline).await
    }
}
