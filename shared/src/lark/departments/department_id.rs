//! Ids of departments, as the platform shapes them.

use crate::error::{Error, Result};
use crate::schema::{ANY_ID, describe, one_of, plain};

/// Which of a department's ids.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DepartmentIdKind {
    /// `od-…`: given by the platform.
    OpenDepartmentId,
    /// Without a fixed form: given by the tenant.
    DepartmentId,
}

describe!(
    DepartmentIdKind,
    "DepartmentIdType",
    one_of(
        "`open_department_id`: given by the platform. `department_id`: given by the company.",
        DepartmentIdKind::ALL.map(DepartmentIdKind::as_str),
    )
);

impl DepartmentIdKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::OpenDepartmentId, Self::DepartmentId];

    /// The kind in the platform's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenDepartmentId => "open_department_id",
            Self::DepartmentId => "department_id",
        }
    }

    /// The kind that `text` names.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `id_type`.
    pub fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found
            .ok_or_else(|| Error::invalid("id_type", "must be open_department_id or department_id"))
    }
}

/// An id that a department could have. The root, which is the company, has the id `0` of either kind.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct DepartmentId {
    kind: DepartmentIdKind,
    text: String,
}

/// The root in the platform's words.
const ROOT: &str = "0";
/// The prefix of the platform's own ids. A tenant's ids may not have it: "Create a department" of the contact API, code 43008.
const OPEN_PREFIX: &str = "od-";

describe!(
    DepartmentId,
    "DepartmentId",
    plain(1..=DepartmentId::MAX_BYTES, ANY_ID)
);

impl DepartmentId {
    /// The longest accepted id: the platform's limit for a tenant's own ids.
    pub const MAX_BYTES: usize = 64;

    /// `text` as an id of `kind`, if it can be one. What cannot exist never reaches Lark.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `id`.
    pub fn parse(kind: DepartmentIdKind, text: &str) -> Result<Self> {
        if !can_be(kind, text) {
            let form = match kind {
                DepartmentIdKind::OpenDepartmentId => {
                    "an open_department_id: `od-` and then letters, digits, `_` or `-`"
                }
                DepartmentIdKind::DepartmentId => {
                    "a department_id: letters, digits, `_`, `-`, `.` or `@`, not beginning with `od-`"
                }
            };
            let message = format!("must be {form}, at most 64 bytes in all; or `0` for the root");
            return Err(Error::invalid("id", message));
        }
        Ok(Self {
            kind,
            text: text.to_owned(),
        })
    }

    /// `text` as the platform's own id, if it can be one.
    pub(crate) fn open(text: &str) -> Option<Self> {
        Self::parse(DepartmentIdKind::OpenDepartmentId, text).ok()
    }

    /// The root department: the company.
    #[must_use]
    pub fn root() -> Self {
        Self {
            kind: DepartmentIdKind::OpenDepartmentId,
            text: ROOT.to_owned(),
        }
    }

    /// Whether it is the company.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.text == ROOT
    }

    /// Which id it is.
    #[must_use]
    pub const fn kind(&self) -> DepartmentIdKind {
        self.kind
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn can_be(kind: DepartmentIdKind, text: &str) -> bool {
    if text == ROOT {
        return true;
    }
    let is_open = text.starts_with(OPEN_PREFIX);
    let (rest, also): (&str, &[u8]) = match kind {
        DepartmentIdKind::OpenDepartmentId if is_open => (&text[OPEN_PREFIX.len()..], b"_-"),
        DepartmentIdKind::DepartmentId if !is_open => (text, b"_-.@"),
        DepartmentIdKind::OpenDepartmentId | DepartmentIdKind::DepartmentId => return false,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
    !rest.is_empty()
        && text.len() <= DepartmentId::MAX_BYTES
        && rest.bytes().all(is_plain)
        // `.` and `..` are plain too, but a URL's path would swallow them.
        && !rest.bytes().all(|byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: DepartmentIdKind = DepartmentIdKind::OpenDepartmentId;
    const OWN: DepartmentIdKind = DepartmentIdKind::DepartmentId;

    fn is_accepted(kind: DepartmentIdKind, text: &str) -> bool {
        DepartmentId::parse(kind, text).is_ok()
    }

    #[test]
    fn ids_have_the_form_of_their_kind() {
        assert!(is_accepted(OPEN, "od-4e6ac4d14bcd5071a37a39de902c7141"));
        assert!(is_accepted(OWN, "D096"));
        assert!(is_accepted(OWN, "sales.emea@corp-1_b"));
        assert!(!is_accepted(OPEN, "D096"));
        assert!(!is_accepted(OPEN, "od-a.b"));
        assert!(!is_accepted(OWN, "od-4e6ac4d14bcd5071a37a39de902c7141"));
    }

    #[test]
    fn the_root_is_a_department_by_either_kind() {
        for kind in DepartmentIdKind::ALL {
            assert!(DepartmentId::parse(kind, "0").unwrap().is_root());
        }
        assert!(!DepartmentId::parse(OWN, "00").unwrap().is_root());
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
            "a:b",
            "a?b",
            "a#b",
            "ü",
            "a\n",
            &"x".repeat(65),
        ] {
            assert!(!is_accepted(OWN, bad), "{bad:?}");
            assert!(!is_accepted(OPEN, &format!("od-{bad}")), "od-{bad:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_field_and_says_what_is_right() {
        let Err(Error::InvalidArgument(errors)) = DepartmentId::parse(OWN, "od-1") else {
            panic!("an open_department_id is no department_id");
        };
        assert_eq!(errors[0].field, "id");
        assert!(errors[0].message.starts_with("must be a department_id: "));
    }
}
