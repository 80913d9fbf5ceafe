//! `POST /v1/files`: a file gets a key, which messages name.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::lark::media;
use lark_service::platform::Platform;
use lark_service::uploads;
use serde::Serialize;
use utoipa::ToSchema;

mod openapi;

pub use openapi::operations;

/// The uploaded file.
#[derive(Serialize, ToSchema)]
struct UploadedFile {
    /// What messages name. It is good for this app only.
    file_key: String,
}

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    platform: &Platform,
    mut request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    let body = http::take_body(&mut request);
    Ok(http::serve("upload-file", &request, async |call| {
        upload(admission, platform, call, &body).await
    })
    .await)
}

async fn upload(
    admission: &Admission,
    platform: &Platform,
    call: &Call<'_>,
    body: &http::Bytes,
) -> Result<Reply> {
    let key_id = &call.authorized(Scope::MessagesSend)?.key_id;
    call.only_query(&[])?;
    let content_type = call.header("content-type")?;
    let new = uploads::read_file(content_type, body).await?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    let request = media::create_file(&new);
    let duration = new
        .duration_ms
        .map_or_else(String::new, |it| it.to_string());
    let asked = [new.file_type.as_str(), &new.file_name, &duration].map(str::as_bytes);
    let [file_type, file_name, duration] = asked;
    let once = call.once_of(&[file_type, file_name, duration, &new.content])?;
    let act = async |_| {
        let file_key = platform.send(&context, &request, call.deadline()).await?;
        Reply::json(&UploadedFile { file_key })
    };
    admission
        .once_for(call, once, key_id, "POST /v1/files", act)
        .await
}
