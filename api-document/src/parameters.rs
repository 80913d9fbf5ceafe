//! Parameters of requests.

use std::borrow::Cow;

use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::Described;
use lark_service::ids::{AppId, TenantKey};
use lark_service::lark::chats::ChatId;
use lark_service::lark::departments::{DepartmentId, DepartmentIdKind};
use lark_service::lark::messages::MessageId;
use lark_service::page::{PageRules, TokenForm};
use lark_service::schema::plain;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// In the path: always there.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// A parameter of a request.
#[derive(Clone)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its name in the document's list of parameters that operations share; none for one that stands with its operation.
    pub component: Option<&'static str>,
    /// Where it stands.
    pub place: Place,
    /// What it says.
    pub description: &'static str,
    /// Whether it must be there.
    pub is_required: bool,
    /// Its form.
    pub schema: Described,
    /// What it looks like, as YAML.
    pub example: Option<&'static str>,
}

impl Place {
    /// The place in the document's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

impl Parameter {
    /// A parameter in the path.
    #[must_use]
    pub fn path(name: &'static str, description: &'static str) -> Self {
        Self {
            is_required: true,
            ..Self::new(name, Place::Path, description)
        }
    }

    /// A parameter of the query.
    #[must_use]
    pub fn query(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Place::Query, description)
    }

    fn header(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Place::Header, description)
    }

    fn new(name: &'static str, place: Place, description: &'static str) -> Self {
        Self {
            name,
            component: None,
            place,
            description,
            is_required: false,
            schema: Described::inline(ObjectBuilder::new().schema_type(Type::String).build()),
            example: None,
        }
    }

    /// It must be there.
    #[must_use]
    pub fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    /// Its form is that of `T`.
    #[must_use]
    pub fn of<T: ToSchema>(self) -> Self {
        Self {
            schema: Described::of::<T>(),
            ..self
        }
    }

    /// Its form is `schema`.
    #[must_use]
    pub fn schema(self, schema: impl Into<RefOr<Schema>>) -> Self {
        Self {
            schema: Described::inline(schema),
            ..self
        }
    }

    /// It stands for `value` when it is left out.
    #[must_use]
    pub fn default(mut self, value: impl Into<Cow<'static, str>>) -> Self {
        self.schema.default = Some(value.into());
        self
    }

    /// It looks like `yaml`.
    #[must_use]
    pub fn example(self, yaml: &'static str) -> Self {
        Self {
            example: Some(yaml),
            ..self
        }
    }

    fn component(self, name: &'static str) -> Self {
        Self {
            component: Some(name),
            ..self
        }
    }
}

/// `X-Request-Id`, which every operation takes.
#[must_use]
pub fn request_id() -> Parameter {
    let description = "Your id of the request, 1 to 128 letters, digits, `_` or `-`. It comes back in the answer and stands \
                       in the log. Any other value is replaced by an id of ours.";
    Parameter::header("X-Request-Id", description)
        .example("build-4711")
        .component("RequestId")
}

/// `X-Lark-App-Id`.
#[must_use]
pub fn app_id() -> Parameter {
    let description = "The app to act for. May be left out if the key has just one app, or if the installation has a default \
                       app.";
    Parameter::header("X-Lark-App-Id", description)
        .of::<AppId>()
        .example("cli_a1b2c3d4e5f6")
        .component("AppId")
}

/// `X-Lark-Tenant-Key`.
#[must_use]
pub fn tenant_key() -> Parameter {
    let description = "The tenant to act in, for a marketplace app, which needs it; other apps have one tenant and no such \
                       header.";
    Parameter::header("X-Lark-Tenant-Key", description)
        .of::<TenantKey>()
        .component("TenantKey")
}

/// `Idempotency-Key`.
#[must_use]
pub fn idempotency_key() -> Parameter {
    let description = "Your own name for this request, 1 to 255 visible ASCII characters; kept for a day, seen by your API key \
                       alone, and of this route alone. The same request with the same name is not done again, but answered as \
                       the first one was, which `Idempotency-Replayed` then says; what only reads is read again. Another \
                       request with the name is refused. A wrong request uses no name up, and after an error the same request \
                       is tried again.";
    Parameter::header("Idempotency-Key", description)
        .schema(plain(1..=255, "^[!-~ ]+$"))
        .example("build-4711-red")
        .component("IdempotencyKey")
}

