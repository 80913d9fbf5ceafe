//! A token that Lark rejected before its time is dropped in every tier: exactly that value, nothing newer.

use secrecy::ExposeSecret;
use tracing::warn;

use super::service::Inner;
use super::{Token, TokenKey, TokenState};
use crate::deadline::Deadline;
use crate::store::{Expect, StoreError, Table};

/// How often the store is compared and written again when others change the record meanwhile.
const ATTEMPTS: u32 = 4;

impl Inner {
    /// Makes sure that `rejected` is handed out no more. What cannot be reached is left: its next reader is rejected again.
    pub(super) async fn invalidate(&self, key: &TokenKey, rejected: &Token, deadline: Deadline) {
        for _ in 0..ATTEMPTS {
            match self.invalidate_once(key, rejected, deadline).await {
                Ok(state) => {
                    self.publish(&state, deadline).await;
                    self.remember(state);
                    return;
                }
                Err(StoreError::Conflict) => {}
                Err(error) => {
                    warn!(lark.app_id = key.app_id.as_str(), %error, "a rejected token stays in the store");
                    break;
                }
            }
        }
        if self.knows_another(key, rejected, deadline).await {
            return;
        }
        // Without the store, a void state with a fresh version hides the token in the cache and in the process.
        let void = self.blank(key).without_token(self.clock.now());
        self.publish(&void, deadline).await;
        self.remember(void);
    }

    /// Whether another token than the rejected one is known already.
    async fn knows_another(&self, key: &TokenKey, rejected: &Token, deadline: Deadline) -> bool {
        let Ok(Some(state)) = self.cached_state(key, deadline).await else {
            return false;
        };
        state
            .token
            .as_ref()
            .is_some_and(|token| token.value.expose_secret() != rejected.value.expose_secret())
    }

    /// The state in the store, without the rejected token. Written only if that changed something.
    async fn invalidate_once(
        &self,
        key: &TokenKey,
        rejected: &Token,
        deadline: Deadline,
    ) -> Result<TokenState, StoreError> {
        let now = self.clock.now();
        let Some(record) = self
            .storage
            .get(Table::Tokens, &key.store_key(), deadline)
            .await?
        else {
            return Ok(TokenState::unknown(key.clone(), now).without_token(now));
        };
        let unreadable = |error: crate::error::Error| StoreError::Corrupt {
            table: Table::Tokens.name(),
            key: record.key.to_string(),
            detail: error.to_string(),
        };
        let state = TokenState::from_record(&record, &self.sealer, deadline)
            .await
            .map_err(unreadable)?;
        let is_rejected = state
            .token
            .as_ref()
            .is_some_and(|token| token.value.expose_secret() == rejected.value.expose_secret());
        if !is_rejected {
            return Ok(state);
        }
        let state = state.without_token(now);
        let stripped = state
            .to_record(&self.sealer, deadline)
            .await
            .map_err(unreadable)?;
        self.storage
            .put(
                Table::Tokens,
                &stripped,
                Expect::Version(record.version),
                deadline,
            )
            .await?;
        Ok(state)
    }
}
