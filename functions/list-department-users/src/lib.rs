//! `GET /v1/departments/{id}/users`: the users who are directly in a department, page by page.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::directory::departments::DepartmentService;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::departments::{DepartmentId, DepartmentIdKind};
use lark_service::page::PageRules;

mod openapi;

pub use openapi::operations;

/// Which pages a caller may ask for.
const PAGES: PageRules = PageRules::platform(DepartmentService::MAX_PAGE_SIZE);

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    departments: &DepartmentService,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(
        http::serve("list-department-users", &request, async |call| {
            users(admission, departments, call).await
        })
        .await,
    )
}

async fn users(
    admission: &Admission,
    departments: &DepartmentService,
    call: &Call<'_>,
) -> Result<Reply> {
    call.authorized(Scope::UsersRead)?;
    call.only_query(&["id_type", "page_size", "page_token"])?;
    let kind = call.query("id_type")?.map_or(
        Ok(DepartmentIdKind::OpenDepartmentId),
        DepartmentIdKind::parse,
    )?;
    let id = DepartmentId::parse(kind, call.path_parameter("id"))?;
    let page = call.page(&PAGES)?;
    let context = admission.app_context(call, Scope::UsersRead).await?;
    let found = departments
        .users(&context, &id, &page, call.deadline())
        .await?;
    Ok(Reply::found(found))
}
