//! The API's document: what the functions say of their operations, put together. `make generate` writes it to `openapi.yaml`.

use std::collections::BTreeMap;

use api_document::{
    Answer, Content, Described, Example, Header, Operation, Parameter, ProblemResponse, Tag,
    headers, parameters, problems,
};
use lark_service::http::Problem;
use serde::Serialize;
use serde_yaml_ng::{Mapping, Value};

use crate::functions::FUNCTIONS;

mod schemas;
#[cfg(test)]
mod tests;
mod text;

/// What is said of the API as a whole.
const HEAD: &str = include_str!("openapi/head.yaml");

/// The document, as YAML.
#[must_use]
pub fn document() -> String {
    let mut document = yaml(HEAD);
    let version = env!("CARGO_PKG_VERSION");
    mapping(&mut document, "info").insert("version".into(), version.into());
    let tags = Tag::ALL.map(|tag| {
        let (name, description) = tag.text();
        object([("name", name.into()), ("description", description.into())])
    });
    insert(&mut document, "tags", Value::Sequence(tags.into()));

    let mut components = Components::default();
    let mut paths = Mapping::new();
    for operation in FUNCTIONS
        .iter()
        .flat_map(|function| (function.operations)())
    {
        let path = paths
            .entry(operation.path.into())
            .or_insert_with(|| Mapping::new().into());
        insert(path, operation.method, components.operation(&operation));
    }
    insert(&mut document, "paths", paths.into());
    // Last, as is usual, and with what the head says.
    let head = mapping(&mut document, "components").clone();
    let all = head.into_iter().chain(components.into_mapping());
    let all: Mapping = all.collect();
    let whole = document.as_mapping_mut().expect("the head is a mapping");
    whole.shift_remove("components");
    whole.insert("components".into(), all.into());
    text::of(&document)
}

/// What operations refer to, by name.
#[derive(Default)]
struct Components {
    parameters: BTreeMap<String, Value>,
    headers: BTreeMap<String, Value>,
    responses: BTreeMap<String, Value>,
    schemas: BTreeMap<String, Value>,
}

impl Components {
    fn operation(&mut self, operation: &Operation) -> Value {
        let mut described = object([
            ("operationId", operation.id.into()),
            ("tags", Value::Sequence(vec![operation.tag.text().0.into()])),
            ("summary", operation.summary.into()),
            ("description", operation.description.as_str().into()),
        ]);
        if operation.scope.is_none() {
            insert(&mut described, "security", Value::Sequence(Vec::new()));
        }
        let all = operation.parameters.iter().cloned();
        let all = all.chain([parameters::request_id()]);
        let all = all.map(|parameter| self.parameter(&parameter)).collect();
        insert(&mut described, "parameters", Value::Sequence(all));
        if let Some(body) = &operation.body {
            let content = self.content(body);
            insert(
                &mut described,
                "requestBody",
                object([("required", true.into()), ("content", content)]),
            );
        }
        let mut responses = BTreeMap::new();
        for problem in &operation.problems {
            responses.insert(problem.status(), self.problem(problem));
        }
        for answer in &operation.answers {
            let mut answer = answer.clone();
            if operation.scope.is_some() {
                answer.headers.extend(headers::rate_limit());
            }
            responses.insert(answer.status, self.answer(&answer));
        }
        let responses = responses
            .into_iter()
            .map(|(status, response)| (status.to_string().into(), response));
        insert(
            &mut described,
            "responses",
            responses.collect::<Mapping>().into(),
        );
        described
    }

    fn parameter(&mut self, parameter: &Parameter) -> Value {
        let mut described = object([
            ("name", parameter.name.into()),
            ("in", parameter.place.as_str().into()),
        ]);
        if parameter.is_required {
            insert(&mut described, "required", true.into());
        }
        insert(&mut described, "description", parameter.description.into());
        insert(&mut described, "schema", self.schema(&parameter.schema));
        if let Some(example) = parameter.example {
            insert(&mut described, "example", yaml(example));
        }
        match parameter.component {
            None => described,
            Some(name) => shared(&mut self.parameters, "parameters", name, described),
        }
    }

    fn header(&mut self, header: &Header) -> Value {
        let mut described = object([("description", header.description.into())]);
        if header.is_required {
            insert(&mut described, "required", true.into());
        }
        insert(&mut described, "schema", self.schema(&header.schema));
        show(&mut described, &header.examples);
        match header.component {
            None => described,
            Some(name) => shared(&mut self.headers, "headers", name, described),
        }
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let mut described = object([("description", answer.description.into())]);
        insert(&mut described, "headers", self.headers(&answer.headers));
        if let Some(content) = &answer.content {
            insert(&mut described, "content", self.content(content));
        }
        described
    }