/// `Prefer`.
#[must_use]
pub fn prefer() -> Parameter {
    let description = "`respond-async`: answer as soon as the message is on record (RFC 7240). Other preferences are passed over.";
    Parameter::header("Prefer", description)
        .example("respond-async")
        .component("Prefer")
}

/// A message job in the path.
#[must_use]
pub fn message_job() -> Parameter {
    Parameter::path("job_id", "The job, or the batch.")
        .schema(plain(
            0..=usize::MAX,
            "^(mj_[0-9a-hjkmnp-tv-z]{26}(_[0-9]{4})?|mb_[0-9a-hjkmnp-tv-z]{26})$",
        ))
        .example("mj_01jdyzz8k3v5m7q2c4x6n8p0rs")
        .component("MessageJobInPath")
}

/// A dead letter in the path.
#[must_use]
pub fn dead_letter() -> Parameter {
    Parameter::path("letter_id", "The dead letter.")
        .schema(plain(
            0..=usize::MAX,
            "^(mj_[0-9a-hjkmnp-tv-z]{26}(_[0-9]{4})?|qm_[0-9a-f]{32})$",
        ))
        .example("mj_01jdyzz8k3v5m7q2c4x6n8p0rs")
        .component("DeadLetterInPath")
}

/// A message in the path.
#[must_use]
pub fn message() -> Parameter {
    Parameter::path(
        "message_id",
        "The platform's id of the message: `delivered.message_id` of its job.",
    )
    .of::<MessageId>()
    .example("om_dc13264520392913993dd051dba21dcf")
    .component("MessageInPath")
}

/// A batch in the query.
#[must_use]
pub fn message_batch() -> Parameter {
    Parameter::query("batch_id", "Only jobs of this batch.")
        .schema(plain(0..=usize::MAX, "^mb_[0-9a-hjkmnp-tv-z]{26}$"))
        .example("mb_01jdyzz8k3v5m7q2c4x6n8p0rs")
}

/// An app in the path.
#[must_use]
pub fn app_id_in_path() -> Parameter {
    Parameter::path("app_id", "The app.")
        .of::<AppId>()
        .example("cli_a1b2c3d4e5f6")
        .component("AppIdInPath")
}

/// An API key in the path.
#[must_use]
pub fn key_id_in_path() -> Parameter {
    let description = "The key's public part: what stands between the first two `_`.";
    Parameter::path("key_id", description)
        .schema(plain(0..=usize::MAX, "^[A-Za-z0-9]{12}$"))
        .example("7k2m9p4q8r3s")
        .component("KeyIdInPath")
}

/// A department in the path, and in the query which of its ids that is.
#[must_use]
pub fn department() -> [Parameter; 2] {
    let id = "The id, in the form of its `id_type`: an `open_department_id` begins with `od-`, a `department_id` does not. \
              `0` of either kind is the root, which is the company.";
    let kind = "Which of the department's ids it is.";
    [
        Parameter::path("id", id)
            .of::<DepartmentId>()
            .example("od-4e6ac4d14bcd5071a37a39de902c7141")
            .component("DepartmentIdInPath"),
        Parameter::query("id_type", kind)
            .of::<DepartmentIdKind>()
            .default(DepartmentIdKind::OpenDepartmentId.as_str())
            .example("open_department_id")
            .component("DepartmentIdType"),
    ]
}

/// A chat in the path.
#[must_use]
pub fn chat() -> Parameter {
    Parameter::path("id", "The chat's `chat_id`.")
        .of::<ChatId>()
        .example("oc_a0553eda9014c201e6969b478895c230")
        .component("ChatIdInPath")
}

/// Which page of a list with these rules.
#[must_use]
pub fn page(rules: &PageRules) -> [Parameter; 2] {
    let sizes = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(rules.max_size))
        .build();
    let size = Parameter::query("page_size", "How many items at most.")
        .schema(sizes)
        .default(rules.default_size.to_string());
    match rules.token {
        TokenForm::Ours => [
            size.component("PageSize"),
            Parameter::query("page_token", "The `next_page_token` of the page before.")
                .schema(plain(0..=usize::MAX, "^[A-Za-z0-9_-]{1,128}$"))
                .component("PageToken"),
        ],
        TokenForm::Platform => [
            size,
            Parameter::query(
                "page_token",
                "The `next_page_token` of the page before, of the same list and `page_size`. The platform's own, and good \
                 for a while only: begin again when it is refused.",
            )
            .schema(plain(1..=TokenForm::Platform.max_bytes(), "^[!-~]+$"))
            .component("DirectoryPageToken"),
        ],
    }
}
