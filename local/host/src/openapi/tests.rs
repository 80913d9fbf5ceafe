//! The document as a whole.

use std::collections::BTreeSet;

use serde_yaml_ng::Value;

use super::document;

fn read() -> Value {
    serde_yaml_ng::from_str(&document()).unwrap()
}

/// What `reference` stands for.
fn resolved<'v>(whole: &'v Value, schema: &'v Value) -> &'v Value {
    match schema.get("$ref").and_then(Value::as_str) {
        None => schema,
        Some(reference) => reference
            .trim_start_matches("#/")
            .split('/')
            .fold(whole, |value, part| &value[part]),
    }
}

/// The ways in which `value` is not as `schema` says.
fn faults(whole: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let schema = resolved(whole, schema);
    let fault = |what: &str| vec![format!("{place}: {what}")];
    if let Some(all) = schema.get("allOf").and_then(Value::as_sequence) {
        // Each of them knows a part of the fields.
        let each = all.iter().map(|one| faults(whole, one, value, place));
        let unknown = |fault: &String| !fault.ends_with("is not in the schema");
        return each.flatten().filter(unknown).collect();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(all) = schema.get(choice).and_then(Value::as_sequence) {
            let fits = |one| faults(whole, one, value, place).is_empty();
            return if all.iter().any(fits) {
                Vec::new()
            } else {
                fault("fits none of the choices")
            };
        }
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_sequence)
        && !values.contains(value)
    {
        return fault("is none of the values");
    }
    let types = match schema.get("type") {
        Some(Value::Sequence(types)) => types.clone(),
        Some(one) => vec![one.clone()],
        None => return fault("the schema has no type"),
    };
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_bool(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_sequence(),
        "object" => value.is_mapping(),
        other => panic!("{place}: an unknown type {other}"),
    };
    if !types.iter().filter_map(Value::as_str).any(is) {
        return fault("has another type");
    }
    let items = value.as_sequence().into_iter().flatten();
    let mut all: Vec<_> = items
        .flat_map(|item| faults(whole, &schema["items"], item, &format!("{place}[]")))
        .collect();
    for (name, value) in value.as_mapping().into_iter().flatten() {
        let name = name.as_str().unwrap();
        let place = format!("{place}.{name}");
        match schema["properties"].get(name) {
            Some(property) => all.extend(faults(whole, property, value, &place)),
            None => all.push(format!("{place} is not in the schema")),
        }
    }
    let required = schema.get("required").and_then(Value::as_sequence);
    for name in required.into_iter().flatten() {
        if value.is_mapping() && value.get(name).is_none() {
            all.push(format!("{place}.{} is missing", name.as_str().unwrap()));
        }
    }
    all
}

/// Each schema that has an example beside it, and the example.
fn examples<'v>(value: &'v Value, place: &str, found: &mut Vec<(String, &'v Value, &'v Value)>) {
    if let (Some(schema), true) = (value.get("schema"), value.is_mapping()) {
        let named = value.get("examples").and_then(Value::as_mapping);
        let named = named
            .into_iter()
            .flatten()
            .map(|(_, shown)| &shown["value"]);
        let shown = value.get("example").into_iter().chain(named);
        found.extend(shown.map(|example| (place.to_owned(), schema, example)));
    }
    for (key, value) in value.as_mapping().into_iter().flatten() {
        let key = key.as_str().unwrap_or_default();
        if key != "schema" && key != "example" && key != "examples" {
            examples(value, &format!("{place}/{key}"), found);
        }
    }
    for value in value.as_sequence().into_iter().flatten() {
        examples(value, place, found);
    }
}

#[test]
fn every_example_fits_its_schema() {
    let whole = read();
    let mut found = Vec::new();
    examples(&whole, "", &mut found);
    assert!(found.len() > 60, "there are {} examples", found.len());
    let faults: Vec<_> = found
        .into_iter()
        .flat_map(|(place, schema, example)| faults(&whole, schema, example, &place))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Everything that is referred to in `value`.
fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    found.extend(value.get("$ref").and_then(Value::as_str));
    let values = value.as_mapping().into_iter().flat_map(|all| all.values());
    let items = value.as_sequence().into_iter().flatten();
    for value in values.chain(items) {
        references(value, found);
    }
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_left_over() {
    let whole = read();
    let mut found = BTreeSet::new();
    references(&whole, &mut found);
    let kept = whole["components"].as_mapping().unwrap().iter();
    let kept = kept.filter(|(kind, _)| *kind != "securitySchemes");
    let kept: BTreeSet<_> = kept
        .flat_map(|(kind, all)| {
            let names = all.as_mapping().unwrap().keys();
            names.map(|name| {
                let (kind, name) = (kind.as_str().unwrap(), name.as_str().unwrap());
                format!("#/components/{kind}/{name}")
            })
        })
        .collect();
    let found: BTreeSet<_> = found.into_iter().map(str::to_owned).collect();
    assert_eq!(found, kept);
}

#[test]
fn an_operation_has_an_id_of_its_own() {
    let whole = read();
    let mut ids = BTreeSet::new();
    for operations in whole["paths"].as_mapping().unwrap().values() {
        for operation in operations.as_mapping().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id.clone()), "two operations are called {id}");
        }
    }
}

#[test]
fn every_post_takes_an_idempotency_key_and_says_what_becomes_of_it() {
    let whole = read();
    let mut posts = 0;
    for (path, operations) in whole["paths"].as_mapping().unwrap() {
        let Some(post) = operations.get("post") else {
            continue;
        };
        posts += 1;
        let parameters = post["parameters"].as_sequence().unwrap().iter();
        let mut names = parameters.map(|parameter| &resolved(&whole, parameter)["name"]);
        assert!(names.any(|name| name == "Idempotency-Key"), "{path:?}");
        let refused = post["responses"].get("422");
        assert!(refused.is_some(), "{path:?}");
    }
    assert!(posts >= 4, "{posts}");
}

#[test]
fn every_list_says_whether_more_is_behind_a_page() {
    let whole = read();
    let mut lists = 0;
    for (path, operations) in whole["paths"].as_mapping().unwrap() {
        let operations = operations.as_mapping().unwrap().values();
        for operation in operations {
            let parameters = operation["parameters"].as_sequence().unwrap().iter();
            let mut names = parameters.map(|parameter| &resolved(&whole, parameter)["name"]);
            if !names.any(|name| name == "page_token") {
                continue;
            }
            lists += 1;
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let page = resolved(&whole, schema);
            let required: Vec<_> = page["required"].as_sequence().unwrap().iter().collect();
            assert_eq!(required, ["items", "next_page_token"], "{path:?}");
            let token = &page["properties"]["next_page_token"]["type"];
            let types: Vec<_> = token.as_sequence().unwrap().iter().collect();
            assert_eq!(types, ["string", "null"], "{path:?}");
        }
    }
    assert_eq!(lists, 9);
}
