//! Bodies of requests and answers, with their schemas.

use std::borrow::Cow;

use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::answers;

/// A body of a request or an answer.
#[derive(Clone)]
pub struct Content {
    /// Its media type.
    pub media_type: &'static str,
    /// Its schema.
    pub schema: Described,
    /// Whether API Gateway answers with a body of its own under the same status.
    pub or_gateway: bool,
    /// What it looks like.
    pub examples: Vec<Example>,
    /// The same of another media type.
    pub alternative: Option<Box<Self>>,
}

/// A schema with those that it refers to.
#[derive(Clone)]
pub struct Described {
    /// The schema, or a reference to it.
    pub schema: RefOr<Schema>,
    /// A default, as YAML.
    pub default: Option<Cow<'static, str>>,
    /// The schemas behind references, by name.
    pub components: Vec<(String, RefOr<Schema>)>,
}

/// What something looks like.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What tells it from the others; empty for the only one.
    pub name: &'static str,
    /// What it shows.
    pub summary: Option<&'static str>,
    /// The value, as YAML.
    pub yaml: &'static str,
}

impl Content {
    /// A request's body: `T` in JSON.
    #[must_use]
    pub fn body<T: ToSchema>() -> Self {
        Self {
            media_type: "application/json",
            schema: Described::of::<T>(),
            or_gateway: false,
            examples: Vec::new(),
            alternative: None,
        }
    }

    /// A request's body: a form whose parts are the fields of `T`.
    #[must_use]
    pub fn form<T: ToSchema>() -> Self {
        Self {
            media_type: "multipart/form-data",
            ..Self::body::<T>()
        }
    }

    /// An answer's body: `T` in JSON. What may be left out is never null there, and has no default.
    #[must_use]
    pub fn answer<T: ToSchema>() -> Self {
        let mut content = Self::body::<T>();
        for (_, schema) in &mut content.schema.components {
            answers::adapt(schema);
        }
        content
    }

    /// Or `other`, of another media type.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.alternative = Some(Box::new(other));
        self
    }

    /// API Gateway may answer with its own body under the same status.
    #[must_use]
    pub const fn or_gateway(mut self) -> Self {
        self.or_gateway = true;
        self
    }

    /// At least one of its fields must be there. (utoipa's `min_properties` on a struct writes `maxProperties`.)
    #[must_use]
    pub fn with_some_field(mut self) -> Self {
        if let Some((_, RefOr::T(Schema::Object(object)))) = self.schema.components.first_mut() {
            object.min_properties = Some(1);
        }
        self
    }

    /// It looks like `yaml`.
    #[must_use]
    pub fn example(self, yaml: &'static str) -> Self {
        self.named_example("", yaml)
    }

    /// One of the things that it may look like.
    #[must_use]
    pub fn named_example(mut self, name: &'static str, yaml: &'static str) -> Self {
        self.examples.push(Example {
            name,
            summary: None,
            yaml,
        });
        self
    }

    /// One of the things that it may look like, and what it shows.
    #[must_use]
    pub fn explained_example(
        mut self,
        name: &'static str,
        summary: &'static str,
        yaml: &'static str,
    ) -> Self {
        self.examples.push(Example {
            name,
            summary: Some(summary),
            yaml,
        });
        self
    }
}

impl Described {
    /// A reference to the schema of `T`, which goes with it.
    #[must_use]
    pub fn of<T: ToSchema>() -> Self {
        let name = T::name();
        let mut components = vec![(name.to_string(), T::schema())];
        T::schemas(&mut components);
        Self {
            schema: RefOr::Ref(utoipa::openapi::Ref::from_schema_name(name)),
            default: None,
            components,
        }
    }

    /// The schema itself, where it is used once.
    #[must_use]
    pub fn inline(schema: impl Into<RefOr<Schema>>) -> Self {
        Self {
            schema: schema.into(),
            default: None,
            components: Vec::new(),
        }
    }
}

/// A page for a person at a browser.
#[derive(Debug)]
pub enum Page {}

impl utoipa::PartialSchema for Page {
    fn schema() -> RefOr<Schema> {
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("A page for a person at a browser."))
            .into()
    }
}

impl ToSchema for Page {}