    fn problem(&mut self, problem: &ProblemResponse) -> Value {
        let mut described = object([("description", problem.description().into())]);
        let headers = problem.headers();
        if !headers.is_empty() {
            insert(&mut described, "headers", self.headers(&headers));
        }
        let mut content = Mapping::new();
        if !problem.codes.is_empty() {
            let schema = self.schema(&Content::answer::<Problem<'static>>().schema);
            let mut body = object([("schema", schema)]);
            let examples = problem
                .examples()
                .map(|(code, error)| (code.as_str(), to_yaml(&Problem::of(&error, "build-4711"))));
            let examples: Vec<_> = examples.collect();
            match examples.as_slice() {
                [(_, only)] => insert(&mut body, "example", only.clone()),
                all => {
                    let named = all
                        .iter()
                        .map(|(name, value)| ((*name).into(), object([("value", value.clone())])));
                    insert(&mut body, "examples", named.collect::<Mapping>().into());
                }
            }
            content.insert("application/problem+json".into(), body);
        }
        if let Some(message) = problem.gateway_message() {
            let schema = self.schema(&Described::of::<problems::GatewayMessage>());
            let example = object([("message", message.into())]);
            content.insert(
                "application/json".into(),
                object([("schema", schema), ("example", example)]),
            );
        }
        if !problem.codes.is_empty() {
            let schema = self.schema(&Described::of::<api_document::Page>());
            content.insert("text/html".into(), object([("schema", schema)]));
        }
        insert(&mut described, "content", content.into());
        shared(&mut self.responses, "responses", problem.name, described)
    }

    fn headers(&mut self, headers: &[Header]) -> Value {
        let described = headers
            .iter()
            .map(|header| (header.name.into(), self.header(header)));
        described.collect::<Mapping>().into()
    }

    fn content(&mut self, content: &Content) -> Value {
        let mut schema = self.schema(&content.schema);
        if content.or_gateway {
            let gateway = self.schema(&Described::of::<problems::GatewayMessage>());
            schema = object([("anyOf", Value::Sequence(vec![schema, gateway]))]);
        }
        let mut described = object([("schema", schema)]);
        show(&mut described, &content.examples);
        let mut all = object([(content.media_type, described)]);
        if let Some(other) = &content.alternative {
            let other = self.content(other);
            for (media_type, described) in other.as_mapping().into_iter().flatten() {
                let known = all.as_mapping_mut().expect("an object is a mapping");
                known.insert(media_type.clone(), described.clone());
            }
        }
        all
    }

    fn schema(&mut self, described: &Described) -> Value {
        for (name, schema) in &described.components {
            let schema = schemas::plain(to_yaml(schema));
            let known = self.schemas.insert(name.clone(), schema.clone());
            assert!(
                known.is_none_or(|known| known == schema),
                "two schemas are called {name}"
            );
        }
        let mut schema = schemas::plain(to_yaml(&described.schema));
        if let Some(default) = &described.default {
            insert(&mut schema, "default", yaml(default));
        }
        schema
    }

    fn into_mapping(self) -> Mapping {
        let lists = [
            ("parameters", self.parameters),
            ("headers", self.headers),
            ("responses", self.responses),
            ("schemas", self.schemas),
        ];
        let lists = lists.map(|(kind, list)| {
            let list = list.into_iter().map(|(name, value)| (name.into(), value));
            (kind.into(), list.collect::<Mapping>().into())
        });
        lists.into_iter().collect()
    }
}

/// Keeps `described` under its name, and refers to it.
fn shared(
    components: &mut BTreeMap<String, Value>,
    kind: &str,
    name: &str,
    described: Value,
) -> Value {
    let known = components.insert(name.to_owned(), described.clone());
    assert!(
        known.is_none_or(|known| known == described),
        "two {kind} are called {name}"
    );
    object([("$ref", format!("#/components/{kind}/{name}").into())])
}

/// Adds `examples` to a parameter, a header or a body.
fn show(described: &mut Value, examples: &[Example]) {
    match examples {
        [] => {}
        [only] if only.name.is_empty() => insert(described, "example", yaml(only.yaml)),
        all => {
            let named = all.iter().map(|example| {
                let mut shown = Value::Mapping(Mapping::new());
                if let Some(summary) = example.summary {
                    insert(&mut shown, "summary", summary.into());
                }
                insert(&mut shown, "value", yaml(example.yaml));
                (example.name.into(), shown)
            });
            insert(described, "examples", named.collect::<Mapping>().into());
        }
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.map(|(name, value)| (Value::from(name), value));
    fields.into_iter().collect::<Mapping>().into()
}

fn insert(object: &mut Value, key: &str, value: Value) {
    let object = object.as_mapping_mut().expect("it was made as a mapping");
    object.insert(key.into(), value);
}

fn mapping<'v>(object: &'v mut Value, key: &str) -> &'v mut Mapping {
    let value = object.get_mut(key).and_then(Value::as_mapping_mut);
    value.expect("head.yaml has it")
}

/// `text`, which is a part of the code.
fn yaml(text: &str) -> Value {
    serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn to_yaml(value: &impl Serialize) -> Value {
    serde_yaml_ng::to_value(value).expect("schemas and problems are plain data")
}
