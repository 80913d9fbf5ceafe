//! `POST /v1/files`: a file gets a key, which messages name.

use std::convert::Infallible;

use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::idempotency::Once;
use lark_service::lark::media::{self, NewFile};
use lark_service::platform::Platform;
use lark_service::staging::UploadId;
use lark_service::uploads::{self, FileClaims, Owner, Uploads};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod openapi;

pub use openapi::operations;

/// The uploaded file.
#[derive(Serialize, ToSchema)]
struct UploadedFile {
    /// What messages name. It is good for this app only.
    file_key: String,
}

/// A file that was put at an address of `POST /v1/uploads`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UploadStagedFileRequest)]
struct StagedFile {
    /// Which upload.
    #[schema(pattern = "^up_[0-9a-f]{52}([0-9a-f]{64})?$")]
    upload_id: String,
    /// As in the form.
    #[schema(pattern = "^(opus|mp4|pdf|doc|xls|ppt|stream)$")]
    file_type: Option<String>,
    /// Its name, which readers see; `file` unless given. At most 250 characters.
    #[schema(min_length = 1, max_length = 250)]
    file_name: Option<String>,
    /// How long sound or a video plays, in milliseconds.
    #[schema(maximum = 2_147_483_647)]
    duration: Option<u32>,
}

/// Where the file is.
enum Source {
    /// In the request.
    Sent(NewFile),
    /// Where it was put before.
    Staged(UploadId, FileClaims),
}

impl Source {
    async fn read(call: &Call<'_>, body: &http::Bytes) -> Result<Self> {
        if call.is_json()? {
            let staged: StagedFile = Call::json_of(body)?;
            let name = staged.file_name.as_deref();
            let file_type = staged.file_type.as_deref();
            let claims = FileClaims::check(file_type, name, staged.duration)?;
            return Ok(Self::Staged(uploads::upload_id(&staged.upload_id)?, claims));
        }
        let content_type = call.header("content-type")?;
        Ok(Self::Sent(uploads::read_file(content_type, body).await?))
    }

    /// What makes the request the same as another one.
    fn once(&self, call: &Call<'_>, body: &[u8]) -> Result<Option<Once>> {
        match self {
            Self::Sent(new) => {
                let duration = new.duration_ms.map(|it| it.to_string()).unwrap_or_default();
                let said = [new.file_type.as_str(), &new.file_name, &duration];
                let [file_type, file_name, duration] = said.map(str::as_bytes);
                call.once_of(&[file_type, file_name, duration, new.content.in_memory()])
            }
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
    Ok(http::serve("upload-file", &request, async |call| {
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
            Source::Staged(upload_id, claims) => {
                let owner = Owner { key_id, app_id };
                let found = uploads.file(owner, upload_id, claims);
                let (new, found) = call.deadline().run(found).await??;
                used = Some(found);
                new
            }
        };
        let request = media::create_file(&new);
        let sent = platform.send(&context, &request, call.deadline()).await;
        let file_key = match &used {
            Some(found) => found.sent(sent)?,
            None => sent?,
        };
        Reply::json(&UploadedFile { file_key })
    };
    let reply = admission
        .once_for(call, once, key_id, "POST /v1/files", act)
        .await?;
    // Only now: whoever repeats the request before the answer is kept finds it still there.
    if let Some(found) = used {
        found.delete(call.deadline()).await;
    }
    Ok(reply)
}
