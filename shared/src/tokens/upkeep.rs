//! Operations for operators and the platform's events: make tokens due, describe them, delete them.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{TokenInfo, TokenKey, TokenKind, TokenService, TokenState};
use crate::apps::{AppKind, NewApp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::page::Page;
use crate::store::{Expect, StoreError, Table};

/// How many tokens of a deleted app are read at a time, and deleted at a time.
const FORGET_PAGE: usize = 200;
const FORGET_CONCURRENCY: usize = 16;

impl TokenService {
    /// Lets the next scheduled run fetch the first token of a new app. A marketplace app also has a token for each tenant;
    /// those are fetched on the first request.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn make_first_due(&self, new: &NewApp, deadline: Deadline) -> Result<()> {
        let key = match new.kind {
            AppKind::Internal => TokenKey::tenant(new.app_id.clone(), None),
            AppKind::Marketplace => TokenKey::app(new.app_id.clone()),
        };
        self.make_due(&key, deadline).await
    }

    /// Clears the failure of a missing ticket, so that the next caller can retry at once.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn ticket_came(&self, app_id: &AppId, deadline: Deadline) -> Result<()> {
        let tiers = self.tiers();
        let key = TokenKey::app(app_id.clone());
        let store_key = key.store_key();
        let Some(record) = tiers
            .storage
            .get(Table::Tokens, &store_key, deadline)
            .await?
        else {
            return Ok(());
        };
        let state = TokenState::from_record(&record, &tiers.sealer, deadline).await?;
        if state.failure.is_none() {
            return Ok(());
        }
        let now = tiers.clock.now();
        let state = TokenState {
            version: state.next_version(now),
            failure: None,
            due_at: state.due_at.map(|_| now),
            ..state
        };
        let expect = Expect::Version(record.version);
        match tiers.write(&state, expect, deadline).await {
            Ok(()) => {
                tiers.publish(&state, deadline).await;
                tiers.remember(state);
                Ok(())
            }
            // Another process is renewing it and will find the ticket.
            Err(Error::Store(StoreError::Conflict)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets the next scheduled run fetch the token `key`, if it has no record yet.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn make_due(&self, key: &TokenKey, deadline: Deadline) -> Result<()> {
        let now = self.tiers().clock.now();
        let unknown = TokenState::unknown(key.clone(), now);
        let state = TokenState {
            version: unknown.next_version(now),
            ..unknown
        };
        let record = state.to_record(&self.tiers().sealer, deadline).await?;
        match self
            .tiers()
            .storage
            .put(Table::Tokens, &record, Expect::Absent, deadline)
            .await
        {
            Ok(()) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the token `key` from all tiers; returns whether there was a record.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn forget(&self, key: &TokenKey, deadline: Deadline) -> Result<bool> {
        let tiers = self.tiers();
        let found = tiers
            .storage
            .get(Table::Tokens, &key.store_key(), deadline)
            .await?;
        tiers
            .storage
            .delete(Table::Tokens, &key.store_key(), Expect::Anything, deadline)
            .await?;
        let version = found.as_ref().map_or(0, |record| record.version);
        let now = tiers.clock.now();
        let void = TokenState {
            version,
            ..TokenState::unknown(key.clone(), now)
        };
        let void = void.without_token(now);
        tiers.publish(&void, deadline).await;
        tiers.remember(void);
        Ok(found.is_some())
    }

    /// Deletes every token and login of a deleted app.
    ///
    /// # Errors
    /// [`Error::Store`]; a retry resumes.
    pub async fn forget_app(&self, app_id: &AppId, deadline: Deadline) -> Result<u64> {
        let (mut after, mut forgotten) = (None::<String>, 0);
        loop {
            let page = self
                .tiers()
                .storage
                .list(
                    Table::Tokens,
                    app_id.as_str(),
                    "",
                    after.as_deref(),
                    FORGET_PAGE,
                    deadline,
                )
                .await?;
            let keys = page
                .records
                .iter()
                .filter_map(|record| TokenKey::from_store_key(&record.key));
            let keys: Vec<_> = keys.collect();
            forgotten += keys.len() as u64;
            stream::iter(keys)
                .map(|key| async move { self.forget(&key, deadline).await })
                .buffer_unordered(FORGET_CONCURRENCY)
                .try_for_each(|_| std::future::ready(Ok(())))
                .await?;
            after = page.next;
            if after.is_none() {
                return Ok(forgotten);
            }
        }
    }

    /// Describes the tokens of `app_id` of `kind` (`None`: of all kinds), by subject. Without their values.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list(
        &self,
        app_id: &AppId,
        kind: Option<TokenKind>,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<TokenInfo>> {
        let prefix = kind
            .map(|kind| format!("{}#", kind.as_str()))
            .unwrap_or_default();
        let after = after.map(|after| format!("{prefix}{after}"));
        let page = self
            .tiers()
            .storage
            .list(
                Table::Tokens,
                app_id.as_str(),
                &prefix,
                after.as_deref(),
                limit,
                deadline,
            )
            .await?;
        let next = page
            .next
            .as_deref()
            .and_then(|sort| sort.strip_prefix(&prefix));
        let now = self.tiers().clock.now();
        let infos = page.records.iter();
        Ok(Page {
            next_page_token: next.map(str::to_owned),
            items: infos
                .filter_map(|record| TokenInfo::of(record, now))
                .collect(),
        })
    }

    /// Describes the token `key`, without its value; `None`: there is no record.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn describe(&self, key: &TokenKey, deadline: Deadline) -> Result<Option<TokenInfo>> {
        let record = self
            .tiers()
            .storage
            .get(Table::Tokens, &key.store_key(), deadline)
            .await?;
        let now = self.tiers().clock.now();
        Ok(record.and_then(|record| TokenInfo::of(&record, now)))
    }
}
