//! `GET /v1/departments/{id}`: a department by one of its ids.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::directory::departments::DepartmentService;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::departments::{DepartmentId, DepartmentIdKind};

mod openapi;

pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    departments: &DepartmentService,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("get-department", &request, async |call| {
        department(admission, departments, call).await
    })
    .await)
}

async fn department(
    admission: &Admission,
    departments: &DepartmentService,
    call: &Call<'_>,
) -> Result<Reply> {
    call.authorized(Scope::UsersRead)?;
    call.only_query(&["id_type"])?;
    let kind = call.query("id_type")?.map_or(
        Ok(DepartmentIdKind::OpenDepartmentId),
        DepartmentIdKind::parse,
    )?;
    let id = DepartmentId::parse(kind, call.path_parameter("id"))?;
    let context = admission.app_context(call, Scope::UsersRead).await?;
    let found = departments
        .department(&context, &id, call.deadline())
        .await?;
    Ok(Reply::found(found))
}
