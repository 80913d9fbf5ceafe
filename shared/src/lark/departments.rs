//! Departments: the platform's `contact/v3` family. Sources: "Get single department information", "Get the list of
//! sub-departments", "Get the list of users directly under a department", "Obtain the contact scope of the app".

use serde::Deserialize;

use super::Request;
use super::apis::{
    CONTACT_DEPARTMENT_CHILDREN, CONTACT_DEPARTMENT_GET, CONTACT_SCOPE_LIST,
    CONTACT_USER_FIND_BY_DEPARTMENT,
};
use super::contacts::User;
use super::request::NextPage;
use crate::error::LarkFailure;
use crate::page::{Page, PageRequest};

mod department;
mod department_id;

pub use department::{Department, DepartmentStatus, I18nName, Leader};
pub use department_id::{DepartmentId, DepartmentIdKind};

/// The longest page of departments, and of users of a department.
pub const MAX_DEPARTMENT_PAGE: u32 = 50;
/// The longest page of an app's contact scope.
pub const MAX_SCOPE_PAGE: u32 = 100;

/// Which descendants of a department.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Below {
    /// The direct children.
    Direct,
    /// All descendants.
    All,
}

/// A page of an app's contact scope. A department includes everyone in it or below it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContactScope {
    /// `open_department_id`s; `0`: everybody.
    pub department_ids: Vec<String>,
    /// `open_id`s of users beside those.
    pub user_ids: Vec<String>,
    /// User groups beside those.
    pub group_ids: Vec<String>,
    /// The token of the next page; none on the last one.
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
    more: NextPage,
}

/// The department `id`, as far as the app may see it. Its parent is named by the kind of `id`.
///
/// Refused with `NotFound`, and with `Forbidden` when outside the app's contact scope.
#[must_use]
pub fn get_department(id: &DepartmentId) -> Request<Department> {
    let path = ["open-apis", "contact", "v3", "departments", id.as_str()];
    by_kind(Request::get(CONTACT_DEPARTMENT_GET, &path), id.kind())
        .reading_data()
        .map(|data: DepartmentData| {
            let department = data.department;
            department.ok_or_else(|| LarkFailure::lacking("department"))
        })
}

/// A page, of up to [`MAX_DEPARTMENT_PAGE`], of the departments below `id`. Their parents are named by the kind of `id`.
///
/// Refused as [`get_department`], and with `Invalid` for a token of another list.
#[must_use]
pub fn list_children(
    id: &DepartmentId,
    below: Below,
    page: &PageRequest,
) -> Request<Page<Department>> {
    let fetch_child = match below {
        Below::Direct => "false",
        Below::All => "true",
    };
    let id_text = id.as_str();
    let path = [
        "open-apis",
        "contact",
        "v3",
        "departments",
        id_text,
        "children",
    ];
    by_kind(Request::get(CONTACT_DEPARTMENT_CHILDREN, &path), id.kind())
        .query("fetch_child", fetch_child)
        .page(page)
        .reading_page()
}

/// A page, of up to [`MAX_DEPARTMENT_PAGE`], of the users who are in the department itself, as far as the app may see them. They
/// name their departments by the kind of `id`.
///
/// Refused as [`list_children`].
#[must_use]
pub fn list_users(id: &DepartmentId, page: &PageRequest) -> Request<Page<User>> {
    let path = ["open-apis", "contact", "v3", "users", "find_by_department"];
    by_kind(
        Request::get(CONTACT_USER_FIND_BY_DEPARTMENT, &path),
        id.kind(),
    )
    .query("department_id", id.as_str())
    .page(page)
    .reading_page()
}

/// A page, of up to [`MAX_SCOPE_PAGE`], of the app's contact scope.
///
/// Refused with `Invalid` for a token of another list.
#[must_use]
pub fn list_scopes(page: &PageRequest) -> Request<ContactScope> {
    let path = ["open-apis", "contact", "v3", "scopes"];
    by_kind(
        Request::get(CONTACT_SCOPE_LIST, &path),
        DepartmentIdKind::OpenDepartmentId,
    )
    .page(page)
    .reading_data()
    .map(|data: ScopeData| {
        Ok(ContactScope {
            department_ids: data.department_ids.unwrap_or_default(),
            user_ids: data.user_ids.unwrap_or_default(),
            group_ids: data.group_ids.unwrap_or_default(),
            next_page_token: data.more.page_token(),
        })
    })
}

/// Departments in the answer are named by `kind`, users by their open_id.
fn by_kind<T>(request: Request<T>, kind: DepartmentIdKind) -> Request<T> {
    request
        .query("user_id_type", "open_id")
        .query("department_id_type", kind.as_str())
}
