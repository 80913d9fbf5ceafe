//! The look-up of one user.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::item::{is_for_all, item_asked};
use crate::apps::AppContext;
use crate::deadline::Deadline;
use crate::directory::guard::Guard;
use crate::directory::popularity::Popularity;
use crate::directory::tiers::{
    AbsentReason, AppTenant, Found, IdKind, ItemId, ItemKey, Loaded, PartialLookup, Tiers,
};
use crate::error::{Error, Result};
use crate::error::{FailureKind, LarkFailure};
use crate::lark::LarkClient;
use crate::lark::contacts::{Contact, UserId};
use crate::tokens::{SharedToken, TokenKey, TokenService};

/// Looks users up. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct UserService {
    pub(super) inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub(super) lark: LarkClient,
    pub(super) tokens: TokenService,
    pub(super) tiers: Tiers,
    pub(super) guard: Guard,
    pub(super) popularity: Popularity,
}

impl UserService {
    /// A service over `tiers`, where others keep things as well.
    #[must_use]
    pub fn new(
        lark: LarkClient,
        tokens: TokenService,
        tiers: Tiers,
        guard: Guard,
        popularity: Popularity,
    ) -> Self {
        let inner = Inner {
            lark,
            tokens,
            tiers,
            guard,
            popularity,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The same service, asking Lark through `lark`.
    #[must_use]
    pub fn through(&self, lark: LarkClient) -> Self {
        let inner = Inner {
            lark,
            ..Inner::clone(&self.inner)
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The user `id`, as the app sees them.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; what [`TokenService::token`] says; [`Error::LarkUnavailable`] and its
    /// like when Lark fails and nothing is kept; [`Error::DeadlineExceeded`].
    pub async fn user(
        &self,
        context: &AppContext,
        id: &UserId,
        deadline: Deadline,
    ) -> Result<Found> {
        let partial = self.partial_lookup(&AppTenant::of(context), id).await;
        self.finish_user(partial, context, deadline).await
    }

    /// What the faster tiers know of the user `id`, looked up while it is decided whether the caller may ask.
    pub async fn partial_lookup(&self, app_tenant: &AppTenant, id: &UserId) -> PartialLookup {
        let key = ItemKey::new(app_tenant.clone(), id.item_id());
        self.inner.tiers.partial_lookup(&key).await
    }

    /// The user who was glanced at, as the app sees them.
    ///
    /// # Errors
    /// As [`UserService::user`].
    pub async fn finish_user(
        &self,
        partial: PartialLookup,
        context: &AppContext,
        deadline: Deadline,
    ) -> Result<Found> {
        self.look_up(context, partial, None, deadline).await
    }

    /// The user with this address.
    ///
    /// # Errors
    /// As [`UserService::user`].
    pub async fn find(
        &self,
        context: &AppContext,
        contact: &Contact,
        deadline: Deadline,
    ) -> Result<Found> {
        let key = ItemKey::new(AppTenant::of(context), contact.item_id());
        let partial = self.inner.tiers.partial_lookup(&key).await;
        let contact = Some(contact.clone());
        self.look_up(context, partial, contact, deadline).await
    }

    async fn look_up(
        &self,
        context: &AppContext,
        partial: PartialLookup,
        contact: Option<Contact>,
        deadline: Deadline,
    ) -> Result<Found> {
        let lookup = self.inner.tiers.finish(partial, deadline).await;
        let at = lookup.key().clone();
        if lookup.is_unknown() && self.inner.guard.refuses(context, &at, deadline).await {
            return Err(Error::UserNotFound);
        }
        let load = {
            let (users, context) = (self.clone(), context.clone());
            move |key: ItemKey, deadline| -> BoxFuture<'static, Result<Loaded>> {
                let (users, context, contact) = (users.clone(), context.clone(), contact.clone());
                async move {
                    users
                        .load(&context, &key.id, contact.as_ref(), deadline)
                        .await
                }
                .boxed()
            }
        };
        let found = self.inner.tiers.complete(lookup, deadline, load).await?;
        let found = found.ok_or(Error::UserNotFound)?;
        if at.id.kind == IdKind::OpenId {
            self.inner.popularity.note(&at).await;
        }
        Ok(found)
    }

    async fn load(
        &self,
        context: &AppContext,
        id: &ItemId,
        contact: Option<&Contact>,
        deadline: Deadline,
    ) -> Result<Loaded> {
        let Some(user_id) = UserId::of_item(id) else {
            return self.resolve(context, contact, deadline).await;
        };
        let call = |token: SharedToken| {
            let (lark, installation, id) = (&self.inner.lark, context.installation(), &user_id);
            async move {
                lark.fetch_user(installation, &token.value, id, deadline)
                    .await
            }
        };
        let key = TokenKey::of_context(context);
        let answer = self
            .inner
            .tokens
            .call(context.app(), &key, deadline, call)
            .await?;
        match answer {
            Ok(user) if !is_for_all(&user, user_id.kind()) => {
                let open_id = user.open_id.unwrap_or_default();
                Ok(Loaded::Pointer(ItemId::new(IdKind::OpenId, open_id)))
            }
            Ok(user) => Ok(Loaded::Found {
                item: item_asked(&user, id),
                others: Vec::new(),
            }),
            Err(failure) => absent_or_refused(failure, AbsentReason::Unknown),
        }
    }

    async fn resolve(
        &self,
        context: &AppContext,
        contact: Option<&Contact>,
        deadline: Deadline,
    ) -> Result<Loaded> {
        let contact = contact.ok_or_else(|| Error::internal("a hash cannot be asked for"))?;
        let call = |token: SharedToken| {
            let (lark, installation) = (&self.inner.lark, context.installation());
            let contacts = std::slice::from_ref(contact);
            async move {
                lark.find_users(installation, &token.value, contacts, deadline)
                    .await
            }
        };
        let key = TokenKey::of_context(context);
        match self
            .inner
            .tokens
            .call(context.app(), &key, deadline, call)
            .await?
        {
            Ok(found) => Ok(match found.into_iter().next().flatten() {
                Some(open_id) => Loaded::Pointer(ItemId::new(IdKind::OpenId, open_id)),
                None => Loaded::Absent(AbsentReason::Unmatched),
            }),
            Err(failure) => absent_or_refused(failure, AbsentReason::Unmatched),
        }
    }
}

fn absent_or_refused(failure: LarkFailure, reason: AbsentReason) -> Result<Loaded> {
    if failure.kind == FailureKind::NotFound {
        Ok(Loaded::Absent(reason))
    } else {
        Err(Error::of_lark(failure))
    }
}
