//! A profile as a cached item.

use crate::directory::tiers::{IdKind, Item, ItemId};
use crate::lark::contacts::{Contact, User, UserId, UserIdKind};
use crate::page::hashed;

/// The item of `user`: under the open_id, with the other ids and addresses that the app may see. `None` without open_id.
#[must_use]
pub fn item_of(user: &User) -> Option<Item> {
    let id = ItemId::new(IdKind::OpenId, plain(user.open_id.as_deref())?);
    Some(Item {
        aliases: aliases(user),
        body: body(user),
        id,
    })
}

/// The item of `user`, requested by `asked`, whether the answer has an open_id or not.
pub(super) fn item_asked(user: &User, asked: &ItemId) -> Item {
    item_of(user).unwrap_or_else(|| Item {
        id: asked.clone(),
        aliases: Vec::new(),
        body: body(user),
    })
}

/// Whether `user`, requested by an id of this kind, may be cached for all callers. The platform names the leader by the kind
/// of id in the request, and a cached profile serves all.
pub(super) fn is_for_all(user: &User, asked: UserIdKind) -> bool {
    let has_leader = user
        .leader_user_id
        .as_ref()
        .is_some_and(|id| !id.is_empty());
    asked == UserIdKind::OpenId || !has_leader || plain(user.open_id.as_deref()).is_none()
}

/// The id of this kind in `user`.
pub(super) fn id_of(user: &User, kind: UserIdKind) -> Option<&str> {
    match kind {
        UserIdKind::OpenId => user.open_id.as_deref(),
        UserIdKind::UserId => user.user_id.as_deref(),
        UserIdKind::UnionId => user.union_id.as_deref(),
    }
}

fn body(user: &User) -> String {
    serde_json::to_string(user).expect("a profile is plain data")
}

fn aliases(user: &User) -> Vec<ItemId> {
    let id = |kind, text: Option<&str>| Some(ItemId::new(kind, plain(text)?));
    let email = user
        .email
        .as_ref()
        .and_then(|it| Contact::email(it.reveal()).ok());
    let mobile = user
        .mobile
        .as_ref()
        .and_then(|it| Contact::mobile(it.reveal()).ok());
    let all = [
        id(IdKind::UserId, user.user_id.as_deref()),
        id(IdKind::UnionId, user.union_id.as_deref()),
        email.map(|contact| contact.item_id()),
        mobile.map(|contact| contact.item_id()),
    ];
    all.into_iter().flatten().collect()
}

/// An id that fits into a key; the platform sends an empty text for none.
fn plain(text: Option<&str>) -> Option<&str> {
    text.filter(|text| {
        !text.is_empty()
            && text.len() <= UserId::MAX_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// How much of a hash is used: 128 bits.
const HASH_DIGITS: usize = 32;

impl Contact {
    /// The id it is cached under: a hash. It keeps addresses out of keys, which end up in logs; it does not hide them from
    /// anyone who can read the cached profiles.
    #[must_use]
    pub fn item_id(&self) -> ItemId {
        let kind = match self {
            Self::Email(_) => IdKind::Email,
            Self::Mobile(_) => IdKind::Mobile,
        };
        let hash = hashed(self.reveal());
        ItemId::new(kind, &hash[..HASH_DIGITS])
    }
}

impl UserId {
    /// The id that a user is cached under, or that points to it.
    #[must_use]
    pub fn item_id(&self) -> ItemId {
        let kind = match self.kind() {
            UserIdKind::OpenId => IdKind::OpenId,
            UserIdKind::UserId => IdKind::UserId,
            UserIdKind::UnionId => IdKind::UnionId,
        };
        ItemId::new(kind, self.as_str())
    }

    /// `id` as a user's id; `None` for a hash, and for ids of anything else.
    #[must_use]
    pub fn of_item(id: &ItemId) -> Option<Self> {
        let kind = UserIdKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == id.kind.as_str())?;
        Self::parse(kind, &id.text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    #[test]
    fn an_address_has_one_key_however_it_is_written() {
        let key = |contact: Result<Contact>| contact.unwrap().item_id();
        let jane = key(Contact::email("jane@example.com"));
        assert_eq!(key(Contact::email("Jane@Example.com")), jane);
    }

    #[test]
    fn keys_show_nothing_of_an_address() {
        let contact = Contact::email("jane@example.com").unwrap();
        assert_eq!(contact.item_id().text.len(), 32);
        assert!(!format!("{contact:?} {}", contact.item_id()).contains("jane"));
    }
}
