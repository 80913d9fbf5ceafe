//! The template's YAML. Values that CloudFormation computes (`!Ref`, `!Sub`, `!If`) may appear anywhere; they are an error
//! only where a value is needed.

use std::collections::BTreeMap;

use lark_service::queue::Lane;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml_ng::Value;

use super::{Problem, arn_of};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document {
    #[serde(default)]
    globals: Value,
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FunctionProperties {
    code_uri: String,
    /// Seconds.
    pub(super) timeout: Option<u64>,
    #[serde(default)]
    pub(super) events: BTreeMap<String, EventSource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EventSource {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    #[serde(default)]
    properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HttpApiEvent {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) auth: EventAuth,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EventAuth {
    pub(super) authorizer: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HttpApiProperties {
    #[serde(default)]
    pub(super) auth: ApiAuth,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ApiAuth {
    pub(super) default_authorizer: Option<String>,
    #[serde(default)]
    pub(super) authorizers: BTreeMap<String, LambdaAuthorizer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LambdaAuthorizer {
    function_arn: Value,
    pub(super) identity: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Identity {
    pub(super) headers: Vec<String>,
    /// Seconds.
    #[serde(default)]
    pub(super) reauthorize_every: u64,
}

impl Document {
    /// The properties of every resource of type `kind`, by logical id.
    pub(super) fn properties<T: DeserializeOwned>(
        &self,
        kind: &str,
    ) -> Result<BTreeMap<&str, T>, Problem> {
        let of_kind = self
            .resources
            .iter()
            .filter(|(_, resource)| resource.kind == kind);
        let read = |(id, resource): (&'_ String, &Resource)| {
            let literal = written_out(&resource.properties, &["CodeUri", "Timeout"]);
            let read = literal.and_then(|()| {
                serde_yaml_ng::from_value(resource.properties.clone())
                    .map_err(|error| error.to_string())
            });
            read.map_err(|problem| Problem {
                resource: id.clone(),
                problem,
            })
        };
        of_kind
            .map(|entry| Ok((entry.0.as_str(), read(entry)?)))
            .collect()
    }

    /// `Globals.Function.Timeout`, in seconds.
    pub(super) fn default_timeout(&self) -> Option<u64> {
        self.globals.get("Function")?.get("Timeout")?.as_u64()
    }
}

impl FunctionProperties {
    /// The last part of `CodeUri`.
    pub(super) fn crate_name(&self, id: &str) -> Result<&str, Problem> {
        let path = self.code_uri.trim_end_matches('/');
        let name = path.rsplit('/').next().filter(|name| !name.is_empty());
        name.ok_or_else(|| Problem {
            resource: id.to_owned(),
            problem: "CodeUri must end with the crate's name".to_owned(),
        })
    }
}

impl EventSource {
    pub(super) fn http_api(&self) -> Result<HttpApiEvent, String> {
        written_out(&self.properties, &["Method", "Path", "Auth"])?;
        serde_yaml_ng::from_value(self.properties.clone()).map_err(|error| error.to_string())
    }

    /// The schedule expression: `Schedule` in events of type `Schedule`, `ScheduleExpression` in `ScheduleV2`.
    pub(super) fn schedule(&self) -> Result<&str, String> {
        let name = match self.kind.as_str() {
            "Schedule" => "Schedule",
            _ => "ScheduleExpression",
        };
        written_out(&self.properties, &[name])?;
        let expression = self.properties.get(name).and_then(Value::as_str);
        expression.ok_or_else(|| format!("{name} must be a text such as `rate(5 minutes)`"))
    }
}

impl EventSource {
    /// The queue of an event of type `SQS`.
    pub(super) fn lane(&self) -> Result<Lane, String> {
        let queue = self.properties.get("Queue").and_then(arn_of);
        match queue {
            Some("NormalQueue") => Ok(Lane::Normal),
            Some("BulkQueue") => Ok(Lane::Bulk),
            Some(_) | None => {
                Err("Queue must be `!GetAtt NormalQueue.Arn` or `!GetAtt BulkQueue.Arn`".to_owned())
            }
        }
    }
}

impl LambdaAuthorizer {
    /// The logical id of the authorizer's function.
    pub(super) fn function_id(&self) -> Option<&str> {
        arn_of(&self.function_arn)
    }
}

/// Passes if CloudFormation computes nothing in the properties `names`. Without this check, `!Ref Path` would be read as
/// the text `Path`.
fn written_out(properties: &Value, names: &[&str]) -> Result<(), String> {
    let found = names.iter().find_map(|name| {
        let tag = tag_in(properties.get(name)?)?;
        Some(format!(
            "{name} must be written out; the local host does not work out {tag}"
        ))
    });
    found.map_or(Ok(()), Err)
}

/// The first tag in `value`.
fn tag_in(value: &Value) -> Option<String> {
    match value {
        Value::Tagged(tagged) => Some(tagged.tag.to_string()),
        Value::Mapping(entries) => entries.values().find_map(tag_in),
        Value::Sequence(items) => items.iter().find_map(tag_in),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
