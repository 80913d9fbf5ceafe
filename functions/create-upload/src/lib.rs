//! `POST /v1/uploads`: an address for an image or a file that is too large for a request.

use std::convert::Infallible;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Scope;
use lark_service::error::{Error, Result};
use lark_service::http::{self, Admission, Call, Reply, Turn};
use lark_service::schema::address;
use lark_service::staging::{CHECKSUM, CONTENT_LENGTH};
use lark_service::uploads::{self, Kind, Owner, Prepared, Uploads};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod openapi;

pub use openapi::operations;

/// What is going to be put.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateUploadRequest)]
struct NewUpload {
    /// `image` or `file`.
    #[schema(pattern = "^(image|file)$")]
    kind: String,
    /// How many bytes: at most 10 MB for an image, 30 MB for a file.
    #[schema(minimum = 1, maximum = 31_457_280)]
    size: u64,
    /// Their SHA-256 in Base64: then nothing else is taken.
    #[schema(pattern = "^[A-Za-z0-9+/]{43}=$")]
    sha256: Option<String>,
}

/// Where to put it: one request with this method, these headers and the content as its body.
#[derive(Serialize, ToSchema)]
struct CreatedUpload {
    /// Names the upload afterwards, for this API key and app alone.
    upload_id: String,
    /// Always `PUT`.
    method: &'static str,
    /// The address. Whoever has it may put the upload there: keep it to yourself.
    #[schema(schema_with = address)]
    url: String,
    /// Headers that the request must have.
    headers: UploadHeaders,
    /// When the address ends. The upload may be named for an hour.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Headers of a request that puts an upload at its address.
#[derive(Serialize, ToSchema)]
struct UploadHeaders {
    /// The number of bytes.
    #[serde(rename = "content-length")]
    content_length: String,
    /// The SHA-256, if it was given.
    #[serde(
        rename = "x-amz-checksum-sha256",
        skip_serializing_if = "Option::is_none"
    )]
    checksum: Option<String>,
}

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    uploads: &Uploads,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("create-upload", &request, async |call| {
        create(admission, uploads, call).await
    })
    .await)
}

async fn create(admission: &Admission, uploads: &Uploads, call: &Call<'_>) -> Result<Reply> {
    let key_id = &call.authorized(Scope::MessagesSend)?.key_id;
    call.only_query(&[])?;
    let new: NewUpload = call.json()?;
    let kind = Kind::ALL.into_iter().find(|it| it.as_str() == new.kind);
    let kind = kind.ok_or_else(|| Error::invalid("kind", "must be `image` or `file`"))?;
    let expected = uploads::expected(kind, new.size, new.sha256.as_deref())?;
    let context = admission.app_context(call, Scope::MessagesSend).await?;
    let owner = Owner {
        key_id,
        app_id: &context.app().app_id,
    };
    let act = async |turn: Turn| {
        let mut chance = [0; 16];
        chance.copy_from_slice(&turn.seed.bytes("upload")[..16]);
        let prepared = uploads.prepare(owner, chance, expected);
        reply(&call.deadline().run(prepared).await??)
    };
    admission.once(call, key_id, "POST /v1/uploads", act).await
}

fn reply(prepared: &Prepared) -> Result<Reply> {
    let header = |name| prepared.offer.header(name).map(str::to_owned);
    let created = CreatedUpload {
        upload_id: prepared.upload_id.as_str().to_owned(),
        method: "PUT",
        url: prepared.offer.url.to_string(),
        headers: UploadHeaders {
            content_length: header(CONTENT_LENGTH).unwrap_or_default(),
            checksum: header(CHECKSUM),
        },
        expires_at: prepared.expires_at.to_string(),
    };
    Ok(Reply::json(&created)?.with_status(StatusCode::CREATED))
}
