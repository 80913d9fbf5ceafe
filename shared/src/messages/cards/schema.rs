//! How the API's document describes cards.

use std::borrow::Cow;

use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{Alert, Approval, Card, Form, Notification};
use crate::schema::constant;

/// Schemas by name, as `utoipa` collects them.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// A card of any form: one of the service's own kinds, or one of the platform's.
#[derive(Debug)]
pub enum AnyCard {}

impl PartialSchema for Card {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(of_kind::<Notification>("notification"))
            .item(of_kind::<Approval>("approval"))
            .item(of_kind::<Form>("form"))
            .item(of_kind::<Alert>("alert"))
            .description(Some(
                "A card of one of the service's own kinds. It becomes a card in JSON 2.0.",
            ))
            .into()
    }
}

impl ToSchema for Card {
    fn name() -> Cow<'static, str> {
        "Card".into()
    }

    fn schemas(schemas: &mut Schemas) {
        Notification::schemas(schemas);
        Approval::schemas(schemas);
        Form::schemas(schemas);
        Alert::schemas(schemas);
    }
}

impl PartialSchema for AnyCard {
    fn schema() -> RefOr<Schema> {
        let of_platform = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "A card as the platform describes it: JSON 1.0, JSON 2.0, a template or an entity.",
            ));
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A text that holds one of these as JSON."));
        AnyOfBuilder::new()
            .item(Ref::from_schema_name(Card::name()))
            .item(of_platform)
            .item(text)
            .into()
    }
}

impl ToSchema for AnyCard {
    fn name() -> Cow<'static, str> {
        "AnyCard".into()
    }

    fn schemas(schemas: &mut Schemas) {
        schemas.push((Card::name().into(), Card::schema()));
        Card::schemas(schemas);
    }
}

/// The schema of `T` with its `kind`: the type itself does not know it.
fn of_kind<T: PartialSchema>(kind: &'static str) -> RefOr<Schema> {
    let mut schema = T::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        let kind = RefOr::T(Schema::Object(constant(kind)));
        object.properties.insert("kind".to_owned(), kind);
        object.required.push("kind".to_owned());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_names_itself_and_all_that_it_refers_to() {
        let schema = serde_json::to_value(Card::schema()).unwrap();
        for (at, kind) in ["notification", "approval", "form", "alert"]
            .iter()
            .enumerate()
        {
            let of_kind = &schema["oneOf"][at];
            assert_eq!(of_kind["properties"]["kind"]["enum"][0], *kind);
            assert_eq!(of_kind["additionalProperties"], false);
            let required = of_kind["required"].as_array().unwrap();
            assert!(required.contains(&"kind".into()) && required.contains(&"title".into()));
        }
        let mut schemas = Schemas::new();
        AnyCard::schemas(&mut schemas);
        let text = serde_json::to_string(&schemas).unwrap();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.iter().any(|(known, _)| known == name), "{name}");
        }
    }
}
