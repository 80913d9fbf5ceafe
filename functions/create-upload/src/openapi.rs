//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag};
use lark_service::api_keys::Scope;

use crate::{CreatedUpload, NewUpload};

/// `POST /v1/uploads`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/uploads",
            "createUpload",
            Tag::Messages,
            "Get an address for a large upload",
            Content::body::<NewUpload>().example("{ kind: file, size: 20971520 }"),
        )
        .description(
            "For what is too large for a request: put it at `url` within 15 minutes, then send its `upload_id` to `POST \
             /v1/images` or `POST /v1/files`, within an hour. The address takes what it was made for and nothing else: so many bytes, with \
             that checksum. Once the platform has it, it is deleted.",
        )
        .scope(Scope::MessagesSend)
        .for_a_tenant()
        .answer(Answer::json(
            201,
            "An address for this upload.",
            Content::answer::<CreatedUpload>().example(CREATED),
        ))
        .once(),
    ]
}

const CREATED: &str = r#"
upload_id: up_019c1310e400014000005b1f0e6d4c3a2918f7e6d5c4b3a29180
method: PUT
url: https://lark-uploads.s3.eu-central-1.amazonaws.com/staged/0f3a/up_019c1310e400014000005b1f0e6d4c3a2918f7e6d5c4b3a29180?X-Amz-Signature=5d41
headers: { content-length: "20971520" }
expires_at: "2026-01-31T08:15:00Z""#;
