//! Operations for operators and the platform's events: make tokens due, describe them, delete them.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::info::is_forgotten;
use super::{TokenInfo, TokenKey, TokenKind, TokenService, TokenState};
use crate::apps::{AppKind, Apps, NewApp};
use crate::changes::Actor;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::page::Page;
use crate::store::{Expect, StoreError, Table};

/// How often a deletion is retried after a conflict.
const ATTEMPTS: u32 = 8;
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
                tiers.publish(&state).await;
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

    /// Deletes the token `key`; returns whether there was one. No tier has it any more, or, where the shared cache does not
    /// answer, the scheduled run repeats it until it does. A record without secrets stays for a day.
    ///
    /// # Errors
    /// [`Error::Store`]: it may be deleted or not; a retry resumes.
    pub async fn forget(&self, key: &TokenKey, deadline: Deadline) -> Result<bool> {
        let tiers = self.tiers();
        for _ in 0..ATTEMPTS {
            let now = tiers.clock.now();
            let Some(record) = tiers.record(key, deadline).await? else {
                let void = TokenState::unknown(key.clone(), now).without_token(now);
                tiers.publish_surely(&void, deadline).await;
                tiers.remember(void);
                return Ok(false);
            };
            let was_there = !is_forgotten(&record);
            let before = TokenState {
                version: record.version,
                ..TokenState::unknown(key.clone(), now)
            };
            let state = before.forgotten(now);
            match tiers
                .write(&state, Expect::Version(record.version), deadline)
                .await
            {
                Ok(()) => {}
                Err(Error::Store(StoreError::Conflict)) => continue,
                Err(error) => return Err(error),
            }
            tiers.remember(state.clone());
            if tiers.publish_surely(&state, deadline).await {
                // If this fails, the scheduled run does it.
                let expect = Expect::Version(state.version);
                let _ = tiers.write(&state.retired(now), expect, deadline).await;
            }
            return Ok(was_there);
        }
        Err(StoreError::Conflict.into())
    }

    /// Registers an app, without anything that an earlier one of the same id may have left, and lets the next scheduled run
    /// fetch its first token.
    ///
    /// # Errors
    /// As [`Apps::register`]; a retry resumes.
    pub async fn register_app(
        &self,
        apps: &Apps,
        new: &NewApp,
        actor: &Actor,
        deadline: Deadline,
    ) -> Result<()> {
        if let Err(Error::AppNotFound(_)) = apps.read(&new.app_id, deadline).await {
            self.forget_app(&new.app_id, deadline).await?;
        }
        apps.register(new, actor, deadline).await?;
        self.make_first_due(new, deadline).await
    }

    /// Finishes what an earlier try of the same request began at `since` or later, if it registered the app; else it is
    /// somebody else's.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Store`], [`Error::Seal`].
    pub async fn finish_registration(
        &self,
        apps: &Apps,
        new: &NewApp,
        actor: &Actor,
        since: Timestamp,
        deadline: Deadline,
    ) -> Result<()> {
        if !apps.was_registered(new, actor, since, deadline).await? {
            return Err(Error::AlreadyExists(format!("the app {}", new.app_id)));
        }
        self.make_first_due(new, deadline).await
    }

    /// Deletes an app and all its tokens and logins. When a part of it failed, it can be repeated until everything is gone.
    ///
    /// # Errors
    /// [`Error::AppNotFound`] if nothing was left to delete; [`Error::Store`].
    pub async fn delete_app(
        &self,
        apps: &Apps,
        app_id: &AppId,
        actor: &Actor,
        deadline: Deadline,
    ) -> Result<()> {
        let deleted = apps.delete(app_id, actor, deadline).await;
        if !matches!(deleted, Ok(()) | Err(Error::AppNotFound(_))) {
            return deleted;
        }
        let forgotten = self.forget_app(app_id, deadline).await?;
        if forgotten > 0 { Ok(()) } else { deleted }
    }

    /// Deletes every token and login of a deleted app, and returns how many there were.
    ///
    /// # Errors
    /// [`Error::Store`]; a retry resumes.
    pub async fn forget_app(&self, app_id: &AppId, deadline: Deadline) -> Result<u64> {
        let mut forgotten = 0;
        for kind in TokenKind::ALL {
            forgotten += self.forget_kind(app_id, kind, deadline).await?;
        }
        Ok(forgotten)
    }

    async fn forget_kind(
        &self,
        app_id: &AppId,
        kind: TokenKind,
        deadline: Deadline,
    ) -> Result<u64> {
        let (mut after, mut forgotten) = (None::<String>, 0);
        loop {
            let page = self
                .tiers()
                .storage
                .list(
                    Table::Tokens,
                    &kind.partition(app_id),
                    "",
                    after.as_deref(),
                    FORGET_PAGE,
                    deadline,
                )
                .await?;
            let keys = page
                .records
                .iter()
                .filter(|record| !is_forgotten(record) || record.due.is_some())
                .filter_map(|record| TokenKey::from_store_key(&record.key));
            let keys: Vec<_> = keys.collect();
            forgotten += stream::iter(keys)
                .map(|key| async move { self.forget(&key, deadline).await })
                .buffer_unordered(FORGET_CONCURRENCY)
                .try_fold(0, async |sum, was_there| Ok(sum + u64::from(was_there)))
                .await?;
            after = page.next;
            if after.is_none() {
                return Ok(forgotten);
            }
        }
    }

    /// Describes the tokens of `app_id` of `kind`, by subject. Without their values.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list(
        &self,
        app_id: &AppId,
        kind: TokenKind,
        after: Option<&str>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Page<TokenInfo>> {
        let prefix = format!("{}#", kind.as_str());
        let after = after.map(|after| format!("{prefix}{after}"));
        let page = self
            .tiers()
            .storage
            .list(
                Table::Tokens,
                &kind.partition(app_id),
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
