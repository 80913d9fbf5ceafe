//! Contacts ("Contacts v3" in the platform's reference): users, departments, and the app's contact scope.

mod department;
mod listing;
mod lookup;

use http::{Method, StatusCode};

use crate::answer::ApiError;
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::paging::PageError;
use crate::rate_limit::Tier;
use crate::user_object::{DepartmentIdType, IdTypes, UserIdType};

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        name: "contact.user.batch",
        method: Method::GET,
        path: "/open-apis/contact/v3/users/batch",
        auth: AuthMethod::TenantToken,
        scopes: USER_SCOPES,
        tier: Tier::Four,
        handler: lookup::batch,
    },
    Endpoint {
        name: "contact.user.find_by_department",
        method: Method::GET,
        path: "/open-apis/contact/v3/users/find_by_department",
        auth: AuthMethod::TenantToken,
        scopes: USER_SCOPES,
        tier: Tier::Four,
        handler: listing::find_by_department,
    },
    Endpoint {
        name: "contact.user.get",
        method: Method::GET,
        path: "/open-apis/contact/v3/users/{user_id}",
        auth: AuthMethod::TenantToken,
        scopes: USER_SCOPES,
        tier: Tier::Four,
        handler: lookup::get,
    },
    Endpoint {
        name: "contact.user.batch_get_id",
        method: Method::POST,
        path: "/open-apis/contact/v3/users/batch_get_id",
        auth: AuthMethod::TenantToken,
        scopes: &["contact:user.id:readonly"],
        tier: Tier::Four,
        handler: lookup::batch_get_id,
    },
    Endpoint {
        name: "contact.user.basic_batch",
        method: Method::POST,
        path: "/open-apis/contact/v3/users/basic_batch",
        auth: AuthMethod::TenantToken,
        scopes: BASIC_PROFILE_SCOPES,
        tier: Tier::Six,
        handler: lookup::basic_batch,
    },
    Endpoint {
        name: "contact.department.batch",
        method: Method::GET,
        path: "/open-apis/contact/v3/departments/batch",
        auth: AuthMethod::TenantToken,
        scopes: DEPARTMENT_SCOPES,
        tier: Tier::Four,
        handler: department::batch,
    },
    Endpoint {
        name: "contact.department.parent",
        method: Method::GET,
        path: "/open-apis/contact/v3/departments/parent",
        auth: AuthMethod::TenantToken,
        scopes: DEPARTMENT_SCOPES,
        tier: Tier::Four,
        handler: department::parent,
    },
    Endpoint {
        name: "contact.department.get",
        method: Method::GET,
        path: "/open-apis/contact/v3/departments/{department_id}",
        auth: AuthMethod::TenantToken,
        scopes: DEPARTMENT_SCOPES,
        tier: Tier::Special,
        handler: department::get,
    },
    Endpoint {
        name: "contact.department.children",
        method: Method::GET,
        path: "/open-apis/contact/v3/departments/{department_id}/children",
        auth: AuthMethod::TenantToken,
        scopes: DEPARTMENT_SCOPES,
        tier: Tier::Four,
        handler: department::children,
    },
    Endpoint {
        name: "contact.scope.list",
        method: Method::GET,
        path: "/open-apis/contact/v3/scopes",
        auth: AuthMethod::TenantToken,
        scopes: CONTACT_SCOPES,
        tier: Tier::Four,
        handler: listing::scopes,
    },
];

/// Any one of them allows every endpoint of users and departments.
const CONTACT_SCOPES: &[&str] = &[
    "contact:contact.base:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
];

const USER_SCOPES: &[&str] = &[
    "contact:contact.base:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
    "contact:user.base:readonly",
];

const BASIC_PROFILE_SCOPES: &[&str] = &[
    "contact:user.basic_profile:readonly",
    "contact:contact.base:readonly",
    "contact:user.base:readonly",
];

const DEPARTMENT_SCOPES: &[&str] = &[
    "contact:contact.base:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
    "contact:department.base:readonly",
    "contact:department.organize:readonly",
];

/// The most ids, e-mail addresses or mobile numbers of one call, except for basic_batch.
const BATCH_MAX: usize = 50;

fn id_types(call: &Call<'_>) -> Result<IdTypes, ApiError> {
    let query = &call.request.query;
    Ok(IdTypes {
        user_id_type: UserIdType::parse("user_id_type", query.first("user_id_type"))?,
        department_id_type: DepartmentIdType::parse(query.first("department_id_type"))?,
    })
}

fn page_error(problem: PageError) -> ApiError {
    let (code, msg) = match problem {
        PageError::Size => (40_011, "page size is invalid"),
        PageError::Token => (40_012, "page token is invalid error"),
    };
    ApiError::documented(StatusCode::BAD_REQUEST, code, msg)
}
