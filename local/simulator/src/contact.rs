//! Contacts ("Contacts v3" in the platform's reference): users, departments, what the app may see of them.

mod department;
mod listing;
mod lookup;

use http::{Method, StatusCode};

use crate::answer::Refusal;
use crate::endpoint::{Access, Call, Endpoint};
use crate::paging::BadPage;
use crate::rate_limit::Tier;
use crate::user_object::{DepartmentIdType, UserIdType, Wording};

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        name: "contact.user.batch",
        method: Method::GET,
        path: "/open-apis/contact/v3/users/batch",
        access: Access::TenantToken,
        scopes: OF_USERS,
        tier: Tier::Four,
        handler: lookup::batch,
    },
    Endpoint {
        name: "contact.user.find_by_department",
        method: Method::GET,
        path: "/open-apis/contact/v3/users/find_by_department",
        access: Access::TenantToken,
        scopes: OF_USERS,
        tier: Tier::Four,
        handler: listing::find_by_department,
    },
    Endpoint {
        name: "contact.user.get",
        method: Method::GET,
        path: "/open-apis/contact/v3/users/{user_id}",
        access: Access::TenantToken,
        scopes: OF_USERS,
        tier: Tier::Four,
        handler: lookup::get,
    },
    Endpoint {
        name: "contact.user.batch_get_id",
        method: Method::POST,
        path: "/open-apis/contact/v3/users/batch_get_id",
        access: Access::TenantToken,
        scopes: &["contact:user.id:readonly"],
        tier: Tier::Four,
        handler: lookup::batch_get_id,
    },
    Endpoint {
        name: "contact.user.basic_batch",
        method: Method::POST,
        path: "/open-apis/contact/v3/users/basic_batch",
        access: Access::TenantToken,
        scopes: OF_BASIC_PROFILES,
        tier: Tier::Six,
        handler: lookup::basic_batch,
    },
    Endpoint {
        name: "contact.department.batch",
        method: Method::GET,
        path: "/open-apis/contact/v3/departments/batch",
        access: Access::TenantToken,
        scopes: OF_DEPARTMENTS,
        tier: Tier::Four,
        handler: department::batch,
    },
    Endpoint {
        name: "contact.department.parent",
        method: Method::GET,
        path: "/open-apis/contact/v3/departments/parent",
        access: Access::TenantToken,
        scopes: OF_DEPARTMENTS,
        tier: Tier::Four,
        handler: department::parent,
    },
    Endpoint {
        name: "contact.department.get",
        method: Method::GET,
        path: "/open-apis/contact/v3/departments/{department_id}",
        access: Access::TenantToken,
        scopes: OF_DEPARTMENTS,
        tier: Tier::Special,
        handler: department::get,
    },
    Endpoint {
        name: "contact.department.children",
        method: Method::GET,
        path: "/open-apis/contact/v3/departments/{department_id}/children",
        access: Access::TenantToken,
        scopes: OF_DEPARTMENTS,
        tier: Tier::Four,
        handler: department::children,
    },
    Endpoint {
        name: "contact.scope.list",
        method: Method::GET,
        path: "/open-apis/contact/v3/scopes",
        access: Access::TenantToken,
        scopes: OF_CONTACTS,
        tier: Tier::Four,
        handler: listing::scopes,
    },
];

/// Any one of them opens every endpoint of users and departments.
const OF_CONTACTS: &[&str] = &[
    "contact:contact.base:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
];

const OF_USERS: &[&str] = &[
    "contact:contact.base:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
    "contact:user.base:readonly",
];

const OF_BASIC_PROFILES: &[&str] = &[
    "contact:user.basic_profile:readonly",
    "contact:contact.base:readonly",
    "contact:user.base:readonly",
];

const OF_DEPARTMENTS: &[&str] = &[
    "contact:contact.base:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
    "contact:department.base:readonly",
    "contact:department.organize:readonly",
];

/// The most ids, e-mail addresses or mobile numbers of one call, basic_batch apart.
const BATCH_MAX: usize = 50;

fn wording(call: &Call<'_>) -> Result<Wording, Refusal> {
    let query = &call.request.query;
    Ok(Wording {
        user_id_type: UserIdType::parse("user_id_type", query.first("user_id_type"))?,
        department_id_type: DepartmentIdType::parse(query.first("department_id_type"))?,
    })
}

fn bad_page(problem: BadPage) -> Refusal {
    let (code, msg) = match problem {
        BadPage::Size => (40_011, "page size is invalid"),
        BadPage::Token => (40_012, "page token is invalid error"),
    };
    Refusal::documented(StatusCode::BAD_REQUEST, code, msg)
}
