//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, problems};
use lark_service::api_keys::Scope;
use utoipa::ToSchema;

use crate::{StagedImage, UploadedImage};

/// An image, as a form.
#[derive(ToSchema)]
#[schema(as = UploadImageForm)]
#[expect(dead_code, reason = "describes the parts of a form")]
struct ImageForm {
    /// JPEG, PNG, WebP, GIF, BMP, ICO, TIFF or HEIC by its content, at most 10 MB. A GIF may have 2000 × 2000 pixels, any other
    /// image 12000 × 12000, an avatar 4096 × 4096.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// `message` for messages and cards, which is meant unless said otherwise; `avatar` for the picture of a chat or an app.
    #[schema(pattern = "^(message|avatar)?$")]
    image_type: Option<String>,
}

/// `POST /v1/images`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/images",
            "uploadImage",
            Tag::Messages,
            "Upload an image",
            Content::form::<ImageForm>().or(Content::body::<StagedImage>()),
        )
        .description(
            "The answer's `image_key` is what messages name. Format, size and pixels are checked before anything is asked of the \
             platform. On AWS the form may have about 4.5 MB; what is larger goes through `POST /v1/uploads`. Repeating a request whose answer was lost does no harm: the image \
             then has two keys.",
        )
        .scope(Scope::MessagesSend)
        .for_a_tenant()
        .asks_the_platform()
        .problem(problems::UPLOAD_NOT_FOUND)
        .answer(Answer::json(
            200,
            "It is with the platform.",
            Content::answer::<UploadedImage>().example("image_key: img_v3_02ab_7ea9c5f2"),
        ))
        .once(),
    ]
}
