//! Lists: the members of a department, and the app's contact scope.

use serde::Serialize;

use super::{department, id_types, page_error};
use crate::answer::{Answer, ApiError};
use crate::directory::departments::{self, ROOT};
use crate::endpoint::Call;
use crate::paging::{PageRequest, PageSizes};
use crate::platform::Platform;

/// Only direct members, in the order of their numbers. The answer leaves out those outside the app's scope.
pub(super) fn find_by_department(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let id_types = id_types(call)?;
    let department = department::required(call, &id_types)?;
    let list = format!("contact.user.find_by_department/{department}");
    let sizes = PageSizes {
        default: 10,
        max: 50,
    };
    let page = PageRequest::parse(&call.request.query, list, sizes).map_err(page_error)?;
    let after = u32::try_from(page.after).unwrap_or(u32::MAX);
    let members = platform
        .directory
        .members(department, after, page.fetch_limit(), |member| {
            call.app.sees_user(member)
        });
    let items = members.iter().map(|member| {
        let user = call
            .app
            .without_hidden_fields(id_types.listed_user(member, &call.app.app_id));
        (member.n.into(), user)
    });
    Ok(Answer::data(&page.fill(items)))
}

/// The app's contact scope: departments, then users, on the same pages. If it is the whole company: the departments and
/// users directly under the root.
pub(super) fn scopes(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    enum Granted {
        Department(u32),
        User(u32),
    }
    #[derive(Serialize)]
    struct Data {
        department_ids: Vec<String>,
        user_ids: Vec<String>,
        /// There are no user groups.
        group_ids: Vec<String>,
        has_more: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        page_token: Option<String>,
    }
    let id_types = id_types(call)?;
    let list = "contact.scope.list".to_owned();
    let sizes = PageSizes {
        default: 50,
        max: 100,
    };
    let page = PageRequest::parse(&call.request.query, list, sizes).map_err(page_error)?;
    let departments: Vec<u32> = match &call.app.contact_departments {
        Some(granted) if !call.app.sees_everything() => granted.iter().copied().collect(),
        Some(_) | None => departments::children(ROOT).collect(),
    };
    let users = call.app.contact_users.iter().copied().filter(|n| {
        let profile = platform.directory.profile((*n).into());
        !call.app.sees_everything() && profile.is_some_and(|profile| call.app.sees_user(&profile))
    });
    let granted = departments
        .into_iter()
        .map(Granted::Department)
        .chain(users.map(Granted::User));
    let left = (1..).zip(granted).filter(|(place, _)| *place > page.after);
    let filled = page.fill(left);
    let mut data = Data {
        department_ids: Vec::new(),
        user_ids: Vec::new(),
        group_ids: Vec::new(),
        has_more: filled.has_more,
        page_token: filled.page_token,
    };
    for granted in filled.items {
        match granted {
            Granted::Department(n) => data.department_ids.push(id_types.department_id(n)),
            Granted::User(n) => data.user_ids.push(id_types.user_id(n, &call.app.app_id)),
        }
    }
    Ok(Answer::data(&data))
}
