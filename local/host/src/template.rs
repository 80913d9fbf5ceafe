//! Routes and schedules of `template.yaml`: the same file that is deployed, so a route exists here exactly if it exists
//! there.
//!
//! Supported: `HttpApi` events with `Method`, `Path` and `Auth.Authorizer`, `Schedule` and `ScheduleV2` events
//! with a `rate(…)`, `SQS` events of the queues `NormalQueue` and `BulkQueue`, `Timeout` of a function or in `Globals`, and the one HTTP API's authorizers. Anything else in a
//! function's events is an error and not silently ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lambda_http::http::Method;
use lark_service::queue::Lane;
use serde_yaml_ng::Value;

mod rate;
mod resources;

use resources::{Document, EventSource, FunctionProperties, HttpApiProperties};

/// Lambda's own default.
const DEFAULT_TIMEOUT_SECONDS: u64 = 3;

/// The template's content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    /// Every function.
    pub(crate) functions: Vec<Function>,
}

/// A function: its crate's name and what calls it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Function {
    /// The crate, by the last part of `CodeUri`: `get-user` for `target/lambda/get-user/`.
    pub(crate) name: String,
    /// The timeout of one invocation.
    pub(crate) timeout: Duration,
    /// Its routes.
    pub(crate) routes: Vec<Route>,
    /// The interval of each of its schedules.
    pub(crate) schedules: Vec<Duration>,
    /// The queues that call it.
    pub(crate) queues: Vec<Lane>,
}

/// A route of the HTTP API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Route {
    /// The method; `None` for `ANY`.
    pub(crate) method: Option<Method>,
    /// The path, such as `/v1/users/{id}`.
    pub(crate) path: String,
    /// The authorizer; `None` for a public route.
    pub(crate) authorizer: Option<Authorizer>,
}

/// A Lambda authorizer that reads the header `Authorization`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Authorizer {
    /// The function that decides.
    pub(crate) function: String,
    /// How long its decision is cached; zero: not at all.
    pub(crate) ttl: Duration,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}; name the template with --template", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is not YAML, or not a template. The source error's text has line and column.
    #[error("{}: {source}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_yaml_ng::Error,
    },
    /// A resource has an unusable value.
    #[error("{}: {resource}: {problem}", .path.display())]
    Resource {
        /// The file.
        path: PathBuf,
        /// The resource's logical id, and the event's.
        resource: String,
        /// What is wrong and what is valid.
        problem: String,
    },
}

/// A resource and what is wrong with it.
struct Problem {
    resource: String,
    problem: String,
}

impl Template {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn read(path: &Path) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path).map_err(|source| TemplateError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// The timeout of one invocation of the function `name`, if it is declared.
    #[must_use]
    pub fn timeout(&self, name: &str) -> Option<Duration> {
        let function = self.functions.iter().find(|it| it.name == name)?;
        Some(function.timeout)
    }

    /// Reads `text`, the content of `path`.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] and [`TemplateError::Resource`].
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, TemplateError> {
        let document: Document =
            serde_yaml_ng::from_str(text).map_err(|source| TemplateError::Syntax {
                path: path.to_owned(),
                source,
            })?;
        Self::from_document(&document).map_err(|Problem { resource, problem }| {
            TemplateError::Resource {
                path: path.to_owned(),
                resource,
                problem,
            }
        })
    }

    fn from_document(document: &Document) -> Result<Self, Problem> {
        let functions = document.properties::<FunctionProperties>("AWS::Serverless::Function")?;
        let names: BTreeMap<&str, &str> = functions
            .iter()
            .map(|(id, properties)| Ok((*id, properties.crate_name(id)?)))
            .collect::<Result<_, Problem>>()?;
        let authorizers = Authorizers::of(document, &names)?;
        let default_timeout = document.default_timeout();
        let read = |(id, properties): (&&str, &FunctionProperties)| {
            let seconds = properties
                .timeout
                .or(default_timeout)
                .unwrap_or(DEFAULT_TIMEOUT_SECONDS);
            let mut function = Function {
                name: names[id].to_owned(),
                timeout: Duration::from_secs(seconds),
                routes: Vec::new(),
                schedules: Vec::new(),
                queues: Vec::new(),
            };
            for (event_id, event) in &properties.events {
                function
                    .add(event, &authorizers)
                    .map_err(|problem| Problem {
                        resource: format!("{id}, event {event_id}"),
                        problem,
                    })?;
            }
            Ok(function)
        };
        let functions = functions.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { functions })
    }
}

