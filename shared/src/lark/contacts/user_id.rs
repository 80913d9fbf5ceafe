//! Ids of users, as the platform shapes them.

use crate::error::{Error, Result};
use crate::schema::{ANY_ID, describe, one_of, plain};

/// Which of a user's ids.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum UserIdKind {
    /// `ou_…`: the user for one app.
    OpenId,
    /// Without a fixed form: the user in the tenant.
    UserId,
    /// `on_…`: the user for all apps of a developer.
    UnionId,
}

describe!(
    UserIdKind,
    "UserIdType",
    one_of(
        "`open_id`: the user for one app. `user_id`: the user in the tenant. `union_id`: the user for all apps of a \
         developer.",
        UserIdKind::ALL.map(UserIdKind::as_str),
    )
);

impl UserIdKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::OpenId, Self::UserId, Self::UnionId];

    /// The kind in the platform's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenId => "open_id",
            Self::UserId => "user_id",
            Self::UnionId => "union_id",
        }
    }

    /// The kind that `text` names.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `id_type`.
    pub fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| Error::invalid("id_type", "must be open_id, user_id or union_id"))
    }
}

/// An id that a user could have.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UserId {
    kind: UserIdKind,
    text: String,
}

describe!(UserId, "UserId", plain(1..=UserId::MAX_BYTES, ANY_ID));

impl UserId {
    /// The longest id that is accepted.
    pub const MAX_BYTES: usize = 64;

    /// `text` as an id of `kind`, if it can be one. What cannot exist never reaches Lark.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `id`.
    pub fn parse(kind: UserIdKind, text: &str) -> Result<Self> {
        let prefix = match kind {
            UserIdKind::OpenId => "ou_",
            UserIdKind::UnionId => "on_",
            UserIdKind::UserId => "",
        };
        let rest = text.strip_prefix(prefix).unwrap_or_default();
        let also: &[u8] = match kind {
            UserIdKind::OpenId | UserIdKind::UnionId => b"_-",
            UserIdKind::UserId => b"_-.@",
        };
        let is_plain = rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte));
        // `.` and `..` are plain too, but a URL's path would swallow them.
        if rest.is_empty()
            || !is_plain
            || text.len() > Self::MAX_BYTES
            || rest.bytes().all(|byte| byte == b'.')
        {
            let form = match kind {
                UserIdKind::OpenId => "`ou_` and then letters, digits, `_` or `-`",
                UserIdKind::UnionId => "`on_` and then letters, digits, `_` or `-`",
                UserIdKind::UserId => "letters, digits, `_`, `-`, `.` or `@`",
            };
            return Err(Error::invalid(
                "id",
                format!(
                    "must be an {}: {form}, at most 64 bytes in all",
                    kind.as_str()
                ),
            ));
        }
        Ok(Self {
            kind,
            text: text.to_owned(),
        })
    }

    /// Which id it is.
    #[must_use]
    pub const fn kind(&self) -> UserIdKind {
        self.kind
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(kind: UserIdKind, text: &str) -> bool {
        UserId::parse(kind, text).is_ok()
    }

    #[test]
    fn ids_have_the_form_of_their_kind() {
        assert!(is_accepted(
            UserIdKind::OpenId,
            "ou_7d8a6e6df7621556ce0d21922b676706"
        ));
        assert!(is_accepted(
            UserIdKind::UnionId,
            "on_8ed6aa67826108097d9ee143816345"
        ));
        assert!(is_accepted(UserIdKind::UserId, "e33ggbyz"));
        assert!(is_accepted(UserIdKind::UserId, "jane.doe@corp"));
        assert!(!is_accepted(
            UserIdKind::OpenId,
            "on_8ed6aa67826108097d9ee143816345"
        ));
        assert!(!is_accepted(UserIdKind::UnionId, "ou_7d8a"));
        assert!(!is_accepted(UserIdKind::OpenId, "ou_a@b.c"));
    }

    #[test]
    fn what_could_leave_its_place_in_a_path_or_key_is_refused() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a%2Fb",
            "a b",
            "a?b",
            "a#b",
            "ü",
            "a\n",
            &"x".repeat(65),
        ] {
            assert!(!is_accepted(UserIdKind::UserId, bad), "{bad:?}");
        }
        assert!(!is_accepted(UserIdKind::OpenId, "ou_"));
    }
}
