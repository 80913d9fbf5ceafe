//! `POST /v1/images`: an image gets a key, which messages name.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::idempotency::Once;
use lark_service::lark::media::{self, ImageType};
use lark_service::platform::Platform;
use lark_service::staging::UploadId;
use lark_service::uploads::{self, NewImage, Owner, Uploads};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod openapi;

pub use openapi::operations;

/// The uploaded image.
#[derive(Serialize, ToSchema)]
struct UploadedImage {
    /// What messages name. It is good for this app only.
    image_key: String,
}

/// An image that was put at an address of `POST /v1/uploads`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UploadStagedImageRequest)]
struct StagedImage {
    /// Which upload.
    #[schema(pattern = "^up_[0-9a-f]{52}([0-9a-f]{64})?$")]
    upload_id: String,
    /// `message` for messages and cards, which is meant unless said otherwise; `avatar` for the picture of a chat or an app.
    #[schema(pattern = "^(message|avatar)$")]
    image_type: Option<String>,
}

/// Where the image is.
enum Source {
    /// In the request.
    Sent(NewImage),
    /// Where it was put before.
    Staged(UploadId, ImageType),
}

impl Source {
    async fn read(call: &Call<'_>, body: &http::Bytes) -> Result<Self> {
        if call.is_json()? {
            let staged: StagedImage = Call::json_of(body)?;
            let image_type = uploads::image_type(staged.image_type.as_deref())?;
            return Ok(Self::Staged(
                uploads::upload_id(&staged.upload_id)?,
                image_type,
            ));
        }
        let content_type = call.header("content-type")?;
        Ok(Self::Sent(uploads::read_image(content_type, body).await?))
    }

    /// What makes the request the same as another one.
    fn once(&self, call: &Call<'_>, body: &[u8]) -> Result<Option<Once>> {
        match self {
            Self::Sent(new) => call.once_of(&[new.image_type.as_str().as_bytes(), &new.content]),
            Self::Staged(..) => call.once_of(&[body]),
        }
    }
}

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    uploads: &Uploads,
    platform: &Platform,
    mut request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    let body = http::take_body(&mut request);
    Ok(http::serve("upload-image", &request, async |call| {
        upload(admission, uploads, platform, call, &body).await
    })
    .await)
}

async fn upload(
    admission: &Admission,
    uploads: &Uploads,
    platform: &Platform,
    call: &Call<'_>,
    body: &http::Bytes,
) -> Result<Reply> {
    let key_id = &call.authorized(Scope::MessagesSend)?.key_id;
    call.only_query(&[])?;
    let source = Source::read(call, body).await?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    let once = source.once(call, body)?;
    let app_id = &context.app().app_id;
    let mut used = None;
    let act = async |_| {
        let new = match source {
            Source::Sent(new) => new,
            Source::Staged(upload_id, image_type) => {
                let owner = Owner { key_id, app_id };
                let found = uploads.image(owner, upload_id, image_type);
                let (new, found) = call.deadline().run(found).await??;
                used = Some(found);
                new
            }
        };
        let request = media::create_image(new.image_type, &new.content);
        let sent = platform.send(&context, &request, call.deadline()).await;
        let image_key = match &used {
            Some(found) => found.sent(sent)?,
            None => sent?,
        };
        Reply::json(&UploadedImage { image_key })
    };
    let reply = admission
        .once_for(call, once, key_id, "POST /v1/images", act)
        .await?;
    // Only now: whoever repeats the request before the answer is kept finds it still there.
    if let Some(found) = used {
        found.delete(call.deadline()).await;
    }
    Ok(reply)
}
