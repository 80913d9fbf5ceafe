//! Departments ("Contacts v3, Department" in the platform's reference).

use std::collections::HashSet;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{BATCH_MAX, id_types, page_error};
use crate::answer::{Answer, ApiError};
use crate::apps::App;
use crate::directory::departments::{self, ROOT};
use crate::directory::ids;
use crate::endpoint::Call;
use crate::paging::{PageRequest, PageSizes};
use crate::platform::Platform;
use crate::user_object::{DepartmentIdType, IdTypes};

pub(super) fn get(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_types = id_types(call)?;
    let department = visible(call, &id_types, call.parameter("department_id"))?;
    Ok(Answer::data(&json!({
        "department": object(platform, &call.app, &id_types, department),
    })))
}

/// The departments directly below; with `fetch_child`, at any depth.
pub(super) fn children(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_types = id_types(call)?;
    let department = visible(call, &id_types, call.parameter("department_id"))?;
    let is_deep = match call.request.query.first("fetch_child") {
        // The Python SDK sends `True` and `False`.
        None | Some("" | "false" | "False") => false,
        Some("true" | "True") => true,
        Some(other) => return Err(ApiError::field("fetch_child", other, "must be a boolean")),
    };
    let below: Vec<u32> = match is_deep {
        true => departments::descendants(department).collect(),
        false => departments::children(department).collect(),
    };
    let list = format!("contact.department.children/{department}/{is_deep}");
    let sizes = PageSizes {
        default: 10,
        max: 50,
    };
    let page = PageRequest::parse(&call.request.query, list, sizes).map_err(page_error)?;
    let left = below
        .into_iter()
        .map(|below| (u64::from(below), below))
        .filter(|(position, _)| *position > page.after);
    Ok(Answer::data(&page.fill(left.map(|(position, below)| {
        (position, object(platform, &call.app, &id_types, below))
    }))))
}

/// The answer leaves out ids that do not exist or are outside the app's scope. It has one item for an id that is given
/// twice.
pub(super) fn batch(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_types = id_types(call)?;
    let department_ids = call.request.query.all("department_ids");
    match department_ids.len() {
        0 => {
            let problem = "department_ids is required";
            return Err(ApiError::field("department_ids", "", problem));
        }
        1..=BATCH_MAX => {}
        _ => {
            let msg = format!("page size is invalid, the max is {BATCH_MAX}");
            return Err(ApiError::documented(StatusCode::BAD_REQUEST, 40_011, msg));
        }
    }
    let mut seen = HashSet::new();
    let items: Vec<_> = department_ids
        .into_iter()
        .filter_map(|id| visible(call, &id_types, id).ok())
        .filter(|department| seen.insert(*department))
        .map(|department| object(platform, &call.app, &id_types, department))
        .collect();
    #[derive(Serialize)]
    struct Data {
        items: Vec<Value>,
    }
    Ok(Answer::data(&Data { items }))
}

/// The departments above that are in the app's scope, nearest first, without the root.
pub(super) fn parent(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_types = id_types(call)?;
    let department = required(call, &id_types)?;
    let list = format!("contact.department.parent/{department}");
    let sizes = PageSizes {
        default: 20,
        max: 50,
    };
    let page = PageRequest::parse(&call.request.query, list, sizes).map_err(page_error)?;
    let above = departments::ancestors(department)
        .filter(|above| call.app.sees_department(*above))
        .map(|above| object(platform, &call.app, &id_types, above));
    let left = (1..).zip(above).filter(|(place, _)| *place > page.after);
    Ok(Answer::data(&page.fill(left)))
}

/// The department in the query. It is required, must exist and be in the app's scope.
pub(super) fn required(call: &Call<'_>, id_types: &IdTypes) -> Result<u32, ApiError> {
    match call.request.query.first("department_id") {
        None | Some("") => {
            let problem = "department_id is required";
            Err(ApiError::field("department_id", "", problem))
        }
        Some(id) => visible(call, id_types, id),
    }
}

/// A department that exists and is in the app's scope. The root is in the scope if the whole company is.
fn visible(call: &Call<'_>, id_types: &IdTypes, id: &str) -> Result<u32, ApiError> {
    let department = resolve(id_types.department_id_type, id)?;
    match call.app.sees_department(department) {
        true => Ok(department),
        false => {
            let msg = "no dept authority error";
            Err(ApiError::documented(StatusCode::FORBIDDEN, 40_004, msg))
        }
    }
}

/// The gateway converts ids before the API sees them; its codes for ids that do not exist are 99992357
/// (open_department_id) and 99992380 (department_id).
fn resolve(id_type: DepartmentIdType, id: &str) -> Result<u32, ApiError> {
    let (n, code, name) = match id_type {
        DepartmentIdType::Open => (
            ids::decode_open_department_id(id),
            99_992_357,
            "open_department_id",
        ),
        DepartmentIdType::Own => (ids::decode_department_id(id), 99_992_380, "department_id"),
    };
    n.and_then(|n| u32::try_from(n).ok())
        .filter(|n| *n <= departments::COUNT)
        .ok_or_else(|| {
            let msg = format!(
                "The request you send is not a valid {{{name}}} or not exists. Invalid ids: [{id}]"
            );
            ApiError::documented(StatusCode::BAD_REQUEST, code, msg)
        })
}

/// A field without value is absent, never null. The root has no parent and no leader.
fn object(platform: &Platform, app: &App, id_types: &IdTypes, department: u32) -> Value {
    let members = platform.directory.headcount(department);
    let mut object = json!({
        "name": departments::name(department),
        "i18n_name": {
            "zh_cn": departments::chinese_name(department),
            "en_us": departments::name(department),
            "ja_jp": "",
        },
        "department_id": ids::department_id(department),
        "open_department_id": ids::open_department_id(department),
        "order": department.to_string(),
        "unit_ids": [],
        "member_count": members,
        // Everybody is in exactly one department.
        "primary_member_count": members,
        "status": { "is_deleted": false },
        "leaders": [],
        "group_chat_employee_types": [1],
        "department_hrbps": [],
    });
    if department != ROOT {
        let parent = departments::parent(department);
        object["parent_department_id"] = json!(id_types.department_id(parent));
    }
    let leader = departments::leader(department)
        .and_then(|leader| platform.directory.profile(leader.into()))
        .filter(|leader| !leader.is_resigned);
    if let Some(leader) = leader {
        let id = id_types.user_id(leader.n, &app.app_id);
        object["leaders"] = json!([{ "leaderType": 1, "leaderID": id }]);
        object["leader_user_id"] = json!(id);
    }
    object
}
