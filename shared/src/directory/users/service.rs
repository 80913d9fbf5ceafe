//! Look-ups of one user.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::item::{is_for_all, item_asked};
use crate::apps::AppContext;
use crate::asker::Budget;
use crate::deadline::Deadline;
use crate::directory::guard::Guard;
use crate::directory::popularity::Popularity;
use crate::directory::tiers::{
    AbsentReason, AppTenant, Found, IdKind, ItemId, ItemKey, Loaded, PartialLookup, Tiers,
};
use crate::error::{Error, Result};
use crate::lark::contacts;
use crate::lark::contacts::{Contact, UserId};
use crate::platform::{Platform, SendError};

/// Looks users up. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct UserService {
    pub(super) inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub(super) platform: Platform,
    pub(super) tiers: Tiers,
    pub(super) guard: Guard,
    pub(super) popularity: Popularity,
}

impl UserService {
    /// A service over `tiers`, which it shares with the other services.
    #[must_use]
    pub fn new(platform: Platform, tiers: Tiers, guard: Guard, popularity: Popularity) -> Self {
        let inner = Inner {
            platform,
            tiers,
            guard,
            popularity,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The same service, asking Lark through `platform`.
    #[must_use]
    pub fn through(&self, platform: Platform) -> Self {
        let inner = Inner {
            platform,
            ..Inner::clone(&self.inner)
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The user `id`, as the app sees them.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; the errors of [`Platform::send`]; [`Error::LarkUnavailable`] and its like when Lark fails
    /// and no entry is cached; [`Error::DeadlineExceeded`].
    pub async fn user(
        &self,
        context: &AppContext,
        id: &UserId,
        deadline: Deadline,
    ) -> Result<Found> {
        let partial = self.partial_lookup(&AppTenant::of(context), id).await;
        self.finish_user(partial, context, deadline).await
    }

    /// A partial lookup of the user `id` in the faster tiers, which runs while the caller is authorised.
    pub async fn partial_lookup(&self, app_tenant: &AppTenant, id: &UserId) -> PartialLookup {
        let key = ItemKey::new(app_tenant.clone(), id.item_id());
        self.inner.tiers.partial_lookup(&key).await
    }

    /// The user of a partial lookup, as the app sees them.
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
        let refused = self
            .inner
            .tiers
            .refused(context.asker(), Budget::NotFound, &lookup);
        if let Some(found) = refused.await? {
            return Ok(found);
        }
        if lookup.is_unknown() && self.inner.guard.refuses(context, &at, deadline).await {
            context.found_nothing().await;
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
        let request = contacts::get_user(&user_id);
        match self.inner.platform.send(context, &request, deadline).await {
            Ok(user) if !is_for_all(&user, user_id.kind()) => {
                let open_id = user.open_id.unwrap_or_default();
                Ok(Loaded::Pointer(ItemId::new(IdKind::OpenId, open_id)))
            }
            Ok(user) => Ok(Loaded::Found {
                item: item_asked(&user, id),
                others: Vec::new(),
            }),
            Err(error) => absent_or_refused(error, AbsentReason::Unknown),
        }
    }

    async fn resolve(
        &self,
        context: &AppContext,
        contact: Option<&Contact>,
        deadline: Deadline,
    ) -> Result<Loaded> {
        let contact = contact.ok_or_else(|| Error::internal("a hash cannot be asked for"))?;
        let request = contacts::find_users(std::slice::from_ref(contact));
        match self.inner.platform.send(context, &request, deadline).await {
            Ok(found) => Ok(match found.into_iter().next().flatten() {
                Some(open_id) => Loaded::Pointer(ItemId::new(IdKind::OpenId, open_id)),
                None => {
                    context.found_nothing().await;
                    Loaded::Absent(AbsentReason::Unmatched)
                }
            }),
            Err(error) => absent_or_refused(error, AbsentReason::Unmatched),
        }
    }
}

fn absent_or_refused(error: SendError, reason: AbsentReason) -> Result<Loaded> {
    if error.is_not_found() {
        Ok(Loaded::Absent(reason))
    } else {
        Err(error.into())
    }
}
