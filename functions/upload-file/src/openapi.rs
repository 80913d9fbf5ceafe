//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, problems};
use lark_service::api_keys::Scope;
use utoipa::ToSchema;

use crate::{StagedFile, UploadedFile};

/// A file, as a form.
#[derive(ToSchema)]
#[schema(as = UploadFileForm)]
#[expect(dead_code, reason = "describes the parts of a form")]
struct FileForm {
    /// The file, at most 30 MB.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// `opus`, `mp4`, `pdf`, `doc`, `xls`, `ppt` or `stream`. Found out from the content unless given; what contradicts the
    /// content is refused. Any file may be sent as `stream`.
    #[schema(pattern = "^(opus|mp4|pdf|doc|xls|ppt|stream)?$")]
    file_type: Option<String>,
    /// Its name, which readers see; that of the part unless given. At most 250 characters.
    #[schema(max_length = 250)]
    file_name: Option<String>,
    /// How long sound or a video plays, in milliseconds. Without it no length is shown.
    #[schema(pattern = "^[0-9]*$")]
    duration: Option<String>,
}

/// `POST /v1/files`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/files",
            "uploadFile",
            Tag::Messages,
            "Upload a file",
            Content::form::<FileForm>().or(Content::body::<StagedFile>()),
        )
        .description(
            "The answer's `file_key` is what messages name: those of the type `file`, `audio` for `opus`, `media` for `mp4`. Size \
             and type are checked before anything is asked of the platform. On AWS the form may have about 4.5 MB; what is larger goes through `POST /v1/uploads`. Repeating a \
             request whose answer was lost does no harm: the file then has two keys.",
        )
        .scope(Scope::MessagesSend)
        .for_a_tenant()
        .asks_the_platform()
        .problem(problems::UPLOAD_NOT_FOUND)
        .answer(Answer::json(
            200,
            "It is with the platform.",
            Content::answer::<UploadedFile>().example("file_key: file_v3_00ab_2f81d6c3"),
        ))
        .once(),
    ]
}
