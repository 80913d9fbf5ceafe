//! Look-ups of a department and the people in it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::item::loaded;
use crate::apps::AppContext;
use crate::deadline::Deadline;
use crate::directory::tiers::{
    AbsentReason, AppTenant, Found, IdKind, Item, ItemId, ItemKey, Loaded, Tiers,
};
use crate::directory::users;
use crate::error::{Error, Result};
use crate::lark::contacts::User;
use crate::lark::departments;
use crate::lark::departments::{DepartmentId, DepartmentIdKind};
use crate::page::{Page, PageRequest};
use crate::platform::{Platform, SendError};

/// Looks departments up. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct DepartmentService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    platform: Platform,
    tiers: Tiers,
}

/// The fields read from a department's body.
#[derive(Deserialize)]
struct Known {
    open_department_id: Option<String>,
}

impl DepartmentService {
    /// The longest page of the people in a department: that of the platform.
    pub const MAX_PAGE_SIZE: u32 = crate::lark::MAX_DEPARTMENT_PAGE;

    /// A service over `tiers`, which it shares with the other services.
    #[must_use]
    pub fn new(platform: Platform, tiers: Tiers) -> Self {
        Self {
            inner: Arc::new(Inner { platform, tiers }),
        }
    }

    /// The department `id`, as the app sees it: a [`departments::Department`] as JSON.
    ///
    /// # Errors
    /// [`Error::DepartmentNotFound`]; [`Error::LarkForbidden`] when it is outside the app's contact scope; the errors of
    /// [`Platform::send`]; [`Error::LarkUnavailable`] and its like when Lark fails and no entry is cached;
    /// [`Error::DeadlineExceeded`].
    pub async fn department(
        &self,
        context: &AppContext,
        id: &DepartmentId,
        deadline: Deadline,
    ) -> Result<Found> {
        let key = ItemKey::new(AppTenant::of(context), id.item_id());
        let load = {
            let (inner, context, asked) = (Arc::clone(&self.inner), context.clone(), id.clone());
            move |key: ItemKey, deadline| -> BoxFuture<'static, Result<Loaded>> {
                let (inner, context) = (Arc::clone(&inner), context.clone());
                let id = DepartmentId::of_item(&key.id).unwrap_or_else(|| asked.clone());
                async move { inner.load(&context, &id, deadline).await }.boxed()
            }
        };
        let tiers = &self.inner.tiers;
        let found = tiers.look_up(context.asker(), &key, deadline, load).await?;
        found.ok_or(Error::DepartmentNotFound)
    }

    /// A page of the people who are in the department itself: a [`Page`] of [`User`]s as JSON. The root has those who are in
    /// no other department.
    ///
    /// # Errors
    /// As [`DepartmentService::department`]; [`Error::InvalidArgument`] naming `page_token` when Lark does not know it.
    pub async fn users(
        &self,
        context: &AppContext,
        id: &DepartmentId,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Found> {
        let id = self.open_id(context, id, deadline).await?;
        let text = format!("{}:{}", id.as_str(), page.key_text());
        let item = ItemId::new(IdKind::DepartmentUsers, text);
        let key = ItemKey::new(AppTenant::of(context), item);
        let load = {
            let (inner, context, page) = (Arc::clone(&self.inner), context.clone(), page.clone());
            move |key: ItemKey, deadline| -> BoxFuture<'static, Result<Loaded>> {
                let inner = Arc::clone(&inner);
                let (context, id, page) = (context.clone(), id.clone(), page.clone());
                let load = async move {
                    let request = departments::list_users(&id, &page);
                    let list = inner.platform.send(&context, &request, deadline).await;
                    loaded_page(key.id, &page, list)
                };
                load.boxed()
            }
        };
        let tiers = &self.inner.tiers;
        let found = tiers.look_up(context.asker(), &key, deadline, load).await?;
        found.ok_or(Error::DepartmentNotFound)
    }

    /// The `open_department_id` of the department. Lark names all departments in an answer by the kind of id in the request,
    /// and users are cached with one kind only.
    async fn open_id(
        &self,
        context: &AppContext,
        id: &DepartmentId,
        deadline: Deadline,
    ) -> Result<DepartmentId> {
        if id.is_root() {
            return Ok(DepartmentId::root());
        }
        match id.kind() {
            DepartmentIdKind::OpenDepartmentId => Ok(id.clone()),
            DepartmentIdKind::DepartmentId => {
                let found = self.department(context, id, deadline).await?;
                let known: Option<Known> = serde_json::from_str(&found.body).ok();
                let text = known.and_then(|known| known.open_department_id);
                text.and_then(|text| DepartmentId::open(&text))
                    .ok_or_else(|| Error::internal("a department without open_department_id"))
            }
        }
    }
}

impl Inner {
    async fn load(
        &self,
        context: &AppContext,
        id: &DepartmentId,
        deadline: Deadline,
    ) -> Result<Loaded> {
        let request = departments::get_department(id);
        match self.platform.send(context, &request, deadline).await {
            Ok(department) => Ok(loaded(&department, id)),
            Err(error) if error.is_not_found() => Ok(Loaded::Absent(AbsentReason::Unknown)),
            Err(error) => Err(error.into()),
        }
    }
}

/// The items of a page: the page itself, and its users, who have the same fields here as in a single look-up.
fn loaded_page(
    id: ItemId,
    page: &PageRequest,
    list: std::result::Result<Page<User>, SendError>,
) -> Result<Loaded> {
    match list {
        Ok(list) => Ok(Loaded::Found {
            item: Item {
                id,
                aliases: Vec::new(),
                body: serde_json::to_string(&list).expect("a page is plain data"),
            },
            others: list.items.iter().filter_map(users::item_of).collect(),
        }),
        Err(error) if error.is_not_found() => Ok(Loaded::Absent(AbsentReason::Unknown)),
        Err(error) => Err(error.of_page(page)),
    }
}
