//! How the API's document describes texts: the form of those that are plain `String`s in the code, and what types with a
//! form of their own describe themselves with. Nothing of this is in a function's artefact.

use std::ops::RangeInclusive;

use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, SchemaFormat, Type};

/// The form of the platform's ids that have no fixed beginning.
pub(crate) const ANY_ID: &str = "^[A-Za-z0-9_.@-]+$";

/// Gives a type its schema, under a name.
macro_rules! describe {
    ($type:ty, $name:literal, $schema:expr) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema.into()
            }
        }

        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    };
}

pub(crate) use describe;

/// A text of `lengths` characters that matches `pattern`.
#[must_use]
pub fn text(description: &str, lengths: RangeInclusive<usize>, pattern: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .min_length(Some(*lengths.start()).filter(|min| *min > 0))
        .max_length(Some(*lengths.end()).filter(|max| *max < usize::MAX))
        .pattern(Some(pattern))
        .build()
}

/// A text about which nothing needs to be said but its form.
#[must_use]
pub fn plain(lengths: RangeInclusive<usize>, pattern: &str) -> Object {
    let mut schema = text("", lengths, pattern);
    schema.description = None;
    schema
}

/// Any text of `lengths` characters.
#[must_use]
pub fn of_length(lengths: RangeInclusive<usize>) -> Object {
    let mut schema = plain(lengths, "");
    schema.pattern = None;
    schema
}

/// The address of a page.
#[must_use]
pub fn address() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("uri".to_owned())))
        .build()
}

/// A text that is always `value`.
#[must_use]
pub fn constant(value: &'static str) -> Object {
    let mut schema = one_of("", [value]);
    schema.description = None;
    schema
}

/// A text that is one of `values`.
#[must_use]
pub fn one_of(description: &str, values: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(values))
        .build()
}

/// The name of an app or an API key.
#[derive(Debug)]
pub enum Name {}

describe!(
    Name,
    "Name",
    text(
        "For people, on one line; 256 bytes of UTF-8 at most.",
        0..=256,
        r"^[^\u0000-\u001f\u007f-\u009f]*$",
    )
);

/// The secret of an app.
#[derive(Debug)]
pub enum Secret {}

describe!(
    Secret,
    "Secret",
    text(
        "The app's secret, from the developer console. It goes in and never out.",
        1..=256,
        "^[!-~]+$",
    )
);

/// Where a browser may be sent after a login.
#[derive(Debug)]
pub enum RedirectTargets {}

const TARGET: &str = concat!(
    r"^(https://([A-Za-z0-9-]+\.)*[A-Za-z][A-Za-z0-9-]*|http://(localhost|127\.0\.0\.1))",
    "(:([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
    r#"(/[!-"$-:<->@-\[\]-~]*)?$"#,
);

describe!(
    RedirectTargets,
    "RedirectTargets",
    ArrayBuilder::new()
        .description(Some(
            "Where a browser may be sent after a login: origins, or addresses with a path, which stand for everything below \
             it. `https`; `http` only for this machine.",
        ))
        .max_items(Some(20))
        .items(plain(0..=256, TARGET))
);

/// What a login may ask for.
#[derive(Debug)]
pub enum LoginScopes {}

describe!(
    LoginScopes,
    "LoginScopes",
    ArrayBuilder::new()
        .description(Some(
            "The scopes of the platform that a login may ask for beside `offline_access`. Anybody can make a link to a login: it asks \
             for nothing else.",
        ))
        .max_items(Some(49))
        .items(plain(1..=128, "^[A-Za-z0-9:._-]+$"))
);

/// An e-mail address.
#[derive(Debug)]
pub enum Email {}

describe!(Email, "Email", plain(3..=254, "^[!-~]+@[!-?A-~]+$"));

/// A mobile number.
#[derive(Debug)]
pub enum Mobile {}

describe!(
    Mobile,
    "Mobile",
    plain(5..=32, r"^\+?[0-9]([ -]?[0-9]){4,14}$")
);
