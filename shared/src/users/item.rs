//! A profile, as it is kept.

use super::{Contact, User, UserId, UserIdKind};
use crate::tiers::{IdKind, Item, ItemId};

/// What is kept of `user`: under the open_id, with the other ids and addresses that the app may see. `None` without open_id.
#[must_use]
pub fn item_of(user: &User) -> Option<Item> {
    let id = ItemId::new(IdKind::OpenId, plain(user.open_id.as_deref())?);
    Some(Item {
        aliases: aliases(user),
        body: body(user),
        id,
    })
}

/// What is kept of `user`, who was asked for by `asked`, whether the answer has an open_id or not.
pub(super) fn item_asked(user: &User, asked: &ItemId) -> Item {
    item_of(user).unwrap_or_else(|| Item {
        id: asked.clone(),
        aliases: Vec::new(),
        body: body(user),
    })
}

/// Whether `user`, who was asked for by an id of this kind, is as everybody should see them. The platform names the leader by
/// the kind of id that it was asked with, and a profile is kept for all.
pub(super) fn is_for_all(user: &User, asked: UserIdKind) -> bool {
    let has_leader = user
        .leader_user_id
        .as_ref()
        .is_some_and(|id| !id.is_empty());
    asked == UserIdKind::OpenId || !has_leader || plain(user.open_id.as_deref()).is_none()
}

/// The id of this kind that `user` shows.
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

/// An id that fits into a key; the platform sends an empty one for none.
fn plain(text: Option<&str>) -> Option<&str> {
    text.filter(|text| {
        !text.is_empty()
            && text.len() <= UserId::MAX_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    })
}
