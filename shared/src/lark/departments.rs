//! Departments: the platform's `contact/v3` family. Sources: "Get single department information", "Get the list of
//! sub-departments", "Get the list of users directly under a department", "Obtain the contact scope of the app".

use secrecy::SecretString;
use serde::Deserialize;

use super::apis::{
    CONTACT_DEPARTMENT_CHILDREN, CONTACT_DEPARTMENT_GET, CONTACT_SCOPE_LIST,
    CONTACT_USER_FIND_BY_DEPARTMENT,
};
use super::reading::{More, Reading, lacking};
use super::{Installation, LarkClient};
use crate::deadline::Deadline;
use crate::error::LarkFailure;
use crate::lark::contacts::User;
use crate::page::{Page, PageRequest};

mod department;
mod department_id;

pub use department::{Department, DepartmentStatus, I18nName, Leader};
pub use department_id::{DepartmentId, DepartmentIdKind};

/// The longest page of departments, and of users of a department.
pub const MAX_DEPARTMENT_PAGE: u32 = 50;
/// The longest page of an app's contact scope.
pub const MAX_SCOPE_PAGE: u32 = 100;

/// Which of the departments below another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Below {
    /// Those directly below.
    Direct,
    /// Those below at any depth.
    All,
}

/// A page of what an app may see of the directory. A department stands for all who are in it or below it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContactScope {
    /// `open_department_id`s; `0`: everybody.
    pub department_ids: Vec<String>,
    /// `open_id`s of users beside those.
    pub user_ids: Vec<String>,
    /// User groups beside those.
    pub group_ids: Vec<String>,
    /// What the next page is asked for with; none on the last one.
    pub next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct DepartmentData {
    department: Option<Department>,
}

#[derive(Deserialize)]
struct ScopeData {
    department_ids: Option<Vec<String>>,
    user_ids: Option<Vec<String>>,
    group_ids: Option<Vec<String>>,
    #[serde(flatten)]
    more: More,
}

/// Users are told by their open_id.
const OPEN_ID: (&str, &str) = ("user_id_type", "open_id");
const DEPARTMENT_ID_TYPE: &str = "department_id_type";

impl LarkClient {
    /// The department `id`, as far as the app may see it; the one above it by the kind of `id`. Safe to repeat.
    ///
    /// # Errors
    /// [`crate::error::FailureKind::NotFound`], [`crate::error::FailureKind::Forbidden`] when outside the app's contact scope,
    /// [`crate::error::FailureKind::TokenInvalid`], and what the transport says.
    pub async fn fetch_department(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        id: &DepartmentId,
        deadline: Deadline,
    ) -> Result<Department, LarkFailure> {
        let reading = Reading {
            api: &CONTACT_DEPARTMENT_GET,
            installation,
            token,
            path: &["open-apis", "contact", "v3", "departments", id.as_str()],
            query: &[OPEN_ID, (DEPARTMENT_ID_TYPE, id.kind().as_str())],
        };
        let data: DepartmentData = self.read(&reading, deadline).await?;
        data.department.ok_or_else(|| lacking("department"))
    }

    /// A page, of up to [`MAX_DEPARTMENT_PAGE`], of the departments below `id`; the ones above them by the kind of `id`.
    ///
    /// # Errors
    /// As [`LarkClient::fetch_department`]; [`crate::error::FailureKind::Invalid`] for a token of another list.
    pub async fn fetch_department_children(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        id: &DepartmentId,
        below: Below,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Department>, LarkFailure> {
        let fetch_child = match below {
            Below::Direct => "false",
            Below::All => "true",
        };
        let segments = [
            "open-apis",
            "contact",
            "v3",
            "departments",
            id.as_str(),
            "children",
        ];
        let reading = Reading {
            api: &CONTACT_DEPARTMENT_CHILDREN,
            installation,
            token,
            path: &segments,
            query: &[
                OPEN_ID,
                (DEPARTMENT_ID_TYPE, id.kind().as_str()),
                ("fetch_child", fetch_child),
            ],
        };
        self.read_page(&reading, page, deadline).await
    }

    /// A page, of up to [`MAX_DEPARTMENT_PAGE`], of the users who are in the department itself, as far as the app may see
    /// them; their departments by the kind of `id`.
    ///
    /// # Errors
    /// As [`LarkClient::fetch_department_children`].
    pub async fn fetch_department_users(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        id: &DepartmentId,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<User>, LarkFailure> {
        let reading = Reading {
            api: &CONTACT_USER_FIND_BY_DEPARTMENT,
            installation,
            token,
            path: &["open-apis", "contact", "v3", "users", "find_by_department"],
            query: &[
                OPEN_ID,
                (DEPARTMENT_ID_TYPE, id.kind().as_str()),
                ("department_id", id.as_str()),
            ],
        };
        self.read_page(&reading, page, deadline).await
    }

    /// A page, of up to [`MAX_SCOPE_PAGE`], of what the app may see of the directory.
    ///
    /// # Errors
    /// [`crate::error::FailureKind::TokenInvalid`], [`crate::error::FailureKind::Invalid`], and what the transport says.
    pub async fn fetch_scopes(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<ContactScope, LarkFailure> {
        let kind = DepartmentIdKind::OpenDepartmentId.as_str();
        let reading = Reading {
            api: &CONTACT_SCOPE_LIST,
            installation,
            token,
            path: &["open-apis", "contact", "v3", "scopes"],
            query: &[OPEN_ID, (DEPARTMENT_ID_TYPE, kind)],
        };
        let data: ScopeData = self.read_paged(&reading, page, deadline).await?;
        Ok(ContactScope {
            department_ids: data.department_ids.unwrap_or_default(),
            user_ids: data.user_ids.unwrap_or_default(),
            group_ids: data.group_ids.unwrap_or_default(),
            next_page_token: data.more.next_page_token(),
        })
    }
}