impl Function {
    fn add(&mut self, event: &EventSource, authorizers: &Authorizers) -> Result<(), String> {
        match event.kind.as_str() {
            "HttpApi" => {
                let http = event.http_api()?;
                self.routes.push(Route {
                    method: method(&http.method)?,
                    authorizer: authorizers.choose(http.auth.authorizer.as_deref())?,
                    path: http.path,
                });
            }
            "Schedule" | "ScheduleV2" => self.schedules.push(rate::parse(event.schedule()?)?),
            "SQS" => self.queues.push(event.lane()?),
            other => {
                return Err(format!(
                    "events of type {other} are not known to the local host; it knows HttpApi, Schedule, ScheduleV2 and SQS"
                ));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_ref().map_or("ANY", Method::as_str);
        write!(f, "{method} {}", self.path)
    }
}

/// The HTTP API's authorizers by name.
#[derive(Default)]
struct Authorizers {
    by_name: BTreeMap<String, Authorizer>,
    default: Option<String>,
}

impl Authorizers {
    fn of(document: &Document, functions: &BTreeMap<&str, &str>) -> Result<Self, Problem> {
        let apis = document.properties::<HttpApiProperties>("AWS::Serverless::HttpApi")?;
        let mut apis = apis.into_iter();
        let Some((id, api)) = apis.next() else {
            return Ok(Self::default());
        };
        let fail = |problem: String| Problem {
            resource: id.to_owned(),
            problem,
        };
        if let Some((second, _)) = apis.next() {
            return Err(fail(format!(
                "there is a second HTTP API, {second}; the local host serves one"
            )));
        }
        let mut by_name = BTreeMap::new();
        for (name, authorizer) in api.auth.authorizers {
            let function = authorizer.function_id().ok_or_else(|| {
                fail(format!(
                    "{name}: FunctionArn must be `!GetAtt <function>.Arn`"
                ))
            })?;
            let function = functions
                .get(function)
                .ok_or_else(|| fail(format!("{name}: there is no function {function}")))?;
            if authorizer.identity.headers != ["Authorization"] {
                return Err(fail(format!(
                    "{name}: Identity.Headers must be [Authorization]"
                )));
            }
            let authorizer = Authorizer {
                function: (*function).to_owned(),
                ttl: Duration::from_secs(authorizer.identity.reauthorize_every),
            };
            by_name.insert(name, authorizer);
        }
        let default = api.auth.default_authorizer;
        if let Some(name) = default.as_ref().filter(|name| !by_name.contains_key(*name)) {
            return Err(fail(format!("DefaultAuthorizer: there is no {name}")));
        }
        Ok(Self { by_name, default })
    }

    /// The authorizer that an event names; `NONE` makes its route public, without a name the default applies.
    fn choose(&self, named: Option<&str>) -> Result<Option<Authorizer>, String> {
        let Some(name) = named.or(self.default.as_deref()).filter(|n| *n != "NONE") else {
            return Ok(None);
        };
        let found = self.by_name.get(name).cloned();
        found
            .map(Some)
            .ok_or_else(|| format!("there is no authorizer {name}"))
    }
}

fn method(text: &str) -> Result<Option<Method>, String> {
    let upper = text.to_ascii_uppercase();
    if upper == "ANY" {
        return Ok(None);
    }
    Method::from_bytes(upper.as_bytes())
        .map(Some)
        .map_err(|_| format!("{text} is not a method"))
}

/// The text behind `!GetAtt <id>.Arn`.
fn arn_of(value: &Value) -> Option<&str> {
    let Value::Tagged(tagged) = value else {
        return None;
    };
    let target = tagged.value.as_str().filter(|_| tagged.tag == "GetAtt")?;
    target.strip_suffix(".Arn")
}

#[cfg(test)]
mod tests;
