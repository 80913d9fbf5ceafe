//! The progress of reading a directory, for the run that resumes it.

use crate::clock::Timestamp;
use crate::directory::guard::Filter;
use crate::directory::tiers::{IdKind, ItemId};
use crate::lark::contacts::User;

/// How many ids of a user are in the filter.
const IDS_OF_A_USER: u64 = 3;
/// The share of users that may seem to be missing because of the filter's false positives.
const TOLERANCE_ONE_IN: u64 = 200;

/// A directory read up to some point.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) filter: Filter,
    /// The last department read completely; departments are read in the order of their ids.
    pub(super) done: Option<String>,
    /// The next page of the department after it.
    pub(super) page_token: Option<String>,
    /// How many different users were seen, or a few less.
    pub(super) users: u64,
}

impl Draft {
    /// An empty draft for a directory of `members` users.
    pub(super) fn new(members: u64, now: Timestamp) -> Self {
        let ids = members.saturating_mul(IDS_OF_A_USER);
        let mut filter = Filter::new(usize::try_from(ids).unwrap_or(usize::MAX), now, members);
        filter.kinds = [IdKind::OpenId, IdKind::UserId, IdKind::UnionId].into();
        Self {
            filter,
            done: None,
            page_token: None,
            users: 0,
        }
    }

    /// Adds the ids of `user`.
    pub(super) fn add(&mut self, user: &User) {
        let ids = [
            (IdKind::OpenId, &user.open_id),
            (IdKind::UserId, &user.user_id),
            (IdKind::UnionId, &user.union_id),
        ];
        let mut is_new = false;
        for (kind, text) in ids {
            match text.as_deref().filter(|text| !text.is_empty()) {
                Some(text) => {
                    let id = ItemId::new(kind, text);
                    if kind == IdKind::OpenId && self.filter.kinds.contains(&kind) {
                        is_new = !self.filter.may_have(&id);
                    }
                    self.filter.insert(&id);
                }
                // The app may not see it: then any unknown id of this kind may exist.
                None => drop(self.filter.kinds.remove(&kind)),
            }
        }
        self.users += u64::from(is_new);
    }

    /// Whether all users were seen.
    pub(super) fn has_everybody(&self) -> bool {
        let members = self.filter.members;
        self.users + members / TOLERANCE_ONE_IN + 1 >= members
    }

    /// As bytes, for the shared cache.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let head = format!(
            "{}\n{}\n{}\n",
            self.users,
            text(&self.done),
            text(&self.page_token)
        );
        let mut bytes = head.into_bytes();
        bytes.extend(self.filter.to_bytes());
        bytes
    }

    /// Reads what [`Draft::to_bytes`] made; `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
        let mut text = || std::str::from_utf8(parts.next()?).ok();
        let users = text()?.parse().ok()?;
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (done, page_token) = (some(text()?), some(text()?));
        Some(Self {
            filter: Filter::from_bytes(parts.next()?)?,
            done,
            page_token,
            users,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u32, shows_user_id: bool) -> User {
        User {
            open_id: Some(format!("ou_{number}")),
            union_id: Some(format!("on_{number}")),
            user_id: shows_user_id.then(|| format!("u{number}")),
            ..User::default()
        }
    }

    #[test]
    fn users_in_two_departments_count_once_and_missing_ones_are_noticed() {
        let mut draft = Draft::new(1_000, Timestamp::from_seconds(1));
        (0..900).for_each(|number| draft.add(&user(number, true)));
        (0..500).for_each(|number| draft.add(&user(number, true)));
        assert!(!draft.has_everybody());
        (900..1_000).for_each(|number| draft.add(&user(number, true)));
        assert!(draft.has_everybody());
    }

    #[test]
    fn a_kind_of_id_that_one_user_does_not_show_is_not_filtered() {
        let mut draft = Draft::new(2, Timestamp::from_seconds(1));
        draft.add(&user(1, true));
        let strange = ItemId::new(IdKind::UserId, "nobody");
        assert!(!draft.filter.may_have(&strange));
        draft.add(&user(2, false));
        assert!(draft.filter.may_have(&strange));
        assert!(!draft.filter.may_have(&ItemId::new(IdKind::OpenId, "ou_3")));
    }

    #[test]
    fn a_draft_survives_its_bytes() {
        let mut draft = Draft::new(10, Timestamp::from_seconds(1));
        draft.add(&user(1, true));
        draft.done = Some("od-1".to_owned());
        let read = Draft::from_bytes(&draft.to_bytes()).unwrap();
        assert_eq!(read.to_bytes(), draft.to_bytes());
        assert_eq!(
            (read.done, read.page_token, read.users),
            (draft.done, None, 1)
        );
        assert!(Draft::from_bytes(b"1\n\n").is_none());
    }
}
