//! The keys of items, in every tier.

use std::fmt;

use crate::apps::AppContext;
use crate::ids::{AppId, TenantKey};
use crate::store::Key;

/// A collection of items of one sort, with its own TTL.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Collection {
    /// Users, and pointers to them.
    Users,
    /// Departments, and pointers to them.
    Departments,
    /// Pages of the users of a department.
    DepartmentUsers,
    /// Chats.
    Chats,
    /// Pages of chats.
    ChatLists,
    /// Pages of the members of a chat.
    ChatMembers,
}

impl Collection {
    /// Every collection.
    pub const ALL: [Self; 6] = [
        Self::Users,
        Self::Departments,
        Self::DepartmentUsers,
        Self::Chats,
        Self::ChatLists,
        Self::ChatMembers,
    ];

    /// The collection in metrics and keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Departments => "departments",
            Self::DepartmentUsers => "department_users",
            Self::Chats => "chats",
            Self::ChatLists => "chat_lists",
            Self::ChatMembers => "chat_members",
        }
    }
}

/// The kind of id that an item is looked up by. Each belongs to one collection.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum IdKind {
    /// A user for one app.
    OpenId,
    /// A user in the tenant.
    UserId,
    /// A user for all apps of a developer.
    UnionId,
    /// A hash of an e-mail address.
    Email,
    /// A hash of a mobile number.
    Mobile,
    /// A department for one app.
    OpenDepartmentId,
    /// A department in the tenant.
    DepartmentId,
    /// A page of the users of a department.
    DepartmentUsers,
    /// A chat.
    ChatId,
    /// A page of the chats that the app is in.
    ChatList,
    /// A page of the chats that match a search.
    ChatSearch,
    /// A page of the members of a chat.
    ChatMembers,
}

impl IdKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::OpenId,
        Self::UserId,
        Self::UnionId,
        Self::Email,
        Self::Mobile,
        Self::OpenDepartmentId,
        Self::DepartmentId,
        Self::DepartmentUsers,
        Self::ChatId,
        Self::ChatList,
        Self::ChatSearch,
        Self::ChatMembers,
    ];

    /// The kind as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenId => "open_id",
            Self::UserId => "user_id",
            Self::UnionId => "union_id",
            Self::Email => "email",
            Self::Mobile => "mobile",
            Self::OpenDepartmentId => "open_department_id",
            Self::DepartmentId => "department_id",
            Self::DepartmentUsers => "department_users",
            Self::ChatId => "chat_id",
            Self::ChatList => "chat_list",
            Self::ChatSearch => "chat_search",
            Self::ChatMembers => "chat_members",
        }
    }

    /// The collection that it belongs to.
    #[must_use]
    pub const fn collection(self) -> Collection {
        match self {
            Self::OpenId | Self::UserId | Self::UnionId | Self::Email | Self::Mobile => {
                Collection::Users
            }
            Self::OpenDepartmentId | Self::DepartmentId => Collection::Departments,
            Self::DepartmentUsers => Collection::DepartmentUsers,
            Self::ChatId => Collection::Chats,
            Self::ChatList | Self::ChatSearch => Collection::ChatLists,
            Self::ChatMembers => Collection::ChatMembers,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An id of some kind. Its text has no space and no line end, because it is part of lines in the shared cache.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ItemId {
    /// Which kind.
    pub kind: IdKind,
    /// The id.
    pub text: String,
}

impl ItemId {
    /// The id `text` of `kind`.
    #[must_use]
    pub fn new(kind: IdKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// Reads what `Display` made; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, text) = text.split_once(':')?;
        Some(Self::new(IdKind::parse(kind)?, text))
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.text)
    }
}

/// The app and tenant that items are cached for: each app has its own view of a tenant's directory.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct AppTenant {
    /// The app.
    pub app_id: AppId,
    /// The tenant, where the app has several.
    pub tenant: Option<TenantKey>,
}

impl AppTenant {
    /// The app and tenant of `context`.
    #[must_use]
    pub fn of(context: &AppContext) -> Self {
        Self {
            app_id: context.app().app_id.clone(),
            tenant: context.tenant().cloned(),
        }
    }
}

impl fmt::Display for AppTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            None => self.app_id.fmt(f),
            Some(tenant) => write!(f, "{}@{tenant}", self.app_id),
        }
    }
}

/// The key of an item.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ItemKey {
    /// The app and tenant.
    pub app_tenant: AppTenant,
    /// The id.
    pub id: ItemId,
}

impl ItemKey {
    /// The key of `id` for `app_tenant`.
    #[must_use]
    pub const fn new(app_tenant: AppTenant, id: ItemId) -> Self {
        Self { app_tenant, id }
    }

    /// The key of another id for the same app and tenant.
    #[must_use]
    pub fn beside(&self, id: ItemId) -> Self {
        Self::new(self.app_tenant.clone(), id)
    }

    /// Its key in the shared cache. The part in braces decides the slot of a cluster.
    pub(super) fn cache_key(&self) -> String {
        let Self { app_tenant, id } = self;
        format!("lark:{}:{{{app_tenant}:{id}}}", id.kind.collection().name())
    }

    /// The key of the lease for filling it, in the same slot.
    pub(super) fn lease_key(&self) -> String {
        format!("lark:fill:{{{}:{}}}", self.app_tenant, self.id)
    }

    /// Its key in the store. The app alone would put a company's whole directory into one partition.
    pub(super) fn store_key(&self) -> Key {
        Key::new(
            format!("{}#{}", self.app_tenant, self.id.text),
            self.id.kind.as_str(),
        )
    }

    /// Its approximate size in memory.
    pub(super) fn weight(&self) -> usize {
        let tenant = self
            .app_tenant
            .tenant
            .as_ref()
            .map_or(0, |t| t.as_str().len());
        size_of::<Self>() + self.app_tenant.app_id.as_str().len() + tenant + self.id.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text() {
        for kind in IdKind::ALL {
            let id = ItemId::new(kind, "a:b@c.d");
            assert_eq!(ItemId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(ItemId::parse("shoe_size:43"), None);
        assert_eq!(ItemId::parse("open_id"), None);
    }

    #[test]
    fn a_lease_is_in_the_slot_of_what_it_fills() {
        let app_tenant = AppTenant {
            app_id: AppId::parse("cli_a").unwrap(),
            tenant: TenantKey::parse("t1"),
        };
        let key = ItemKey::new(app_tenant, ItemId::new(IdKind::UserId, "u}1"));
        let tag = |text: &str| {
            let (_, rest) = text.split_once('{').unwrap();
            rest.split_once('}').unwrap().0.to_owned()
        };
        assert_eq!(tag(&key.cache_key()), "cli_a@t1:user_id:u");
        assert_eq!(tag(&key.cache_key()), tag(&key.lease_key()));
    }
}
