//! Answers differ from bodies of requests. A field that is left out when there is nothing in it is never null, and a default
//! says what reading the platform's answer puts there, not what a caller is to make of it.

use utoipa::openapi::schema::{OneOf, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

/// Makes the schema of a type that is read and written that of a type that is written.
pub(crate) fn adapt(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            for (name, property) in &mut object.properties {
                if !object.required.contains(name) {
                    without_null(property);
                }
                if let RefOr::T(Schema::Object(property)) = property {
                    property.default = None;
                } else if let RefOr::T(Schema::Array(property)) = property {
                    property.default = None;
                }
            }
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(adapt),
        Schema::Array(_) | Schema::OneOf(_) | Schema::AnyOf(_) | _ => {}
    }
}

fn without_null(property: &mut RefOr<Schema>) {
    let RefOr::T(schema) = property else { return };
    match schema {
        Schema::Object(object) => drop_null(&mut object.schema_type),
        Schema::Array(array) => drop_null(&mut array.schema_type),
        Schema::OneOf(OneOf {
            items, description, ..
        }) => {
            items.retain(|item| !is_null(item));
            if let [RefOr::Ref(only)] = items.as_mut_slice() {
                if let Some(description) = description {
                    only.description.clone_from(description);
                }
                let only = only.clone();
                *property = RefOr::Ref(only);
            }
        }
        Schema::AllOf(_) | Schema::AnyOf(_) | _ => {}
    }
}

fn drop_null(schema_type: &mut SchemaType) {
    if let SchemaType::Array(types) = schema_type {
        types.retain(|one| *one != Type::Null);
        if let [only] = types.as_slice() {
            *schema_type = SchemaType::Type(only.clone());
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}
