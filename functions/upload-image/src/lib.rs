//! `POST /v1/images`: an image gets a key, which messages name.

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

/// The uploaded image.
#[derive(Serialize, ToSchema)]
struct UploadedImage {
    /// What messages name. It is good for this app only.
    image_key: String,
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
    Ok(http::serve("upload-image", &request, async |call| {
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
    let new = uploads::read_image(content_type, body).await?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    let request = media::create_image(new.image_type, &new.content);
    let once = call.once_of(&[new.image_type.as_str().as_bytes(), &new.content])?;
    let act = async |_| {
        let image_key = platform.send(&context, &request, call.deadline()).await?;
        Reply::json(&UploadedImage { image_key })
    };
    admission
        .once_for(call, once, key_id, "POST /v1/images", act)
        .await
}
